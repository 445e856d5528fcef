"""The sources of samples.

/proc and psutil agree, and neither trips over counters that reset or things that come and go.
"""

import csv
import errno
import gc
import math
import os
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from itertools import count, product

import psutil
import pytest

from twin_harness.metrics import columns
from twin_harness.system import available_memory, procfs, space_watch
from twin_harness.system.board import Board
from twin_harness.system.clock import FakeClock
from twin_harness.system.control_group import ControlGroup
from twin_harness.system.interfaces import InterfaceWatch
from twin_harness.system.machine import inspect_machine
from twin_harness.telemetry import (
    cpu_shares,
    procfs_disks,
    procfs_memory,
    procfs_network,
    procfs_pressure,
    procfs_source,
    psutil_source,
    slow_metrics,
)
from twin_harness.telemetry.logger_account import bounded, replace_json
from twin_harness.telemetry.metric_source import make_source
from twin_harness.telemetry.notes import Notes
from twin_harness.telemetry.procfs_source import ProcfsSource
from twin_harness.telemetry.psutil_logger import DatasetUnwritable, Logger
from twin_harness.telemetry.psutil_source import PsutilSource
from twin_harness.telemetry.sample import Counters, Sample

MIB = 2**20
READERS = (procfs_source, procfs_disks, procfs_memory, procfs_network, procfs_pressure)
OTHERS = 22  # columns that no source fills: identity, contract, probes and the logger's own


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """This machine, looked at once: it is asked through a child process, and nobody changes it."""
    return inspect_machine(tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def names(machine):
    return [
        metric.name
        for metric in columns(machine.possible_cpus)
        if metric.group not in ("identity", "contract", "probe", "self")
    ]


class AskedHere(space_watch.SpaceWatch):
    """The space of a filesystem without a process that asks: a fork of a test run is a large one.

    For tests of other columns. What becomes of the process has tests of its own below.
    """

    def _start(self):
        pass

    def take(self, wait_s=0.0):
        found = os.statvfs(self.folder)
        self.space = space_watch.space_from(
            found.f_blocks, found.f_bfree, found.f_bavail, found.f_frsize
        )


@pytest.fixture
def asked_here(monkeypatch):
    monkeypatch.setattr(slow_metrics, "SpaceWatch", AskedHere)


@pytest.mark.parametrize("source_type", [ProcfsSource, PsutilSource])
def test_source_fills_the_columns_of_the_registry(machine, names, source_type):
    """One cell a column, whole or NaN, in the order of the registry."""
    source = source_type(machine.to_json())
    source.start(0.0)
    sample = source.sample(0.1)
    assert len(sample.cells) == len(names) == len(columns(machine.possible_cpus)) - OTHERS
    row = dict(zip(names, sample.cells, strict=True))
    for metric in columns(machine.possible_cpus):
        value = row.get(metric.name, math.nan)
        if not math.isnan(value) and metric.minimum is not None:
            assert value >= metric.minimum, metric.name
        if not math.isnan(value) and metric.maximum is not None:
            assert value <= metric.maximum, metric.name


def counters(source):
    now = source._read(0.0) if isinstance(source, PsutilSource) else source._read()
    found = {f"cpu {index}": value for index, value in enumerate(now.cpu)}
    found |= {f"events {index}": value for index, value in enumerate(now.events[:2])}
    found |= {
        f"disk {name} {index}": value
        for name, fields in disks_of(source, now).items()
        for index, value in enumerate(fields)
    }
    found |= {
        f"network {name} {index}": int(value)
        for name, fields in now.network.items()
        for index, value in enumerate(fields)
    }
    return {name.replace("b'", "").replace("'", ""): value for name, value in found.items()} | {
        "loopback": now.loopback
    }


def disks_of(source, now):
    """Return bytes read and written, reads and writes of each disk, of either source."""
    if isinstance(source, PsutilSource):
        return now.disk
    counters = {name: [int(value) for value in fields] for name, fields in now.disk.items()}
    return {
        name: (read * 512, written * 512, reads, writes)
        for name, (reads, read, writes, written) in counters.items()
    }


def test_proc_lies_between_two_readings_of_psutil(machine):
    """What /proc says is never before the psutil reading before it, nor after the one after."""
    procfs, reference = ProcfsSource(machine.to_json()), PsutilSource(machine.to_json())
    procfs.start(0.0)
    reference.start(0.0)
    for _ in range(5):
        before, ours, after = counters(reference), counters(procfs), counters(reference)
        for name, value in ours.items():
            unit = 1_000_000 / os.sysconf("SC_CLK_TCK") if name.startswith("cpu") else 1
            # CPU times of a reading pass through seconds as floats in psutil: exact to a
            # microsecond.
            assert before[name] - 1 <= value * unit <= after[name] + 1, name


def test_gauges_agree_with_psutil(machine, names):
    """Memory within what a busy machine moves in a moment; load averages and space alike."""
    rows = []
    for source in (ProcfsSource(machine.to_json()), PsutilSource(machine.to_json())):
        source.start(0.0)
        rows.append(dict(zip(names, source.sample(1.0).cells, strict=True)))
    ours, theirs = rows
    assert ours["memory_available_bytes"] == pytest.approx(
        theirs["memory_available_bytes"], rel=0.05
    )
    assert ours["memory_cached_bytes"] == pytest.approx(theirs["memory_cached_bytes"], rel=0.05)
    assert ours["disk_used_percent"] == pytest.approx(theirs["disk_used_percent"], abs=0.5)
    assert ours["load15"] == pytest.approx(theirs["load15"], abs=0.1)


def test_source_by_name(machine):
    """The default is /proc on Linux; psutil alone where it was asked for."""
    made = {
        name: type(make_source(name, machine.to_json())) for name in ("auto", "procfs", "psutil")
    }
    assert made == {"auto": ProcfsSource, "procfs": ProcfsSource, "psutil": PsutilSource}


# -- counters that reset, things that come and go --------------------------------------------------


STAT = """cpu  {total} 0 0 {idle} 0 0 0 0 0 0
{cpus}intr {intr} 1 2 3
ctxt {ctxt}
btime 1700000000
processes {forks}
procs_running 2
procs_blocked 0
softirq 1 2
"""
DISK = "   8       0 {name} {reads} 0 {sectors} 5 {writes} 0 {written} 7 0 {busy} 9\n"
NETWORK = (
    "Inter-|   Receive                                                |  Transmit\n face |bytes   "
    " packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls"
    " carrier compressed\n"
)
INTERFACE = "  {name}: {bytes} 1 0 0 0 0 0 0 {bytes} 1 0 0 0 0 0 0\n"


LOADAVG = "0.5 0.4 0.3 1/100 4242\n"
MEMINFO = (
    "MemTotal: 1000000 kB\nMemFree: 1 kB\nMemAvailable:  500000 kB\nCached: 1 kB\nDirty: 0"
    " kB\nWriteback: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
)


class Machine:
    """A /proc made up for a test."""

    def __init__(self, folder):
        self.folder = folder
        self.unreadable = set()
        (folder / "pressure").mkdir()
        (folder / "loadavg").write_text(LOADAVG)
        (folder / "meminfo").write_text(MEMINFO)
        self.write()

    def write(
        self,
        *,
        cpus=(0, 1),
        busy=100,
        idle=100,
        events=1000,
        disks=(("sda", 10),),
        interfaces=(("eth0", 1000), ("lo", 5)),
    ):
        lines = "".join(f"cpu{number} {busy} 0 0 {idle} 0 0 0 0 0 0\n" for number in cpus)
        self.put(
            "stat",
            STAT.format(
                total=2 * busy, idle=2 * idle, cpus=lines, intr=events, ctxt=events, forks=events
            ),
        )
        self.put(
            "diskstats",
            "".join(
                DISK.format(name=name, reads=n, sectors=n, writes=n, written=n, busy=n)
                for name, n in disks
            ),
        )
        (self.folder / "net").mkdir(exist_ok=True)
        self.put(
            "net/dev",
            NETWORK + "".join(INTERFACE.format(name=name, bytes=n) for name, n in interfaces),
        )

    def put(self, name, text):
        """Write into the file that is there: its readers keep their descriptor."""
        with open(self.folder / name, "r+" if (self.folder / name).exists() else "w") as file:
            file.write(text)
            file.truncate()  # at the end: a file that was emptied first is flushed to its disk


class Faulty(procfs.KeptFile):
    """A kept file of such a /proc that may refuse to be read."""

    unreadable: set[str]

    def read(self):
        if self.path in self.unreadable:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read()


def keep_of(proc, names=()):
    """Return ``keep`` for a made-up /proc; further files by their names."""

    def keep(path, size_bytes=4096, *, has_records=False):
        inside = (
            str(proc.folder / names[path].decode())
            if path in names
            else path.replace("/proc", str(proc.folder))
        )
        try:
            kept = type("Kept", (Faulty,), {"unreadable": proc.unreadable})(
                inside, size_bytes, has_records=has_records
            )
            kept.read()
        except OSError:
            return None
        return kept

    return keep


@pytest.fixture
def fake_proc(tmp_path, monkeypatch, machine, asked_here):
    """A /proc made up for the test, and what makes a source on it, of a machine with two CPUs."""
    folder, new_names = (
        tmp_path / "proc",
        ([str(number)] for number in count()),
    )  # devices are looked for each second
    folder.mkdir()
    proc = Machine(folder)
    for module in READERS:
        monkeypatch.setattr(module, "keep", keep_of(proc))
    monkeypatch.setattr(procfs_disks, "counted_disks", lambda _: frozenset({"sda", "sdb"}))
    for name in ("eth0", "eth1"):
        (tmp_path / "net" / name).mkdir(parents=True)
    monkeypatch.setattr(
        procfs_network, "InterfaceWatch", lambda: InterfaceWatch(str(tmp_path / "net"))
    )
    monkeypatch.setattr(procfs_disks, "_names_in", lambda folder: next(new_names))
    two = replace(
        machine,
        cpus=(0, 1),
        possible_cpus=(0, 1),
        cpu_capacity=2.0,
        scratch_device="sda",
        memory_total_bytes=2**30,
        memory_limit_bytes=2**30,
    )
    names = [
        metric.name
        for metric in columns((0, 1))
        if metric.group not in ("identity", "contract", "probe", "self")
    ]

    def make():
        source = ProcfsSource(two.to_json())
        return source, lambda now_s: dict(zip(names, source.sample(now_s).cells, strict=True))

    return proc, make


@pytest.fixture
def made_up(fake_proc):
    """A source on a /proc made up for the test, after its first reading."""
    proc, make = fake_proc
    source, sample = make()
    source.start(0.0)
    return proc, source, sample


def test_made_up_rates_are_right(made_up):
    """Half busy, and so many bytes a second."""
    proc, _, sample = made_up
    proc.write(
        busy=150,
        idle=150,
        events=1500,
        disks=(("sda", 110),),
        interfaces=(("eth0", 2000), ("lo", 5)),
    )
    row = sample(1.0)
    assert (row["cpu_percent"], row["cpu0_percent"]) == (50.0, 50.0)
    assert row["context_switches_per_s"] == 500.0
    assert row["disk_read_bytes_per_s"] == 100 * 512
    assert row["network_received_bytes_per_s"] == 1000.0
    assert row["network_loopback_bytes_per_s"] == 0.0
    assert math.isnan(row["pressure_cpu_percent"])  # a kernel without PSI


def test_pressure_is_of_the_time_between_its_own_readings(fake_proc, monkeypatch):
    """The pressure of a late row is over the time that passed for it: saturation is 100."""
    proc, make = fake_proc
    at_second(proc, 0)
    read_s = iter([10.0, 11.2, 12.0])
    monkeypatch.setattr(procfs_pressure, "monotonic_s", lambda: next(read_s))
    source, sample = make()
    for total_us in (0, 1_200_000, 2_000_000):
        proc.put(
            "pressure/cpu",
            f"some avg10=0 avg60=0 avg300=0 total={total_us}\nfull avg10=0 total=0\n",
        )
        if total_us == 0:
            source.start(0.0)
        else:
            assert sample(total_us / 1e6 - 0.1)["pressure_cpu_percent"] == pytest.approx(100.0)


def test_every_device_counts_where_the_kernel_hands_out_a_page_a_read(fake_proc, monkeypatch):
    """Hundreds of interfaces and disks are more than the page of lines that a read returns."""
    proc, make = fake_proc
    names = [f"eth{number}" for number in range(200)]
    disks = [f"sd{first}{second}" for first in "abcdefg" for second in "abcdefghijklmnop"]
    read = os.pread

    def pread(descriptor, size, offset):
        data = read(descriptor, min(size, 4096), offset)
        return data[: data.rfind(b"\n") + 1]

    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(procfs_disks, "counted_disks", lambda listed: listed & {*disks})
    rows = []
    for second in range(2):
        proc.write(
            disks=[(name, 10 + second) for name in disks],
            interfaces=[("lo", 5), *((name, 1000 + second) for name in names)],
        )
        if second == 0:
            source, sample = make()
            source.start(0.0)
        else:
            rows.append(sample(1.0))
    assert rows[0]["network_received_bytes_per_s"] == 200.0
    assert rows[0]["disk_reads_per_s"] == 112.0


RESETS = {
    "counters of the kernel": {"events": 10},
    "disk counters": {"disks": (("sda", 1),)},
    "interface counters": {"interfaces": (("eth0", 10), ("lo", 5))},
    "loopback's counters": {"interfaces": (("eth0", 1000), ("lo", 1))},
}


@pytest.mark.parametrize("change", RESETS.values(), ids=list(RESETS))
def test_counter_that_goes_back_is_an_empty_cell_and_a_note(made_up, change):
    """Never a negative rate; the row after is whole again."""
    proc, source, sample = made_up
    proc.write(busy=150, idle=150, **change)
    row = sample(1.0)
    rates = {
        name: value
        for name, value in row.items()
        if name.endswith("_per_s") and not math.isnan(value)
    }
    assert all(value >= 0 for value in rates.values()), rates
    assert any("went back" in note for note in source.resets)
    assert row["cpu_percent"] == 50.0
    notes = len(source.resets)
    row = sample(2.0)
    assert len(source.resets) == notes
    assert row["disk_read_bytes_per_s"] == 0.0


# What counts there second by second, and the true rates between; None is an empty cell.
COMINGS = {
    "a disk that comes": (
        "disks",
        [{"sda": 10}, {"sda": 20}, {"sda": 30, "sdb": 9000}, {"sda": 40, "sdb": 9005}],
        [10, 10, 15],
        "disk sdb came during the run",
    ),
    "a disk that goes": (
        "disks",
        [{"sda": 10, "sdb": 8}, {"sda": 20, "sdb": 9}, {"sda": 30}, {"sda": 40}],
        [11, 10, 10],
        "disk sdb went during the run",
    ),
    "a disk made anew": (
        "disks",
        [{"sda": 10, "sdb": 8}, {"sda": 20, "sdb": 2}, {"sda": 30, "sdb": 3}],
        [10, 11],
        "disk sdb has counters that went back",
    ),
    "the only disk goes and comes": (
        "disks",
        [{"sda": 10}, {}, {"sda": 5000}, {"sda": 5001}],
        [None, None, 1],
        "disk sda went during the run",
    ),
    "an interface that comes": (  # seen by the look after its first second
        "interfaces",
        [
            {"eth0": 10},
            {"eth0": 20, "eth1": 10**9},
            {"eth0": 30, "eth1": 10**9 + 7},
            {"eth0": 40, "eth1": 10**9 + 8},
        ],
        [10, 10, 11],
        "network interface eth1 came during the run",
    ),
    "an interface that goes": (
        "interfaces",
        [{"eth0": 10, "eth1": 7}, {"eth0": 20, "eth1": 8}, {"eth0": 30}],
        [11, 10],
        "network interface eth1 went during the run",
    ),
    "an interface made anew": (
        "interfaces",
        [{"eth0": 10, "eth1": 70}, {"eth0": 20, "eth1": 8}, {"eth0": 30, "eth1": 9}],
        [10, 11],
        "network interface eth1 has counters that went back",
    ),
}


@pytest.mark.parametrize(("what", "seconds", "rates", "note"), COMINGS.values(), ids=list(COMINGS))
def test_a_device_that_comes_or_goes_shows_in_no_rate(made_up, what, seconds, rates, note):
    """It is left out of that one interval, the others go on, and a note says so once."""
    proc, source, sample = made_up
    column = {"disks": "disk_writes_per_s", "interfaces": "network_sent_bytes_per_s"}[what]
    loopback = {"interfaces": (("lo", 5),)}.get(what, ())
    measured = []
    for second, devices in enumerate(seconds):
        proc.write(**{what: (*devices.items(), *loopback)})
        if second == 0:
            source.start(0.0)
        else:
            measured.append(sample(float(second))[column])
    assert [None if math.isnan(value) else value for value in measured] == rates
    sentence = f"{note}: left out of the sums in such an interval"
    assert [text for text in source.resets if note in text] == [sentence]


def test_a_cpu_that_comes_back_brings_no_burst(made_up):
    """Its column is empty while it is away and the machine's percent is that of the rest.

    Back, its line counts since boot.
    """
    proc, _, sample = made_up
    proc.write(cpus=(0,), busy=150, idle=150)
    row = sample(1.0)
    assert (row["cpu_percent"], row["cpu0_percent"], math.isnan(row["cpu1_percent"])) == (
        50.0,
        50.0,
        True,
    )
    proc.write(busy=200, idle=250)
    row = sample(2.0)
    assert (row["cpu_percent"], math.isnan(row["cpu1_percent"])) == (pytest.approx(100 / 3), True)
    proc.write(busy=250, idle=300)
    row = sample(3.0)
    assert (row["cpu_percent"], row["cpu1_percent"]) == (50.0, 50.0)


def test_idle_time_that_goes_back_is_no_time(made_up):
    """The kernel's idle and iowait may fall by a tick (proc(5)).

    That interval was busy, and nothing is empty.
    """
    proc, _, sample = made_up
    proc.write(busy=110, idle=99)
    row = sample(1.0)
    assert (row["cpu_percent"], row["cpu0_percent"]) == (100.0, 100.0)


def test_between_two_ticks_nothing_is_known(made_up):
    """No time has passed on any CPU: the share of nothing is empty, not 0."""
    _, _, sample = made_up
    row = sample(0.001)
    assert math.isnan(row["cpu_percent"])
    assert math.isnan(row["cpu0_percent"])


# -- what is not there, and what answers rubbish ---------------------------------------------------

# The file, the columns that are made of it, and a part of the note.
FILES = {
    "stat": (
        ("cpu_percent", "cpu0_percent", "context_switches_per_s", "processes_running"),
        "/proc/stat",
    ),
    "meminfo": (
        ("memory_percent", "memory_used_bytes", "memory_available_bytes", "memory_dirty_bytes"),
        "/proc/meminfo",
    ),
    "diskstats": (
        (
            "disk_read_bytes_per_s",
            "disk_write_bytes_per_s",
            "disk_reads_per_s",
            "disk_busy_percent",
        ),
        "disk",
    ),
    "net/dev": (
        ("network_sent_bytes_per_s", "network_errors_per_s", "network_loopback_bytes_per_s"),
        "network",
    ),
    "loadavg": (("load1", "load15"), "/proc/loadavg"),
    "pressure/cpu": (("pressure_cpu_percent",), "pressure"),
}
FAULTS = {
    "cannot be read": None,
    "empty": "",
    "cut": "c",
    "unknown": "<unknown>\n",
    "other": "cpu  x\na b c d e f g h i j k l m n\nMemAvailable: x kB\neth0: x x\n",
}


def at_second(proc, second):
    """Let the machine be half busy, and everything count."""
    count, disks, interfaces = (
        100 + 50 * second,
        (("sda", 10 + second),),
        (("eth0", 1000 + second), ("lo", 5)),
    )
    proc.write(
        busy=count, idle=count, events=1000 * (second + 1), disks=disks, interfaces=interfaces
    )
    proc.put("loadavg", LOADAVG)
    proc.put("meminfo", MEMINFO)
    proc.put(
        "pressure/cpu",
        f"some avg10=0 avg60=0 avg300=0 total={second}\nfull avg10=0 total={second}\n",
    )


def spoil(proc, name, fault):
    """Have a file answer something else than ever before."""
    if FAULTS[fault] is None:
        proc.unreadable.add(str(proc.folder / name))
    else:
        proc.put(name, FAULTS[fault])


def emptied(row, columns_of_file):
    return [column for column in columns_of_file if math.isnan(row[column])]


@pytest.mark.parametrize("name", list(FILES))
@pytest.mark.parametrize("fault", list(FAULTS))
def test_what_cannot_be_read_any_more_costs_its_cells(fake_proc, name, fault):
    """All its cells are empty, none is 0, the others go on, and it is said once."""
    proc, make = fake_proc
    at_second(proc, 0)
    source, sample = make()
    source.start(0.0)
    at_second(proc, 1)
    assert not [column for lost, _ in FILES.values() for column in emptied(sample(1.0), lost)]
    for second in range(2, 9):
        at_second(proc, second)
        spoil(proc, name, fault)
        row = sample(float(second))
    for other, (columns_of_file, _) in FILES.items():
        assert emptied(row, columns_of_file) == (list(columns_of_file) if other == name else []), (
            other
        )
    assert [text for text in source.resets if FILES[name][1] in text]
    assert len(source.resets) <= 3
    proc.unreadable.clear()
    for second in range(9, 12):
        at_second(proc, second)
        row = sample(float(second))
    assert not emptied(row, FILES[name][0])


@pytest.mark.parametrize("name", list(FILES))
@pytest.mark.parametrize("fault", ["gone", *FAULTS])
def test_what_cannot_be_read_at_all_is_empty_and_said(fake_proc, name, fault):
    """From the first sample on.

    Containers hide files, show empty ones, or refuse them to a user.
    """
    proc, make = fake_proc
    at_second(proc, 0)
    if fault == "gone":
        (proc.folder / name).unlink()
    else:
        spoil(proc, name, fault)
    source, sample = make()
    source.start(0.0)
    row = sample(1.0)
    assert emptied(row, FILES[name][0]) == list(FILES[name][0])
    assert [text for text in source.resets if FILES[name][1] in text]


MEMINFO_COLUMNS = {
    "MemAvailable": ("memory_percent", "memory_used_bytes", "memory_available_bytes"),
    "Cached": ("memory_cached_bytes",),
    "Dirty": ("memory_dirty_bytes",),
    "Writeback": ("memory_writeback_bytes",),
}


@pytest.mark.parametrize(("line", "lost"), MEMINFO_COLUMNS.items(), ids=list(MEMINFO_COLUMNS))
def test_a_line_that_meminfo_lacks_is_an_empty_cell(made_up, line, lost):
    """MemAvailable came with Linux 3.14, and containers show what their lxcfs knows."""
    proc, source, sample = made_up
    text = (proc.folder / "meminfo").read_text()
    proc.put(
        "meminfo",
        "".join(f"{entry}\n" for entry in text.splitlines() if not entry.startswith(line)),
    )
    row = sample(1.0)
    every = [column for columns_of_line in MEMINFO_COLUMNS.values() for column in columns_of_line]
    assert emptied(row, every) == list(lost)
    assert [
        text
        for text in source.resets
        if text.startswith("/proc/meminfo does not show") and line in text
    ]


def test_a_disk_is_read_from_its_own_file_where_diskstats_shows_none(fake_proc, monkeypatch):
    """Some lxcfs shows an empty /proc/diskstats beside a whole /sys/block."""
    proc, make = fake_proc
    files = {b"sda": [10, 20], b"sdb": [5, 6]}
    monkeypatch.setattr(
        procfs_disks,
        "keep",
        keep_of(proc, {f"/sys/block/{name.decode()}/stat": name for name in files}),
    )
    for second in (0, 1):
        for name, counts in files.items():
            (proc.folder / name.decode()).write_text(
                f"{counts[second]} 0 0 0 {counts[second]} 0 0 0 0 0 0 0 0 0 0 0 0\n"
            )
        at_second(proc, second)
        proc.put("diskstats", "")
        if second == 0:
            source, sample = make()
            source.start(0.0)
    assert sample(1.0)["disk_writes_per_s"] == 11.0


# What psutil is asked, and the columns that are made of its answer.
ASKED = {
    "cpu_times": ("cpu_percent", "cpu0_percent"),
    "cpu_stats": ("context_switches_per_s", "interrupts_per_s"),
    "virtual_memory": ("memory_percent", "memory_used_bytes", "memory_available_bytes"),
    "swap_memory": ("swap_percent", "swap_in_bytes_per_s"),
    "disk_io_counters": ("disk_read_bytes_per_s", "disk_writes_per_s"),
    "net_io_counters": ("network_sent_bytes_per_s", "network_loopback_bytes_per_s"),
    "getloadavg": ("load1", "load15"),
    "cpu_freq": (),
}


@pytest.mark.usefixtures("asked_here")
@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied"),
        ValueError("<unknown>"),
        IndexError("x"),
        NotImplementedError("no"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", list(ASKED))
def test_what_psutil_cannot_say_costs_its_cells(machine, names, monkeypatch, name, error):
    """Whatever it raises: the cells are empty, one note says so, and the others go on."""

    def refuse(**_):
        raise error

    source = PsutilSource(machine.to_json())
    source.start(0.0)
    monkeypatch.setattr(psutil, name, refuse)
    rows = [
        dict(zip(names, source.sample(second).cells, strict=True)) for second in (1.0, 2.0, 3.0)
    ]
    assert emptied(rows[-1], ASKED[name]) == list(ASKED[name])
    others = [
        column
        for other, lost in ASKED.items()
        if other not in (name, "cpu_freq", "swap_memory")
        for column in lost
    ]
    assert not set(emptied(rows[-1], others)) - {"cpu0_percent", "cpu_percent"}
    assert len([text for text in source.resets if "could not be read" in text]) == bool(ASKED[name])


@pytest.mark.parametrize("listed", [{}, None], ids=["empty", "none"])
def test_psutil_without_disks_or_network_is_empty_and_says_so(machine, names, monkeypatch, listed):
    """An answer of {} or None where the kernel shows nothing: nothing was measured."""
    for name in ("disk_io_counters", "net_io_counters"):
        monkeypatch.setattr(psutil, name, lambda **_: listed)
    source = PsutilSource(machine.to_json())
    source.start(0.0)
    row = dict(zip(names, source.sample(1.0).cells, strict=True))
    assert [
        name
        for name, value in row.items()
        if name.startswith(("disk_", "network_")) and not math.isnan(value)
    ] == ["disk_used_percent"]
    assert source.resets[:2] == [
        "psutil shows no block device: the disk rates are empty",
        "psutil shows no interface but loopback: network_* are empty",
    ]


def test_what_psutil_fills_with_zeros_is_empty(machine, names, monkeypatch):
    """It warns that it did not find them and answers 0: those are empty."""
    swap, memory = psutil.swap_memory(), psutil.virtual_memory()

    def answer(value, text):
        def ask():
            warnings.warn(text, RuntimeWarning, stacklevel=2)
            return value

        return ask

    monkeypatch.setattr(
        psutil,
        "swap_memory",
        answer(swap, "'sin' and 'sout' swap memory stats couldn't be determined and were set to 0"),
    )
    monkeypatch.setattr(
        psutil,
        "virtual_memory",
        answer(memory, "'cached' memory stats couldn't be determined and was set to 0"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = PsutilSource(machine.to_json())
        source.start(0.0)
        row = dict(zip(names, source.sample(1.0).cells, strict=True))
    unknown = ["swap_in_bytes_per_s", "swap_out_bytes_per_s", "memory_cached_bytes"]
    assert emptied(row, unknown) == unknown


# -- within a control group's limits ---------------------------------------------------------------


class Group:
    """A control group of version 2, made up, with this process in it."""

    def __init__(self, folder, monkeypatch, **files):
        self.folder = folder / "cgroup"
        self.folder.mkdir()
        (folder / "membership").write_text("0::/\n")
        self.put("cgroup.controllers", "cpu memory")
        for name, content in files.items():
            self.put(name.replace("_", ".", 1), content)
        for module in (available_memory, cpu_shares):
            monkeypatch.setattr(
                module,
                "ControlGroup",
                lambda: ControlGroup(str(self.folder), str(folder / "membership")),
            )

    def put(self, name, text):
        with open(self.folder / name, "w") as file:
            file.write(f"{text}\n")

    def use(self, usage_s, user_s=0.0):
        self.put(
            "cpu.stat",
            f"usage_usec {usage_s * 1e6:.0f}\nuser_usec {user_s * 1e6:.0f}\nsystem_usec"
            f" {(usage_s - user_s) * 1e6:.0f}",
        )


@pytest.fixture
def ticking(monkeypatch):
    """CPUs whose clocks move between any two readings: steal 4 %, I/O wait 3 %, interrupts 2 %."""
    for module in (cpu_shares, procfs_source, psutil_source):
        monkeypatch.setattr(module, "cpu_percents", lambda *_: (50.0, 25.0, 16.0, 3.0, 4.0, 2.0))


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize("source_type", [ProcfsSource, PsutilSource])
def test_within_a_quota_cpu_is_what_the_group_used_of_it(
    tmp_path, monkeypatch, machine, names, source_type
):
    """Neighbours outside are neither busy nor background; bursts are not cut off.

    CPUs, steal and I/O wait are as everywhere.
    """
    group = Group(tmp_path, monkeypatch, cpu_max="50000 100000")
    group.use(10.0)
    source = source_type(replace(machine, cpus=(0, 1), cpu_capacity=0.5).to_json())
    source.start(0.0)
    rows = []
    for now_s, usage_s, user_s in ((1.0, 10.0, 0.0), (2.0, 10.1, 0.075), (2.1, 10.2, 0.15)):
        group.use(usage_s, user_s)
        rows.append(dict(zip(names, source.sample(now_s).cells, strict=True)))
    busy = [row["cpu_percent"] - row["cpu_steal_percent"] for row in rows]
    assert busy == pytest.approx([0.0, 20.0, 200.0])
    assert [row["cpu_user_percent"] for row in rows] == pytest.approx([0.0, 15.0, 150.0])
    assert [row["cpu_system_percent"] for row in rows] == pytest.approx([0.0, 5.0, 50.0])
    of_cpus = [[row[f"cpu_{name}_percent"] for name in ("steal", "iowait", "irq")] for row in rows]
    assert of_cpus == [[4.0, 3.0, 2.0]] * 3
    assert source.resets == []


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize("source_type", [ProcfsSource, PsutilSource])
def test_a_group_whose_cpu_time_cannot_be_read_is_empty_and_said(
    tmp_path, monkeypatch, machine, names, source_type
):
    """What is not measured is no share of the whole machine's."""
    Group(tmp_path, monkeypatch, cpu_max="50000 100000")
    source = source_type(replace(machine, cpus=(0, 1), cpu_capacity=0.5).to_json())
    source.start(0.0)
    row = dict(zip(names, source.sample(1.0).cells, strict=True))
    assert all(
        math.isnan(row[name]) for name in ("cpu_percent", "cpu_user_percent", "cpu_system_percent")
    )
    assert not math.isnan(row["cpu_steal_percent"])
    columns_of_it = "cpu_percent, its user and system share and cpu_background_percent are empty"
    reason = (
        "a CPU quota binds, and the CPU time of its control group cannot be read (cpuacct is"
        " mounted apart, or hidden)"
    )
    assert source.resets == [f"{columns_of_it}: {reason}"]


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize("source_type", [ProcfsSource, PsutilSource])
def test_parts_of_a_quota_have_no_cpu_figures_of_their_own(
    tmp_path, monkeypatch, machine, source_type
):
    """The group's account has no parts: their cells are empty, and a note says why."""
    group = Group(tmp_path, monkeypatch, cpu_max="50000 100000")
    group.use(1.0)
    parts = [
        {"name": f"p{cpu}", "cpus": [cpu], "cpu_capacity": 0.25, "memory_limit_bytes": 1}
        for cpu in (0, 1)
    ]
    source = source_type(
        {**replace(machine, cpus=(0, 1), cpu_capacity=0.5).to_json(), "parts_of": parts}
    )
    source.start(0.0)
    sample = source.sample(1.0)
    assert all(math.isnan(value) for part in sample.parts for value in part[:3])
    assert not any(math.isnan(value) for part in sample.parts for value in part[3:6])
    assert any("of parts are empty: a CPU quota binds" in note for note in source.resets)


def test_without_a_quota_no_group_is_asked(made_up):
    """The figures of a whole machine are what they were."""
    proc, source, sample = made_up
    proc.write(busy=150, idle=150)
    assert sample(1.0)["cpu_percent"] == 50.0
    assert source._read().group is None


@pytest.mark.parametrize("source_type", [ProcfsSource, PsutilSource])
def test_memory_and_its_pages_are_the_group_s(tmp_path, monkeypatch, machine, names, source_type):
    """Percent, used and available within the limit.

    Cached, dirty and written-back pages of the group and not of the machine.
    """
    stat = (
        f"anon 5\nfile {40 * MIB}\nfile_dirty {3 * MIB}\nfile_writeback {2 * MIB}\ninactive_file"
        f" {30 * MIB}\nslab_reclaimable {MIB}"
    )
    Group(tmp_path, monkeypatch, memory_high=100 * MIB, memory_current=50 * MIB, memory_stat=stat)
    source = source_type(replace(machine, memory_limit_bytes=100 * MIB).to_json())
    source.start(0.0)
    row = dict(zip(names, source.sample(1.0).cells, strict=True))
    assert row["memory_percent"] == pytest.approx(20.0)
    assert (
        row["memory_used_bytes"],
        row["memory_available_bytes"],
        row["memory_cached_bytes"],
    ) == (20 * MIB, 80 * MIB, 41 * MIB)
    assert (row["memory_dirty_bytes"], row["memory_writeback_bytes"]) == (3 * MIB, 2 * MIB)


# -- the logger ------------------------------------------------------------------------------------


class Constant:
    """A source of ones."""

    def __init__(self, cells):
        self.resets, self._cells = [], cells

    def start(self, now_s):
        pass

    def read(self, now_s):
        pass

    def sample(self, now_s):
        return Sample(1.0, 0.0, 1.0, 1.0, (1.0,) * self._cells)


@pytest.fixture
def logger(tmp_path, machine):
    board, clock, path = Board.create(), FakeClock(1000.0), tmp_path / "dataset.csv"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    source = Constant(len(columns(machine.possible_cpus)) - OTHERS)
    made = Logger(
        {"interval_s": 0.1, "machine": machine.to_json()}, board, source, descriptor, clock
    )
    made.open()
    yield made, clock, source, path
    os.close(descriptor)
    board.close(unlink=True)


def test_suspend_is_a_gap_that_is_marked(logger):
    """CLOCK_MONOTONIC stands still while the machine sleeps.

    The slots that passed are missed ones, and a note says why.
    """
    made, clock, source, path = logger
    for asleep_s in (0.0, 0.0, 7.0, 0.0):
        clock.asleep_s += asleep_s
        clock.sleep_until(made.next_s)
        made.sample()
    missed = [row["missed_samples"] for row in csv.DictReader(path.read_text().splitlines())]
    assert [float(value) for value in missed] == [0, 0, 70, 0]
    assert made.missed == 70
    assert [note for note in source.resets if "suspended for 7.0 s" in note]


class Held:
    """A source of a counter that grows by all of the time, and is held up while it is read."""

    def __init__(self, cells, clock, held_s):
        self.resets, self._cells, self._clock, self._held_s = [], cells, clock, list(held_s)

    def start(self, now_s):
        self._before = now_s, self._clock.monotonic_s()

    def read(self, now_s):
        self._clock.advance(self._held_s.pop(0) if self._held_s else 0.0003)
        self._counter = self._clock.monotonic_s()

    def sample(self, now_s):
        percent = 100.0 * (self._counter - self._before[1]) / (now_s - self._before[0])
        self._before = now_s, self._counter
        return Sample(percent, 0.0, 1.0, 1.0, (percent,) * self._cells)


@pytest.mark.parametrize(
    "held_s", [[0.0003] * 9, [0.0003, 0.152, 0.0003, 0.0003], [0.0003, 0.02, 0.2, 0.0003, 0.15]]
)
def test_reading_that_was_held_up_is_taken_again(tmp_path, machine, held_s):
    """No rate is of a longer time than its row.

    Where the logger was held up between clock and counters, the row is taken later, and late.
    """
    board, clock, path = Board.create(), FakeClock(1000.0), tmp_path / "d.csv"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        source = Held(len(columns(machine.possible_cpus)) - OTHERS, clock, held_s)
        made = Logger(
            {"interval_s": 0.1, "machine": machine.to_json()}, board, source, descriptor, clock
        )
        made.open()
        source.start(clock.monotonic_s())
        for _ in range(6):
            clock.sleep_until(made.next_s)
            made.sample()
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert all(
            float(row["pressure_cpu_percent"]) == pytest.approx(100.0, abs=0.5) for row in rows
        )
        assert (made.latest_s > 0.02) == (max(held_s) > 0.01)
    finally:
        os.close(descriptor)
        board.close(unlink=True)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EBUSY, "busy"),
        ValueError("<unknown>"),
        KeyError("x"),
        TypeError("x"),
        ZeroDivisionError("x"),
    ],
    ids=repr,
)
def test_a_source_that_fails_as_a_whole_costs_rows_not_the_logger(logger, error):
    """What nobody thought of leaves rows with empty cells of the machine, and one note.

    The rows after are whole.
    """
    made, clock, source, path = logger
    sample = source.sample
    for number in range(5):
        source.sample = sample if number in (0, 4) else lambda _: (_ for _ in ()).throw(error)
        clock.sleep_until(made.next_s)
        made.sample()
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["cpu_percent"] for row in rows] == ["1", "", "", "", "1"]
    assert (
        {row["memory_percent"] for row in rows[1:4]}
        == {row["cpu_background_percent"] for row in rows[1:4]}
        == {""}
    )
    assert [row["cpu_requested_percent"] for row in rows] == ["0"] * 5
    assert len([note for note in source.resets if note.startswith("a sample failed")]) == 1


def test_notes_that_are_not_shown_are_counted():
    """run.json holds the first twenty, and how many more there were."""
    notes = [f"note {number}" for number in range(25)]
    assert bounded(notes[:20]) == notes[:20]
    assert bounded(notes) == [*notes[:20], "and 5 more notes of the logger"]


def test_only_writing_the_dataset_is_called_so(logger):
    """A descriptor that cannot be written is the dataset's fault, and has a name of its own."""
    made, clock, _, path = logger
    read_only = os.open(path, os.O_RDONLY)
    made._descriptor = read_only
    clock.sleep_until(made.next_s)
    with pytest.raises(DatasetUnwritable):
        made.sample()
    os.close(read_only)


@pytest.mark.parametrize("name", ["procfs", "psutil"])
def test_sampling_makes_no_cycles(tmp_path, machine, name):
    """The logger collects no garbage.

    Neither rows of this machine, nor its account, nor plans that come and go leave anything to
    collect.
    """
    board, clock = Board.create(), FakeClock(1000.0)
    descriptor = os.open(tmp_path / "d.csv", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    made = Logger(
        {"interval_s": 0.1, "machine": machine.to_json()},
        board,
        make_source(name, machine.to_json()),
        descriptor,
        clock,
    )
    try:
        made.open()
        for number in range(40):
            if number == 10:  # what is made once, at first, does not count
                while gc.collect():  # what other tests left may take several passes
                    pass
                gc.disable()
            if number % 5 == 0:
                slot = board.publish_plan(
                    {"experiment": "a", "begin_s": 0.0, "end_s": 1e9, "zero_s": 0.0, "events": []}
                )
            clock.sleep_until(made.next_s)
            made.sample()
            replace_json(
                str(tmp_path / "account.json"),
                {"histogram": {"counts": made.histogram}, "notes": ["x"] * 3},
            )
            if number % 5 == 4:
                board.remove_plan(slot)
        assert gc.collect() == 0
    finally:
        gc.enable()
        os.close(descriptor)
        board.close(unlink=True)


@pytest.mark.parametrize(
    ("interval_s", "late_s"), list(product([0.01, 0.1, 1.0], [0.0, 2.5, 40.0]))
)
def test_late_samples_are_counted_not_made_up_for(tmp_path, machine, interval_s, late_s):
    """After a stall the grid goes on where it stands.

    As many missed as slots passed, and no burst.
    """
    board, clock = Board.create(), FakeClock(500.0)
    descriptor = os.open(tmp_path / "d.csv", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        source = Constant(len(columns(machine.possible_cpus)) - OTHERS)
        made = Logger(
            {"interval_s": interval_s, "machine": machine.to_json()},
            board,
            source,
            descriptor,
            clock,
        )
        made.open()
        for _ in range(3):
            clock.sleep_until(made.next_s)
            made.sample()
        clock.advance(interval_s * late_s)
        clock.sleep_until(made.next_s)
        made.sample()
        assert made.missed == max(0, math.floor(late_s + 1e-6) - 1)
        assert clock.monotonic_s() < made.next_s <= clock.monotonic_s() + interval_s + 1e-9
    finally:
        os.close(descriptor)
        board.close(unlink=True)


def test_psutil_of_today_has_what_the_source_asks_for():
    """The fields of psutil's tuples that the source reads by name."""
    assert {"user", "system", "idle"} <= set(psutil.cpu_times()._fields)
    assert {"ctx_switches", "interrupts"} <= set(psutil.cpu_stats()._fields)
    assert {"available", "total"} <= set(psutil.virtual_memory()._fields)


def test_counters_start_empty():
    """What was not read is nothing, and no zeros."""
    assert (Counters().disk, Counters().network, Counters().device) == (None, None, None)


@pytest.mark.parametrize(("number", "goes_on"), [(signal.SIGXCPU, True), (signal.SIGTERM, False)])
def test_only_sigterm_ends_the_wait(number, goes_on):
    """A runaway's SIGXCPU takes the logger out of its real-time class, and no more.

    SIGTERM ends it.
    """
    code = (
        "import os, signal, sys, threading, time\nfrom twin_harness.system.board import"
        " Board\nfrom twin_harness.telemetry.wake_up import WakeUp\nboard ="
        " Board.create()\nwatch = WakeUp(board, os.getppid())\nsignal.signal(signal.SIGXCPU,"
        " lambda *_: None)\nthreading.Timer(0.1, os.kill, (os.getpid(),"
        f" {int(number)})).start()\ngoes_on = watch.wait_until(time.monotonic() +"
        " 0.3)\nboard.close(unlink=True)\nprint(goes_on)\n"
    )
    assert subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip() == str(goes_on)


# -- a filesystem that does not answer -------------------------------------------------------------


def test_scratch_that_does_not_answer_empties_its_column_alone(machine, monkeypatch):
    """Other slow figures go on where one is stuck: its column is empty after two seconds.

    One note says since when and where.
    """
    monkeypatch.setattr(slow_metrics, "_FIRST_ANSWER_S", 0.0)
    monkeypatch.setattr(space_watch.os, "statvfs", lambda _: signal.pause())
    monkeypatch.setattr(slow_metrics, "monotonic_s", lambda: 10.0)
    notes = Notes()
    slow = slow_metrics.SlowMetrics(machine.to_json(), notes)
    for now_s in (10.0, 11.0, 12.0, 13.0):
        assert slow.refresh(now_s)
        assert slow.processes > 0
        assert math.isnan(slow.disk_used_percent)
    (note,) = notes
    assert (
        note == f"the filesystem of {machine.scratch_dir} has not answered since 10.0 s:"
        " disk_used_percent is empty, and so is probe_disk_ms, until it does"
    )


def test_scratch_that_cannot_be_read_for_a_moment_is_noted_once(machine, monkeypatch, tmp_path):
    """Its column is empty, a note says why, and there are figures again when it can be read."""
    monkeypatch.setattr(slow_metrics, "_ANSWER_S", 10.0)
    monkeypatch.setattr(slow_metrics, "_FIRST_ANSWER_S", 10.0)
    monkeypatch.setattr(slow_metrics, "monotonic_s", lambda: 10.0)
    folder, notes = tmp_path / "late", Notes()
    slow = slow_metrics.SlowMetrics({**machine.to_json(), "scratch_dir": str(folder)}, notes)
    for now_s in (10.0, 11.0):
        slow.refresh(now_s)
        assert math.isnan(slow.disk_used_percent)
    folder.mkdir()
    slow.refresh(12.0)
    assert slow.disk_used_percent > 0
    assert [note for note in notes if "space" in note] == [
        (
            f"the space of {folder} could not be read (No such file or directory):"
            " disk_used_percent is empty until it can be"
        )
    ]


def test_scratch_whose_space_nobody_can_ask_costs_its_column_alone(machine, monkeypatch):
    """Where no further process is permitted the logger goes on, and a note says what is empty."""
    refused = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    monkeypatch.setattr(space_watch.os, "fork", lambda: (_ for _ in ()).throw(refused))
    notes = Notes()
    slow = slow_metrics.SlowMetrics(machine.to_json(), notes)
    slow.refresh(10.0)
    assert math.isnan(slow.disk_used_percent)
    assert slow.processes > 0
    (note,) = [note for note in notes if "space" in note]
    assert (
        note == f"the space of {machine.scratch_dir} could not be read "
        "(the process that asks could not be started (Resource temporarily unavailable)): "
        "disk_used_percent is empty to the end"
    )


def test_scratch_that_falls_silent_keeps_its_last_figure_for_two_seconds(machine, monkeypatch):
    """A moment's silence is none.

    Longer, what was so is not known any more, and it is again when the answer comes.
    """
    monkeypatch.setattr(slow_metrics, "monotonic_s", lambda: 10.0)
    slow = slow_metrics.SlowMetrics(machine.to_json(), Notes())
    slow._space.take(10.0)
    monkeypatch.setattr(slow._space, "take", lambda _: None)
    found = []
    for now_s in (10.0, 11.0, 12.5):
        slow.refresh(now_s)
        found.append(slow.disk_used_percent)
    assert found[0] == found[1] > 0
    assert math.isnan(found[2])
    monkeypatch.undo()
    slow._space.take(10.0)
    slow.refresh(13.5)
    assert slow.disk_used_percent > 0

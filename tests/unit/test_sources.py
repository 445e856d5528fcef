"""The sources of samples: /proc and psutil agree, and neither trips over counters that reset or things that come and go."""

import csv
import gc
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import product

import psutil
import pytest

from twin_harness import procfs
from twin_harness.board import Board
from twin_harness.clock import FakeClock
from twin_harness.machine import inspect_machine
from twin_harness.metrics import columns
from twin_harness.procfs import ControlGroup
from twin_harness.telemetry import procfs_source
from twin_harness.telemetry.procfs_source import Counters, ProcfsSource
from twin_harness.telemetry.psutil_logger import Logger, make_source, replace_json
from twin_harness.telemetry.psutil_source import PsutilSource

MIB = 2**20
OTHERS = 22  # columns that no source fills: identity, contract, probes and the logger's own


@pytest.fixture
def machine(tmp_path):
    return inspect_machine(tmp_path)


@pytest.fixture
def names(machine):
    return [metric.name for metric in columns(machine.possible_cpus) if metric.group not in ("identity", "contract", "probe", "self")]


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
    now = source._read()
    found = {f"cpu {index}": value for index, value in enumerate(now.cpu)}
    found |= {f"events {index}": value for index, value in enumerate(now.events[:2])}
    found |= {f"disk {index}": value for index, value in enumerate(now.disk)}
    found |= {f"network {index}": value for index, value in enumerate(now.network)}
    return found


def test_proc_lies_between_two_readings_of_psutil(machine):
    """What /proc says is never before what psutil said just before, and never after what it says just after."""
    procfs, reference = ProcfsSource(machine.to_json()), PsutilSource(machine.to_json())
    for _ in range(5):
        before, ours, after = counters(reference), counters(procfs), counters(reference)
        for name, value in ours.items():
            unit = 1_000_000 / os.sysconf("SC_CLK_TCK") if name.startswith("cpu") else 1
            # CPU times of a reading pass through seconds as floats in psutil: exact to a microsecond.
            assert before[name] - 1 <= value * unit <= after[name] + 1, name


def test_gauges_agree_with_psutil(machine, names):
    """Memory within what a busy machine moves in a moment; load averages and space alike."""
    rows = []
    for source in (ProcfsSource(machine.to_json()), PsutilSource(machine.to_json())):
        source.start(0.0)
        rows.append(dict(zip(names, source.sample(1.0).cells, strict=True)))
    ours, theirs = rows
    assert ours["memory_available_bytes"] == pytest.approx(theirs["memory_available_bytes"], rel=0.05)
    assert ours["memory_cached_bytes"] == pytest.approx(theirs["memory_cached_bytes"], rel=0.05)
    assert ours["disk_used_percent"] == pytest.approx(theirs["disk_used_percent"], abs=0.5)
    assert ours["load15"] == pytest.approx(theirs["load15"], abs=0.1)


def test_source_by_name(machine):
    """The default is /proc on Linux; psutil alone where it was asked for."""
    made = {name: type(make_source(name, machine.to_json())) for name in ("auto", "procfs", "psutil")}
    assert made == {"auto": ProcfsSource, "procfs": ProcfsSource, "psutil": PsutilSource}


# -- counters that reset, things that come and go -------------------------------------------------------------------------------


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
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
)
INTERFACE = "  {name}: {bytes} 1 0 0 0 0 0 0 {bytes} 1 0 0 0 0 0 0\n"


class Machine:
    """A /proc made up for a test."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "pressure").mkdir()
        (folder / "loadavg").write_text("0.5 0.4 0.3 1/100 4242\n")
        (folder / "meminfo").write_text(
            "MemTotal: 1000000 kB\nMemFree: 1 kB\nMemAvailable:  500000 kB\nCached: 1 kB\nDirty: 0 kB\nWriteback: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
        )
        self.write()

    def write(self, *, cpus=(0, 1), busy=100, idle=100, events=1000, disks=(("sda", 10),), interfaces=(("eth0", 1000), ("lo", 5))):
        lines = "".join(f"cpu{number} {busy} 0 0 {idle} 0 0 0 0 0 0\n" for number in cpus)
        self.put("stat", STAT.format(total=2 * busy, idle=2 * idle, cpus=lines, intr=events, ctxt=events, forks=events))
        self.put("diskstats", "".join(DISK.format(name=name, reads=n, sectors=n, writes=n, written=n, busy=n) for name, n in disks))
        (self.folder / "net").mkdir(exist_ok=True)
        self.put("net/dev", NETWORK + "".join(INTERFACE.format(name=name, bytes=n) for name, n in interfaces))

    def put(self, name, text):
        """Write into the file that is there: its readers keep their descriptor."""
        with open(self.folder / name, "r+" if (self.folder / name).exists() else "w") as file:
            file.truncate(0)
            file.write(text)


@pytest.fixture
def made_up(tmp_path, monkeypatch, machine):
    """A source on a /proc made up for the test, of a machine with two CPUs."""
    folder = tmp_path / "proc"
    folder.mkdir()
    proc = Machine(folder)
    for name in ("KeptFile", "keep"):
        original = getattr(procfs_source, name)
        monkeypatch.setattr(procfs_source, name, lambda path, size=4096, original=original: original(path.replace("/proc", str(folder)), size))
    monkeypatch.setattr(procfs_source, "whole_device_names", lambda: frozenset({b"sda", b"sdb"}))
    two = replace(machine, cpus=(0, 1), possible_cpus=(0, 1), cpu_capacity=2.0, scratch_device="sda", memory_total_bytes=2**30, memory_limit_bytes=2**30)
    names = [metric.name for metric in columns((0, 1)) if metric.group not in ("identity", "contract", "probe", "self")]
    source = ProcfsSource(two.to_json())
    source.start(0.0)
    return proc, source, lambda now_s: dict(zip(names, source.sample(now_s).cells, strict=True))


def test_made_up_rates_are_right(made_up):
    """Half busy, and so many bytes a second."""
    proc, _, sample = made_up
    proc.write(busy=150, idle=150, events=1500, disks=(("sda", 110),), interfaces=(("eth0", 2000), ("lo", 5)))
    row = sample(1.0)
    assert (row["cpu_percent"], row["cpu0_percent"]) == (50.0, 50.0)
    assert row["context_switches_per_s"] == 500.0
    assert row["disk_read_bytes_per_s"] == 100 * 512
    assert row["network_received_bytes_per_s"] == 1000.0
    assert row["network_loopback_bytes_per_s"] == 0.0
    assert math.isnan(row["pressure_cpu_percent"])  # a kernel without PSI


RESETS = {
    "counters of the kernel": {"events": 10},
    "disk counters": {"disks": (("sda", 1),)},
    "interface counters": {"interfaces": (("eth0", 10), ("lo", 5))},
    "an interface that goes": {"interfaces": (("lo", 5),)},
    "a disk that goes": {"disks": ()},
}


@pytest.mark.parametrize("change", RESETS.values(), ids=list(RESETS))
def test_counter_that_goes_back_is_an_empty_cell_and_a_note(made_up, change):
    """Never a negative rate; the row after is whole again."""
    proc, source, sample = made_up
    proc.write(busy=150, idle=150, **change)
    row = sample(1.0)
    rates = {name: value for name, value in row.items() if name.endswith("_per_s") and not math.isnan(value)}
    assert all(value >= 0 for value in rates.values()), rates
    assert any("went back" in note for note in source.resets)
    assert row["cpu_percent"] == 50.0
    notes = len(source.resets)
    row = sample(2.0)
    assert len(source.resets) == notes
    assert row["disk_read_bytes_per_s"] == 0.0


@pytest.mark.parametrize("change", [{"disks": (("sda", 10), ("sdb", 7))}, {"interfaces": (("eth0", 1000), ("eth1", 4), ("lo", 5))}], ids=["disk", "interface"])
def test_what_is_plugged_in_adds_to_the_sums(made_up, change):
    """A device that comes brings the counters that it has; nothing is negative or lost."""
    proc, source, sample = made_up
    proc.write(**change)
    row = sample(1.0)
    assert min(value for name, value in row.items() if name.endswith("_per_s") and not math.isnan(value)) >= 0
    assert source.resets == []


def test_cpu_that_goes_offline_is_an_empty_cell(made_up):
    """Its column is empty while it is away, and the machine's percent is that of what is left; back, it is a number again."""
    proc, _, sample = made_up
    proc.write(cpus=(0,), busy=150, idle=150)
    row = sample(1.0)
    assert math.isnan(row["cpu1_percent"])
    assert row["cpu0_percent"] == 50.0
    assert math.isnan(row["cpu_percent"]) or 0 <= row["cpu_percent"] <= 100
    proc.write(busy=200, idle=200)
    sample(2.0)
    proc.write(busy=250, idle=250)
    row = sample(3.0)
    assert (row["cpu_percent"], row["cpu1_percent"]) == (50.0, 50.0)


# -- within a control group's limits ----------------------------------------------------------------------------------------------


class Group:
    """A control group of version 2, made up, with this process in it."""

    def __init__(self, folder, monkeypatch, **files):
        self.folder = folder / "cgroup"
        self.folder.mkdir()
        (folder / "membership").write_text("0::/\n")
        self.put("cgroup.controllers", "cpu memory")
        for name, content in files.items():
            self.put(name.replace("_", ".", 1), content)
        for module in (procfs, procfs_source):
            monkeypatch.setattr(module, "ControlGroup", lambda: ControlGroup(str(self.folder), str(folder / "membership")))

    def put(self, name, text):
        with open(self.folder / name, "w") as file:
            file.write(f"{text}\n")

    def use(self, usage_s, user_s=0.0):
        self.put("cpu.stat", f"usage_usec {usage_s * 1e6:.0f}\nuser_usec {user_s * 1e6:.0f}\nsystem_usec {(usage_s - user_s) * 1e6:.0f}")


@pytest.mark.parametrize("source_type", [ProcfsSource, PsutilSource])
def test_within_a_quota_cpu_is_what_the_group_used_of_it(tmp_path, monkeypatch, machine, names, source_type):
    """Neighbours outside are neither busy nor background; bursts are not cut off; CPUs, steal and I/O wait are as everywhere."""
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
    assert all(0.0 <= row[name] <= 100.0 for row in rows for name in ("cpu_steal_percent", "cpu_iowait_percent", "cpu_irq_percent", "cpu0_percent"))
    assert source.resets == []


@pytest.mark.parametrize("source_type", [ProcfsSource, PsutilSource])
def test_a_group_whose_cpu_time_cannot_be_read_is_empty_and_said(tmp_path, monkeypatch, machine, names, source_type):
    """What is not measured is no share of the whole machine's."""
    Group(tmp_path, monkeypatch, cpu_max="50000 100000")
    source = source_type(replace(machine, cpus=(0, 1), cpu_capacity=0.5).to_json())
    source.start(0.0)
    row = dict(zip(names, source.sample(1.0).cells, strict=True))
    assert all(math.isnan(row[name]) for name in ("cpu_percent", "cpu_user_percent", "cpu_system_percent"))
    assert not math.isnan(row["cpu_steal_percent"])
    columns_of_it = "cpu_percent, its user and system share and cpu_background_percent are empty"
    reason = "a CPU quota binds, and the CPU time of its control group cannot be read (cpuacct is mounted apart, or hidden)"
    assert source.resets == [f"{columns_of_it}: {reason}"]


@pytest.mark.parametrize("source_type", [ProcfsSource, PsutilSource])
def test_parts_of_a_quota_have_no_cpu_figures_of_their_own(tmp_path, monkeypatch, machine, source_type):
    """The group's account has no parts: their cells are empty, and a note says why."""
    group = Group(tmp_path, monkeypatch, cpu_max="50000 100000")
    group.use(1.0)
    parts = [{"name": f"p{cpu}", "cpus": [cpu], "cpu_capacity": 0.25, "memory_limit_bytes": 1} for cpu in (0, 1)]
    source = source_type({**replace(machine, cpus=(0, 1), cpu_capacity=0.5).to_json(), "parts_of": parts})
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
    """Percent, used and available within the limit; cached, dirty and written-back pages of the group and not of the machine."""
    stat = f"anon 5\nfile {40 * MIB}\nfile_dirty {3 * MIB}\nfile_writeback {2 * MIB}\ninactive_file {30 * MIB}\nslab_reclaimable {MIB}"
    Group(tmp_path, monkeypatch, memory_high=100 * MIB, memory_current=50 * MIB, memory_stat=stat)
    source = source_type(replace(machine, memory_limit_bytes=100 * MIB).to_json())
    source.start(0.0)
    row = dict(zip(names, source.sample(1.0).cells, strict=True))
    assert row["memory_percent"] == pytest.approx(20.0)
    assert (row["memory_used_bytes"], row["memory_available_bytes"], row["memory_cached_bytes"]) == (20 * MIB, 80 * MIB, 41 * MIB)
    assert (row["memory_dirty_bytes"], row["memory_writeback_bytes"]) == (3 * MIB, 2 * MIB)


# -- the logger -------------------------------------------------------------------------------------------------------------------


class Constant:
    """A source of ones."""

    def __init__(self, cells):
        self.resets, self._cells = [], cells

    def start(self, now_s):
        pass

    def sample(self, now_s):
        return procfs_source.Sample(1.0, 0.0, 1.0, 1.0, (1.0,) * self._cells)


@pytest.fixture
def logger(tmp_path, machine):
    board, clock, path = Board.create(), FakeClock(1000.0), tmp_path / "dataset.csv"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    source = Constant(len(columns(machine.possible_cpus)) - OTHERS)
    made = Logger({"interval_s": 0.1, "machine": machine.to_json()}, board, source, descriptor, clock)
    made.open()
    yield made, clock, source, path
    os.close(descriptor)
    board.close(unlink=True)


def test_suspend_is_a_gap_that_is_marked(logger):
    """CLOCK_MONOTONIC stands still while the machine sleeps: the slots that passed are missed ones, and a note says why."""
    made, clock, source, path = logger
    for asleep_s in (0.0, 0.0, 7.0, 0.0):
        clock.asleep_s += asleep_s
        clock.sleep_until(made.next_s)
        made.sample()
    missed = [row["missed_samples"] for row in csv.DictReader(path.read_text().splitlines())]
    assert [float(value) for value in missed] == [0, 0, 70, 0]
    assert made.missed == 70
    assert [note for note in source.resets if "suspended for 7.0 s" in note]


@pytest.mark.parametrize("name", ["procfs", "psutil"])
def test_sampling_makes_no_cycles(tmp_path, machine, name):
    """The logger collects no garbage: neither rows of this machine, nor its account, nor plans that come and go leave anything to collect."""
    board, clock = Board.create(), FakeClock(1000.0)
    descriptor = os.open(tmp_path / "d.csv", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    made = Logger({"interval_s": 0.1, "machine": machine.to_json()}, board, make_source(name, machine.to_json()), descriptor, clock)
    try:
        made.open()
        for number in range(40):
            if number == 10:  # what is made once, at first, does not count
                gc.collect()
                gc.disable()
            if number % 5 == 0:
                slot = board.publish_plan({"experiment": "a", "begin_s": 0.0, "end_s": 1e9, "zero_s": 0.0, "events": []})
            clock.sleep_until(made.next_s)
            made.sample()
            replace_json(str(tmp_path / "account.json"), {"histogram": {"counts": made.histogram}, "notes": ["x"] * 3})
            if number % 5 == 4:
                board.remove_plan(slot)
        assert gc.collect() == 0
    finally:
        gc.enable()
        os.close(descriptor)
        board.close(unlink=True)


@pytest.mark.parametrize(("interval_s", "late_s"), list(product([0.01, 0.1, 1.0], [0.0, 2.5, 40.0])))
def test_late_samples_are_counted_not_made_up_for(tmp_path, machine, interval_s, late_s):
    """After a stall the grid goes on where it stands: as many missed as slots passed, and no burst."""
    board, clock = Board.create(), FakeClock(500.0)
    descriptor = os.open(tmp_path / "d.csv", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        source = Constant(len(columns(machine.possible_cpus)) - OTHERS)
        made = Logger({"interval_s": interval_s, "machine": machine.to_json()}, board, source, descriptor, clock)
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
    """A machine without a disk or network has zeros, not nothing."""
    assert Counters().disk == (0, 0, 0, 0)


@pytest.mark.parametrize(("number", "goes_on"), [(signal.SIGXCPU, True), (signal.SIGTERM, False)])
def test_only_sigterm_ends_the_wait(number, goes_on):
    """A runaway's SIGXCPU takes the logger out of its real-time class, and no more; SIGTERM ends it."""
    code = (
        "import os, signal, sys, threading, time\n"
        "from twin_harness.board import Board\nfrom twin_harness.telemetry.psutil_logger import _Watch\n"
        "board = Board.create()\nwatch = _Watch(board, os.getppid())\nsignal.signal(signal.SIGXCPU, lambda *_: None)\n"
        f"threading.Timer(0.1, os.kill, (os.getpid(), {int(number)})).start()\n"
        "goes_on = watch.wait_until(time.monotonic() + 0.3)\nboard.close(unlink=True)\nprint(goes_on)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == str(goes_on)

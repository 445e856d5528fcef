"""System metrics straight from /proc.

Kept descriptors, exactly the needed fields, rates over measured time.

psutil stays the reference: what it reads from the same files it reads the same way (tests hold both
equal), and everything slow (frequency, temperature, space, process count) comes from psutil itself,
once a second.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from math import isnan, nan
from operator import add
from typing import TYPE_CHECKING, Any

from twin_harness.metrics import is_within_quota
from twin_harness.system.available_memory import GroupMemory
from twin_harness.system.clock import monotonic_s
from twin_harness.system.control_group import ControlGroup
from twin_harness.system.disks import counted_disks
from twin_harness.system.interfaces import InterfaceWatch
from twin_harness.system.procfs import SECTOR_BYTES, KeptFile, keep, stat_value
from twin_harness.telemetry.rates import UNREADABLE, DeviceRates, Notes, Rates
from twin_harness.telemetry.slow_metrics import SlowMetrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CPU_FIELDS = 8  # user nice system idle iowait irq softirq steal; guest time is within user
_LOOPBACK = b"lo"
_WIDEST_LINE = 400  # sixteen counters of 64 bits
# name; reads, sectors read, writes, sectors written, ms busy, weighted ms: fields 3, 4, 6, 8, 10,
# 13, 14 of a line (iostats.rst)
_DISK_LINE = re.compile(
    rb"^ *\d+ +\d+ (\S+) (\d+) \d+ (\d+) \d+ (\d+) \d+ (\d+) \d+ \d+ (\d+) (\d+)", re.MULTILINE
)


_OF_FILE = {
    "stat": "the CPU columns are empty",
    "meminfo": "the memory columns are empty",
    "loadavg": "load1, load5 and load15 are empty",
}


@dataclass(slots=True)
class Counters:
    """One reading of everything that only grows, and of the gauges beside it."""

    cpu: list[int] = field(default_factory=list)
    per_cpu: dict[int, tuple[int, int]] = field(default_factory=dict)
    times: dict[int, list[int]] = field(default_factory=dict)
    events: tuple[float, float, float] = (nan, nan, nan)
    running: float = nan
    blocked: float = nan
    disk: Mapping[Any, Sequence[bytes | int]] | None = None
    device: tuple[int, int] | None = None
    network: Mapping[Any, Sequence[bytes | int]] | None = None
    loopback: float = nan
    pressure: tuple[float, float, float, float, float] = (nan,) * 5
    pressure_s: float = nan
    group: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Sample:
    """What one sample holds, in the order of the registry.

    Attributes:
        cpu_percent, steal_percent, memory_percent, disk_bytes_per_s: what others need by name.
        cells: all of them; NaN is an empty one.
        parts: of each part of the machine, what its rows have in place of the first cells: its own
            CPUs.
    """

    cpu_percent: float
    steal_percent: float
    memory_percent: float
    disk_bytes_per_s: float
    cells: tuple[float, ...]
    parts: tuple[tuple[float, ...], ...] = ()


class Parts:
    """The parts of a machine, and their cells of a sample.

    Args:
        machine: ``machine.json``'s content; what stands there under ``parts_of`` (name, CPUs,
            capacity) are the parts.
    """

    def __init__(self, machine: dict[str, Any]) -> None:
        self._possible: tuple[int, ...] = tuple(machine["possible_cpus"])
        self._parts = [
            (frozenset(part["cpus"]), len(part["cpus"]) / part["cpu_capacity"])
            for part in machine.get("parts_of", ())
        ]
        self._has_quota = is_within_quota(machine)

    def cells(self, before: Counters, now: Counters) -> tuple[tuple[float, ...], ...]:
        """Return each part's CPU percents, then how busy each possible CPU was.

        NaN for those of other parts.
        """
        found = []
        for cpus, to_capacity in self._parts:
            own = [number if number in cpus else -1 for number in self._possible]
            start, end = common_times(before, now, cpus)
            percents = cpu_percents(start, end, 1.0 if self._has_quota else to_capacity)
            if self._has_quota:  # the group's account has no parts
                percents = (nan, nan, nan, *percents[3:])
            found.append((*percents, *per_cpu_percents(before, now, own)))
        return tuple(found)

    def __bool__(self) -> bool:
        return bool(self._parts)


def common_times(
    before: Counters, now: Counters, cpus: frozenset[int]
) -> tuple[list[int], list[int]]:
    """Return the times of these CPUs, summed over those that stand in both readings.

    A CPU that goes offline leaves /proc/stat and takes its times along; when it is back its line
    counts since boot.
    """
    start, end = [0] * _CPU_FIELDS, [0] * _CPU_FIELDS
    for number in cpus & before.times.keys() & now.times.keys():
        start = list(map(add, start, before.times[number]))
        end = list(map(add, end, now.times[number]))
    return start, end


def cpu_percents(before: list[int], now: list[int], to_capacity: float) -> tuple[float, ...]:
    """Return busy, user, system, iowait, steal and irq in percent of the machine.

    As psutil has it, busy is all but idle and iowait, and a time that went back, as these two may
    (proc(5)), has not advanced. NaN where none has: the kernel counts in ticks, and between two of
    them nothing is known.
    """
    moved = [max(0, end - start) for start, end in zip(before, now, strict=True)]
    total = sum(moved)
    if total == 0:
        return (nan,) * 6
    user, nice, system, idle, iowait, irq, softirq, steal = moved
    to_percent = 100.0 * to_capacity / total
    parts = (total - idle - iowait, user + nice, system, iowait, steal, irq + softirq)
    return tuple(min(100.0, part * to_percent) for part in parts)


class QuotaCpu:
    """CPU percents within a control group's quota.

    What the group used of it, whatever others do with the same CPUs.

    Steal, I/O wait and interrupts are of the CPUs, as a share of their time: no group has an
    account of them. Steal counts as busy, as everywhere.

    Args:
        machine: ``machine.json``'s content.
        notes: where it is said that the group's account cannot be read; busy, user and system are
            NaN then.
    """

    def __init__(self, machine: dict[str, Any], notes: Notes) -> None:
        self._us_per_percent_s = machine["cpu_capacity"] * 1e4
        self._use = ControlGroup().cpu_use()
        if self._use is None:
            columns = "cpu_percent, its user and system share and cpu_background_percent"
            notes.once("no group account", f"{columns} are empty: {NO_ACCOUNT}")
        elif machine.get("parts_of"):
            notes.once(
                "group account of parts",
                "cpu_percent and cpu_background_percent of parts are empty: a CPU quota binds, and"
                " its group's account has no parts",
            )

    def read_us(self) -> tuple[int, int, int] | None:
        """Return what the group has used so far, in all, in user mode and in the kernel."""
        if self._use is not None:
            return self._use.read_us()
        return None

    def percents(
        self,
        times: tuple[list[int], list[int]],
        before: Counters,
        now: Counters,
        dt_s: float,
        rates: Rates,
    ) -> tuple[float, ...]:
        """Return busy, user, system, iowait, steal and irq.

        A row's figures may exceed 100, for a quota is spent in bursts.
        """
        _, _, _, iowait, steal, irq = cpu_percents(*times, 1.0)
        if before.group is None or now.group is None:
            return nan, nan, nan, iowait, steal, irq
        of_group = rates.of("cgroup CPU", before.group, now.group, dt_s)
        used, user, system = (rate / self._us_per_percent_s for rate in of_group)
        known_steal = 0.0
        if not isnan(steal):
            known_steal = steal
        return used + known_steal, user, system, iowait, steal, irq


NO_ACCOUNT = (
    "a CPU quota binds, and the CPU time of its control group cannot be read (cpuacct is mounted"
    " apart, or hidden)"
)


def per_cpu_percents(before: Counters, now: Counters, possible: Sequence[int]) -> list[float]:
    """Return how busy each possible CPU was.

    NaN for one that was not there all the time, or whose times stood still.
    """
    cells = []
    for number in possible:
        start, end = before.per_cpu.get(number), now.per_cpu.get(number)
        if start and end:
            total = end[1] - start[1]
        else:
            total = 0
        if start and end and total > 0:
            cells.append(min(100.0, max(0.0, 100.0 * (end[0] - start[0]) / total)))
        else:
            cells.append(nan)
    return cells


class ProcfsSource:
    """Reads one sample after another.

    Args:
        machine: ``machine.json``'s content: CPUs, capacity, memory limit, scratch.
    """

    def __init__(self, machine: dict[str, Any]) -> None:
        self._machine = machine
        self._allowed = frozenset(machine["cpus"])
        self._possible: tuple[int, ...] = tuple(machine["possible_cpus"])
        self._to_capacity = len(self._allowed) / machine["cpu_capacity"]
        self._stat = keep("/proc/stat", 16384)
        self._meminfo = keep("/proc/meminfo", 4096)
        self._diskstats = keep("/proc/diskstats", 8192, has_records=True)
        self._network = keep("/proc/net/dev", 8192, has_records=True)
        self._loadavg = keep("/proc/loadavg", 128)
        self._pressure = tuple(
            keep(f"/proc/pressure/{name}", 256) for name in ("cpu", "memory", "io")
        )
        self._scratch_device = machine["scratch_device"].encode()
        self.resets = Notes()
        self._disk_files: dict[bytes, KeptFile] = {}
        self._disks: frozenset[bytes] = frozenset()
        self._interfaces: frozenset[bytes] = frozenset()
        self._interface_watch = InterfaceWatch()
        self._listed_interfaces: frozenset[str] = frozenset()
        self._network_data = b""
        self._block_names: list[str] | None = None
        self._is_disk_lost = False
        if self._is_limited:
            self._group = GroupMemory(limit_bytes=machine["memory_limit_bytes"])
        else:
            self._group = None
        if is_within_quota(machine):
            self._quota = QuotaCpu(machine, self.resets)
        else:
            self._quota = None
        self._rates = Rates(self.resets)
        self._disk_rates = DeviceRates("disk", 4, self.resets)
        self._network_rates = DeviceRates("network interface", 6, self.resets)
        self._slow = SlowMetrics(machine, self.resets)
        self._parts = Parts(machine)
        self._before = Counters()
        self._before_s = 0.0
        self._now: Counters | None = None

    @property
    def _is_limited(self) -> bool:
        return bool(self._machine["memory_limit_bytes"] < self._machine["memory_total_bytes"])

    def start(self, now_s: float) -> None:
        """Take the first reading, so that the first row has rates."""
        self._look_for_disks()
        self._look_for_interfaces(is_first=True)
        self._before, self._before_s = self._read(), now_s
        self._slow.refresh(now_s)
        self._note_what_is_missing()

    def _note_what_is_missing(self) -> None:
        """Say which columns will be empty, and why."""
        if not self._before.disk:
            sentence = (
                "neither /proc/diskstats nor /sys/block shows a disk: the disk rates are empty"
            )
            self.resets.once("no disk", sentence)
        if not self._before.network:
            sentence = "/proc/net/dev shows no interface but loopback: network_* are empty"
            self.resets.once("no network", sentence)
        if not any(self._pressure):
            self.resets.once(
                "no pressure", "the kernel tells no pressure (/proc/pressure): pressure_* are empty"
            )
        for name, file in (
            ("stat", self._stat),
            ("meminfo", self._meminfo),
            ("loadavg", self._loadavg),
        ):
            if file is None:
                self.resets.once(f"no {name}", f"/proc/{name} cannot be read: {_OF_FILE[name]}")

    def read(self, now_s: float) -> None:
        """Read where the counters of the next row stand."""
        del now_s  # psutil's source needs it
        self._now = self._read()

    def sample(self, now_s: float) -> Sample:
        """Return the row's figures, as ``read`` found them, else as they are now.

        Rates are over the time since the sample before.
        """
        now, self._now = self._now or self._read(), None
        before, dt_s = self._before, max(now_s - self._before_s, 1e-6)
        slow = self._slow
        if slow.refresh(now_s):
            self._look_for_disks()
            self._look_for_interfaces()
        elif self._interface_watch.is_behind:
            self._count_interfaces()
        self._before, self._before_s = now, now_s
        start, end = before.cpu, now.cpu
        if before.times.keys() != now.times.keys():
            start, end = common_times(before, now, self._allowed)
        cpu = cpu_percents(start, end, self._to_capacity)
        if self._quota is not None:
            cpu = self._quota.percents((start, end), before, now, dt_s, self._rates)
        memory, memory_percent = self._memory()
        disk, disk_bytes_per_s = self._disk(before, now, dt_s)
        cells = (
            *cpu,
            *per_cpu_percents(before, now, self._possible),
            slow.frequency_hz,
            *self._rates.of("stat", before.events, now.events, dt_s),
            now.running,
            now.blocked,
            slow.processes,
            *self._load_averages(),
            *memory,
            *disk,
            *network_cells(self._network_rates.of(before.network, now.network, dt_s)),
            *self._rates.of("loopback", (before.loopback,), (now.loopback,), dt_s),
            *self._pressures(before, now),
            slow.temperature_celsius,
            slow.power_watts,
        )
        return Sample(
            cpu[0],
            cpu[4],
            memory_percent,
            disk_bytes_per_s,
            cells,
            self._parts.cells(before, now) if self._parts else (),
        )

    # -- reading -----------------------------------------------------------------------------------

    def _read(self) -> Counters:
        now = Counters()
        try:
            self._read_stat(now)
        except UNREADABLE as error:
            now = Counters()
            self.resets.failed("/proc/stat", error, _OF_FILE["stat"])
        if self._quota is not None:
            now.group = self._quota.read_us()
        self._read_disk(now)
        self._read_network(now)
        now.pressure_s = monotonic_s()
        now.pressure = self._read_pressure()
        return now

    def _read_stat(self, now: Counters) -> None:
        if self._stat is None:
            return
        cpus, _, rest = self._stat.read().partition(b"\nintr ")
        words = cpus.split()
        width = len(cpus[: cpus.index(b"\n")].split())
        totals = [0] * _CPU_FIELDS
        for at in range(width, len(words), width):  # the first line is the sum of all
            number = int(words[at][3:])
            times = list(map(int, words[at + 1 : at + 1 + _CPU_FIELDS]))
            total = sum(times)
            now.times[number] = times
            now.per_cpu[number] = (total - times[3] - times[4], total)
            if number in self._allowed:
                totals = list(map(add, totals, times))
        now.cpu = totals
        try:
            # ctxt N btime N processes N procs_running N procs_blocked N, after a line of all
            # interrupts
            tail = rest[rest.rindex(b"\nctxt ") + 1 :].split(None, 10)
            now.events = (int(tail[1]), int(rest[: rest.index(b" ")]), int(tail[5]))
            now.running, now.blocked = int(tail[7]), int(tail[9])
        except UNREADABLE as error:
            self.resets.failed(
                "the events of /proc/stat", error, "the columns made of them are empty"
            )

    def _read_disk(self, now: Counters) -> None:
        if self._disk_files:
            self._read_disk_files(now)
            return
        if self._diskstats is None:
            return
        try:
            lines = _DISK_LINE.findall(self._diskstats.read())
        except OSError as error:
            self.resets.failed("/proc/diskstats", error, "the disk rates are empty")
            return
        disks: dict[bytes, tuple[bytes, ...]] = {}
        for name, *fields in lines:
            if name == self._scratch_device:  # may be a dm or md device, which the sums leave out
                now.device = (int(fields[4]), int(fields[5]))
            if name in self._disks:
                disks[name] = tuple(fields[:4])
        now.disk = disks

    def _read_disk_files(self, now: Counters) -> None:
        """Read the counters of each disk from a file of its own (Documentation/block/stat.rst)."""
        disks: dict[bytes, tuple[bytes, ...]] = {}
        for name, file in self._disk_files.items():
            try:
                fields = file.read().split()
                if name == self._scratch_device:
                    now.device = (int(fields[9]), int(fields[10]))
                if name in self._disks:
                    disks[name] = (fields[0], fields[2], fields[4], fields[6])
            except UNREADABLE as error:
                self._is_disk_lost = True
                self.resets.failed(
                    f"the counters of disk {name.decode()}",
                    error,
                    "it is left out of the disk rates",
                )
        now.disk = disks

    def _look_for_disks(self) -> None:
        """Find out, once a second, which disks count, and where they are read.

        One disk alone is read from its own file at a third of the cost; so are all where
        /proc/diskstats does not show them.
        """
        names = _names_in("/sys/block")
        if names is not None and names == self._block_names and not self._is_disk_lost:
            return
        listed = self._listed_disks()
        self._block_names, self._is_disk_lost = names, False
        self._disks = frozenset(name.encode() for name in counted_disks(listed))
        for file in self._disk_files.values():
            file.close()
        self._disk_files = {}
        is_enough = len(self._disks) == 1 and self._scratch_device in (*self._disks, b"")
        if is_enough or not {name.encode() for name in listed} & self._disks:
            for name in {*self._disks, self._scratch_device} - {b""}:
                kept = keep(f"/sys/block/{name.decode().replace('/', '!')}/stat", 512)
                if kept is not None:
                    self._disk_files[name] = kept

    def _listed_disks(self) -> frozenset[str]:
        """Return the names of /proc/diskstats."""
        try:
            if self._diskstats:
                data = self._diskstats.read()
            else:
                data = b""
        except OSError:
            return frozenset()
        return frozenset(line[0].decode() for line in _DISK_LINE.findall(data))

    def _look_for_interfaces(self, *, is_first: bool = False) -> None:
        """Find out, once a second, which network interfaces count.

        Which there are is told by the last reading. A few are looked at each time, for they are
        stacked anew unseen; only the first look takes all at once, before there are samples to
        delay.
        """
        if is_first:
            self._read_network(Counters())
        listed = _interfaces_in(self._network_data)
        if listed != self._listed_interfaces:
            self._listed_interfaces = listed
            self._interface_watch.take(listed)
        self._count_interfaces(is_first=is_first)

    def _count_interfaces(self, *, is_first: bool = False) -> None:
        watch = self._interface_watch
        if not watch.look(is_all=is_first):
            return
        self._interfaces = frozenset(name.encode() for name in watch.counted)
        if watch.unlisted:
            names_of = ", ".join(sorted(watch.unlisted)[:5])
            self.resets.once(
                "unlisted interfaces",
                f"/sys/class/net does not show {names_of}: judged by name for network_*",
            )

    def _read_network(self, now: Counters) -> None:
        if self._network is None:
            return
        try:
            data = self._network.read()
        except OSError as error:
            self.resets.failed("/proc/net/dev", error, "network_* are empty")
            return
        self._network_data = data
        interfaces: dict[bytes, tuple[bytes, ...]] = {}
        for name in self._interfaces:
            counters = _counters_of(data, name)
            if counters:
                interfaces[name] = counters
        now.network = interfaces
        loopback = _counters_of(data, _LOOPBACK)
        if loopback and loopback[0].isdigit():
            now.loopback = int(loopback[0])

    def _read_pressure(self) -> tuple[float, float, float, float, float]:
        """Return the ``total`` counters in µs: some cpu, memory, io, full memory, io (psi.rst)."""
        some, full = [nan] * 3, [nan] * 3
        for index, file in enumerate(self._pressure):
            if file is None:
                continue
            try:
                lines = file.read().split(b"\n")
                some[index] = float(lines[0].rpartition(b"=")[2])
                if len(lines) > 1 and lines[1]:
                    full[index] = float(lines[1].rpartition(b"=")[2])
            except UNREADABLE as error:
                self.resets.failed(file.path, error, "its columns are empty")
        return some[0], some[1], some[2], full[1], full[2]

    def _pressures(self, before: Counters, now: Counters) -> list[float]:
        """Return the slopes of the counters over the time between their own two readings.

        The kernel brings a counter up to the moment of each reading (``psi_show``,
        kernel/sched/psi.c), so over that time it grows by all of it at most; what is left above 100
        are the microseconds in which the three files are read one after another.
        """
        dt_s = max(now.pressure_s - before.pressure_s, 1e-6)
        rates = self._rates.of("pressure", before.pressure, now.pressure, dt_s)
        return [within_percent(rate / 1e4) for rate in rates]

    def _load_averages(self) -> tuple[float, float, float]:
        try:
            if self._loadavg is not None:
                one, five, fifteen, _ = self._loadavg.read().split(None, 3)
                return float(one), float(five), float(fifteen)
        except UNREADABLE as error:
            self.resets.failed("/proc/loadavg", error, _OF_FILE["loadavg"])
        return nan, nan, nan

    # -- figures -----------------------------------------------------------------------------------

    def _memory(self) -> tuple[tuple[float, ...], float]:
        table = self._meminfo_table()
        total = self._machine["memory_limit_bytes"]
        available = min(table.get(b"MemAvailable", nan), total)
        cached = table.get(b"Cached", nan) + table.get(b"SReclaimable", 0)
        pages: tuple[float, ...] = (cached, table.get(b"Dirty", nan), table.get(b"Writeback", nan))
        left = left_in(self._group, self.resets)
        if left is not None and self._group is not None:
            available = min(available, max(0, left))
            pages = group_pages(self._group.stat, pages)
        percent = within_percent(100.0 * (total - available) / total)
        swap_total = table.get(b"SwapTotal", 0)
        if swap_total:
            swap_percent = 100.0 * (swap_total - table.get(b"SwapFree", nan)) / swap_total
        else:
            swap_percent = nan
        gauges = (percent, total - available, available, *pages, swap_percent)
        slow = self._slow
        return (*gauges, slow.swap_in, slow.swap_out, slow.faults, slow.major_faults), percent

    def _meminfo_table(self) -> dict[bytes, int]:
        try:
            if self._meminfo:
                table = _meminfo_fields(self._meminfo.read())
            else:
                table = {}
        except OSError as error:
            self.resets.failed("/proc/meminfo", error, _OF_FILE["meminfo"])
            return {}
        if len(table) < len(_MEMINFO_NAMES) and self._meminfo is not None:
            missing = ", ".join(name.decode() for name in _MEMINFO_NAMES if name not in table)
            self.resets.once(
                f"meminfo {missing}",
                f"/proc/meminfo does not tell {missing}: the columns made of it are empty",
            )
        return table

    def _disk(
        self, before: Counters, now: Counters, dt_s: float
    ) -> tuple[tuple[float, ...], float]:
        reads, read_sectors, writes, written_sectors = self._disk_rates.of(
            before.disk, now.disk, dt_s
        )
        read, write = read_sectors * SECTOR_BYTES, written_sectors * SECTOR_BYTES
        busy = depth = nan
        if before.device and now.device:
            busy_ms, weighted_ms = (
                end - start for start, end in zip(before.device, now.device, strict=True)
            )
            if busy_ms >= 0:
                busy = min(100.0, busy_ms / dt_s / 10.0)
            else:
                busy = nan
            if weighted_ms >= 0:
                depth = weighted_ms / dt_s / 1000.0
            else:
                depth = nan
        return (read, write, reads, writes, busy, depth, self._slow.disk_used_percent), (
            read + write
        )


def left_in(group: GroupMemory | None, notes: Notes) -> int | None:
    """Return what control groups leave; None, and a note, where they cannot be read any more."""
    if group is None:
        return None
    try:
        return group.left_bytes()
    except UNREADABLE as error:
        notes.failed(
            "the control group's memory", error, "the memory columns are those of the machine"
        )
        return None


def group_pages(stat: bytes, otherwise: tuple[float, ...]) -> tuple[float, ...]:
    """Return cached, dirty and written-back bytes of a control group, its children's too, given its ``memory.stat``.

    As given where it has none.
    """
    try:
        cached = stat_value(stat, b"total_cache", b"cache", b"file")
        dirty = stat_value(stat, b"total_dirty", b"dirty", b"file_dirty")
        writeback = stat_value(stat, b"total_writeback", b"writeback", b"file_writeback")
        slab = stat_value(stat, b"slab_reclaimable") or 0
    except UNREADABLE:
        return otherwise
    if cached is None or dirty is None or writeback is None:
        return otherwise
    return cached + slab, dirty, writeback


def _counters_of(data: bytes, name: bytes) -> tuple[bytes, ...]:
    """Return an interface's bytes, errors and drops received, then sent; nothing where it is not.

    The fields are those of proc(5). It is found by its name: a machine of containers has hundreds
    of lines, and one or two that count.
    """
    at = data.find(name + b":")
    while at > 0 and data[at - 1] not in b" \n":  # the end of a longer name
        at = data.find(name + b":", at + 1)
    begin = at + len(name) + 1
    if at >= 0:
        fields = data[begin : begin + _WIDEST_LINE].split(None, 12)
    else:
        fields = []
    if len(fields) < 12:
        return ()
    return fields[0], fields[2], fields[3], fields[8], fields[10], fields[11]


def within_percent(value: float) -> float:
    """Return the value between 0 and 100; NaN stays NaN, which ``max`` would make 0."""
    if value != value:  # noqa: PLR0124 - NaN alone is unequal to itself
        return value
    return min(100.0, max(0.0, value))


def network_cells(rates: Sequence[float]) -> tuple[float, float, float, float]:
    """Return sent, received, errors and drops, of rates in the order of /proc/net/dev.

    Bytes, errors, drops received, then sent.
    """
    received, errors_in, drops_in, sent, errors_out, drops_out = rates
    return sent, received, errors_in + errors_out, drops_in + drops_out


# The fields in the order that the kernel prints them (fs/proc/meminfo.c); a kernel that has others
# is read name by name.
_MEMINFO = re.compile(
    rb"MemAvailable: +(\d+) kB\n.*?\nCached: +(\d+) kB\n.*?\nSwapTotal: +(\d+) kB\nSwapFree: +(\d+)"
    rb" kB\n"
    rb".*?Dirty: +(\d+) kB\nWriteback: +(\d+) kB\n.*?\nSReclaimable: +(\d+) kB\n",
    re.DOTALL,
)
_MEMINFO_NAMES = (
    b"MemAvailable",
    b"Cached",
    b"SwapTotal",
    b"SwapFree",
    b"Dirty",
    b"Writeback",
    b"SReclaimable",
)


def _meminfo_fields(data: bytes) -> dict[bytes, int]:
    """Return the needed lines of /proc/meminfo in bytes, without parsing the other forty."""
    found = _MEMINFO.search(data)
    if found is not None:
        return dict(
            zip(_MEMINFO_NAMES, [int(value) * 1024 for value in found.groups()], strict=True)
        )
    table = {}
    for name in _MEMINFO_NAMES:
        line = re.search(rb"^" + name + rb": +(\d+) kB$", data, re.MULTILINE)
        if line is not None:
            table[name] = int(line.group(1)) * 1024
    return table


def _interfaces_in(data: bytes) -> frozenset[str]:
    """Return the names in /proc/net/dev; no name holds a colon, and the two lines of heads none."""
    lines = data.split(b"\n")
    return frozenset(line[:at].strip().decode() for line in lines if (at := line.find(b":")) > 0)


def _names_in(folder: str) -> list[str] | None:
    """Return the names in a folder of sysfs; None where it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return None

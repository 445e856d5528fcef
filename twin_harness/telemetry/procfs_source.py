"""System metrics straight from /proc: kept descriptors, exactly the needed fields, rates over measured time.

psutil stays the reference: what it reads from the same files it reads the same way (tests hold both equal), and everything slow
(frequency, temperature, space, process count) comes from psutil itself, once a second.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from math import nan
from operator import add
from typing import TYPE_CHECKING, Any

from twin_harness.procfs import SECTOR_BYTES, ControlGroup, KeptFile, keep
from twin_harness.telemetry.slow_metrics import SlowMetrics

if TYPE_CHECKING:
    from collections.abc import Sequence

_CPU_FIELDS = 8  # user nice system idle iowait irq softirq steal; guest time is within user
_LOOPBACK = b"lo"
# name; reads, sectors read, writes, sectors written, ms busy, weighted ms: fields 3, 4, 6, 8, 10, 13, 14 of a line (iostats.rst)
_DISK_LINE = re.compile(rb"^ *\d+ +\d+ (\S+) (\d+) \d+ (\d+) \d+ (\d+) \d+ (\d+) \d+ \d+ (\d+) (\d+)", re.MULTILINE)
# name; bytes, errors and drops received, bytes, errors and drops sent (proc(5), /proc/net/dev)
_NETWORK_LINE = re.compile(rb"^ *([^:\n]+): *(\d+) +\d+ +(\d+) +(\d+) +\d+ +\d+ +\d+ +\d+ +(\d+) +\d+ +(\d+) +(\d+)", re.MULTILINE)


@dataclass(slots=True)
class Counters:
    """One reading of everything that only grows, and of the gauges beside it."""

    cpu: list[int] = field(default_factory=list)
    parts: list[list[int]] = field(default_factory=list)
    per_cpu: dict[int, tuple[int, int]] = field(default_factory=dict)
    events: tuple[int, int, int] = (0, 0, 0)
    running: int = 0
    blocked: int = 0
    disk: tuple[int, int, int, int] = (0, 0, 0, 0)
    device: tuple[int, int] | None = None
    network: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    pressure: tuple[float, float, float, float, float] = (nan,) * 5


@dataclass(frozen=True)
class Sample:
    """What one sample holds, in the order of the registry.

    Attributes:
        cpu_percent, steal_percent, memory_percent, disk_bytes_per_s: what others need by name.
        cells: all of them; NaN is an empty one.
        parts: of each part of the machine, what its rows have in place of the first cells: its own CPUs.
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
        machine: ``machine.json``'s content; what stands there under ``parts_of`` (name, CPUs, capacity) are the parts.
    """

    def __init__(self, machine: dict[str, Any]) -> None:
        self._possible: tuple[int, ...] = tuple(machine["possible_cpus"])
        self._parts = [(frozenset(part["cpus"]), len(part["cpus"]) / part["cpu_capacity"]) for part in machine.get("parts_of", ())]

    def add(self, now: Counters, number: int, times: list[int]) -> None:
        """Add the times of a CPU to those of its part."""
        if not now.parts:
            now.parts = [[0] * _CPU_FIELDS for _ in self._parts]
        for index, (cpus, _) in enumerate(self._parts):
            if number in cpus:
                now.parts[index] = list(map(add, now.parts[index], times))

    def cells(self, before: Counters, now: Counters) -> tuple[tuple[float, ...], ...]:
        """Return each part's CPU percents, then how busy each possible CPU was; NaN for those of other parts."""
        found = []
        for (cpus, to_capacity), start, end in zip(self._parts, before.parts, now.parts, strict=False):
            own = [number if number in cpus else -1 for number in self._possible]
            found.append((*cpu_percents(start, end, to_capacity), *per_cpu_percents(before, now, own)))
        return tuple(found)

    def __bool__(self) -> bool:
        return bool(self._parts)


def cpu_percents(before: list[int], now: list[int], to_capacity: float) -> tuple[float, ...]:
    """Return busy, user, system, iowait, steal and irq in percent of the machine (psutil: busy is all but idle and iowait)."""
    user, nice, system, idle, iowait, irq, softirq, steal = (end - start for start, end in zip(before, now, strict=True))
    total = user + nice + system + idle + iowait + irq + softirq + steal
    if total <= 0:
        return (0.0 if total == 0 else nan,) * 6
    to_percent = 100.0 * to_capacity / total
    busy = min(100.0, max(0.0, (total - max(idle, 0) - max(iowait, 0)) * to_percent))
    parts = (user + nice, system, iowait, steal, irq + softirq)
    return (busy, *(min(100.0, max(0.0, part * to_percent)) for part in parts))


def per_cpu_percents(before: Counters, now: Counters, possible: Sequence[int]) -> list[float]:
    """Return how busy each possible CPU was; NaN for one that was not there all the time."""
    cells = []
    for number in possible:
        start, end = before.per_cpu.get(number), now.per_cpu.get(number)
        total = end[1] - start[1] if start and end else 0
        cells.append(min(100.0, max(0.0, 100.0 * (end[0] - start[0]) / total)) if start and end and total > 0 else (0.0 if start and end else nan))
    return cells


class Rates:
    """Differences of counters per second; a counter that went back gives NaN and a note, never a negative rate.

    Args:
        resets: where the notes go.
    """

    def __init__(self, resets: list[str]) -> None:
        self._resets = resets

    def of(self, group: str, before: Sequence[int], now: Sequence[int], dt_s: float) -> list[float]:
        """Return the rate of each counter."""
        rates = []
        for start, end in zip(before, now, strict=True):
            if end < start:
                self._resets.append(f"a {group} counter went back from {start} to {end}: one empty cell")
            rates.append((end - start) / dt_s if end >= start else nan)
        return rates


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
        self._stat = KeptFile("/proc/stat", 16384)
        self._meminfo = KeptFile("/proc/meminfo", 4096)
        self._diskstats = keep("/proc/diskstats", 8192)
        self._network = keep("/proc/net/dev", 8192)
        self._loadavg = KeptFile("/proc/loadavg", 128)
        self._pressure = tuple(keep(f"/proc/pressure/{name}", 256) for name in ("cpu", "memory", "io"))
        self._scratch_device = machine["scratch_device"].encode()
        self._only_disk: KeptFile | None = None
        self._is_only_scratch = self._has_looked = False
        self._devices: frozenset[bytes] = frozenset()
        self._look_for_disks()
        self._group_usage = keep(ControlGroup().memory_usage_path() or "/nonexistent", 64) if self._is_limited else None
        self._group_stat = keep(ControlGroup().memory_stat_path() or "/nonexistent", 8192) if self._is_limited else None
        self.resets: list[str] = []
        self._rates = Rates(self.resets)
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
        self._before, self._before_s = self._read(), now_s
        self._slow.refresh(now_s)

    def read(self) -> None:
        """Read where the counters of the next row stand."""
        self._now = self._read()

    def sample(self, now_s: float) -> Sample:
        """Return the row's figures, as ``read`` found them, else as they are now; rates are over the time since the sample before."""
        now, self._now = self._now or self._read(), None
        before, dt_s = self._before, max(now_s - self._before_s, 1e-6)
        slow = self._slow
        if slow.refresh(now_s):
            self._look_for_disks()
        self._before, self._before_s = now, now_s
        cpu = cpu_percents(before.cpu, now.cpu, self._to_capacity)
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
            *(float(part) for part in self._loadavg.read().split(None, 3)[:3]),
            *memory,
            *disk,
            *self._rates.of("network", before.network, now.network, dt_s),
            *(self._share(start, end, dt_s) for start, end in zip(before.pressure, now.pressure, strict=True)),
            slow.temperature_celsius,
            slow.power_watts,
        )
        return Sample(cpu[0], cpu[4], memory_percent, disk_bytes_per_s, cells, self._parts.cells(before, now) if self._parts else ())

    # -- reading --------------------------------------------------------------------------------------------------------------

    def _read(self) -> Counters:
        now = Counters()
        self._read_stat(now)
        self._read_disk(now)
        self._read_network(now)
        now.pressure = self._read_pressure()
        return now

    def _read_stat(self, now: Counters) -> None:
        cpus, _, rest = self._stat.read().partition(b"\nintr ")
        words = cpus.split()
        width = len(cpus[: cpus.index(b"\n")].split())
        totals = [0] * _CPU_FIELDS
        for at in range(width, len(words), width):  # the first line is the sum of all
            number = int(words[at][3:])
            times = list(map(int, words[at + 1 : at + 1 + _CPU_FIELDS]))
            total = sum(times)
            now.per_cpu[number] = (total - times[3] - times[4], total)
            if number in self._allowed:
                totals = list(map(add, totals, times))
            if self._parts:
                self._parts.add(now, number, times)
        now.cpu = totals
        # ctxt N btime N processes N procs_running N procs_blocked N, after a line of all interrupts
        tail = rest[rest.rindex(b"\nctxt ") + 1 :].split(None, 10)
        now.events = (int(tail[1]), int(rest[: rest.index(b" ")]), int(tail[5]))
        now.running, now.blocked = int(tail[7]), int(tail[9])

    def _read_disk(self, now: Counters) -> None:
        if self._only_disk is not None:
            self._read_only_disk(now)
            return
        if self._diskstats is None:
            return
        read = write = reads = writes = 0
        for name, *fields in _DISK_LINE.findall(self._diskstats.read()):
            if name == self._scratch_device:  # may be a dm or md device, which the sums leave out
                now.device = (int(fields[4]), int(fields[5]))
            if name not in self._devices:
                continue
            reads += int(fields[0])
            read += int(fields[1])
            writes += int(fields[2])
            write += int(fields[3])
        now.disk = (read * SECTOR_BYTES, write * SECTOR_BYTES, reads, writes)

    def _read_only_disk(self, now: Counters) -> None:
        """Read the counters of the machine's one disk from a file of their own (Documentation/block/stat.rst)."""
        try:
            fields = self._only_disk.read().split() if self._only_disk else []
        except OSError:  # it was taken out
            return
        now.disk = (int(fields[2]) * SECTOR_BYTES, int(fields[6]) * SECTOR_BYTES, int(fields[0]), int(fields[4]))
        if self._is_only_scratch:
            now.device = (int(fields[9]), int(fields[10]))

    def _look_for_disks(self) -> None:
        """Find out, once a second, whether there is one disk alone, which is read at a third of the cost."""
        devices = whole_device_names()
        if devices == self._devices and self._has_looked:
            return
        self._devices, self._has_looked = devices, True
        if self._only_disk is not None:
            self._only_disk.close()
        name = next(iter(devices)) if len(devices) == 1 else b""
        is_enough = self._scratch_device in (name, b"")
        self._only_disk = keep(f"/sys/block/{name.decode().replace('/', '!')}/stat", 512) if name and is_enough else None
        self._is_only_scratch = self._scratch_device == name

    def _read_network(self, now: Counters) -> None:
        if self._network is None:
            return
        sent = received = errors = drops = loopback = 0
        for name, *fields in _NETWORK_LINE.findall(self._network.read()):
            if name == _LOOPBACK:
                loopback = int(fields[0])
                continue
            received += int(fields[0])
            errors += int(fields[1]) + int(fields[4])
            drops += int(fields[2]) + int(fields[5])
            sent += int(fields[3])
        now.network = (sent, received, errors, drops, loopback)

    def _read_pressure(self) -> tuple[float, float, float, float, float]:
        """Return the ``total`` counters in µs: some cpu, memory, io, full memory, io (psi.rst)."""
        some, full = [nan] * 3, [nan] * 3
        for index, file in enumerate(self._pressure):
            if file is None:
                continue
            lines = file.read().split(b"\n")
            some[index] = float(lines[0].rpartition(b"=")[2])
            if len(lines) > 1 and lines[1]:
                full[index] = float(lines[1].rpartition(b"=")[2])
        return some[0], some[1], some[2], full[1], full[2]

    # -- figures --------------------------------------------------------------------------------------------------------------

    def _memory(self) -> tuple[tuple[float, ...], float]:
        table = _meminfo_fields(self._meminfo.read())
        total = self._machine["memory_limit_bytes"]
        available = table[b"MemAvailable"]
        if self._group_usage is not None:
            available = min(available, max(0, total - self._group_used_bytes()))
        percent = min(100.0, max(0.0, 100.0 * (total - available) / total))
        swap_total = table.get(b"SwapTotal", 0)
        swap_percent = 100.0 * (swap_total - table[b"SwapFree"]) / swap_total if swap_total else nan
        cached = table[b"Cached"] + table.get(b"SReclaimable", 0)
        gauges = (percent, total - available, available, cached, table[b"Dirty"], table[b"Writeback"], swap_percent)
        slow = self._slow
        return (*gauges, slow.swap_in, slow.swap_out, slow.faults, slow.major_faults), percent

    def _group_used_bytes(self) -> int:
        """Return what the control group cannot give back: its usage less inactive file pages, as kubelet counts it."""
        used = int(self._group_usage.read()) if self._group_usage else 0
        stat = self._group_stat.read() if self._group_stat else b""
        for line in stat.split(b"\n"):
            name, _, value = line.partition(b" ")
            if name in (b"total_inactive_file", b"inactive_file"):
                return max(0, used - int(value))
        return used

    def _disk(self, before: Counters, now: Counters, dt_s: float) -> tuple[tuple[float, ...], float]:
        read, write, reads, writes = self._rates.of("disk", before.disk, now.disk, dt_s)
        busy = depth = nan
        if before.device and now.device:
            busy_ms, weighted_ms = (end - start for start, end in zip(before.device, now.device, strict=True))
            busy = min(100.0, busy_ms / dt_s / 10.0) if busy_ms >= 0 else nan
            depth = weighted_ms / dt_s / 1000.0 if weighted_ms >= 0 else nan
        return (read, write, reads, writes, busy, depth, self._slow.disk_used_percent), (read + write)

    @staticmethod
    def _share(start_us: float, end_us: float, dt_s: float) -> float:
        """Return the slope of a ``total`` counter in percent.

        The kernel brings the counter up to the moment of each reading (``psi_show``, kernel/sched/psi.c), so it never grows faster than
        time; what is above 100 is the fraction of a millisecond between our clock and the counter.
        """
        if not end_us >= start_us:
            return nan
        percent = (end_us - start_us) / dt_s / 1e4
        return percent if percent < 100.0 else 100.0  # noqa: FURB136, PLR2004 - five times a row, and min() costs thrice that


# The fields in the order that the kernel prints them (fs/proc/meminfo.c); a kernel that has others is read name by name.
_MEMINFO = re.compile(
    rb"MemAvailable: +(\d+) kB\n.*?\nCached: +(\d+) kB\n.*?\nSwapTotal: +(\d+) kB\nSwapFree: +(\d+) kB\n"
    rb".*?Dirty: +(\d+) kB\nWriteback: +(\d+) kB\n.*?\nSReclaimable: +(\d+) kB\n",
    re.DOTALL,
)
_MEMINFO_NAMES = (b"MemAvailable", b"Cached", b"SwapTotal", b"SwapFree", b"Dirty", b"Writeback", b"SReclaimable")


def _meminfo_fields(data: bytes) -> dict[bytes, int]:
    """Return the needed lines of /proc/meminfo in bytes, without parsing the other forty."""
    found = _MEMINFO.search(data)
    if found is not None:
        return dict(zip(_MEMINFO_NAMES, [int(value) * 1024 for value in found.groups()], strict=True))
    table = {}
    for name in _MEMINFO_NAMES:
        at = data.find(b"\n" + name + b":")
        if at >= 0:
            start = at + len(name) + 2
            table[name] = int(data[start : data.index(b" kB", start)]) * 1024
    return table


def whole_device_names() -> frozenset[bytes]:
    """Return the block devices that are no partition and nothing stacked on others."""
    try:
        names = os.listdir("/sys/block")
    except OSError:
        return frozenset()
    return frozenset(name.replace("!", "/").encode() for name in names if not name.startswith(("loop", "ram", "zram", "dm-", "md", "sr", "fd")))

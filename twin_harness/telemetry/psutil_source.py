"""System metrics through psutil alone: the same columns wherever psutil runs; what it has no figure for stays empty.

Chosen off Linux, or by ``--twin-source psutil``. It costs about three times what /proc costs, and is what /proc is held against.
"""

from __future__ import annotations

import sys
from math import nan
from typing import TYPE_CHECKING, Any

import psutil

from twin_harness.metrics import is_within_quota
from twin_harness.procfs import GroupMemory
from twin_harness.telemetry.procfs_source import (
    Counters,
    Parts,
    QuotaCpu,
    Rates,
    Sample,
    cpu_percents,
    group_pages,
    per_cpu_percents,
    whole_device_names,
)
from twin_harness.telemetry.slow_metrics import SlowMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable

_PER_S = 1_000_000  # CPU times are turned into whole microseconds, so that differences are exact
_LOOPBACKS = ("lo", "lo0", "Loopback Pseudo-Interface 1")
_CPU_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


class PsutilSource:
    """Reads one sample after another through psutil.

    Args:
        machine: ``machine.json``'s content: CPUs, capacity, memory limit, scratch.
    """

    def __init__(self, machine: dict[str, Any]) -> None:
        self._machine = machine
        self._allowed = frozenset(machine["cpus"])
        self._possible: tuple[int, ...] = tuple(machine["possible_cpus"])
        self._to_capacity = len(self._allowed) / machine["cpu_capacity"]
        self._scratch_device: str = machine["scratch_device"]
        self.resets: list[str] = []
        self._rates = Rates(self.resets)
        is_bounded = machine["memory_limit_bytes"] < machine["memory_total_bytes"]
        self._group = GroupMemory(limit_bytes=machine["memory_limit_bytes"]) if is_bounded else None
        self._quota = QuotaCpu(machine, self.resets) if is_within_quota(machine) else None
        self._slow = SlowMetrics(machine, self.resets, has_vmstat=False)
        self._parts = Parts(machine)
        self._before = Counters()
        self._before_s = 0.0

    def start(self, now_s: float) -> None:
        """Take the first reading, so that the first row has rates."""
        self._before, self._before_s = self._read(), now_s
        self._slow.refresh(now_s)

    def sample(self, now_s: float) -> Sample:
        """Read everything and return the row's figures; rates are over the time since the sample before."""
        now, before, dt_s = self._read(), self._before, max(now_s - self._before_s, 1e-6)
        self._slow.refresh(now_s)
        self._before, self._before_s = now, now_s
        cpu = self._cpu(before, now, dt_s)
        memory, memory_percent = self._memory()
        disk = self._rates.of("disk", before.disk, now.disk, dt_s)
        busy = nan
        if before.device and now.device and now.device[0] >= before.device[0]:
            busy = min(100.0, (now.device[0] - before.device[0]) / dt_s / 10.0)
        slow = self._slow
        cells = (
            *cpu,
            *per_cpu_percents(before, now, self._possible),
            slow.frequency_hz,
            *self._rates.of("stat", before.events[:2], now.events[:2], dt_s),
            *(nan, nan, nan),  # forks, running and blocked: psutil has none of them
            slow.processes,
            *psutil.getloadavg(),
            *memory,
            *disk,
            busy,
            nan,
            slow.disk_used_percent,
            *self._rates.of("network", before.network, now.network, dt_s),
            *(nan,) * 5,
            slow.temperature_celsius,
            slow.power_watts,
        )
        return Sample(cpu[0], cpu[4], memory_percent, disk[0] + disk[1], cells, self._parts.cells(before, now) if self._parts else ())

    def _cpu(self, before: Counters, now: Counters, dt_s: float) -> tuple[float, ...]:
        if self._quota is not None:
            return self._quota.percents(before, now, dt_s, self._rates)
        return cpu_percents(before.cpu, now.cpu, self._to_capacity)

    def _read(self) -> Counters:
        now = Counters(cpu=[0] * len(_CPU_FIELDS))
        for number, times in zip(self._numbers(), psutil.cpu_times(percpu=True), strict=False):
            parts = [round(getattr(times, name, 0.0) * _PER_S) for name in _CPU_FIELDS]
            total = sum(parts)
            now.per_cpu[number] = (total - parts[3] - parts[4], total)
            if number in self._allowed:
                now.cpu = [a + b for a, b in zip(now.cpu, parts, strict=True)]
            if self._parts:
                self._parts.add(now, number, parts)
        stats = psutil.cpu_stats()
        now.events = (stats.ctx_switches, stats.interrupts, 0)
        self._read_disk(now)
        self._read_network(now)
        if self._quota is not None:
            now.group = self._quota.read_us()
        return now

    @staticmethod
    def _numbers() -> Iterable[int]:
        """Return the numbers of the CPUs that psutil lists: those online, in order."""
        if sys.platform != "linux":
            return range(1 << 16)
        with open("/proc/stat", "rb", buffering=0) as file:  # psutil names none of them
            lines = file.read(1 << 16).split(b"\n")
        return [int(line.split(None, 1)[0][3:]) for line in lines if line.startswith(b"cpu") and line[3:4].isdigit()]

    def _read_disk(self, now: Counters) -> None:
        devices = whole_device_names() if sys.platform == "linux" else None
        found = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
        chosen = [entry for name, entry in found.items() if devices is None or name.encode() in devices]
        read, write = sum(entry.read_bytes for entry in chosen), sum(entry.write_bytes for entry in chosen)
        now.disk = (read, write, sum(entry.read_count for entry in chosen), sum(entry.write_count for entry in chosen))
        scratch = found.get(self._scratch_device)
        if scratch is not None and hasattr(scratch, "busy_time"):
            now.device = (scratch.busy_time, 0)

    @staticmethod
    def _read_network(now: Counters) -> None:
        sent = received = errors = drops = loopback = 0
        for name, entry in (psutil.net_io_counters(pernic=True, nowrap=False) or {}).items():
            if name in _LOOPBACKS:
                loopback += entry.bytes_recv
                continue
            sent, received = sent + entry.bytes_sent, received + entry.bytes_recv
            errors, drops = errors + entry.errin + entry.errout, drops + entry.dropin + entry.dropout
        now.network = (sent, received, errors, drops, loopback)

    def _memory(self) -> tuple[tuple[float, ...], float]:
        found, total = psutil.virtual_memory(), self._machine["memory_limit_bytes"]
        # Control groups are none of psutil's: where one bounds, what it leaves is asked of it.
        available = min(found.available, total)
        pages: tuple[float, ...] = (getattr(found, "cached", nan), nan, nan)
        left = self._group.left_bytes() if self._group is not None else None
        if left is not None and self._group is not None:
            available = min(available, max(0, left))
            pages = group_pages(self._group.stat, pages)
        percent = min(100.0, max(0.0, 100.0 * (total - available) / total))
        slow = self._slow
        gauges = (percent, total - available, available, *pages, slow.swap_percent)
        return (*gauges, slow.swap_in, slow.swap_out, nan, nan), percent

"""System metrics through psutil alone: the same columns wherever psutil runs.

What it has no figure for stays empty.

Chosen off Linux, or by ``--twin-source psutil``. It costs about three times what /proc costs, and
is what /proc is held against.
"""

from __future__ import annotations

import sys
import warnings
from math import nan
from typing import TYPE_CHECKING, Any

import psutil

from twin_harness.metrics import is_within_quota
from twin_harness.system.disks import counted_disks
from twin_harness.system.interfaces import LOOPBACKS, counted_interfaces
from twin_harness.telemetry.cpu_shares import (
    CPU_FIELDS,
    Parts,
    QuotaCpu,
    common_times,
    cpu_percents,
    per_cpu_percents,
)
from twin_harness.telemetry.group_memory import bounding_group, group_pages, left_in
from twin_harness.telemetry.notes import UNREADABLE, Notes
from twin_harness.telemetry.rates import DeviceRates, Rates, network_cells, within_percent
from twin_harness.telemetry.sample import Counters, Sample
from twin_harness.telemetry.slow_metrics import SlowMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twin_harness.system.telemetry_messages import MachineFacts

_PER_S = 1_000_000  # CPU times are turned into whole microseconds, so that differences are exact
_LOOK_S = 10.0


class PsutilSource:
    """Reads one sample after another through psutil.

    Args:
        machine: ``machine.json``'s content: CPUs, capacity, memory limit, scratch.
    """

    def __init__(self, machine: MachineFacts) -> None:
        self._limit_bytes = machine["memory_limit_bytes"]
        self._allowed = frozenset(machine["cpus"])
        self._possible: tuple[int, ...] = tuple(machine["possible_cpus"])
        self._to_capacity = len(self._allowed) / machine["cpu_capacity"]
        self._scratch_device: str = machine["scratch_device"]
        self.resets = Notes()
        self._rates = Rates(self.resets)
        self._disk_rates = DeviceRates("disk", 4, self.resets)
        self._network_rates = DeviceRates("network interface", 6, self.resets)
        self._zero_filled = _zero_filled_memory()
        self._disk_names: frozenset[str] = frozenset()
        self._interface_names: frozenset[str] = frozenset()
        self._disks: frozenset[str] = frozenset()
        self._interfaces: frozenset[str] = frozenset()
        self._look_due_s = 0.0
        self._group = bounding_group(machine)
        self._quota: QuotaCpu | None = None
        if is_within_quota(machine):
            self._quota = QuotaCpu(machine, self.resets)
        self._slow = SlowMetrics(machine, self.resets, has_vmstat=False)
        self._parts = Parts(machine)
        self._before = Counters()
        self._before_s = 0.0
        self._now: Counters | None = None

    def start(self, now_s: float) -> None:
        """Take the first reading, so that the first row has rates."""
        self._before, self._before_s = self._read(now_s), now_s
        self._slow.refresh(now_s)
        if not self._before.disk:
            self.resets.once("no disk", "psutil shows no block device: the disk rates are empty")
        if not self._before.network:
            self.resets.once(
                "no network", "psutil shows no interface but loopback: network_* are empty"
            )

    def read(self, now_s: float) -> None:
        """Read where the counters of the next row stand."""
        self._now = self._read(now_s)

    def sample(self, now_s: float) -> Sample:
        """Return the row's figures, as ``read`` found them, else as they are now.

        Rates are over the time since the sample before.
        """
        now, self._now = self._now or self._read(now_s), None
        before, dt_s = self._before, max(now_s - self._before_s, 1e-6)
        self._slow.refresh(now_s)
        self._before, self._before_s = now, now_s
        cpu = self._cpu_percents(before, now, dt_s)
        memory = self._memory()
        disk = self._disk_rates.of(before.disk, now.disk, dt_s)
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
            *self._load_averages(),
            *memory,
            slow.swap_in,
            slow.swap_out,
            nan,
            nan,
            *disk,
            busy,
            nan,
            slow.disk_used_percent,
            *network_cells(self._network_rates.of(before.network, now.network, dt_s)),
            *self._rates.of("loopback", (before.loopback,), (now.loopback,), dt_s),
            *(nan,) * 5,
            slow.temperature_celsius,
            slow.power_watts,
        )
        parts: tuple[tuple[float, ...], ...] = ()
        if self._parts:
            parts = self._parts.cells(before, now)
        return Sample(cpu[0], cpu[4], memory[0], disk[0] + disk[1], cells, parts)

    def _cpu_percents(self, before: Counters, now: Counters, dt_s: float) -> tuple[float, ...]:
        start, end = before.cpu, now.cpu
        if before.times.keys() != now.times.keys():
            start, end = common_times(before, now, self._allowed)
        if self._quota is not None:
            return self._quota.percents((start, end), before, now, dt_s, self._rates)
        return cpu_percents(start, end, self._to_capacity)

    def _load_averages(self) -> tuple[float, float, float]:
        empty = "load1, load5 and load15 are empty"
        averages: tuple[float, float, float] | None = self._ask(
            "the load averages", psutil.getloadavg, empty
        )
        return averages or (nan, nan, nan)

    def _ask(self, what: str, ask: Callable[[], Any], cells: str) -> Any:
        """Return what psutil answers; None, and a note, where it cannot.

        Args:
            what: what is asked, for the note.
            ask: psutil's function.
            cells: which cells are empty without an answer, for the note.
        """
        try:
            return ask()
        except UNREADABLE as error:
            self.resets.failed(what, error, cells)
            return None

    def _read(self, now_s: float) -> Counters:
        now = Counters(cpu=[0] * len(CPU_FIELDS))
        listed = self._ask(
            "the CPU times",
            lambda: [*zip(self._numbers(), psutil.cpu_times(percpu=True), strict=False)],
            "the CPU columns are empty",
        )
        for number, times in listed or ():
            parts = [round(getattr(times, name, 0.0) * _PER_S) for name in CPU_FIELDS]
            total = sum(parts)
            now.times[number] = parts
            now.per_cpu[number] = (total - parts[3] - parts[4], total)
            if number in self._allowed:
                now.cpu = [a + b for a, b in zip(now.cpu, parts, strict=True)]
        stats = self._ask("the CPU's events", psutil.cpu_stats, "they are empty")
        if stats is not None:
            now.events = (stats.ctx_switches, stats.interrupts, nan)
        is_due = now_s >= self._look_due_s
        if is_due:
            self._look_due_s = now_s + _LOOK_S
        self._read_disk(now, is_due=is_due)
        self._read_network(now, is_due=is_due)
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
        return [
            int(line.split(None, 1)[0][3:])
            for line in lines
            if line.startswith(b"cpu") and line[3:4].isdigit()
        ]

    def _read_disk(self, now: Counters, *, is_due: bool) -> None:
        disks = self._ask(
            "the disks' counters",
            lambda: psutil.disk_io_counters(perdisk=True, nowrap=False),
            "the disk rates are empty",
        )
        if disks is None:
            return
        if is_due or disks.keys() != self._disk_names:
            self._disk_names = frozenset(disks)
            if sys.platform == "linux":
                self._disks = counted_disks(self._disk_names)
            else:
                self._disks = self._disk_names
        now.disk = {
            name: (entry.read_bytes, entry.write_bytes, entry.read_count, entry.write_count)
            for name, entry in disks.items()
            if name in self._disks
        }
        scratch = disks.get(self._scratch_device)
        if scratch is not None and hasattr(scratch, "busy_time"):
            now.device = (scratch.busy_time, 0)

    def _read_network(self, now: Counters, *, is_due: bool) -> None:
        interfaces = self._ask(
            "the network's counters",
            lambda: psutil.net_io_counters(pernic=True, nowrap=False),
            "network_* are empty",
        )
        if interfaces is None:
            return
        if is_due or interfaces.keys() != self._interface_names:
            self._interface_names = frozenset(interfaces)
            self._interfaces = counted_interfaces(self._interface_names)
        now.network = {
            name: (
                entry.bytes_recv,
                entry.errin,
                entry.dropin,
                entry.bytes_sent,
                entry.errout,
                entry.dropout,
            )
            for name, entry in interfaces.items()
            if name in self._interfaces
        }
        loopbacks = [entry.bytes_recv for name, entry in interfaces.items() if name in LOOPBACKS]
        if loopbacks:
            now.loopback = sum(loopbacks)

    def _memory(self) -> tuple[float, ...]:
        """Return percent, used, available, cached, dirty and written-back bytes, swap percent."""
        total = self._limit_bytes
        figures = self._ask("memory", psutil.virtual_memory, "the memory columns are empty")
        available = cached = nan
        if figures is not None:
            available = min(figures.available, total)
            if "cached" not in self._zero_filled:
                cached = getattr(figures, "cached", nan)
        pages: tuple[float, ...] = (cached, nan, nan)
        # Control groups are none of psutil's: where one bounds, what it leaves is asked of it.
        left = left_in(self._group, self.resets)
        if left is not None and self._group is not None and figures is not None:
            available = max(0, min(available, left))
            pages = group_pages(self._group.stat, pages)
        percent = within_percent(100.0 * (total - available) / total)
        return percent, total - available, available, *pages, self._slow.swap_percent


def _zero_filled_memory() -> frozenset[str]:
    """Return the memory figures that psutil fills with 0, which it warns of, for it finds none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            psutil.virtual_memory()
        except UNREADABLE:
            return frozenset()
    return frozenset(
        name for name in ("cached", "buffers") for warning in caught if name in str(warning.message)
    )

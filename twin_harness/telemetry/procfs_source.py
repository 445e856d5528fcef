"""System metrics straight from /proc.

Kept descriptors, exactly the needed fields, rates over measured time.

psutil stays the reference: what it reads from the same files it reads the same way (tests hold both
equal), and everything slow (frequency, temperature, space, process count) comes from psutil itself,
once a second.
"""

from __future__ import annotations

from math import nan
from operator import add
from typing import TYPE_CHECKING

from twin_harness.metrics import is_within_quota
from twin_harness.system.procfs import keep
from twin_harness.telemetry.cpu_shares import (
    CPU_FIELDS,
    Parts,
    QuotaCpu,
    common_times,
    cpu_percents,
    per_cpu_percents,
)
from twin_harness.telemetry.notes import UNREADABLE, Notes
from twin_harness.telemetry.procfs_disks import DiskCounters
from twin_harness.telemetry.procfs_memory import MemoryGauges
from twin_harness.telemetry.procfs_network import NetworkCounters
from twin_harness.telemetry.procfs_pressure import Pressure
from twin_harness.telemetry.rates import Rates
from twin_harness.telemetry.sample import Counters, Sample
from twin_harness.telemetry.slow_metrics import SlowMetrics

if TYPE_CHECKING:
    from twin_harness.system.telemetry_messages import MachineFacts

_WIDTH = len(CPU_FIELDS)
_NO_CPU, _NO_LOAD = "the CPU columns are empty", "load1, load5 and load15 are empty"


class ProcfsSource:
    """Reads one sample after another.

    Args:
        machine: ``machine.json``'s content: CPUs, capacity, memory limit, scratch.
    """

    def __init__(self, machine: MachineFacts) -> None:
        self._allowed = frozenset(machine["cpus"])
        self._possible: tuple[int, ...] = tuple(machine["possible_cpus"])
        self._to_capacity = len(self._allowed) / machine["cpu_capacity"]
        self.resets = Notes()
        self._stat = keep("/proc/stat", 16384)
        self._loadavg = keep("/proc/loadavg", 128)
        self._memory = MemoryGauges(machine, self.resets)
        self._disks = DiskCounters(machine["scratch_device"], self.resets)
        self._network = NetworkCounters(self.resets)
        self._pressure = Pressure(self.resets)
        self._quota: QuotaCpu | None = None
        if is_within_quota(machine):
            self._quota = QuotaCpu(machine, self.resets)
        self._rates = Rates(self.resets)
        self._slow = SlowMetrics(machine, self.resets)
        self._parts = Parts(machine)
        self._before = Counters()
        self._before_s = 0.0
        self._now: Counters | None = None

    def start(self, now_s: float) -> None:
        """Take the first reading, so that the first row has rates."""
        self._disks.look()
        self._network.look(is_first=True)
        self._before, self._before_s = self._read(), now_s
        self._slow.refresh(now_s)
        self._note_what_is_missing()

    def _note_what_is_missing(self) -> None:
        """Say which columns will be empty, and why."""
        note = self.resets.once
        if not self._before.disk:
            note(
                "no disk",
                "neither /proc/diskstats nor /sys/block shows a disk: the disk rates are empty",
            )
        if not self._before.network:
            note("no network", "/proc/net/dev shows no interface but loopback: network_* are empty")
        if not self._pressure:
            note(
                "no pressure",
                "the kernel shows no pressure (/proc/pressure): pressure_* are empty",
            )
        if self._stat is None:
            note("no stat", f"/proc/stat cannot be read: {_NO_CPU}")
        if self._loadavg is None:
            note("no loadavg", f"/proc/loadavg cannot be read: {_NO_LOAD}")

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
            self._disks.look()
            self._network.look()
        elif self._network.is_behind:
            self._network.count()
        self._before, self._before_s = now, now_s
        cpu = self._cpu_percents(before, now, dt_s)
        memory = self._memory.read()
        disk = self._disks.cells(before, now, dt_s)
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
            slow.swap_in,
            slow.swap_out,
            slow.faults,
            slow.major_faults,
            *disk,
            slow.disk_used_percent,
            *self._network.cells(before, now, dt_s),
            *self._pressure.cells(before, now),
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

    # -- reading -----------------------------------------------------------------------------------

    def _read(self) -> Counters:
        now = Counters()
        try:
            self._read_stat(now)
        except UNREADABLE as error:
            now = Counters()
            self.resets.failed("/proc/stat", error, _NO_CPU)
        if self._quota is not None:
            now.group = self._quota.read_us()
        self._disks.read(now)
        self._network.read(now)
        self._pressure.read(now)
        return now

    def _read_stat(self, now: Counters) -> None:
        if self._stat is None:
            return
        cpus, _, rest = self._stat.read().partition(b"\nintr ")
        words = cpus.split()
        width = len(cpus[: cpus.index(b"\n")].split())
        totals = [0] * _WIDTH
        for at in range(width, len(words), width):  # the first line is the sum of all
            number = int(words[at][3:])
            times = list(map(int, words[at + 1 : at + 1 + _WIDTH]))
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

    def _load_averages(self) -> tuple[float, float, float]:
        try:
            if self._loadavg is not None:
                one, five, fifteen, _ = self._loadavg.read().split(None, 3)
                return float(one), float(five), float(fifteen)
        except UNREADABLE as error:
            self.resets.failed("/proc/loadavg", error, _NO_LOAD)
        return nan, nan, nan

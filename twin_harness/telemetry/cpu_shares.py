"""CPU percents from CPU times: of the machine, of each CPU, of its parts, of a quota."""

from __future__ import annotations

from math import isnan, nan
from operator import add
from typing import TYPE_CHECKING

from twin_harness.metrics import is_within_quota
from twin_harness.system.control_group import ControlGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.system.telemetry_messages import MachineFacts
    from twin_harness.telemetry.notes import Notes
    from twin_harness.telemetry.rates import Rates
    from twin_harness.telemetry.sample import Counters

# As in /proc/stat (proc(5)) and psutil's tuples; guest time is within user.
CPU_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_WIDTH = len(CPU_FIELDS)
NO_ACCOUNT = (
    "a CPU quota binds, and the CPU time of its control group cannot be read (cpuacct is mounted"
    " apart, or hidden)"
)


def common_times(
    before: Counters, now: Counters, cpus: frozenset[int]
) -> tuple[list[int], list[int]]:
    """Return the times of these CPUs, summed over those that stand in both readings.

    A CPU that goes offline leaves /proc/stat and takes its times along; when it is back its line
    counts since boot.

    Args:
        before: the reading at the start.
        now: the reading at the end.
        cpus: the CPUs that are meant.
    """
    start, end = [0] * _WIDTH, [0] * _WIDTH
    for number in cpus & before.times.keys() & now.times.keys():
        start = list(map(add, start, before.times[number]))
        end = list(map(add, end, now.times[number]))
    return start, end


def cpu_percents(before: list[int], now: list[int], to_capacity: float) -> tuple[float, ...]:
    """Return busy, user, system, iowait, steal and irq in percent of the machine.

    As psutil has it, busy is all but idle and iowait, and a time that went back, as these two may
    (proc(5)), has not advanced. NaN where none has: the kernel counts in ticks, and between two of
    them nothing is known.

    Args:
        before: times in ``CPU_FIELDS``' order, of all CPUs together.
        now: the same, later.
        to_capacity: CPUs per CPU of the capacity that is 100 percent.
    """
    moved = [end - start for start, end in zip(before, now, strict=True)]
    if min(moved, default=0) < 0:
        moved = [max(0, ticks) for ticks in moved]
    total = sum(moved)
    if total == 0:
        return (nan,) * 6
    user, nice, system, idle, iowait, irq, softirq, steal = moved
    to_percent = 100.0 * to_capacity / total
    parts = (total - idle - iowait, user + nice, system, iowait, steal, irq + softirq)
    return tuple([min(100.0, part * to_percent) for part in parts])


def per_cpu_percents(before: Counters, now: Counters, possible: Sequence[int]) -> list[float]:
    """Return how busy each possible CPU was.

    NaN for one that was not there all the time, or whose times stood still.

    Args:
        before: the reading at the start.
        now: the reading at the end.
        possible: numbers of the CPUs, in the order of their columns.
    """
    cells = []
    for number in possible:
        start, end = before.per_cpu.get(number), now.per_cpu.get(number)
        cell = nan
        if start and end and end[1] > start[1]:
            percent = 100.0 * (end[0] - start[0]) / (end[1] - start[1])
            cell = min(100.0, max(0.0, percent))
        cells.append(cell)
    return cells


class Parts:
    """The parts of a machine, and their cells of a sample.

    Args:
        machine: ``machine.json``'s content; what stands there under ``parts_of`` (name, CPUs,
            capacity) are the parts.
    """

    def __init__(self, machine: MachineFacts) -> None:
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
        cells = []
        for cpus, to_capacity in self._parts:
            numbers = [number if number in cpus else -1 for number in self._possible]
            start, end = common_times(before, now, cpus)
            percents = cpu_percents(start, end, 1.0 if self._has_quota else to_capacity)
            if self._has_quota:  # the group's account has no parts
                percents = (nan, nan, nan, *percents[3:])
            cells.append((*percents, *per_cpu_percents(before, now, numbers)))
        return tuple(cells)

    def __bool__(self) -> bool:
        return bool(self._parts)


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

    def __init__(self, machine: MachineFacts, notes: Notes) -> None:
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

        Args:
            times: of the allowed CPUs, at the start and at the end.
            before: the reading at the start.
            now: the reading at the end.
            dt_s: between the two.
            rates: makes rates of the group's counters.
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

"""Controlled CPU load: a closed loop on the process's own CPU time.

In every slot of 23.8 ms the process works until its CPU clock shows what the plan asks for up to
the slot's end, then sleeps. What a competitor or the hypervisor took in one slot is caught up in
the next ones, up to 100 ms of it; more is forgiven, so that a stall is not followed by a burst.

The children of one event begin their slots one after another, so that the machine's load is
smoother than that of one CPU.
"""

from __future__ import annotations

import math
import mmap
import os
import time
from collections import deque
from dataclasses import dataclass
from itertools import cycle, islice, repeat
from typing import TYPE_CHECKING

from twin_harness.system.control_group import ControlGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin_harness.stress.load import Load

# 21 slots in half a second: a window of that length holds the same work wherever it begins, and the
# kernel's ticks (every 10, 4 or 1 ms), of which /proc/stat is made, meet 50 or more different parts
# of the slot.
SLOT_S = 0.5 / 21
CATCH_UP_S = 0.100
_SPIN_S = 40e-6
_RUNNABLE_SHARE = 0.8
# A copy takes some µs; twice the half is above a CPU's share of common caches.
_BLOCK_BYTES, _HALF_BYTES = 64 * 1024, 8 * 1024**2
_ESTIMATE_S = 0.25
_REPAY_S = 0.25
# At every fourth slot: a look costs more than a slot in which nothing is to be done.
_LOOK_S = 3.5 * SLOT_S
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Team:
    """The processes of one CPU event.

    Attributes:
        cpus: the CPU of each; None leaves the choice to the scheduler.
        index: which of them this process is.
        spent_s: what each of them has spent, in memory that they share; kept for a total of the
            machine alone.
        is_within_quota: a control group's CPU quota is the machine, and the group's use its total.
    """

    cpus: tuple[int | None, ...] = (None,)
    index: int = 0
    spent_s: memoryview[float] | None = None
    is_within_quota: bool = False

    @classmethod
    def of(cls, cpus: Sequence[int], *, is_within_quota: bool = False) -> Team:
        """Return a team for some CPUs, as seen by the first of it."""
        shared = memoryview(mmap.mmap(-1, 8 * len(cpus))).cast("d")
        return cls(tuple(cpus), 0, shared, is_within_quota)


class CpuStress:
    """CPU load on one CPU; the load's unit is CPU seconds per second.

    Args:
        load: what to follow.
        team: the processes that carry the event together.
    """

    def __init__(self, load: Load, team: Team) -> None:
        self._load = load
        self._team = team
        if load.options.get("method", "integer") == "integer":
            self._work = _spin
        else:
            self._work = _Copying()
        self._turns = 1
        self._schedstat: int | None = None
        self._short_before: tuple[float, float, float] | None = None
        self._filler: _Filler | None = None
        if load.options.get("target") == "system":
            self._filler = _Filler(load, team)

    def prepare(self) -> None:
        """Go to the CPU, and learn how many turns of the work take 40 µs here."""
        cpu = self._team.cpus[self._team.index]
        if cpu is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {cpu})
        if self._work is _spin:
            turns = 1000
        else:
            turns = 4
        self._work(turns)
        fastest_s = min(self._time_of_work(turns) for _ in range(5))
        self._turns = max(1, int(turns * _SPIN_S / max(fastest_s, 1e-7)))
        try:
            self._schedstat = os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # a kernel without CONFIG_SCHED_INFO
            self._schedstat = None

    def _time_of_work(self, turns: int) -> float:
        begin_s = time.process_time()
        self._work(turns)
        return time.process_time() - begin_s

    def follow(self, report_start: Callable[[], None]) -> None:
        """Follow the load."""
        load, work, turns, filler = self._load, self._work, self._turns, self._filler
        forgiven_s = 0.0
        report_start()
        own_s = begin_own_s = time.process_time()
        # The first slot of each process of the team is shorter than that of the next.
        slot_end_s = load.start_s - SLOT_S * (1.0 - (self._team.index + 1) / len(self._team.cpus))
        while slot_end_s < load.end_s and not load.is_stopping:
            slot_end_s = min(
                slot_end_s + SLOT_S * max(1, math.ceil((time.monotonic() - slot_end_s) / SLOT_S)),
                load.end_s,
            )
            if filler is None:
                target_s = begin_own_s + load.area(slot_end_s) - forgiven_s
            else:
                target_s = own_s + filler.work_s(slot_end_s, own_s - begin_own_s)
            while own_s < target_s and time.monotonic() < slot_end_s:
                work(turns)
                own_s = time.process_time()
            missing_s = target_s - own_s
            if missing_s > 0:
                self._note_short_slot(own_s)
            if missing_s > CATCH_UP_S:
                forgiven_s += missing_s - CATCH_UP_S
            remaining_s = slot_end_s - time.monotonic()
            if remaining_s > 0:
                time.sleep(remaining_s)
            own_s = time.process_time()

    def _note_short_slot(self, own_s: float) -> None:
        """Count the time waited for a CPU since the short slot before.

        It counts if the process was running or waiting all the while: a stressor that does too
        little sleeps, so it never counts as starved. /proc/<pid>/schedstat holds the time on a CPU
        and the time waiting in a run queue, both in ns (Documentation/scheduler/sched-stats.rst).
        """
        if self._schedstat is None:
            return
        now_s, waited_s = time.monotonic(), int(os.pread(self._schedstat, 64, 0).split()[1]) / 1e9
        if self._short_before is not None:
            then_s, then_own_s, then_waited_s = self._short_before
            if own_s - then_own_s + waited_s - then_waited_s >= _RUNNABLE_SHARE * (now_s - then_s):
                self._load.starved_s += waited_s - then_waited_s
        self._short_before = (now_s, own_s, waited_s)

    def release(self) -> None:
        """Give nothing back but descriptors: CPU time is not held."""
        if self._schedstat is not None:
            os.close(self._schedstat)
        if self._filler is not None:
            self._filler.close()


class _Filler:
    """Fills the machine up to a total.

    What all CPUs were busy with, less what the team spent, is others' work, and comes first.

    Each process of the team takes a part of what is missing in proportion to the room that others
    leave on its CPU. Busy time is that of /proc/stat (user, nice, system, irq, softirq; proc(5)),
    which excludes steal and I/O wait. Within a CPU quota it is what the control group has used,
    which no CPU has an account of: each stands for an equal share.
    """

    def __init__(self, load: Load, team: Team) -> None:
        self._load = load
        self._team = team
        self._stat = os.open("/proc/stat", os.O_RDONLY | os.O_CLOEXEC)
        if team.is_within_quota:
            self._group = ControlGroup().cpu_use()
        else:
            self._group = None
        self._used_us = 0
        if team.cpus != (None,):
            self._size_bytes = 256 * (max(cpu for cpu in team.cpus if cpu is not None) + 2)
        else:
            self._size_bytes = 4096
        self._seen: deque[tuple[float, list[float], list[float]]] = deque()
        self._begin_busy_s = 0.0
        self._forgiven_s = 0.0
        self._rate = 0.0

    def _busy_s(self) -> list[float]:
        """Return the seconds that each CPU of the team has been busy since boot."""
        if self._group is not None:
            used = self._group.read_us()
            # Else what was read last: the CPUs' own counts are another quantity.
            if used is not None:
                self._used_us = used[0]
            return [self._used_us / 1e6 / len(self._team.cpus)] * len(self._team.cpus)
        busy_s: dict[bytes, float] = {}
        for line in os.pread(self._stat, self._size_bytes, 0).rpartition(b"\n")[0].split(b"\n"):
            if not line.startswith(b"cpu"):
                break
            name, user, nice, system, _, _, irq, softirq, *_ = line.split()
            busy_s[name] = (int(user) + int(nice) + int(system) + int(irq) + int(softirq)) * _TICK_S
        return [
            busy_s.get(b"cpu" if cpu is None else b"cpu%d" % cpu, 0.0) for cpu in self._team.cpus
        ]

    def work_s(self, slot_end_s: float, own_s: float) -> float:
        """Return the CPU seconds to spend from now to the end of a slot.

        Args:
            slot_end_s: the slot's end on CLOCK_MONOTONIC.
            own_s: what this process has spent since the start.
        """
        team, load, spent = self._team, self._load, self._team.spent_s
        if spent is None:
            return 0.0
        spent[team.index] = own_s
        now_s = time.monotonic()
        if self._seen and now_s - self._seen[-1][0] < _LOOK_S:
            return self._rate * max(0.0, slot_end_s - now_s)
        busy_s, own_all_s = self._busy_s(), list(spent)
        if not self._seen:
            self._begin_busy_s = sum(busy_s)
        self._seen.append((now_s, busy_s, own_all_s))
        while now_s - self._seen[0][0] > _ESTIMATE_S and len(self._seen) > 2:
            self._seen.popleft()
        then_s, then_busy_s, then_own_s = self._seen[0]
        span_s = max(now_s - then_s, _TICK_S)
        others = [
            max(0.0, (busy - busy_then - own + own_then) / span_s)
            for busy, busy_then, own, own_then in zip(
                busy_s, then_busy_s, own_all_s, then_own_s, strict=True
            )
        ]
        count = len(team.cpus)
        missing_s = load.area(now_s) * count - (sum(busy_s) - self._begin_busy_s) - self._forgiven_s
        level = load.level(slot_end_s) * count
        # What was too little is made up for as far as for any load; what was too much is paid back,
        # unless others alone exceed the level.
        most_s, least_s = 2.0 * CATCH_UP_S * count, -4.0 * CATCH_UP_S * count
        if sum(others) >= level:
            least_s = -CATCH_UP_S * count
        beyond_s = missing_s - min(max(missing_s, least_s), most_s)
        self._forgiven_s += beyond_s
        wanted = max(0.0, level + (missing_s - beyond_s) / _REPAY_S - sum(others))
        room = [max(0.0, 1.0 - other) for other in others]
        if sum(room) > 0:
            part = room[team.index] / sum(room)
        else:
            part = 1.0 / count
        self._rate = min(1.0, wanted * part)
        return self._rate * max(0.0, slot_end_s - now_s)

    def close(self) -> None:
        """Close /proc/stat, and the group's account."""
        os.close(self._stat)
        if self._group is not None:
            self._group.close()


def _spin(turns: int) -> None:
    """Burn CPU time without allocating anything."""
    for _ in repeat(None, turns):
        pass


class _Copying:
    """Work that moves memory: blocks copied from one half of 16 MiB to the other, in turn."""

    def __init__(self) -> None:
        area = memoryview(mmap.mmap(-1, 2 * _HALF_BYTES))
        starts = range(0, _HALF_BYTES, _BLOCK_BYTES)
        area[:_HALF_BYTES] = bytes([1]) * _HALF_BYTES
        blocks = [area[start : start + _BLOCK_BYTES] for start in starts]
        targets = [
            area[_HALF_BYTES + start : _HALF_BYTES + start + _BLOCK_BYTES] for start in starts
        ]
        self._pairs = cycle(list(zip(targets, blocks, strict=True)))

    def __call__(self, turns: int) -> None:
        """Copy so many blocks."""
        for target, source in islice(self._pairs, turns):
            target[:] = source

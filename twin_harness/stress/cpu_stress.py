"""Controlled CPU load: a closed loop on the process's own CPU time.

In every slot of 23 ms the process spins until its CPU clock shows what the plan asks for up to the slot's end, then sleeps. What a
competitor or the hypervisor took in one slot is caught up in the next ones, up to 100 ms of it; more is forgiven, so that a stall is
not followed by a burst.
"""

from __future__ import annotations

import os
import time
from itertools import repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.stress.load import Load

SLOT_S = 0.023  # no multiple of the 10 ms tick, lest /proc/stat, which samples at ticks, see the same part of every slot
CATCH_UP_S = 0.100
_SPIN_S = 40e-6
_RUNNABLE_SHARE = 0.8


class CpuStress:
    """CPU load on one CPU; the load's unit is CPU seconds per second.

    Args:
        load: what to follow.
        cpu: the CPU to stay on; None leaves the choice to the scheduler.
    """

    def __init__(self, load: Load, cpu: int | None) -> None:
        self._load = load
        self._cpu = cpu
        self._turns = 1000
        self._schedstat: int | None = None
        self._short_before: tuple[float, float, float] | None = None

    def prepare(self) -> None:
        """Go to the CPU, and learn how many turns of the loop take 40 µs here."""
        if self._cpu is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {self._cpu})
        fastest_s = min(_time_of_spin(1000) for _ in range(5))
        self._turns = max(100, int(1000 * _SPIN_S / max(fastest_s, 1e-7)))
        try:
            self._schedstat = os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # a kernel without CONFIG_SCHED_INFO
            self._schedstat = None

    def follow(self, report_start: Callable[[], None]) -> None:
        """Follow the load."""
        load = self._load
        forgiven_s = 0.0
        report_start()
        own_s = begin_own_s = time.process_time()
        slot_end_s = load.start_s
        while slot_end_s < load.end_s and not load.is_stopping:
            slot_end_s = min(max(slot_end_s, time.monotonic() - SLOT_S) + SLOT_S, load.end_s)
            target_s = begin_own_s + load.area(slot_end_s) - forgiven_s
            while own_s < target_s and time.monotonic() < slot_end_s:
                _spin(self._turns)
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
        """Count the time waited for a CPU since the short slot before, if the process was running or waiting all the while.

        /proc/<pid>/schedstat: time on a CPU, time waiting in a run queue, both in ns (Documentation/scheduler/sched-stats.rst). A
        stressor that does too little sleeps, so it never counts as starved.
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
        """Give nothing back but a descriptor: CPU time is not held."""
        if self._schedstat is not None:
            os.close(self._schedstat)


def _spin(turns: int) -> None:
    """Burn CPU time without allocating anything."""
    for _ in repeat(None, turns):
        pass


def _time_of_spin(turns: int) -> float:
    begin_s = time.process_time()
    _spin(turns)
    return time.process_time() - begin_s

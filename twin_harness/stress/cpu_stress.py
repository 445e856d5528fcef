"""Controlled CPU load: a closed loop on the process's own CPU time.

In every slot of 20 ms the process spins until its CPU clock shows what the plan asks for up to the slot's end, then sleeps. What a
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

SLOT_S = 0.020
CATCH_UP_S = 0.100
_SPIN_S = 40e-6


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

    def prepare(self) -> None:
        """Go to the CPU, and learn how many turns of the loop take 40 µs here."""
        if self._cpu is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {self._cpu})
        fastest_s = min(_time_of_spin(1000) for _ in range(5))
        self._turns = max(100, int(1000 * _SPIN_S / max(fastest_s, 1e-7)))

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
            if missing_s > CATCH_UP_S:
                forgiven_s += missing_s - CATCH_UP_S
            remaining_s = slot_end_s - time.monotonic()
            if remaining_s > 0:
                time.sleep(remaining_s)
            own_s = time.process_time()

    def release(self) -> None:
        """Give nothing back: CPU time is not held."""


def _spin(turns: int) -> None:
    """Burn CPU time without allocating anything."""
    for _ in repeat(None, turns):
        pass


def _time_of_spin(turns: int) -> float:
    begin_s = time.process_time()
    _spin(turns)
    return time.process_time() - begin_s

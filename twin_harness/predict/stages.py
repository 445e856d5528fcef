"""Stages: what a plan is doing in each second, by which bands are calibrated.

Errors differ by it: at rest next to nothing is open, while memory is filled everything depends on
whether the hypervisor backs it, and where a level jumps an error of timing is one of level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.demand import CHANNELS, stacked
from twin_harness.predict.free_run import REGIMES
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.spread import second_changes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.demand import Demand
    from twin_harness.predict.free_run import FreeRun

STAGES = (
    "rest",
    "rest after memory",
    "load",
    "disk",
    "full",
    "memory moved",
    "memory filling",
    "cpu moving",
    "cpu moving, memory filling",
)
HELD = STAGES.index("load")
_MISSING_PERCENT = 0.5  # of memory that is asked for: less is held
_MOVED_PERCENT, _MOVED_FOR_S = 0.3, 4  # of memory in a second, and how long it shows
_CPU_PERCENT = 8.0  # from second to second


def stages_of(free: FreeRun, demands: Sequence[Demand]) -> np.ndarray:
    """Return which of ``STAGES`` each second of some plans is in, (plans, seconds).

    Args:
        free: their free runs.
        demands: the plans.
    """
    levels = stacked(demands)
    disk = sum(
        levels[:, CHANNELS.index(name)]
        for name in ("write_bytes_per_s", "sync_bytes_per_s", "read_bytes_per_s")
    )
    asked = levels[:, CHANNELS.index("memory_end_bytes")]
    cpu, memory = (
        free.centre[:, COLUMNS.index(name)] for name in ("cpu_percent", "memory_percent")
    )
    is_filling = missing_of(free) > _MISSING_PERCENT
    has_moved = _lately(np.abs(np.diff(memory, axis=1, prepend=memory[:, :1])) > _MOVED_PERCENT)
    is_moving = second_changes(cpu) > _CPU_PERCENT
    numbers = np.where(np.maximum.accumulate(asked, axis=1) > 0.0, 1, 0)
    # the later ones win
    for number, holds in (
        (HELD, free.regime == REGIMES.index("load")),
        (3, np.asarray(disk) > 0.0),
        (4, free.regime == REGIMES.index("full")),
        (5, has_moved),
        (6, is_filling),
        (7, is_moving),
        (8, is_moving & is_filling),
    ):
        numbers[holds] = number
    return numbers


def missing_of(free: FreeRun) -> np.ndarray:
    """Return the memory that is asked for and not filled yet, (plans, seconds), in percent."""
    if free.missing_percent is None:
        return np.zeros(free.regime.shape)
    return free.missing_percent


def _lately(happens: np.ndarray) -> np.ndarray:
    """Return where something, (plans, seconds), happens or has happened in the seconds before."""
    lately = happens.copy()
    for ago in range(1, _MOVED_FOR_S):
        lately[:, ago:] |= happens[:, :-ago]
    return lately

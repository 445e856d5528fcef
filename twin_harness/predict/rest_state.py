"""The state in which runs found the machine: each differs, and a cold start needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.others import rest_of
from twin_harness.predict.parameters import HIGH, LOW, NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.observation import Observation

# Parameters that are the state of a machine that is left alone. Runs are fitted from the state in
# which each began, and given what others used in each second, so the fit itself cannot identify
# them.
REST = ("memory_idle", "load_start", "background_cpu")
_BEFORE = ("memory_percent", "load1")


def rest_states(observations: Sequence[Observation]) -> np.ndarray:
    """Return the state in which each run found the machine, (runs, the parameters of ``REST``).

    NaN where it is not known: of ``background_cpu`` where others were not measured.
    """
    indices = [COLUMNS.index(column) for column in _BEFORE]
    return np.array([[*one.before[indices], rest_of(one)] for one in observations])


def with_median_rest(parameters: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return parameters whose cold start is the median state in which runs found the machine.

    Args:
        parameters: (parameters,) in units.
        states: as ``rest_states`` returns them.
    """
    rested = parameters.copy()
    for name, values in zip(REST, states.T, strict=True):
        if np.isfinite(values).any():
            index = NAMES.index(name)
            rested[index] = np.clip(np.nanmedian(values), LOW[index], HIGH[index])
    return rested

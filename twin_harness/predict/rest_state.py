"""The state in which runs found the machine at rest: each differs, and a cold start needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import HIGH, LOW, NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.observation import Observation

# Parameters that are the initial state of a cold start; runs are fitted from a warm start, so the
# fit itself cannot identify them.
REST = {"memory_idle": "memory_percent", "load_start": "load1"}


def rest_states(observations: Sequence[Observation]) -> np.ndarray:
    """Return the state in which each run found the machine, (runs, the parameters of ``REST``)."""
    indices = [COLUMNS.index(column) for column in REST.values()]
    return np.array(
        [[observation.before[index] for index in indices] for observation in observations]
    )


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

"""The reference errors of a model: what its runs' mean errors usually are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ReferenceErrors:
    """Centre and deviation of runs' mean errors, on the error scale.

    Attributes:
        centre: (columns,) the median; NaN where nothing is known.
        deviation: (columns,) the root mean square about it.
    """

    centre: np.ndarray
    deviation: np.ndarray

    @property
    def is_known(self) -> bool:
        """Whether there were runs to take them from."""
        return bool(np.isfinite(self.deviation).any())


def reference_errors(errors: np.ndarray) -> ReferenceErrors:
    """Return centre and deviation of the runs' mean errors, (runs, columns).

    Plans differ in how well they are predicted, so a few far ones belong to what is usual: a robust
    deviation would take them for drift.
    """
    centre, deviation = [], []
    for values in errors.T:
        known = values[~np.isnan(values)]
        if known.size:
            centre.append(float(np.median(known)))
            deviation.append(float(np.sqrt(np.mean((known - centre[-1]) ** 2))))
        else:
            centre.append(float("nan"))
            deviation.append(float("nan"))
    return ReferenceErrors(np.array(centre), np.array(deviation))

"""Series: recorded values that each hold over an interval, and their means over equal steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Values that each hold over an interval.

    Attributes:
        edges_s: shape (n + 1,), when each interval begins, and when the last one ends; rises.
        values: shape (n,).
    """

    edges_s: Array
    values: Array

    def means(self, step_s: float) -> tuple[Array, Array]:
        """Return the beginning of each step from the first edge on, and the mean over it.

        The last step may be shorter.
        """
        integral = np.concatenate([[0.0], np.cumsum(self.values * np.diff(self.edges_s))])
        first_s, last_s = self.edges_s[0], self.edges_s[-1]
        starts_s = first_s + step_s * np.arange(
            max(1, math.ceil((last_s - first_s) / step_s - 1e-9))
        )
        ends_s = np.minimum(starts_s + step_s, last_s)
        at = np.interp(np.concatenate([starts_s, ends_s[-1:]]), self.edges_s, integral)
        return starts_s - first_s, np.diff(at) / (ends_s - starts_s)

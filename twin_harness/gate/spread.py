"""A spread that a few far-off figures do not change: the median absolute deviation as an SD."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TO_SD = 1.4826  # the MAD of a normal distribution times this is its standard deviation


def robust_spread(values: Iterable[float]) -> float:
    """Return 1.4826 × MAD: the standard deviation where the figures are normally distributed.

    By hand, though ``scipy.stats.median_abs_deviation`` does the same: this runs between the runs
    that are compared, where importing scipy would cost more than a second of CPU time.
    """
    figures = list(values)
    middle = median(figures)
    return _TO_SD * median(abs(figure - middle) for figure in figures)

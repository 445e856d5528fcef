"""Percentiles of many figures, with intervals that assume no distribution.

Between which two of the sorted figures a percentile lies is a matter of a binomial distribution
alone (H. A. David and H. N. Nagaraja, Order Statistics, 7.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, inf, isfinite, lgamma, log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
# From so large a variance on, the binomial distribution is taken as normal.
_LARGE = 400.0


@dataclass(frozen=True)
class Percentile:
    """A percentile of some figures.

    Attributes:
        value: the figure below which that share of them lies (nearest rank).
        low: lower end of the interval; −infinity where there are too few figures for one.
        high: upper end of the interval; infinity where there are too few figures for one.
        n: how many figures there are.
    """

    value: float
    low: float
    high: float
    n: int


def percentile(
    figures: Sequence[float], percent: float, confidence: float = CONFIDENCE
) -> Percentile:
    """Return a percentile with a two-sided interval.

    Args:
        figures: any number, at least one.
        percent: above 0 and below 100.
        confidence: that the interval holds the percentile of what the figures are drawn from.

    Raises:
        InvalidInput: there are no figures, some are no numbers, or there is no such percentile.
    """
    if not len(figures):
        msg = f"percentile {percent:g}: expected figures but got none"
        raise InvalidInput(msg)
    if not 0 < percent < 100:
        msg = f"percentile: expected a percent above 0 and below 100 but got {percent!r}"
        raise InvalidInput(msg)
    if bad := sum(not isfinite(figure) for figure in figures):
        msg = (
            f"percentile {percent:g}: expected numbers but {bad} of {len(figures)} figures are none"
        )
        raise InvalidInput(msg)
    ordered, count, share = sorted(figures), len(figures), percent / 100.0
    tail = (1.0 - confidence) / 2.0
    below = _quantile(count, share, tail)
    above = _quantile(count, share, 1.0 - tail) + 1
    return Percentile(
        ordered[max(0, ceil(share * count) - 1)],
        ordered[below - 1] if below > 0 else -inf,
        ordered[above - 1] if above <= count else inf,
        count,
    )


def figures_needed(percent: float, confidence: float = CONFIDENCE) -> int:
    """Return how many figures it takes for both ends of the interval to be there."""
    share, tail = percent / 100.0, (1.0 - confidence) / 2.0
    return ceil(log(tail) / log(max(share, 1.0 - share)))


def _quantile(count: int, share: float, probability: float) -> int:
    """Return the smallest number whose binomial distribution function reaches a probability."""
    mean, variance = count * share, count * share * (1.0 - share)
    if variance > _LARGE:
        deviation: float = NormalDist().inv_cdf(probability) * sqrt(variance)
        return min(count, max(0, ceil(mean + deviation - 0.5)))
    total = 0.0
    for number in range(count + 1):
        ways = lgamma(count + 1) - lgamma(number + 1) - lgamma(count - number + 1)
        total += exp(ways + number * log(share) + (count - number) * log(1.0 - share))
        if total >= probability:
            return number
    return count

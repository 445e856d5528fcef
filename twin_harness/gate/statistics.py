"""The gate's statistics, on effects: one number a pair, positive is worse.

Paired tests are exact: under no effect, the sign of each pair's difference is a coin. Sources: R.
A. Fisher, The Design of Experiments (1935), for the sign-flip test; J. A. Hartigan, Using subsample
values as typical values, JASA 64 (1969), for its bounds; S. Holm, A simple sequentially rejective
multiple test procedure, Scand. J. Statist. 6 (1979); Y. Benjamini and Y. Hochberg, JRSS B 57
(1995).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, inf, log2, sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_EXACT = 16
_DRAWN = 2**16 - 1
_REPEATS = 1000
_ROUNDING = 1e-12
_BLOCK = 2**22


@lru_cache(maxsize=8)
def subsets(count: int) -> NDArray[np.bool_]:
    """Return every non-empty subset of ``count`` pairs, one per row.

    Of more than 16 pairs it is 65,535 subsets drawn by a fixed seed.
    """
    if count <= MOST_EXACT:
        numbers = np.arange(1, 2**count, dtype=np.uint32)
        return np.asarray((numbers[:, None] >> np.arange(count, dtype=np.uint32)) & 1 == 1)
    drawn = np.random.default_rng(count).random((_DRAWN, count)) < 0.5
    return drawn[drawn.any(axis=1)]


def sign_flip_p(effects: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the one-sided p-value of "the mean effect is at most 0", by the sign-flip test.

    The signs of all pairs are flipped in every way.

    Args:
        effects: one number a pair, shape (n,), positive is worse.

    Returns:
        The share of all 2^n ways whose mean is at least the observed one; the smallest possible is
        2^−n. 1 without pairs.
    """
    values = np.asarray(effects, dtype=float)
    if not len(values):
        return 1.0
    # Flipping the pairs of a subset changes the sum by −2 × the subset's sum, so a way is at least
    # as large where that sum is ≤ 0.
    sums = subsets(len(values)) @ values
    tolerance = _ROUNDING * float(np.abs(values).sum())
    return float((1 + np.count_nonzero(sums <= tolerance)) / (1 + len(sums)))


def _subset_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    chosen = subsets(len(values))
    return np.asarray((chosen @ values) / chosen.sum(axis=1))


def upper_bound(effects: Sequence[float] | NDArray[np.float64], confidence: float = 0.95) -> float:
    """Return the one-sided upper confidence bound of the effect that the sign-flip test has.

    The means of all subsets cut the line into 2^n pieces that hold the centre of a symmetric
    distribution with equal chance (Hartigan). Infinity where there are too few pairs for a bound of
    that confidence.
    """
    values = np.asarray(effects, dtype=float)
    if not len(values):
        return inf
    means = _subset_means(values)
    rank = ceil(confidence * (len(means) + 1) - _ROUNDING)
    if rank > len(means):
        return inf
    return float(np.partition(means, rank - 1)[rank - 1])


def lower_bound(effects: Sequence[float] | NDArray[np.float64], confidence: float = 0.95) -> float:
    """Return the one-sided lower confidence bound; see ``upper_bound``."""
    return -upper_bound(-np.asarray(effects, dtype=float), confidence)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm.

    Calling those ≤ α makes any false call with probability ≤ α, over the whole family.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Benjamini and Hochberg, for warnings, never for a verdict.

    Of those ≤ q a share of at most q is false, on average.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    adjusted, smallest = [1.0] * len(p_values), 1.0
    for back, index in enumerate(order):
        smallest = min(smallest, p_values[index] * len(p_values) / (len(p_values) - back))
        adjusted[index] = smallest
    return adjusted


def pairs_needed(family: int, alpha: float) -> int:
    """Return how many pairs it takes for the smallest p-value, 2^−n, to pass Holm over a family.

    Holm's first step compares it with alpha / family.
    """
    return ceil(log2(max(1, family) / alpha) - _ROUNDING)


def smallest_visible(
    spread: float, pairs: int, alpha: float, threshold: float, *, power: float = 0.8
) -> float:
    """Return the smallest true effect that would be called with probability ``power``.

    By the test at ``alpha``, and seen as ≥ ``threshold``.

    Args:
        spread: standard deviation of the effect over pairs.
        pairs: how many.
        alpha: of one measure, the family's shared out.
        threshold: in the unit of the effect.
        power: probability of the call.

    Returns:
        The effect, by simulation of normal noise under a fixed seed; infinity where no effect could
        pass the test with so few pairs.
    """
    if pairs < 1 or not spread < inf:
        return inf
    rank = floor(alpha * 2 ** min(pairs, MOST_EXACT) + _ROUNDING)
    if rank < 1:
        return inf
    lows, means = _simulated(pairs, rank)
    return float(np.quantile(np.maximum(-spread * lows, threshold - spread * means), power))


@lru_cache(maxsize=64)
def _simulated(pairs: int, rank: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the subset mean at a rank, and the mean, of 1,000 sets of standard normal pairs."""
    noise = np.random.default_rng(pairs).normal(0.0, 1.0, (_REPEATS, pairs))
    chosen = subsets(pairs)
    sizes, lows, each = chosen.sum(axis=1), [], max(1, _BLOCK // len(chosen))
    for begin in range(0, _REPEATS, each):
        means = (noise[begin : begin + each] @ chosen.T) / sizes
        lows.append(np.partition(means, rank - 1, axis=1)[:, rank - 1])
    return np.concatenate(lows), noise.mean(axis=1)


@dataclass(frozen=True)
class Predicted:
    """Where one new session is expected, from a baseline's sessions.

    Its mean is a draw from between them.

    Attributes:
        centre: mean of the sessions of the present level.
        spread: standard deviation between sessions.
        sessions: how many of the present level.
        degrees: of freedom of the spread.
    """

    centre: float
    spread: float
    sessions: int
    degrees: int

    @property
    def error(self) -> float:
        """Standard error of (new session − centre)."""
        return self.spread * sqrt(1.0 + 1.0 / self.sessions)

    def p_value(self, effect: float) -> float:
        """Return the one-sided p-value of an effect at least so large, by Student's t."""
        from scipy.stats import t

        if self.error <= 0:
            return 1.0
        return float(t.sf(effect / self.error, self.degrees))

    def upper_bound(self, effect: float, confidence: float = 0.95) -> float:
        """Return the one-sided upper bound of the true effect."""
        from scipy.stats import t

        return effect + self.error * float(t.ppf(confidence, self.degrees))

    def smallest_visible(self, alpha: float, threshold: float, *, power: float = 0.8) -> float:
        """Return the smallest true effect that would be called with probability ``power``.

        See ``smallest_visible`` for pairs.

        The power is that of the non-central t distribution (Johnson, Kotz and Balakrishnan,
        Continuous Univariate Distributions 2, 31).

        Args:
            alpha: of one measure, the family's shared out.
            threshold: the least effect that is called, in the unit of the effect.
            power: probability of the call.
        """
        from scipy.optimize import brentq
        from scipy.stats import nct, norm, t

        if self.error <= 0:
            return inf
        needed = float(t.isf(alpha, self.degrees))
        by_test = brentq(
            lambda shift: nct.sf(needed, self.degrees, shift) - power, 0.0, 10.0 * needed + 10.0
        )
        return float(max(by_test, threshold / self.error + norm.ppf(power))) * self.error


def predict_session(epochs: Sequence[Sequence[float]]) -> Predicted | None:
    """Return where a new session is expected; None when the spread cannot be estimated.

    Args:
        epochs: session means, those of each accepted level together, the present level last; the
            spread is pooled within levels.
    """
    groups = [np.asarray(epoch, dtype=float) for epoch in epochs if len(epoch)]
    degrees = sum(len(group) - 1 for group in groups)
    if not groups or degrees < 1:
        return None
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return Predicted(float(groups[-1].mean()), sqrt(squares / degrees), len(groups[-1]), degrees)

"""The sign-flip test of pairs beside neighbours: their effects, adjusted for a covariate.

Swapping the labels of a pair flips its effect and the difference of its covariate alike, so the
test is exact whatever the covariate is worth; a covariate that explains the effects makes it
sharper. Sources: P. R. Rosenbaum, Covariance adjustment in randomized experiments and observational
studies, Statistical Science 17 (2002), for the test; J. A. Hartigan, Using subsample values as
typical values, JASA 64 (1969), for the bounds, which are those of the unadjusted test where the
covariate is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, sqrt
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.gate.statistics import subsets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ROUNDING = 1e-12
# What is left of a pair's count once the covariate has taken its part; below it the covariate is
# as good as the labels, and nothing is known of the effect.
_LEAST_LEFT = 1e-6


@dataclass(frozen=True)
class Adjusted:
    """The effect of pairs at equal covariates, with the sign-flip test of it.

    Attributes:
        effect: the intercept of the effects regressed on the covariate's differences.
        slope: effect per unit of the covariate's difference.
        spread: standard deviation of the effects about that line, with n − 2 degrees of freedom,
            n − 1 where the covariate is 0; infinite where none are left.
        p: one-sided p-value of "the effect is at most 0".
        critical: for each way of flipping signs, the effect from which on the observed one is no
            longer the larger of the two, ascending, shape (ways,).
    """

    effect: float
    slope: float
    spread: float
    p: float
    critical: NDArray[np.float64]

    def upper_bound(self, confidence: float = 0.95) -> float:
        """Return the one-sided upper confidence bound; infinity where there are too few pairs."""
        rank = ceil(confidence * (len(self.critical) + 1) - _ROUNDING)
        if rank > len(self.critical):
            return inf
        return float(self.critical[rank - 1])


def adjust(
    effects: Sequence[float],
    covariate: Sequence[float],
    weights: NDArray[np.float64] | None = None,
) -> Adjusted:
    """Adjust the effects of pairs for a covariate.

    Every way of flipping signs is tried, of more than 16 pairs 65,535 ways drawn by a fixed seed.

    Args:
        effects: one number a pair, shape (n,), positive is worse.
        covariate: candidate − base of each pair, shape (n,), in its own unit; the variant must not
            move it.
        weights: of each pair, shape (n,), above 0: one over the variance that it has. They must
            not depend on which run was whose. Equal unless given.
    """
    heavy = np.ones(len(effects)) if weights is None else weights
    heavy = heavy / heavy.mean()
    root = np.sqrt(heavy)
    values, given = root * np.asarray(effects, dtype=float), root * np.asarray(covariate, float)
    signs = root * np.vstack([np.ones(len(values)), 1.0 - 2.0 * subsets(len(values))])
    square, product = float(given @ given), float(given @ values)
    inverse = 1.0 / square if square > 0 else 0.0
    # Row by row, for the effects and for 1: what the signs explain beyond the covariate, as the
    # root of a sum of squares with its sign. It orders the ways as Student's t of the coefficient
    # does. Flipping both sides of the equation of a pair leaves it as it is, so only the signs, and
    # not the effects, are flipped.
    shared = signs @ given
    left = len(values) - inverse * shared**2
    known = left > _LEAST_LEFT * len(values)
    roots = np.sqrt(np.where(known, left, 1.0))
    explained = (signs @ values - inverse * product * shared) / roots
    ones = (signs @ root - inverse * float(given @ root) * shared) / roots
    if not known[0]:
        return Adjusted(0.0, 0.0, inf, 1.0, np.full(len(signs) - 1, inf))
    effect = float(explained[0] / roots[0])
    is_open = ~known[1:] | (ones[1:] >= ones[0] * (1.0 - _ROUNDING))
    with np.errstate(divide="ignore", invalid="ignore"):
        critical = (explained[0] - explained[1:]) / (ones[0] - ones[1:])
    tolerance = _ROUNDING * float(np.abs(values).sum())
    at_least = ~known[1:] | (explained[1:] >= explained[0] - tolerance)
    slope = inverse * (product - effect * float(given @ root))
    spread, degrees = inf, len(values) - (2 if square > 0 else 1)
    if degrees > 0:
        rest = values - effect * root - slope * given
        spread = sqrt(float(rest @ rest) / degrees)
    return Adjusted(
        effect,
        slope,
        spread,
        float((1 + np.count_nonzero(at_least)) / len(signs)),
        np.sort(np.where(is_open, inf, critical)),
    )

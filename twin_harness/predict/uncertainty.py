"""How far a prediction may be off: parameters that the runs leave open, runs that differ, seconds that differ; then calibrated on runs of their own.

The ensemble: parameters by resampling runs (a few Gauss-Newton steps from the optimum), a run effect, and noise from second to second. The spread
of a second's error grows with how fast the prediction changes there: an error of timing is an error of level only where the level moves.
Calibration is conformal and by run, the exchangeable unit: pointwise by conformal risk control (Angelopoulos et al., 2022, the share of seconds outside
of a run as risk), simultaneously by the split-conformal quantile of each run's worst second (Vovk et al., 2005).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.fit import scored
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import HIGH, LOW, NAMES, inward, outward

if TYPE_CHECKING:
    from twin_harness.predict.fit import Fit, Problem

PARAMETER_SETS, MEMBERS = 25, 200
COVERAGE = 0.9
_NEWTON_STEPS = 2
_DAMPING = 1e-6
_MEMORY = 0.6  # of the noise from one second to the next, where the data tells none


@dataclass(frozen=True)
class Spread:
    """What a fit leaves open.

    Attributes:
        parameters: (sets, parameters) plausible ones.
        still, moving: (columns,) the error's standard deviation where a prediction stands still, and per unit of its change from second to second.
        run_share: (columns,) which share of the variance all seconds of a run have in common. memory: (columns,) correlation of what is left from
            one second to the next.
    """

    parameters: np.ndarray
    still: np.ndarray
    moving: np.ndarray
    run_share: np.ndarray
    memory: np.ndarray

    def of(self, centre: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """Return the standard deviation of a prediction's error, on the scale of ``scored``.

        Args:
            centre: (plans, columns, seconds) the prediction.
            sets: (plans, sets, columns, seconds) the same under each plausible parameter set.
        """
        change = np.abs(np.diff(centre, axis=2, prepend=centre[:, :, :1]))
        ahead = np.concatenate([change[:, :, 1:], change[:, :, -1:]], axis=2)
        noise = self.still[:, np.newaxis] ** 2 + (self.moving[:, np.newaxis] * np.maximum(change, ahead)) ** 2
        found: np.ndarray = np.sqrt(noise + sets.var(axis=1))
        return found

    def members(self, centre: np.ndarray, sets: np.ndarray, count: int = MEMBERS, seed: int = 0) -> np.ndarray:
        """Return (members, columns, seconds) ways in which one plan may go: parameter sets, each with several draws of the noise.

        Args:
            centre: (columns, seconds) on the scale of ``scored``.
            sets: (sets, columns, seconds), as well.
            count: how many.
            seed: of the draws.
        """
        change = np.abs(np.diff(centre, axis=1, prepend=centre[:, :1]))
        ahead = np.concatenate([change[:, 1:], change[:, -1:]], axis=1)
        sizes = np.sqrt(self.still[:, np.newaxis] ** 2 + (self.moving[:, np.newaxis] * np.maximum(change, ahead)) ** 2)
        noise = _noise(count, centre.shape[1], seed, tuple(self.run_share), tuple(self.memory))
        found: np.ndarray = sets[np.arange(count) % len(sets)] + sizes * noise
        return found


@lru_cache(maxsize=8)
def _noise(count: int, seconds: int, seed: int, run_share: tuple[float, ...], memory: tuple[float, ...]) -> np.ndarray:
    """Return errors in deviations, (count, columns, seconds): what a run has in common, and a first-order autoregression from second to second."""
    generator = np.random.default_rng(seed)
    keep, share = np.array(memory), np.array(run_share)[:, np.newaxis]
    common = generator.normal(size=(count, len(keep), 1))
    fresh = generator.normal(size=(count, len(keep), seconds))
    rest = np.empty_like(fresh)
    state = fresh[..., 0]
    for second in range(seconds):
        state = keep * state + np.sqrt(1.0 - keep**2) * fresh[..., second]
        rest[..., second] = state
    found: np.ndarray = np.sqrt(share) * common + np.sqrt(1.0 - share) * rest
    found.flags.writeable = False
    return found


def spread_of(problem: Problem, found: Fit, seed: int = 0) -> Spread:
    """Return what a fit leaves open, from its own runs."""
    point = inward(found.parameters)
    slopes = problem.jacobian(point)
    residuals = problem.residuals(found.parameters[np.newaxis])[0]
    weights = 1.0 / np.sqrt(1.0 + residuals**2)
    runs = len(problem.levels)
    run_of = np.broadcast_to(np.arange(runs)[:, np.newaxis, np.newaxis], problem.is_known.shape)[problem.is_known]
    sets = np.vstack([found.parameters, _resampled(problem, point, slopes, residuals, weights, run_of, seed)])
    errors = problem.errors(found.parameters[np.newaxis])[0]
    centre = problem.predicted(found.parameters[np.newaxis])[0]
    change = np.abs(np.diff(centre, axis=2, prepend=centre[:, :, :1]))
    change = np.maximum(change, np.concatenate([change[:, :, 1:], change[:, :, -1:]], axis=2))
    noise = [_two_parts(errors[:, index], change[:, index]) for index in range(len(COLUMNS))]
    still, moving, run_share, memory = (np.array([part[k] for part in noise]) for k in range(4))
    return Spread(sets, np.maximum(still, 1e-9), moving, run_share, memory)


def _resampled(
    problem: Problem, point: np.ndarray, slopes: np.ndarray, residuals: np.ndarray, weights: np.ndarray, run_of: np.ndarray, seed: int
) -> np.ndarray:
    """Return parameter sets, each the optimum of runs drawn with replacement: two Gauss-Newton steps from the common optimum."""
    generator = np.random.default_rng(seed)
    runs = len(problem.levels)
    bends = np.zeros((runs, len(NAMES), len(NAMES)))
    pulls = np.zeros((runs, len(NAMES)))
    for run in range(runs):
        is_its = run_of == run
        weighted = slopes[is_its] * weights[is_its, np.newaxis]
        bends[run], pulls[run] = slopes[is_its].T @ weighted, weighted.T @ residuals[is_its]
    scale = np.diag(bends.sum(axis=0))
    damping = np.diag(_DAMPING * np.maximum(scale, scale.max() * 1e-9) + 1e-12)
    sets = []
    for _ in range(PARAMETER_SETS - 1):
        counts = np.bincount(generator.integers(0, runs, runs), minlength=runs)
        bend, pull = np.tensordot(counts, bends, 1) + damping, counts @ pulls
        moved = point
        for _ in range(_NEWTON_STEPS):
            pulled = pull + bend @ (moved - point)
            moved = np.clip(moved - np.linalg.solve(bend, pulled), inward(LOW), inward(HIGH))
        sets.append(outward(moved))
    return np.array(sets)


def _two_parts(errors: np.ndarray, change: np.ndarray) -> tuple[float, float, float, float]:
    """Return the error's deviation at rest and per unit of change, the share that a run has in common, and the memory of the rest."""
    known = ~np.isnan(errors)
    if not known.any():
        return 1e-9, 0.0, 0.0, _MEMORY
    squares, moves = np.minimum(errors[known] ** 2, np.quantile(errors[known] ** 2, 0.995)), change[known]
    is_still = moves <= np.quantile(moves, 0.5)
    still = float(np.sqrt(squares[is_still].mean()))
    excess = squares[~is_still] - still**2
    fast = moves[~is_still] ** 2
    moving = float(np.sqrt(max(0.0, (excess * fast).sum() / max((fast**2).sum(), 1e-30)))) if fast.sum() > 0 else 0.0
    sizes = np.sqrt(still**2 + (moving * change) ** 2)
    unit = np.where(known, errors / np.maximum(sizes, 1e-12), np.nan)
    means = np.nanmean(unit, axis=1)
    total = float(np.nanmean(unit**2))
    share = float(np.clip(np.nanvar(means) / max(total, 1e-12), 0.0, 0.9))
    rest = unit - means[:, np.newaxis]
    pairs = rest[:, 1:] * rest[:, :-1]
    memory = float(np.clip(np.nanmean(pairs) / max(float(np.nanmean(rest**2)), 1e-12), 0.0, 0.95)) if not np.isnan(pairs).all() else _MEMORY
    return still, moving, share, memory


@dataclass(frozen=True)
class Calibration:
    """By how many standard deviations bands reach, from runs that the fit has not seen.

    Attributes:
        pointwise, simultaneous: (columns,) multipliers; NaN where too few runs were there to tell.
        runs: how many there were.
    """

    pointwise: np.ndarray
    simultaneous: np.ndarray
    runs: int


def calibrate(errors: np.ndarray, spreads: np.ndarray) -> Calibration:
    """Return multipliers from runs that were kept apart.

    Args:
        errors: (runs, columns, seconds) on the scale of ``scored``, NaN where nothing was measured.
        spreads: (runs, columns, seconds) the standard deviations that were foretold.
    """
    ratios = np.abs(errors) / spreads
    runs = len(ratios)
    return Calibration(
        np.array([_pointwise(ratios[:, index]) for index in range(ratios.shape[1])]),
        np.array([_simultaneous(ratios[:, index]) for index in range(ratios.shape[1])]),
        runs,
    )


def _pointwise(ratios: np.ndarray) -> float:
    """Return the least multiplier at which the share of seconds outside, its mean over runs with one more that is all outside, is 10 percent."""
    known = [np.sort(run[~np.isnan(run)]) for run in ratios]
    known = [run for run in known if len(run)]
    if (len(known) + 1) * (1.0 - COVERAGE) < 1.0:
        return float("nan")
    candidates = np.unique(np.concatenate(known))
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        outside = sum(1.0 - np.searchsorted(run, candidates[middle], side="right") / len(run) for run in known)
        if (outside + 1.0) / (len(known) + 1) <= 1.0 - COVERAGE:
            high = middle
        else:
            low = middle + 1
    return float(candidates[low])


def _simultaneous(ratios: np.ndarray) -> float:
    worst = np.array([np.nanmax(run) for run in ratios if not np.isnan(run).all()])
    rank = int(np.ceil((len(worst) + 1) * COVERAGE))
    return float(np.sort(worst)[rank - 1]) if 0 < rank <= len(worst) else float("nan")


def on_scale(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Return simulated columns as one array (plans, members, columns, seconds) on the scale of ``scored``."""
    return np.stack([scored(name, columns[name]) for name in COLUMNS], axis=2)

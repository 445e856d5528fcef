"""How far a prediction may be off: parameters that the runs leave open, runs that differ, seconds that differ; then calibrated on runs of their own.

The ensemble: parameters by resampling plans (a few reweighted Gauss-Newton steps from the optimum), a run effect, and noise from second to second. The spread
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
_OUTSIDE = 0.1  # 1 − COVERAGE, which floating point makes 0.09999999999999998
_NEWTON_STEPS = 5
_DAMPING = 1e-9
_ROUNDING = 1e-9
_KEPT_S = 600  # longer draws are not kept for the next prediction
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
        noise = self.still[:, np.newaxis] ** 2 + (self.moving[:, np.newaxis] * _change(centre)) ** 2
        found: np.ndarray = np.sqrt(noise + sets.var(axis=1))
        return found

    def members(self, centre: np.ndarray, sets: np.ndarray, factors: np.ndarray, count: int = MEMBERS, seed: int = 0) -> np.ndarray:
        """Return (members, columns, seconds) ways in which one plan may go: parameter sets, each with several draws of the noise.

        Args:
            centre: (columns, seconds) on the scale of ``scored``.
            sets: (sets, columns, seconds), as well.
            factors: (columns,) by which the noise was found too small on runs that the fit has not seen.
            count: how many.
            seed: of the draws.
        """
        sizes = factors[:, np.newaxis] * np.sqrt(self.still[:, np.newaxis] ** 2 + (self.moving[:, np.newaxis] * _change(centre)) ** 2)
        make = _noise if centre.shape[1] <= _KEPT_S else _noise.__wrapped__
        noise = make(count, centre.shape[1], seed, tuple(self.run_share), tuple(self.memory))
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


def spread_of(problem: Problem, cold: Problem, found: Fit, rest: np.ndarray, seed: int = 0) -> Spread:
    """Return what a fit leaves open, from its own runs.

    Args:
        problem: what was fitted.
        cold: the same runs from the idle state, as they are foretold.
        found: the fit.
        rest: (runs,) memory in use before each run: at rest the machine is as one of them found it.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    sets = np.vstack([found.parameters, _resampled(problem, found, generator)])
    known = rest[np.isfinite(rest)]
    if len(known):
        sets[:, NAMES.index("memory_idle")] = generator.choice(known, len(sets))
    at_rest = found.parameters.copy()
    if len(known):
        at_rest[NAMES.index("memory_idle")] = np.median(known)
    errors, centre = cold.errors(at_rest[np.newaxis])[0], held(cold.predicted(at_rest[np.newaxis])[0], cold.lengths)
    change = _change(centre)
    noise = [_two_parts(errors[:, index], change[:, index]) for index in range(len(COLUMNS))]
    still, moving, run_share, memory = (np.array([part[k] for part in noise]) for k in range(4))
    return Spread(sets, np.maximum(still, 1e-9), moving, run_share, memory)


def held(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return values (plans, …, seconds) with what stands beyond the end of a plan replaced by its last value: nothing jumps there."""
    found = values.copy()
    for row, length in zip(found, lengths, strict=True):
        row[..., length:] = row[..., length - 1 : length]
    return found


def _change(centre: np.ndarray) -> np.ndarray:
    """Return how much values (…, seconds) change from the second before or to the next, whichever is more."""
    change = np.abs(np.diff(centre, axis=-1, prepend=centre[..., :1]))
    ahead = np.concatenate([change[..., 1:], change[..., -1:]], axis=-1)
    found: np.ndarray = np.maximum(change, ahead)
    return found


def _resampled(problem: Problem, found: Fit, generator: np.random.Generator) -> np.ndarray:
    """Return parameter sets, each the optimum of plans drawn with replacement: iteratively reweighted steps on the model as it is at the optimum."""
    point = inward(found.parameters)
    low, high = inward(LOW), inward(HIGH)
    ranges = high - low
    slopes = problem.jacobian(point) * ranges
    residuals = problem.residuals(found.parameters[np.newaxis])[0]
    sets = []
    for _ in range(PARAMETER_SETS - 1):
        counts = np.bincount(generator.integers(0, problem.plans, problem.plans), minlength=problem.plans)[problem.plan_of]
        moved = np.zeros(len(NAMES))
        for _ in range(_NEWTON_STEPS):
            left = residuals + slopes @ moved
            weighted = slopes * (counts / np.sqrt(1.0 + left**2))[:, np.newaxis]
            bend = weighted.T @ slopes
            bend += _DAMPING * max(float(np.trace(bend)), 1.0) * np.eye(len(bend))
            step = -np.linalg.solve(bend, weighted.T @ left)
            moved = np.clip(point + ranges * (moved + step), low, high)
            moved = (moved - point) / ranges
        sets.append(outward(point + ranges * moved))
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
    if (len(known) + 1) * _OUTSIDE < 1.0 - _ROUNDING:
        return float("nan")
    candidates = np.unique(np.concatenate(known))
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        outside = sum(1.0 - np.searchsorted(run, candidates[middle], side="right") / len(run) for run in known)
        if outside + 1.0 <= _OUTSIDE * (len(known) + 1) + _ROUNDING:
            high = middle
        else:
            low = middle + 1
    return max(float(candidates[low]), _ROUNDING)


def _simultaneous(ratios: np.ndarray) -> float:
    worst = np.array([np.nanmax(run) for run in ratios if not np.isnan(run).all()])
    rank = int(np.ceil((len(worst) + 1) * COVERAGE - _ROUNDING))
    return max(float(np.sort(worst)[rank - 1]), _ROUNDING) if 0 < rank <= len(worst) else float("nan")


def on_scale(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Return simulated columns as one array (plans, members, columns, seconds) on the scale of ``scored``."""
    return np.stack([scored(name, columns[name]) for name in COLUMNS], axis=2)

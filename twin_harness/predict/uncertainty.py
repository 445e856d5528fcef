"""How far a prediction may be off: parameters that the runs leave open, runs that differ, seconds that differ; then calibrated on runs of their own.

The ensemble: parameters by resampling plans (a few reweighted Gauss-Newton steps from the optimum), a run effect, and noise from second to second. The spread
of a second's error differs at rest, under load and where all CPUs are busy, and grows with how fast the prediction changes: an error of timing is an error of level only where the
level moves. Calibration is conformal and by run, the exchangeable unit, on errors as shares of the band's two sides (as conformalised quantile regression
does, Romano et al., 2019): pointwise by conformal risk control (Angelopoulos et al., 2022, the share of seconds outside
of a run as risk), simultaneously by the split-conformal quantile of each run's worst second (Vovk et al., 2005).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from twin_harness.predict.fit import REST, at_rest, scored
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import HIGH, LOW, NAMES, inward, outward
from twin_harness.predict.simulate import simulate

if TYPE_CHECKING:
    from twin_harness.predict.demand import Capacity
    from twin_harness.predict.fit import Fit, Problem

PARAMETER_SETS, MEMBERS = 25, 200
COVERAGE = 0.9
LEVELS = (0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.995)
_NORMAL = ndtri(np.array(LEVELS))
_NORMAL_90 = float(ndtri(0.95))
_LEAST_REACH = 0.3  # deviations: no side of a band is narrower
REGIMES = ("rest", "load", "full")  # errors differ: a machine whose CPUs are all busy has its time stolen, and everybody waits
_LOADED = 0.005  # of a CPU, a device or the time of filling
_FULL_PERCENT = 85.0  # of CPU time
_SHAPED_FROM = 100  # seconds
_OUTSIDE = 0.1  # 1 − COVERAGE, which floating point makes 0.09999999999999998
_NEWTON_STEPS = 5
_DAMPING = 1e-9
_ROUNDING = 1e-9
_KEPT_S = 600  # longer draws are not kept for the next prediction
_MEMORY = 0.6  # of the noise from one second to the next, where the data tells none


@dataclass(frozen=True)
class FreeRun:
    """What the model foretells of some plans, on the scale of ``scored``.

    Attributes:
        centre: (plans, columns, seconds). sets: (plans, sets, columns, seconds) the same under each plausible parameter set.
        regime: (plans, seconds) which of ``REGIMES`` each second belongs to.
    """

    centre: np.ndarray
    sets: np.ndarray
    regime: np.ndarray

    def of(self, plan: int, seconds: int | None = None) -> FreeRun:
        """Return one plan as a free run of its own."""
        return FreeRun(self.centre[plan : plan + 1, :, :seconds], self.sets[plan : plan + 1, :, :, :seconds], self.regime[plan : plan + 1, :seconds])


@dataclass(frozen=True)
class Spread:
    """What a fit leaves open.

    Attributes:
        parameters: (sets, parameters) plausible ones.
        still: (regimes, columns) the error's deviation where a prediction stands still. moving: (columns,) per unit of its change from second to second.
        shape: (regimes, columns, levels) quantiles of errors in these deviations at ``LEVELS``: latencies are skewed.
        run_share: (columns,) which share of the variance all seconds of a run have in common. memory: (columns,) correlation of what is left from
            one second to the next.
    """

    parameters: np.ndarray
    still: np.ndarray
    moving: np.ndarray
    shape: np.ndarray
    run_share: np.ndarray
    memory: np.ndarray

    def sizes(self, centre: np.ndarray, regime: np.ndarray) -> np.ndarray:
        """Return the deviation of the noise, (plans, columns, seconds), given each second's regime, (plans, seconds)."""
        still = np.moveaxis(self.still[regime], 2, 1)
        found: np.ndarray = np.sqrt(still**2 + (self.moving[:, np.newaxis] * _change(centre)) ** 2)
        return found

    def reach(self, free: FreeRun) -> np.ndarray:
        """Return how far below and above the centre 90 percent of seconds lie, before calibration, (2, plans, columns, seconds)."""
        sizes, open_ = self.sizes(free.centre, free.regime), _NORMAL_90**2 * free.sets.var(axis=1)
        ends = np.maximum(np.abs(self.shape[..., [LEVELS.index(0.05), LEVELS.index(0.95)]]), _LEAST_REACH)  # (regimes, columns, 2)
        noise = [np.moveaxis(ends[free.regime, :, side], 2, 1) * sizes for side in (0, 1)]
        found: np.ndarray = np.sqrt(np.stack(noise) ** 2 + open_)
        return found

    def members(self, free: FreeRun, factors: np.ndarray, count: int = MEMBERS, seed: int = 0) -> np.ndarray:
        """Return (members, columns, seconds) ways in which one plan may go: parameter sets, each with several draws of the noise.

        Args:
            free: of that plan.
            factors: (columns,) by which the noise was found too small on runs that the fit has not seen.
            count: how many.
            seed: of the draws.
        """
        seconds = free.centre.shape[2]
        make = _noise if seconds <= _KEPT_S else _noise.__wrapped__
        noise = make(count, seconds, seed, tuple(self.run_share), tuple(self.memory), self.shape.tobytes())
        sizes = factors[:, np.newaxis] * self.sizes(free.centre, free.regime)[0]
        drawn = np.take_along_axis(noise, free.regime[np.newaxis, 0, np.newaxis, np.newaxis], axis=0)[0]
        found: np.ndarray = free.sets[0][np.arange(count) % free.sets.shape[1]] + sizes * drawn
        return found


@lru_cache(maxsize=8)
def _noise(count: int, seconds: int, seed: int, run_share: tuple[float, ...], memory: tuple[float, ...], shape: bytes) -> np.ndarray:
    """Return errors in deviations, (regimes, count, columns, seconds).

    A Gaussian copula: ranks from what a run has in common and a first-order autoregression from second to second, values of that rank from the shape.
    """
    generator = np.random.default_rng(seed)
    keep, share = np.array(memory), np.array(run_share)[:, np.newaxis]
    common = generator.normal(size=(count, len(keep), 1))
    fresh = generator.normal(size=(count, len(keep), seconds))
    rest = np.empty_like(fresh)
    state = fresh[..., 0]
    for second in range(seconds):
        state = keep * state + np.sqrt(1.0 - keep**2) * fresh[..., second]
        rest[..., second] = state
    ranks = ndtr(np.sqrt(share) * common + np.sqrt(1.0 - share) * rest)
    quantiles = np.frombuffer(shape).reshape(len(REGIMES), len(keep), len(LEVELS))
    found = np.stack([np.stack([np.interp(ranks[:, index], LEVELS, row) for index, row in enumerate(regime)], axis=1) for regime in quantiles])
    found.flags.writeable = False
    return found


def spread_of(problem: Problem, cold: Problem, found: Fit, rest: np.ndarray, capacity: Capacity, seed: int = 0) -> Spread:
    """Return what a fit leaves open, from its own runs.

    Args:
        problem: what was fitted.
        cold: the same runs from the idle state, as they are foretold.
        found: the fit.
        rest: in which state each run found the machine, as ``fit.rest_of`` gives it: at rest it is as one of them found it.
        capacity: of the machine.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    sets = np.vstack([found.parameters, _resampled(problem, found, generator)])
    for name, values in zip(REST, rest.T, strict=True):
        if np.isfinite(values).any():
            sets[:, NAMES.index(name)] = generator.choice(values[np.isfinite(values)], len(sets))
    resting = at_rest(found.parameters, rest)[np.newaxis]
    columns = simulate(resting, cold.levels, capacity)
    errors, centre = cold.errors(resting)[0], held(on_scale(columns)[:, 0], cold.lengths)
    change, regime = _change(centre), regimes(columns)
    noise = [_noise_of(errors[:, index], change[:, index], regime) for index in range(len(COLUMNS))]
    still, moving, shape, run_share, memory = (np.array([part[k] for part in noise]) for k in range(5))
    return Spread(sets, np.maximum(still.T, 1e-9), moving, shape.swapaxes(0, 1).copy(), run_share, memory)


def regimes(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Return which regime each second belongs to, (plans, seconds), from simulated columns; the first member decides."""
    found: np.ndarray = np.where(columns["cpu_percent"][:, 0] > _FULL_PERCENT, 2, (columns["load_share"][:, 0] > _LOADED).astype(int))
    return found


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


def _noise_of(errors: np.ndarray, change: np.ndarray, regime: np.ndarray) -> tuple[np.ndarray, float, np.ndarray, float, float]:
    """Return of one column's errors, (runs, seconds), what ``Spread`` says of it: still, moving, shape, run_share and memory."""
    known = ~np.isnan(errors)
    if not known.any():
        return np.full(len(REGIMES), 1e-9), 0.0, np.stack([_NORMAL] * len(REGIMES)), 0.0, _MEMORY
    squares = np.minimum(errors**2, np.quantile(errors[known] ** 2, 0.995))
    is_still = known & (change <= np.quantile(change[known], 0.5))
    seconds = [known & (regime == number) for number in range(len(REGIMES))]
    still = np.array([_root_mean(squares, [is_still & some, some, is_still]) for some in seconds])
    base = still[regime]
    moves = known & ~is_still
    excess, fast = (squares - base**2)[moves], change[moves] ** 2
    moving = float(np.sqrt(max(0.0, (excess * fast).sum() / max((fast**2).sum(), 1e-30)))) if fast.sum() > 0 else 0.0
    unit = np.where(known, errors / np.maximum(np.sqrt(base**2 + (moving * change) ** 2), 1e-12), np.nan)
    # Errors are what was foretold less what came; noise is what comes beyond what was foretold.
    shape = np.stack([np.quantile(-unit[some], LEVELS) if some.sum() >= _SHAPED_FROM else _NORMAL for some in seconds])
    # Normal scores: what a run has in common is a matter of ranks, which one far second does not outweigh.
    ranked = np.full(unit.shape, np.nan)
    for some in seconds:
        ranked[some] = ndtri((unit[some].argsort().argsort() + 0.5) / max(some.sum(), 1))
    means = np.nanmean(ranked, axis=1)
    total = float(np.nanmean(ranked**2))
    share = float(np.clip(np.nanvar(means) / max(total, 1e-12), 0.0, 0.9))
    rest = ranked - means[:, np.newaxis]
    pairs = rest[:, 1:] * rest[:, :-1]
    memory = float(np.clip(np.nanmean(pairs) / max(float(np.nanmean(rest**2)), 1e-12), 0.0, 0.95)) if not np.isnan(pairs).all() else _MEMORY
    return still, moving, shape, share, memory


def _root_mean(squares: np.ndarray, choices: list[np.ndarray]) -> float:
    """Return the root of the mean over the first choice of seconds that has enough of them; over the last otherwise."""
    chosen = next((choice for choice in choices if choice.sum() >= _SHAPED_FROM), choices[-1])
    return float(np.sqrt(squares[chosen].mean())) if chosen.any() else 1e-9


@dataclass(frozen=True)
class Calibration:
    """How much further bands reach than the spread says, from runs that the fit has not seen.

    Attributes:
        pointwise, simultaneous: (columns,) multipliers; NaN where too few runs were there to tell.
        runs: how many there were.
    """

    pointwise: np.ndarray
    simultaneous: np.ndarray
    runs: int


def ratios_of(measured: np.ndarray, centre: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Return how far what was measured lies from the centre, as a share of the band's reach on that side; NaN where nothing was measured."""
    beyond = measured - centre
    found: np.ndarray = np.where(beyond < 0, -beyond / reach[0], beyond / reach[1])
    return found


def calibrate(ratios: np.ndarray) -> Calibration:
    """Return multipliers from runs that were kept apart, given their (runs, columns, seconds) ``ratios_of``."""
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

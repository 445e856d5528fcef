"""Prediction uncertainty: parameters, variation between runs, and residuals within a run.

The ensemble: parameters from a bootstrap over plans (a few reweighted Gauss-Newton steps from the
optimum), and the residuals of whole runs of the fit. The residual standard deviation differs at
rest, under load and where all CPUs are busy, and grows with how fast the prediction changes: an
error of timing is an error of level only where the level moves. ``calibration`` scales the bands by
runs that the fit has not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.free_run import REGIMES, hold_last, noise_regimes
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import HIGH, LOW, NAMES, from_fit_scale, to_fit_scale
from twin_harness.predict.rest_state import REST, with_median_rest
from twin_harness.predict.scale import least_noise, on_error_scale
from twin_harness.predict.spread import Spread, second_changes

if TYPE_CHECKING:
    from twin_harness.predict.fit import Fit
    from twin_harness.predict.problem import Problem

PARAMETER_SETS = 25
_SHAPED_FROM = 100  # seconds
_DECIMALS = 4  # of residuals in deviations
_MOST_SECONDS = 6_000  # of residuals that a model keeps
_NEWTON_STEPS = 5
_DAMPING = 1e-9


def estimate_spread(
    problem: Problem,
    cold: Problem,
    fit: Fit,
    states: np.ndarray,
    seed: int = 0,
) -> Spread:
    """Return what a fit leaves open, from its own runs.

    Args:
        problem: what was fitted.
        cold: the same runs from the idle state, as they are predicted.
        fit: the fit.
        states: the state in which each run found the machine, as ``rest_states`` returns them: a
            cold start of the ensemble begins as one of them.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    sets = np.vstack([fit.parameters, _resampled(problem, fit, generator)])
    for name, values in zip(REST, states.T, strict=True):
        known = values[np.isfinite(values)]
        if known.size:
            index = NAMES.index(name)
            sets[:, index] = np.clip(generator.choice(known, len(sets)), LOW[index], HIGH[index])
    rested = with_median_rest(fit.parameters, states)[np.newaxis]
    columns = cold.simulate(rested)
    errors = cold.errors(rested)[0]
    centre = hold_last(on_error_scale(columns)[:, 0], cold.lengths)
    change, regime = second_changes(centre), noise_regimes(columns)
    parts = [
        _noise_of(errors[:, index], change[:, index], regime, least_noise(name))
        for index, name in enumerate(COLUMNS)
    ]
    still, moving, units = (np.array([part[k] for part in parts]) for k in range(3))
    is_run = np.arange(regime.shape[1]) < cold.lengths[:, np.newaxis]
    # A file is to stay small: runs of all parts of a long campaign are kept, evenly.
    count = max(1, min(len(regime), _MOST_SECONDS // regime.shape[1]))
    kept = np.unique(np.linspace(0, len(regime) - 1, count).astype(int))
    return Spread(
        parameter_sets=sets,
        still=still.T,
        moving=moving,
        errors=np.round(-units.swapaxes(0, 1)[kept], _DECIMALS),
        regimes=np.where(is_run, regime, -1)[kept],
    )


def _resampled(problem: Problem, fit: Fit, generator: np.random.Generator) -> np.ndarray:
    """Return parameter sets, each the optimum of plans drawn with replacement.

    Iteratively reweighted steps on the model linearised at the optimum.
    """
    point = to_fit_scale(fit.parameters)
    low, high = to_fit_scale(LOW), to_fit_scale(HIGH)
    ranges = high - low
    slopes = problem.jacobian(point) * ranges
    residuals = problem.residuals(fit.parameters[np.newaxis])[0]
    stiffness = (ranges / problem.prior.widths) ** 2
    sets = []
    for _ in range(PARAMETER_SETS - 1):
        pull = problem.prior.drawn(generator).residuals(point) * ranges / problem.prior.widths
        counts = np.bincount(
            generator.integers(0, problem.plans, problem.plans), minlength=problem.plans
        )[problem.plan_of]
        moved = np.zeros(len(NAMES))
        for _ in range(_NEWTON_STEPS):
            remaining = residuals + slopes @ moved
            weighted = slopes * (counts / np.sqrt(1.0 + remaining**2))[:, np.newaxis]
            curvature = weighted.T @ slopes + np.diag(stiffness)
            curvature += _DAMPING * max(float(np.trace(curvature)), 1.0) * np.eye(len(curvature))
            gradient = weighted.T @ remaining + stiffness * moved + pull
            step = -np.linalg.solve(curvature, gradient)
            moved = np.clip(point + ranges * (moved + step), low, high)
            moved = (moved - point) / ranges
        sets.append(from_fit_scale(point + ranges * moved))
    return np.array(sets)


def _noise_of(
    errors: np.ndarray, change: np.ndarray, regime: np.ndarray, least: float = 1e-9
) -> tuple[np.ndarray, float, np.ndarray]:
    """Return one column's ``still`` by regime, its ``moving``, and its errors in deviations.

    Args:
        errors: (runs, seconds) on the error scale, NaN where nothing was measured.
        change: (runs, seconds) of the prediction, as ``second_changes`` returns it.
        regime: (runs, seconds) the noise regime of each second.
        least: the smallest standard deviation that is claimed.
    """
    known = ~np.isnan(errors)
    if not known.any():
        return np.full(len(REGIMES), least), 0.0, errors
    squares = np.minimum(errors**2, np.quantile(errors[known] ** 2, 0.995))
    is_still = known & (change <= np.quantile(change[known], 0.5))
    seconds = [known & (regime == number) for number in range(len(REGIMES))]
    still = np.maximum(
        least, [_root_mean(squares, [is_still & some, some, is_still]) for some in seconds]
    )
    base = still[regime]
    moves = known & ~is_still
    excess, fast = (squares - base**2)[moves], change[moves] ** 2
    if fast.sum() > 0:
        moving = float(np.sqrt(max(0.0, (excess * fast).sum() / max((fast**2).sum(), 1e-30))))
    else:
        moving = 0.0
    return still, moving, errors / np.sqrt(base**2 + (moving * change) ** 2)


def _root_mean(squares: np.ndarray, choices: list[np.ndarray]) -> float:
    """Return the root of the mean over the first choice of seconds that has enough of them.

    Over the last otherwise.
    """
    chosen = next((choice for choice in choices if choice.sum() >= _SHAPED_FROM), choices[-1])
    if chosen.any():
        return float(np.sqrt(squares[chosen].mean()))
    return 1e-9

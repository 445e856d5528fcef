"""Fit the model parameters to recorded runs by minimising the free-run error.

Also reports which parameters are not identifiable from these runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.identifiability import (
    at_bound,
    parameter_ranges,
    relative_errors,
    unidentified,
)
from twin_harness.predict.observation import COLUMNS, padded
from twin_harness.predict.parameters import (
    HIGH,
    LOW,
    NAMES,
    PARAMETERS,
    from_fit_scale,
    to_fit_scale,
)
from twin_harness.predict.prior import Prior
from twin_harness.predict.problem import Problem
from twin_harness.predict.rest_state import REST, rest_states
from twin_harness.predict.scale import LEAST_SCALES, to_error_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin_harness.predict.demand import Capacity
    from twin_harness.predict.observation import Observation

_MAD_TO_DEVIATION = 1.4826  # of a normal distribution
_JITTER = 0.3
_SEED = 20_240


@dataclass(frozen=True)
class Fit:
    """Fitted parameters, and how well the runs identify them.

    Attributes:
        parameters: (parameters,) in the order of ``NAMES``.
        errors: (parameters,) their standard errors on the fitting scale (relative for those fitted
            by logarithm), NaN where the runs do not identify one; of the initial state the
            deviation between runs.
        scales: (columns,) what an error of one is, on the error scale.
        unidentified: parameters that are not identifiable from these runs.
        at_bound: parameters that ended at a bound.
        cost: the minimised sum.
        runs: how many runs it is of.
    """

    parameters: np.ndarray
    errors: np.ndarray
    scales: np.ndarray
    unidentified: tuple[str, ...]
    at_bound: tuple[str, ...]
    cost: float
    runs: int

    def describe(self, name: str) -> str:
        """Return a parameter with its unit and standard error, for people."""
        index = NAMES.index(name)
        value, error, parameter = self.parameters[index], self.errors[index], PARAMETERS[index]
        if np.isnan(error):
            spread = "unknown"
        elif parameter.is_log:
            spread = f"{100 * error:.2g} %"
        else:
            spread = f"{error:.2g}"
        return f"{value:.4g} {parameter.unit} ± {spread}"


@dataclass(frozen=True)
class _Optimum:
    """Where one descent ended.

    Attributes:
        point: (parameters,) on the fitting scale.
        cost: the sum there.
    """

    point: np.ndarray
    cost: float


def fit(
    observations: Sequence[Observation],
    capacity: Capacity,
    starts: int = 3,
    progress: Callable[[str], None] = lambda _: None,
    prior: Prior | None = None,
) -> Fit:
    """Fit the parameters to runs from several starting points; the best optimum counts.

    Scales are found on the way: first a tenth of each column's spread, then the spread of the
    residuals of the first fit.

    Args:
        observations: the runs; each weighs the same.
        capacity: of their machine.
        starts: how many starting points.
        progress: called with a sentence before each further start.
        prior: what is believed of the parameters; next to nothing unless given.
    """
    values = padded(observations)
    least = np.array([LEAST_SCALES[name] for name in COLUMNS])
    spreads = [_spread(to_error_scale(name, values[:, i])) for i, name in enumerate(COLUMNS)]
    scales = np.maximum(least, 0.1 * np.array(spreads))
    first_problem = Problem(observations, capacity, scales, is_told=True, prior=prior)
    first = _descend(first_problem, _first_guess(observations, prior))
    errors = first_problem.errors(from_fit_scale(first.point)[np.newaxis])[0]
    robust = [_robust_spread(errors[:, index]) for index in range(len(COLUMNS))]
    scales = np.maximum(least, np.array(robust))
    problem = Problem(observations, capacity, scales, is_told=True, prior=prior)
    generator = np.random.default_rng(_SEED)
    best = _descend(problem, first.point)
    for number in range(1, starts):
        progress(f"fit: start {number + 1} of {starts}, cost {best.cost:.0f}")
        jitter = generator.normal(0.0, _JITTER, len(PARAMETERS)) * np.where(
            [parameter.is_log for parameter in PARAMETERS], 1.0, np.abs(best.point) + 0.1
        )
        begin = np.clip(best.point + jitter, to_fit_scale(LOW), to_fit_scale(HIGH))
        best = min(best, _descend(problem, begin), key=lambda optimum: optimum.cost)
    return _fit_at(problem, best, scales, rest_states(observations))


def _descend(problem: Problem, begin: np.ndarray) -> _Optimum:
    """Minimise the error from one starting point.

    A weak prior holds what the runs do not identify at its usual value; the runs outweigh it.
    """
    from scipy.optimize import least_squares  # here: who predicts needs no scipy, which is slow

    low, high = to_fit_scale(LOW), to_fit_scale(HIGH)
    margin = 1e-6 * (high - low)

    def residuals(point: np.ndarray) -> np.ndarray:
        measured = problem.residuals(from_fit_scale(point)[np.newaxis])[0]
        return np.concatenate([measured, problem.prior.residuals(point)])

    def slopes(point: np.ndarray) -> np.ndarray:
        return np.vstack([problem.jacobian(point), np.diag(1.0 / problem.prior.widths)])

    result = least_squares(
        residuals,
        np.clip(begin, low + margin, high - margin),
        jac=slopes,
        bounds=(low, high),
        loss="soft_l1",
        x_scale="jac",
        max_nfev=60,
        ftol=1e-5,
        xtol=1e-6,
    )
    return _Optimum(np.asarray(result.x), float(result.cost))


def _first_guess(observations: Sequence[Observation], prior: Prior | None) -> np.ndarray:
    """Return where the fit begins: the prior's centre, and the state at rest from the leads."""
    guess = from_fit_scale((prior or Prior.weak()).centre)
    states = rest_states(observations)
    for name, values in zip(REST, states.T, strict=True):
        if not np.isnan(values).all():
            guess[NAMES.index(name)] = np.nanquantile(values, 0.1)
    guess[NAMES.index("load_idle")] = guess[NAMES.index("load_start")]
    return to_fit_scale(np.clip(guess, LOW, HIGH))


def _spread(values: np.ndarray) -> float:
    if not np.isnan(values).all():
        return float(np.nanstd(values))
    return 0.0


def _robust_spread(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    if known.size:
        return _MAD_TO_DEVIATION * float(np.median(np.abs(known - np.median(known))))
    return 0.0


def _fit_at(problem: Problem, optimum: _Optimum, scales: np.ndarray, states: np.ndarray) -> Fit:
    """Return the fit at an optimum, with the standard error of each parameter."""
    parameters = from_fit_scale(optimum.point)
    errors = relative_errors(problem, optimum.point, states)
    unknown = unidentified(errors)
    return Fit(
        parameters=parameters,
        errors=errors * parameter_ranges(),
        scales=scales,
        unidentified=unknown,
        at_bound=tuple(name for name in at_bound(parameters) if name not in unknown),
        cost=optimum.cost,
        runs=len(problem.levels),
    )

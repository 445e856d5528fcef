"""Parameters from recorded runs.

The least error of the free run, and what the data does not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import OptimizeResult, least_squares

from twin_harness.predict.demand import stacked
from twin_harness.predict.observation import COLUMNS, padded, start_of
from twin_harness.predict.parameters import HIGH, LOW, NAMES, PARAMETERS, START, inward, outward
from twin_harness.predict.simulate import Start, simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin_harness.predict.demand import Capacity
    from twin_harness.predict.observation import Observation

REST = {
    "memory_idle": "memory_percent",
    "load_start": "load1",
}  # what a run begins with, and so tells nothing of in the fit
LOG_COLUMNS = ("probe_wakeup_ms", "probe_cpu_ms")
# Below these a column's error is rounding and ticks: no fit is to chase it.
_LEAST_SCALES = {
    "cpu_percent": 1.0,
    "memory_percent": 0.1,
    "load1": 0.03,
    "disk_write_bytes_per_s": 2e5,
    "disk_read_bytes_per_s": 2e5,
    "pressure_cpu_percent": 0.5,
    "pressure_io_percent": 0.3,
    "probe_wakeup_ms": 0.1,
    "probe_cpu_ms": 0.05,
}
_STEP = 1e-4
_WIDE = 0.5  # a standard error of half of what a parameter may be tells nothing of it
_AT_BOUND = 1e-3
_USUAL_REACH = 2.3  # a scale is within a factor of ten of the usual one, as a rule
_FELT = 1e-3  # a parameter whose whole range changes no residual by a thousandth is not felt
_SEED = 20_240


def scored(name: str, values: np.ndarray) -> np.ndarray:
    """Return a column on the scale that errors are taken on: latencies by their logarithm."""
    if name in LOG_COLUMNS:
        return np.log(np.maximum(values, 1e-4))
    return values


def least_noise(column: str) -> float:
    """Return the least deviation of a column's error that is claimed.

    A tenth of what no fit is to chase.
    """
    return 0.1 * _LEAST_SCALES[column]


def prior_reach() -> np.ndarray:
    """Return how far from its usual value each parameter is held, weakly, on the scale of the fit."""
    found: np.ndarray = np.where(
        [parameter.is_log for parameter in PARAMETERS], _USUAL_REACH, inward(HIGH) - inward(LOW)
    )
    return found


def prior(point: np.ndarray) -> np.ndarray:
    """Return one weak residual a parameter, given a point on the scale of the fit."""
    found: np.ndarray = (point - inward(START)) / prior_reach()
    return found


def rest_of(observations: Sequence[Observation]) -> np.ndarray:
    """Return in which state each run found the machine, (runs, the parameters of ``REST``)."""
    return np.array(
        [[one.before[COLUMNS.index(column)] for column in REST.values()] for one in observations]
    )


def at_rest(parameters: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return parameters with the machine at rest as the runs found it in the middle.

    A cold start begins there.
    """
    found = parameters.copy()
    for name, values in zip(REST, rest.T, strict=True):
        if np.isfinite(values).any():
            index = NAMES.index(name)
            found[index] = np.clip(np.nanmedian(values), LOW[index], HIGH[index])
    return found


@dataclass(frozen=True)
class Fit:
    """Parameters, and how well they are known.

    Attributes:
        parameters: (parameters,) in the order of ``NAMES``.
        errors: (parameters,) their standard errors on the scale of the fit (relative for scales),
            NaN where the data tells nothing; of what a run begins with the deviation between runs.
        scales: (columns,) what an error of one is, on the scale of ``scored``.
        unidentified: parameters that the data does not tell. at_bound: those that ended at a bound.
        cost: the sum that was made least. runs: how many runs it is of.
    """

    parameters: np.ndarray
    errors: np.ndarray
    scales: np.ndarray
    unidentified: tuple[str, ...]
    at_bound: tuple[str, ...]
    cost: float
    runs: int

    def known(self, name: str) -> str:
        """Return a parameter with its error, for people."""
        index = NAMES.index(name)
        value, error, parameter = self.parameters[index], self.errors[index], PARAMETERS[index]
        if np.isnan(error):
            spread = "unknown"
        elif parameter.is_log:
            spread = f"{100 * error:.2g} %"
        else:
            spread = f"{error:.2g}"
        return f"{value:.4g} {parameter.unit} ± {spread}"


class Problem:
    """The error of the free run over some runs, as a function of the parameters.

    Args:
        observations: the runs.
        capacity: of their machine.
        scales: (columns,) what an error of one is.
        is_cold: runs begin in the idle state of the parameters, not as the machine was found.
    """

    def __init__(
        self,
        observations: Sequence[Observation],
        capacity: Capacity,
        scales: np.ndarray,
        *,
        is_cold: bool = False,
    ) -> None:
        self.levels = stacked([observation.demand for observation in observations])
        self._capacity = capacity
        if is_cold:
            self._start = Start.idle(len(observations))
        else:
            self._start = start_of(observations)
        self.lengths = np.array([observation.demand.seconds for observation in observations])
        plans = list(dict.fromkeys(observation.plan for observation in observations))
        self.plans = len(plans)
        self._plan_of_run = np.array(
            [plans.index(observation.plan) for observation in observations]
        )
        values = padded(observations)
        self.measured = np.stack(
            [scored(name, values[:, index]) for index, name in enumerate(COLUMNS)], axis=1
        )
        self.is_known = ~np.isnan(self.measured)
        counts = self.is_known.sum(axis=(1, 2), keepdims=True)
        self.plan_of = np.broadcast_to(
            self._plan_of_run[:, np.newaxis, np.newaxis], self.is_known.shape
        )[self.is_known]
        # Runs weigh equally, however long they are.
        self._weights = (
            np.sqrt(counts.mean() / np.maximum(counts, 1)) / scales[np.newaxis, :, np.newaxis]
        )

    def predicted(self, parameters: np.ndarray) -> np.ndarray:
        """Return the free run, (members, runs, columns, seconds), on the scale of ``scored``."""
        columns = simulate(parameters, self.levels, self._capacity, self._start)
        return np.stack(
            [np.moveaxis(scored(name, columns[name]), 1, 0) for name in COLUMNS], axis=2
        )

    def errors(self, parameters: np.ndarray) -> np.ndarray:
        """Return errors of the free run, (members, runs, columns, seconds), on the scale of ``scored``; NaN where nothing was measured."""
        errors: np.ndarray = self.predicted(parameters) - self.measured
        return errors

    def residuals(self, parameters: np.ndarray) -> np.ndarray:
        """Return weighted errors of (members, parameters) as (members, measured values)."""
        weighted: np.ndarray = (self.errors(parameters) * self._weights)[:, self.is_known]
        return weighted

    def jacobian(self, point: np.ndarray) -> np.ndarray:
        """Return the residuals' derivatives by the parameters on the scale of the fit, (measured values, parameters); by differences."""
        steps = _STEP * np.maximum(1.0, np.abs(point))
        moved = point + np.diag(np.where(point + steps > inward(HIGH), -steps, steps))
        found = self.residuals(outward(np.vstack([point, moved])))
        taken = np.diagonal(inward(outward(moved))) - point
        slopes: np.ndarray = (
            (found[1:] - found[0]) / np.where(taken == 0, 1.0, taken)[:, np.newaxis]
        ).T
        return slopes


def fit(
    observations: Sequence[Observation],
    capacity: Capacity,
    starts: int = 3,
    say: Callable[[str], None] = lambda _: None,
) -> Fit:
    """Fit the parameters to runs, from several starting points; the best end counts.

    Scales are found on the way: first a tenth of each column's spread, then the spread of what the
    first fit leaves.

    Args:
        observations: the runs; each weighs the same.
        capacity: of their machine.
        starts: how many starting points.
        say: told how far it is.
    """
    values = padded(observations)
    least = np.array([_LEAST_SCALES[name] for name in COLUMNS])
    spreads = np.array(
        [_spread(scored(name, values[:, index])) for index, name in enumerate(COLUMNS)]
    )
    scales = np.maximum(least, 0.1 * spreads)
    first = _descend(Problem(observations, capacity, scales), _first_guess(observations))
    left = Problem(observations, capacity, scales).errors(outward(first.x)[np.newaxis])[0]
    scales = np.maximum(
        least, np.array([_robust_spread(left[:, index]) for index in range(len(COLUMNS))])
    )
    problem = Problem(observations, capacity, scales)
    generator = np.random.default_rng(_SEED)
    best = _descend(problem, first.x)
    for number in range(1, starts):
        say(f"fit: start {number + 1} of {starts}, cost {best.cost:.0f}")
        jitter = generator.normal(0.0, 0.3, len(PARAMETERS)) * np.where(
            [parameter.is_log for parameter in PARAMETERS], 1.0, np.abs(best.x) + 0.1
        )
        other = _descend(problem, np.clip(best.x + jitter, inward(LOW), inward(HIGH)))
        best = min(best, other, key=lambda end: float(end.cost))
    return _told(problem, best, scales, rest_of(observations))


def _descend(problem: Problem, begin: np.ndarray) -> OptimizeResult:
    """Make the error least.

    One weak residual a parameter holds what the data does not tell at its usual value; what it
    tells outweighs that.
    """
    low, high = inward(LOW), inward(HIGH)
    margin = 1e-6 * (high - low)
    result: OptimizeResult = least_squares(
        lambda point: np.concatenate(
            [problem.residuals(outward(point)[np.newaxis])[0], prior(point)]
        ),
        np.clip(begin, low + margin, high - margin),
        jac=lambda point: np.vstack([problem.jacobian(point), np.diag(1.0 / prior_reach())]),
        bounds=(low, high),
        loss="soft_l1",
        x_scale="jac",
        max_nfev=60,
        ftol=1e-5,
        xtol=1e-6,
    )
    return result


def _first_guess(observations: Sequence[Observation]) -> np.ndarray:
    """Return where the fit begins.

    The table's values, and the machine at rest as the leads show it.
    """
    guess = START.copy()
    for name, column in (*REST.items(), ("load_idle", "load1")):
        index = COLUMNS.index(column)
        found = np.array([observation.before[index] for observation in observations])
        if not np.isnan(found).all():
            guess[NAMES.index(name)] = np.nanquantile(found, 0.1)
    return inward(np.clip(guess, LOW, HIGH))


def _spread(values: np.ndarray) -> float:
    if not np.isnan(values).all():
        return float(np.nanstd(values))
    return 0.0


def _robust_spread(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    if known.size:
        return float(1.4826 * np.median(np.abs(known - np.median(known))))
    return 0.0


def _told(problem: Problem, end: OptimizeResult, scales: np.ndarray, rest: np.ndarray) -> Fit:
    """Return the fit with what is known of each parameter.

    A sandwich with plans as clusters, for neither seconds nor replicates are independent.

    Args:
        problem: what was fitted.
        end: where the fit ended.
        scales: (columns,) what an error of one is.
        rest: as ``rest_of`` gives it.
    """
    low, high = inward(LOW), inward(HIGH)
    ranges = np.where([parameter.is_log for parameter in PARAMETERS], 1.0, high - low)
    slopes = (
        problem.jacobian(end.x) * ranges
    )  # per share of what a parameter may be: units of parameters do not matter below
    residuals = problem.residuals(outward(end.x)[np.newaxis])[0]
    # soft_l1 is sqrt(1 + r²) − 1: its slope is r / sqrt(1 + r²), its curvature (1 + r²)^(−3/2).
    pull = slopes * (residuals / np.sqrt(1.0 + residuals**2))[:, np.newaxis]
    scores = np.zeros((problem.plans, len(NAMES)))
    np.add.at(scores, problem.plan_of, pull)
    bend = slopes.T @ (slopes / ((1.0 + residuals**2) ** 1.5)[:, np.newaxis])
    sizes = np.sqrt(np.maximum(np.diag(bend), 0.0))
    kept = np.flatnonzero(sizes > _FELT)
    inverse = np.linalg.pinv(bend[np.ix_(kept, kept)], rcond=1e-12, hermitian=True)
    errors = np.full(len(NAMES), np.nan)
    spread = np.diag(inverse @ (scores[:, kept].T @ scores[:, kept]) @ inverse)
    errors[kept] = np.where(spread > 0, np.sqrt(np.maximum(spread, 0.0)), np.nan)
    for name, values in zip(REST, rest.T, strict=True):
        if np.isfinite(values).sum() > 1:
            errors[NAMES.index(name)] = np.nanstd(values) / ranges[NAMES.index(name)]
    unknown = tuple(
        name for name, error in zip(NAMES, errors, strict=True) if np.isnan(error) or error > _WIDE
    )
    parameters = outward(end.x)
    near = _AT_BOUND * np.abs(START - LOW), _AT_BOUND * np.abs(HIGH)
    is_at_bound = (parameters - LOW <= near[0]) | (HIGH - parameters <= near[1])
    at_bound = tuple(
        name
        for name, is_there in zip(NAMES, is_at_bound, strict=True)
        if is_there and name not in unknown
    )
    return Fit(
        parameters, errors * ranges, scales, unknown, at_bound, float(end.cost), len(problem.levels)
    )

"""Standard errors of fitted parameters, and which of them the runs do not identify."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.parameters import (
    HIGH,
    LOW,
    NAMES,
    PARAMETERS,
    START,
    from_fit_scale,
    to_fit_scale,
)
from twin_harness.predict.rest_state import REST

if TYPE_CHECKING:
    from twin_harness.predict.problem import Problem

_WIDE = 0.5  # of a parameter's range: a standard error above it identifies nothing
_AT_BOUND = 1e-3
_FELT = 1e-3  # a parameter whose whole range changes no residual by a thousandth has no effect


def parameter_ranges() -> np.ndarray:
    """Return the range of each parameter on the fitting scale; 1 for those fitted by logarithm."""
    ranges: np.ndarray = np.where(
        [parameter.is_log for parameter in PARAMETERS], 1.0, to_fit_scale(HIGH) - to_fit_scale(LOW)
    )
    return ranges


def relative_errors(problem: Problem, point: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return standard errors as shares of the parameters' ranges, NaN where one has no effect.

    A sandwich estimator with plans as clusters, for neither seconds nor replicates are independent
    (White, 1980; Liang & Zeger, 1986). The initial state's error is the deviation between runs.

    Args:
        problem: what was fitted.
        point: (parameters,) the optimum, on the fitting scale.
        states: as ``rest_states`` returns them.
    """
    ranges = parameter_ranges()
    # Per share of a range, so that units of parameters do not matter below.
    slopes = problem.jacobian(point) * ranges
    residuals = problem.residuals(from_fit_scale(point)[np.newaxis])[0]
    # soft_l1 is sqrt(1 + r²) − 1: its slope is r / sqrt(1 + r²), its curvature (1 + r²)^(−3/2).
    pulls = slopes * (residuals / np.sqrt(1.0 + residuals**2))[:, np.newaxis]
    scores = np.zeros((problem.plans, len(NAMES)))
    np.add.at(scores, problem.plan_of, pulls)
    curvature = slopes.T @ (slopes / ((1.0 + residuals**2) ** 1.5)[:, np.newaxis])
    sizes = np.sqrt(np.maximum(np.diag(curvature), 0.0))
    kept = np.flatnonzero(sizes > _FELT)
    inverse = np.linalg.pinv(curvature[np.ix_(kept, kept)], rcond=1e-12, hermitian=True)
    errors = np.full(len(NAMES), np.nan)
    variances = np.diag(inverse @ (scores[:, kept].T @ scores[:, kept]) @ inverse)
    errors[kept] = np.where(variances > 0, np.sqrt(np.maximum(variances, 0.0)), np.nan)
    for name, values in zip(REST, states.T, strict=True):
        if np.isfinite(values).sum() > 1:
            errors[NAMES.index(name)] = np.nanstd(values) / ranges[NAMES.index(name)]
    return errors


def unidentified(errors: np.ndarray) -> tuple[str, ...]:
    """Return the parameters that the runs do not identify, given their ``relative_errors``."""
    return tuple(
        name for name, error in zip(NAMES, errors, strict=True) if np.isnan(error) or error > _WIDE
    )


def at_bound(parameters: np.ndarray) -> tuple[str, ...]:
    """Return the parameters that ended at a bound, given all in units."""
    is_low = parameters - LOW <= _AT_BOUND * np.abs(START - LOW)
    is_high = HIGH - parameters <= _AT_BOUND * np.abs(HIGH)
    return tuple(name for name, is_there in zip(NAMES, is_low | is_high, strict=True) if is_there)

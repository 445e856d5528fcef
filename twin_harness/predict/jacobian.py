"""Derivatives of a simulation by the parameters, by finite differences on the fitting scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.parameters import HIGH, from_fit_scale, to_fit_scale

if TYPE_CHECKING:
    from collections.abc import Callable

_STEP = 1e-4


def jacobian(simulate: Callable[[np.ndarray], np.ndarray], point: np.ndarray) -> np.ndarray:
    """Return the derivatives of a simulation's values by each parameter, (parameters, …).

    All parameters are varied in one batch. Steps go inward at the upper bound; a parameter that a
    bound holds in place has derivative 0.

    Args:
        simulate: takes parameter sets, (members, parameters), and returns values, (members, …).
        point: (parameters,) on the fitting scale.
    """
    steps = _STEP * np.maximum(1.0, np.abs(point))
    moved = point + np.diag(np.where(point + steps > to_fit_scale(HIGH), -steps, steps))
    values = simulate(from_fit_scale(np.vstack([point, moved])))
    taken = np.diagonal(to_fit_scale(from_fit_scale(moved))) - point
    divisors = np.where(taken == 0, 1.0, taken).reshape(-1, *([1] * (values.ndim - 1)))
    derivatives: np.ndarray = (values[1:] - values[:1]) / divisors
    return derivatives

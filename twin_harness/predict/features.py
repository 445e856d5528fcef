"""What the simple predictors see of a plan.

Its levels and those of the seconds before, and a column's own past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.demand import CHANNELS, stacked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.demand import Demand

INPUTS = [
    index
    for index, name in enumerate(CHANNELS)
    if name not in ("host_starts", "host_ends", "filled_bytes", "memory_end_bytes")
]
_LAGS = 4
_RIDGE = 1e-3
_GRID_S = 60


def outlines(demands: Sequence[Demand]) -> np.ndarray:
    """Return the plans' inputs on a grid of the same length, (plans, inputs, seconds)."""
    levels = stacked(demands)[:, INPUTS]
    grid = np.zeros((*levels.shape[:2], _GRID_S))
    grid[:, :, : min(_GRID_S, levels.shape[2])] = levels[:, :, :_GRID_S]
    return grid


def lagged(levels: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return a one and the inputs of this second and the ones before, (plans, seconds, features)."""
    inputs = levels[:, INPUTS] / scales[:, np.newaxis]
    features = [np.ones((len(levels), levels.shape[2]))]
    for lag in range(_LAGS):
        moved = np.zeros_like(inputs)
        moved[:, :, lag:] = inputs[:, :, : inputs.shape[2] - lag]
        features += list(np.moveaxis(moved, 1, 0))
    return np.stack(features, axis=2)


def own_past(values: np.ndarray, before: np.ndarray, order: int) -> np.ndarray:
    """Return a column's own values of the seconds before, (runs, seconds, order).

    Those before the run are the last one known.
    """
    padded_values = np.concatenate(
        [np.repeat(before[:, np.newaxis], order, axis=1), values], axis=1
    )
    seconds = values.shape[1]
    return np.stack(
        [padded_values[:, order - lag : order - lag + seconds] for lag in range(1, order + 1)],
        axis=2,
    )


def regress(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the weights of a ridge regression, (columns, features)."""
    flat = features.reshape(-1, features.shape[2])
    weights = np.zeros((values.shape[1], flat.shape[1]))
    for column in range(values.shape[1]):
        target = values[:, column].reshape(-1)
        is_known = ~np.isnan(target) & ~np.isnan(flat).any(axis=1)
        if is_known.any():
            used = flat[is_known]
            weights[column] = np.linalg.solve(
                used.T @ used + _RIDGE * len(used) * np.eye(used.shape[1]),
                used.T @ target[is_known],
            )
    return weights

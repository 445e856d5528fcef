"""The features of the baselines: a plan's levels and their lags, and a column's own past."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.demand import CHANNELS, stacked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.demand import Demand
    from twin_harness.predict.observation import Observation

INPUTS = [
    index
    for index, name in enumerate(CHANNELS)
    if name not in ("host_starts", "host_ends", "filled_bytes", "memory_end_bytes")
]
_LAGS = 4
_RIDGE = 1e-3
_GRID_S = 60


def longest_s(demands: Sequence[Demand]) -> int:
    """Return the seconds of the longest plan."""
    return max(demand.seconds for demand in demands)


def usual_before(observations: Sequence[Observation]) -> np.ndarray:
    """Return the usual values before a run, (columns,); 0 for what was never measured."""
    before = np.stack([observation.before for observation in observations])
    usual = np.zeros(before.shape[1])
    for index, column in enumerate(before.T):
        known = column[~np.isnan(column)]
        if known.size:
            usual[index] = np.median(known)
    return usual


def input_scales(levels: np.ndarray) -> np.ndarray:
    """Return the largest level of each input, (inputs,), over (plans, channels, seconds)."""
    scales: np.ndarray = np.maximum(np.abs(levels[:, INPUTS]).max(axis=(0, 2)), 1e-9)
    return scales


def outlines(demands: Sequence[Demand]) -> np.ndarray:
    """Return the plans' inputs on a grid of the same length, (plans, inputs, seconds)."""
    levels = stacked(demands)[:, INPUTS]
    grid = np.zeros((*levels.shape[:2], _GRID_S))
    grid[:, :, : min(_GRID_S, levels.shape[2])] = levels[:, :, :_GRID_S]
    return grid


def lagged(levels: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return a constant and the inputs with their lags, (plans, seconds, features).

    Args:
        levels: (plans, channels, seconds).
        scales: (inputs,) as ``input_scales`` returns them.
    """
    inputs = levels[:, INPUTS] / scales[:, np.newaxis]
    features = [np.ones((len(levels), levels.shape[2]))]
    for lag in range(_LAGS):
        moved = np.zeros_like(inputs)
        moved[:, :, lag:] = inputs[:, :, : inputs.shape[2] - lag]
        features += list(np.moveaxis(moved, 1, 0))
    return np.stack(features, axis=2)


def own_past(values: np.ndarray, before: np.ndarray, order: int) -> np.ndarray:
    """Return a column's own values of the seconds before, (runs, seconds, order).

    Args:
        values: (runs, seconds) of the column.
        before: (runs,) the last value before each run, which stands for all earlier ones.
        order: how many seconds back.
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

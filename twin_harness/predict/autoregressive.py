"""Baselines that run on their own outputs: linear and boosted autoregressions."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from twin_harness.predict.demand import stacked
from twin_harness.predict.features import (
    input_scales,
    lagged,
    own_past,
    regress,
    usual_before,
)
from twin_harness.predict.observation import COLUMNS, padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.demand import Capacity, Demand
    from twin_harness.predict.observation import Observation


# A free run that leaves what was measured by so many times its range has diverged, and stays there.
_WILD = 10.0
_ROUNDS = 120  # of boosting, a tree each


@dataclass
class Arx:
    """A linear autoregression with the levels as inputs (ARX), simulated on its own outputs."""

    name: str = "ARX"
    order: int = 2

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Regress each column on its own past and the lagged levels, one step ahead."""
        del capacity
        levels, values = stacked([one.demand for one in observations]), padded(observations)
        self.scales_ = input_scales(levels)
        self.idle_ = usual_before(observations)
        filled = np.where(np.isnan(values), 0.0, values)
        self.low_, self.high_ = filled.min(axis=(0, 2)), filled.max(axis=(0, 2))
        inputs = lagged(levels, self.scales_)
        before = np.stack(
            [np.where(np.isnan(one.before), self.idle_, one.before) for one in observations]
        )
        self.weights_ = []
        for column in range(len(COLUMNS)):
            past = own_past(values[:, column], before[:, column], self.order)
            self.weights_.append(
                regress(np.concatenate([inputs, past], axis=2), values[:, column : column + 1])[0]
            )
        return self

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Run freely."""
        inputs = lagged(stacked(demands), self.scales_)
        start = np.where(np.isnan(before), self.idle_, before)
        span = np.maximum(self.high_ - self.low_, 1e-9)
        predicted = np.empty((len(demands), len(COLUMNS), inputs.shape[1]))
        for column, weights in enumerate(self.weights_):
            past = np.repeat(start[:, column : column + 1], self.order, axis=1)
            for second in range(inputs.shape[1]):
                value = (
                    inputs[:, second] @ weights[: inputs.shape[2]]
                    + past @ weights[inputs.shape[2] :]
                )
                value = np.clip(
                    value,
                    self.low_[column] - _WILD * span[column],
                    self.high_[column] + _WILD * span[column],
                )
                past = np.concatenate([value[:, np.newaxis], past[:, :-1]], axis=1)
                predicted[:, column, second] = value
        return predicted


@dataclass
class Boosting:
    """Gradient boosting on the own past and the lagged levels, simulated on its own outputs.

    Needs scikit-learn (the extra ``ml``).
    """

    name: str = "gradient boosting"
    order: int = 2
    models_: list[Any] = field(default_factory=list)

    @staticmethod
    def is_available() -> bool:
        """Tell whether scikit-learn is installed."""
        return find_spec("sklearn") is not None

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Fit one model a column, one step ahead."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        del capacity
        levels, values = stacked([one.demand for one in observations]), padded(observations)
        self.scales_ = input_scales(levels)
        self.idle_ = usual_before(observations)
        inputs = lagged(levels, self.scales_)
        self.models_ = []
        for column in range(len(COLUMNS)):
            before = np.array([one.before[column] for one in observations])
            past = own_past(
                values[:, column],
                np.where(np.isnan(before), self.idle_[column], before),
                self.order,
            )
            features = np.concatenate([inputs, past], axis=2).reshape(
                -1, inputs.shape[2] + self.order
            )
            target = values[:, column].reshape(-1)
            is_known = ~np.isnan(target) & ~np.isnan(features).any(axis=1)
            model = HistGradientBoostingRegressor(max_iter=_ROUNDS, random_state=0)
            if is_known.any():
                self.models_.append(model.fit(features[is_known], target[is_known]))
            else:
                self.models_.append(None)
        return self

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Run freely."""
        inputs = lagged(stacked(demands), self.scales_)
        start = np.where(np.isnan(before), self.idle_, before)
        predicted = np.empty((len(demands), len(COLUMNS), inputs.shape[1]))
        for column, model in enumerate(self.models_):
            past = np.repeat(start[:, column : column + 1], self.order, axis=1)
            for second in range(inputs.shape[1]):
                features = np.concatenate([inputs[:, second], past], axis=1)
                if model is None:
                    value = np.full(len(features), np.nan)
                else:
                    value = model.predict(features)
                past = np.concatenate([value[:, np.newaxis], past[:, :-1]], axis=1)
                predicted[:, column, second] = value
        return predicted

"""What a twin must beat: simple predictors in free run, by the same code path as the model.

All see the plan alone, and what a machine shows before it begins where that is asked for; none sees
a sample of the run that it predicts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from twin_harness.predict.demand import CHANNELS, stacked
from twin_harness.predict.features import INPUTS, lagged, outlines, own_past, regress
from twin_harness.predict.observation import COLUMNS, padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.demand import Capacity, Demand
    from twin_harness.predict.observation import Observation

# a free run that leaves what was measured by so many times its range has diverged, and stays there
_WILD = 10.0


class Predictor(Protocol):
    """Predicts every column of runs from their plans."""

    name: str

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Learn from runs."""
        ...

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Return (runs, columns, seconds of the longest), given the values before each run, (runs, columns), NaN where nobody looked."""
        ...


@dataclass
class Mean:
    """The mean of all training runs, whatever is asked for."""

    name: str = "mean"

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Take the mean over runs of each run's mean."""
        del capacity
        values = padded(observations)
        self.means_ = np.array(
            [_mean([_mean(run) for run in values[:, column]]) for column in range(len(COLUMNS))]
        )
        return self

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Return the means."""
        del before
        return np.tile(self.means_[np.newaxis, :, np.newaxis], (len(demands), 1, _longest(demands)))


@dataclass
class Persistence:
    """The machine stays as it was before the run: as found, or at rest."""

    name: str = "persistence"

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Take the usual values before a run."""
        del capacity
        self.idle_ = _usual(observations)
        return self

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Return the values before."""
        start = np.where(np.isnan(before), self.idle_, before)
        return np.repeat(start[:, :, np.newaxis], _longest(demands), axis=2)


@dataclass
class Nearest:
    """What was measured under the training plan that looks most like this one."""

    name: str = "nearest plan"

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Keep every run."""
        del capacity
        self.plans_ = outlines([observation.demand for observation in observations])
        self.scales_ = np.maximum(self.plans_.std(axis=(0, 2), keepdims=True), 1e-9)
        self.values_ = padded(observations)
        self.fallback_ = Mean().fit(observations, observations[0].capacity).means_
        return self

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Return the measured values of the nearest plan; its last ones where it was shorter."""
        del before
        wanted = outlines(demands)
        distances = (((wanted[:, np.newaxis] - self.plans_) / self.scales_) ** 2).sum(axis=(2, 3))
        found = self.values_[distances.argmin(axis=1)]
        longest = _longest(demands)
        if found.shape[2] < longest:
            found = np.concatenate(
                [found, np.full((*found.shape[:2], longest - found.shape[2]), np.nan)], axis=2
            )
        filled: np.ndarray = np.where(np.isnan(found), self.fallback_[:, np.newaxis], found)
        return filled[:, :, :longest]


@dataclass
class Superposition:
    """The responses to one resource at a time, added up.

    Linear in the levels, of the last seconds.
    """

    name: str = "superposition"
    is_clipped: bool = False

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Regress each column on the lagged levels, over the runs that load one resource alone (over all, where there are too few)."""
        self.capacity_ = capacity
        single = [one for one in observations if len(one.stressors) == 1]
        if _resources(single) == _resources(observations):
            used = single
        else:
            used = observations
        levels, values = stacked([one.demand for one in used]), padded(used)
        self.scales_ = np.maximum(np.abs(levels[:, INPUTS]).max(axis=(0, 2)), 1e-9)
        self.weights_ = regress(lagged(levels, self.scales_), values)
        return self

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Return the sum of the responses, cut at what is physical if it is to be."""
        del before
        found: np.ndarray = np.einsum(
            "rtf,cf->rct", lagged(stacked(demands), self.scales_), self.weights_
        )
        if self.is_clipped:
            return _clipped(found)
        return found


@dataclass
class Arx:
    """A linear autoregression with the levels as inputs (ARX), simulated on its own outputs."""

    name: str = "ARX"
    order: int = 2

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Regress each column on its own past and the lagged levels, one step ahead."""
        del capacity
        levels, values = stacked([one.demand for one in observations]), padded(observations)
        self.scales_ = np.maximum(np.abs(levels[:, INPUTS]).max(axis=(0, 2)), 1e-9)
        self.idle_ = _usual(observations)
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
        found = np.empty((len(demands), len(COLUMNS), inputs.shape[1]))
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
                found[:, column, second] = value
        return found


@dataclass
class Boosting:
    """Gradient boosting on the own past and the lagged levels, simulated on its own outputs.

    Needs scikit-learn (the extra ``ml``).
    """

    name: str = "gradient boosting"
    order: int = 2
    models_: list[object | None] = field(default_factory=list)

    @staticmethod
    def is_available() -> bool:
        """Tell whether scikit-learn is installed."""
        from importlib.util import find_spec

        return find_spec("sklearn") is not None

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Fit one model a column, one step ahead."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        del capacity
        levels, values = stacked([one.demand for one in observations]), padded(observations)
        self.scales_ = np.maximum(np.abs(levels[:, INPUTS]).max(axis=(0, 2)), 1e-9)
        self.idle_ = _usual(observations)
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
            model = HistGradientBoostingRegressor(max_iter=120, random_state=0)
            self.models_.append(
                model.fit(features[is_known], target[is_known]) if is_known.any() else None
            )
        return self

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Run freely."""
        inputs = lagged(stacked(demands), self.scales_)
        start = np.where(np.isnan(before), self.idle_, before)
        found = np.empty((len(demands), len(COLUMNS), inputs.shape[1]))
        for column, model in enumerate(self.models_):
            past = np.repeat(start[:, column : column + 1], self.order, axis=1)
            for second in range(inputs.shape[1]):
                features = np.concatenate([inputs[:, second], past], axis=1)
                # type: ignore[attr-defined]
                if model is None:
                    value = np.full(len(features), np.nan)
                else:
                    value = model.predict(features)
                past = np.concatenate([value[:, np.newaxis], past[:, :-1]], axis=1)
                found[:, column, second] = value
        return found


@dataclass
class StraightLine:
    """What is asked for arrives at once and in full, on top of rest.

    The line by which people tell when memory will be full.
    """

    name: str = "straight line"

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Take the usual values before a run."""
        self.capacity_ = capacity
        self.idle_ = Persistence().fit(observations, capacity).idle_
        return self

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Return rest plus what is asked for, where a column is asked for, and rest elsewhere."""
        found = np.repeat(
            np.where(np.isnan(before), self.idle_, before)[:, :, np.newaxis],
            _longest(demands),
            axis=2,
        )
        levels = stacked(demands)
        asked = {
            "cpu_percent": levels[:, CHANNELS.index("cpu_percent")],
            "memory_percent": (
                100.0 * levels[:, CHANNELS.index("memory_bytes")] / self.capacity_.memory_bytes
            ),
            "disk_write_bytes_per_s": (
                levels[:, CHANNELS.index("write_bytes_per_s")]
                + levels[:, CHANNELS.index("sync_bytes_per_s")]
            ),
            "disk_read_bytes_per_s": levels[:, CHANNELS.index("read_bytes_per_s")],
        }
        for name, added in asked.items():
            found[:, COLUMNS.index(name)] += added
        return _clipped(found)


def all_baselines() -> list[Predictor]:
    """Return the eight, the one that needs scikit-learn where it is installed."""
    always: list[Predictor] = [
        Mean(),
        Persistence(),
        Nearest(),
        Superposition(),
        Superposition("clipped superposition", is_clipped=True),
        Arx(),
        StraightLine(),
    ]
    if Boosting.is_available():
        return [*always, Boosting()]
    return always


def _mean(values: Sequence[float] | np.ndarray) -> float:
    known = np.asarray(values)[~np.isnan(values)]
    if len(known):
        return float(known.mean())
    return 0.0


def _usual(observations: Sequence[Observation]) -> np.ndarray:
    """Return the usual values before a run, (columns,); 0 for what was never measured."""
    before = np.stack([observation.before for observation in observations])
    return np.array(
        [
            float(np.median(column[~np.isnan(column)])) if (~np.isnan(column)).any() else 0.0
            for column in before.T
        ]
    )


def _longest(demands: Sequence[Demand]) -> int:
    return max(demand.seconds for demand in demands)


def _resources(observations: Sequence[Observation]) -> set[str]:
    return {stressor for one in observations for stressor in one.stressors}


def _clipped(values: np.ndarray) -> np.ndarray:
    """Cut values at what is physical: percents at 0 and 100, everything else at 0."""
    is_percent = np.array([name.endswith("_percent") for name in COLUMNS])[:, np.newaxis]
    cut: np.ndarray = np.clip(values, 0.0, np.where(is_percent, 100.0, np.inf))
    return cut

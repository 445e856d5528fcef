"""Baselines without memory of their own: means, rest, the nearest plan, sums of responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from twin_harness.predict.demand import CHANNELS, stacked
from twin_harness.predict.features import (
    input_scales,
    lagged,
    longest_s,
    outlines,
    regress,
    usual_before,
)
from twin_harness.predict.observation import COLUMNS, padded
from twin_harness.predict.scale import clip_to_physical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.demand import Capacity, Demand
    from twin_harness.predict.observation import Observation


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
        return np.tile(
            self.means_[np.newaxis, :, np.newaxis], (len(demands), 1, longest_s(demands))
        )


@dataclass
class Persistence:
    """The machine stays as it was before the run, or at rest where that is unknown."""

    name: str = "persistence"

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Take the usual values before a run."""
        del capacity
        self.idle_ = usual_before(observations)
        return self

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Return the values before."""
        start = np.where(np.isnan(before), self.idle_, before)
        return np.repeat(start[:, :, np.newaxis], longest_s(demands), axis=2)


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
        nearest = self.values_[distances.argmin(axis=1)]
        longest = longest_s(demands)
        if nearest.shape[2] < longest:
            nearest = np.concatenate(
                [nearest, np.full((*nearest.shape[:2], longest - nearest.shape[2]), np.nan)], axis=2
            )
        filled: np.ndarray = np.where(np.isnan(nearest), self.fallback_[:, np.newaxis], nearest)
        return filled[:, :, :longest]


@dataclass
class Superposition:
    """The responses to one resource at a time, added up.

    Linear in the levels, of the last seconds.
    """

    name: str = "superposition"
    is_clipped: bool = False

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Regress each column on the lagged levels of the runs that load one resource alone.

        Of all runs, where these do not load every resource.
        """
        self.capacity_ = capacity
        single = [one for one in observations if len(one.stressors) == 1]
        if _resources(single) == _resources(observations):
            used: Sequence[Observation] = single
        else:
            used = observations
        levels, values = stacked([one.demand for one in used]), padded(used)
        self.scales_ = input_scales(levels)
        self.weights_ = regress(lagged(levels, self.scales_), values)
        return self

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Return the sum of the responses, clipped to what is physical if it is to be."""
        del before
        predicted: np.ndarray = np.einsum(
            "rtf,cf->rct", lagged(stacked(demands), self.scales_), self.weights_
        )
        if self.is_clipped:
            return clip_to_physical(predicted)
        return predicted


@dataclass
class StraightLine:
    """What is asked for arrives at once and in full, on top of rest.

    The line by which people estimate when memory will be full.
    """

    name: str = "straight line"

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Take the usual values before a run."""
        self.capacity_ = capacity
        self.idle_ = usual_before(observations)
        return self

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Return rest plus what is asked for, where a column is asked for, and rest elsewhere."""
        predicted = np.repeat(
            np.where(np.isnan(before), self.idle_, before)[:, :, np.newaxis],
            longest_s(demands),
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
            predicted[:, COLUMNS.index(name)] += added
        return clip_to_physical(predicted)


def _mean(values: Sequence[float] | np.ndarray) -> float:
    known = np.asarray(values)[~np.isnan(values)]
    if len(known):
        return float(known.mean())
    return 0.0


def _resources(observations: Sequence[Observation]) -> set[str]:
    return {stressor for one in observations for stressor in one.stressors}

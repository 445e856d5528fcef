"""What others used of the CPUs while runs were recorded: how busy they were, and beyond rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.observation import Observation


@dataclass(frozen=True)
class Busyness:
    """How much of the CPUs others used during some runs, in percent of the machine.

    Attributes:
        mean: over the seconds in which it was measured.
        high: the 95th percentile of those seconds.
        seconds: how many they are.
        busiest: the name of the run with the highest mean.
        busiest_mean: that mean.
    """

    mean: float
    high: float
    seconds: int
    busiest: str
    busiest_mean: float

    def __str__(self) -> str:
        return (
            f"others used {self.mean:.1f} % of the CPUs on average, more than {self.high:.1f} % in"
            f" one second of twenty ({self.seconds} s measured; most in {self.busiest!r},"
            f" {self.busiest_mean:.1f} %)"
        )


def busyness_of(observations: Sequence[Observation]) -> Busyness | None:
    """Return how busy others were; None where it was not measured."""
    known = [
        (one.name, values)
        for one in observations
        if one.others_cpu_percent is not None
        and len(values := one.others_cpu_percent[~np.isnan(one.others_cpu_percent)])
    ]
    if not known:
        return None
    values = np.concatenate([values for _, values in known])
    busiest, most = max(((name, float(one.mean())) for name, one in known), key=lambda run: run[1])
    high = float(np.quantile(values, 0.95))
    return Busyness(float(values.mean()), high, len(values), busiest, most)


def beyond_rest(observations: Sequence[Observation], rest_percent: float) -> np.ndarray | None:
    """Return the CPU time of others beyond that at rest, (runs, seconds of the longest), percent.

    0 where it was not measured, and beyond the end of a run; None where it was measured in none.

    Args:
        observations: the runs.
        rest_percent: what others use at rest, as the model has it.
    """
    longest = max(one.demand.seconds for one in observations)
    beyond = np.zeros((len(observations), longest))
    for row, one in zip(beyond, observations, strict=True):
        if one.others_cpu_percent is not None:
            measured = one.others_cpu_percent - rest_percent
            row[: len(measured)] = np.where(np.isnan(measured), 0.0, measured)
    if beyond.any():
        return beyond
    return None

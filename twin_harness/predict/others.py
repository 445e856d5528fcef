"""What others used of the CPUs while runs were recorded: how busy they were, and at rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.observation import Observation

_REST_QUANTILE, _SMOOTHED_S = 0.25, 5
_FULL_PERCENT = 97.0


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


def rest_of(observation: Observation) -> float:
    """Return what others used of the CPUs while they rested, in percent; NaN if not measured.

    The lower quartile of means over five seconds: of a busy run that is the machine between bursts,
    and a single second is mostly 0 or a tick.
    """
    values = observation.others_cpu_percent
    if values is None:
        return np.nan
    parts = np.array_split(values, max(1, len(values) // _SMOOTHED_S))
    means = [np.nanmean(part) for part in parts if not np.isnan(part).all()]
    if not means:
        return np.nan
    return max(0.0, float(np.quantile(means, _REST_QUANTILE)))


def cpu_by_others(observations: Sequence[Observation]) -> np.ndarray | None:
    """Return the CPU time of others, (runs, seconds of the longest), in percent of the machine.

    NaN where it was not measured, and beyond the end of a run; None where it was measured in none.
    On a full machine others get less than they want: there it is what they use at rest, at least.
    """
    longest = max(one.demand.seconds for one in observations)
    others = np.full((len(observations), longest), np.nan)
    for row, one in zip(others, observations, strict=True):
        if (measured := one.others_cpu_percent) is not None:
            rest = rest_of(one)
            is_squeezed = (one.column("cpu_percent") > _FULL_PERCENT) & (measured < rest)
            row[: len(measured)] = np.where(is_squeezed, rest, measured)
    if np.isnan(others).all():
        return None
    return others

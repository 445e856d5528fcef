"""Scores of overload predictions: probability, time and misses over runs not seen by the fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.overload import Overload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.observation import Observation

CONDITIONS = (
    "memory_percent > 80",
    "pressure_cpu_percent > 20 for 5 s",
    "pressure_io_percent > 40 for 10 s",
    "probe_wakeup_ms p95 > 20",
)
FEWEST = 10  # events, and non-events, below which nothing is claimed
_CALLED = 0.5


@dataclass(frozen=True)
class OverloadScore:
    """The calls of one condition.

    Attributes:
        condition: which.
        events: runs in which it occurred.
        others: runs in which it did not; runs that ended early before it did count as neither.
        brier: mean square of probability less outcome (Brier score).
        skill: 1 − it over that of the share of events; NaN where only one of both happened.
        time_error_s: median distance of the predicted median time from the real one, over events
            called as such.
        time_limit_s: median over the same events of max(2 s, 5 percent of the real time), which the
            error should not exceed.
        false_safe: share of events that were called safe (probability below a half).
    """

    condition: str
    events: int
    others: int
    brier: float
    skill: float
    time_error_s: float
    time_limit_s: float
    false_safe: float

    @property
    def is_decided(self) -> bool:
        """Whether there were enough of both to claim anything."""
        return min(self.events, self.others) >= FEWEST

    def to_json(self) -> dict[str, Any]:
        """Return plain data; what is not known is null."""
        data = {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in asdict(self).items()
        }
        return {**data, "decided": self.is_decided}


def score_overload(
    test: Sequence[Observation],
    members: Sequence[np.ndarray],
    conditions: Sequence[str] = CONDITIONS,
) -> list[OverloadScore]:
    """Score the predictions of each condition over some runs.

    Args:
        test: the runs.
        members: of each its simulated trajectories, (members, columns, seconds), in units.
        conditions: to be scored.
    """
    return [_score(Overload.parse(text), test, members) for text in conditions]


def _score(
    condition: Overload, test: Sequence[Observation], members: Sequence[np.ndarray]
) -> OverloadScore:
    index = condition.index()
    column = COLUMNS[index]
    probabilities, outcomes, errors_s, limits_s = [], [], [], []
    for observation, trajectories in zip(test, members, strict=True):
        measured = observation.column(column)
        real_s = float(condition.first(measured))
        if np.isnan(measured).all() or (np.isnan(real_s) and observation.ended_early):
            continue
        times_s = condition.first(trajectories[:, index, : observation.demand.seconds])
        probability = float(np.mean(~np.isnan(times_s)))
        probabilities.append(probability)
        outcomes.append(not np.isnan(real_s))
        if outcomes[-1] and probability >= _CALLED:
            errors_s.append(abs(float(np.nanmedian(times_s)) - real_s))
            limits_s.append(max(2.0, 0.05 * real_s))
    happened, predicted = np.array(outcomes, dtype=float), np.array(probabilities)
    events = int(happened.sum())
    brier = skill = false_safe = float("nan")
    if len(predicted):
        brier = float(np.mean((predicted - happened) ** 2))
        uninformed = float(happened.mean() * (1.0 - happened.mean()))
        if uninformed > 0:
            skill = 1.0 - brier / uninformed
    if events:
        false_safe = float(np.mean(predicted[happened == 1] < _CALLED))
    return OverloadScore(
        condition=str(condition),
        events=events,
        others=len(predicted) - events,
        brier=brier,
        skill=skill,
        time_error_s=_median(errors_s),
        time_limit_s=_median(limits_s),
        false_safe=false_safe,
    )


def _median(values: Sequence[float]) -> float:
    if len(values):
        return float(np.median(values))
    return float("nan")

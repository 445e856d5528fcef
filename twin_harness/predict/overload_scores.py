"""How good the twin's calls of overload are.

Probability, time and what it missed, over runs that it has not seen.
"""

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
        condition: which. events, others: runs in which it came true, and in which it did not; runs
            that ended early before it did count as neither.
        brier: mean square of probability less outcome; skill: 1 − it over that of the share of
            events; NaN where only one of both happened.
        time_error_s: median distance of the told median time from the real one, over events called
            as such.
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
        found = {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in asdict(self).items()
        }
        return {**found, "decided": self.is_decided}


def score_overload(
    test: Sequence[Observation],
    members: Sequence[np.ndarray],
    conditions: Sequence[str] = CONDITIONS,
) -> list[OverloadScore]:
    """Score the calls of each condition over some runs, given ways in which each may go, (members, columns, seconds)."""
    found = []
    for text in conditions:
        condition = Overload.parse(text)
        index = condition.index()
        told, outcomes, errors_s, limits_s = [], [], [], []
        for one, ways in zip(test, members, strict=True):
            real_s = float(condition.first(one.column(COLUMNS[index])))
            if np.isnan(one.column(COLUMNS[index])).all() or (np.isnan(real_s) and one.ended_early):
                continue
            times_s = condition.first(ways[:, index, : one.demand.seconds])
            probability = float(np.mean(~np.isnan(times_s)))
            told.append(probability)
            outcomes.append(not np.isnan(real_s))
            if outcomes[-1] and probability >= _CALLED:
                errors_s.append(abs(float(np.nanmedian(times_s)) - real_s))
                limits_s.append(max(2.0, 0.05 * real_s))
        happened, said = np.array(outcomes, dtype=float), np.array(told)
        if len(said):
            brier = float(np.mean((said - happened) ** 2))
        else:
            brier = float("nan")
        if len(said):
            usual = float(happened.mean() * (1.0 - happened.mean()))
        else:
            usual = 0.0
        events = int(happened.sum())
        found.append(
            OverloadScore(
                str(condition),
                events,
                len(said) - events,
                brier,
                1.0 - brier / usual if usual > 0 else float("nan"),
                float(np.median(errors_s)) if errors_s else float("nan"),
                float(np.median(limits_s)) if limits_s else float("nan"),
                float(np.mean(said[happened == 1] < _CALLED)) if events else float("nan"),
            )
        )
    return found

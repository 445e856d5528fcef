"""When to run a job: the same plan at many starting times, each beside what is usual then."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.background_choice import RECORDED
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.what_ifs import predict_plans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin_harness.predict.fitted_model import FittedModel
    from twin_harness.predict.overload import OverloadCall
    from twin_harness.predict.starting_time import StartingTime
    from twin_harness.schedule.model import Experiment

_NORMAL_95 = 1.959963984540054
_CPU = COLUMNS.index("cpu_percent")
_NINE_TENTHS = (0.05, 0.95)


@dataclass(frozen=True)
class Start:
    """A plan at one starting time.

    Attributes:
        at: when it begins.
        calls: of each condition how likely it is.
        cpu_percent: predicted CPU use, the mean over the plan.
        cpu_low: nine tenths of the trajectories lie between, each beside another recorded day.
        cpu_high: as above.
        background: beside what, in words.
    """

    at: StartingTime
    calls: tuple[OverloadCall, ...]
    cpu_percent: float
    cpu_low: float
    cpu_high: float
    background: str

    @property
    def probability(self) -> float:
        """Of the likeliest condition; 0 where none was asked for."""
        return max((call.probability for call in self.calls), default=0.0)


def compare_starts(
    model: FittedModel,
    experiment: Experiment,
    times: Sequence[StartingTime],
    conditions: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> list[Start]:
    """Predict a plan at some starting times.

    Args:
        model: fitted, with a recorded background.
        experiment: the plan.
        times: when it may begin.
        conditions: of overload.
        progress: called with a sentence before each time.

    Raises:
        InvalidInput: the model has recorded no background, or too little of one of the times.
        Undecided: it does not predict a condition's column.
    """
    starts = []
    for number, at in enumerate(times):
        progress(f"predict: {number} of {len(times)} starting times done")
        (prediction,) = predict_plans(model, [experiment], background=RECORDED, at=at)
        low, high = np.quantile(prediction.members[:, _CPU].mean(axis=1), _NINE_TENTHS)
        starts.append(
            Start(
                at=at,
                calls=tuple(prediction.overload(condition) for condition in conditions),
                cpu_percent=float(prediction.centre[_CPU].mean()),
                cpu_low=float(low),
                cpu_high=float(high),
                background=prediction.background,
            )
        )
    return starts


def best_of(starts: Sequence[Start]) -> tuple[Start, list[Start]]:
    """Return the best starting time, and others that the draws do not tell from it.

    The least likely overload counts, then the least CPU use. Another is as good where the intervals
    (95 %) of their probabilities overlap.
    """
    best = min(starts, key=lambda start: (start.probability, start.cpu_percent))
    if not best.calls:
        return best, []
    high = interval(best.probability, best.calls[0].members)[1]
    alike = [
        start
        for start in starts
        if start is not best and interval(start.probability, start.calls[0].members)[0] < high
    ]
    return best, alike


def interval(probability: float, draws: int) -> tuple[float, float]:
    """Return Wilson's interval (95 %) of a probability that some draws have shown.

    E. B. Wilson, Journal of the American Statistical Association 22 (1927). It knows of the draws,
    not of how few days were recorded.
    """
    z2 = _NORMAL_95**2
    centre = (probability + z2 / (2 * draws)) / (1 + z2 / draws)
    reach = (
        _NORMAL_95
        * sqrt(probability * (1 - probability) / draws + z2 / (4 * draws**2))
        / (1 + z2 / draws)
    )
    return max(0.0, centre - reach), min(1.0, centre + reach)

"""Predictions of experiments: trajectories with bands, and how likely an overload is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import InvalidInput, Undecided
from twin_harness.predict.background_choice import choose
from twin_harness.predict.conditions import Others
from twin_harness.predict.demand import LONGEST_S, demand_of
from twin_harness.predict.domain import extrapolations
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.overload import Overload, OverloadCall
from twin_harness.predict.scale import in_units

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from twin_harness.predict.conditions import Start
    from twin_harness.predict.demand import Demand
    from twin_harness.predict.fitted_model import FittedModel
    from twin_harness.predict.free_run import FreeRun
    from twin_harness.predict.starting_time import StartingTime
    from twin_harness.schedule.model import Experiment

_RESOURCE_OF = {
    "cpu_percent": "cpu",
    "memory_percent": "memory",
    "disk_write_bytes_per_s": "disk",
    "disk_read_bytes_per_s": "disk",
    "pressure_io_percent": "disk",
}
_USED = {"cpu": "cpu_percent", "memory": "memory_percent", "disk": "disk_busy_percent"}
_MEMORY_PLANS = 256  # whose memory is followed together
_CHUNK_VALUES = 130_000  # simulated values a column at once: what a CPU's cache holds


@dataclass(frozen=True)
class Prediction:
    """What the twin predicts of one experiment.

    Attributes:
        experiment: the plan.
        ends_s: (seconds,) the end of each second on the events' clock.
        centre: (columns, seconds) in the columns' units, in the order of ``COLUMNS``; NaN for
            columns that the machine does not measure.
        low: the lower end of the band that holds 90 percent of all seconds, like ``centre``; NaN
            where the model was not calibrated.
        high: its upper end.
        joint_low: the lower end of the band that holds all seconds of 90 percent of runs.
        joint_high: its upper end.
        extrapolating: why the plan lies beyond what the model was fitted to, a phrase each; empty
            within.
        background: what others were taken to use, in words.
        columns: every simulated column by name, (seconds,), those of the contract as well.
    """

    experiment: Experiment
    ends_s: np.ndarray
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    joint_low: np.ndarray
    joint_high: np.ndarray
    extrapolating: tuple[str, ...]
    background: str
    columns: dict[str, np.ndarray]
    _model: FittedModel
    _free: FreeRun

    def column(self, name: str) -> np.ndarray:
        """Return the centre of one column, (seconds,)."""
        row: np.ndarray = self.centre[COLUMNS.index(name)]
        return row

    def to_frame(self) -> pd.DataFrame:
        """Return the bands as a table: columns ``(name, low|mid|high)``, index seconds.

        NaN for what the machine does not measure, and for the ends of a band that is not
        calibrated.
        """
        import pandas as pd

        table = {
            (name, end): values[number]
            for number, name in enumerate(COLUMNS)
            for end, values in (("low", self.low), ("mid", self.centre), ("high", self.high))
        }
        return pd.DataFrame(table, index=pd.Index(self.ends_s, name="end_s"))

    @cached_property
    def members(self) -> np.ndarray:
        """Simulated trajectories, (members, columns, seconds), in the columns' units."""
        return self._model.members(self._free)

    def overload(self, condition: str) -> OverloadCall:
        """Return how likely a condition occurs, when, and which resource binds.

        Raises:
            InvalidInput: the text is not a valid condition, or the dataset has no such column.
            Undecided: the twin does not predict its column, or its machine does not measure it.
        """
        parsed = Overload.parse(condition)
        index = parsed.index()
        if parsed.column not in self._model.domain.measured:
            msg = (
                f"overload: {parsed.column} was empty in the runs that the twin was fitted to, so"
                " it does not predict it"
            )
            raise Undecided(msg)
        times_s = parsed.first(self.members[:, index]) + self.ends_s[0] - 1.0
        crossed_s = times_s[~np.isnan(times_s)]
        low_s = middle_s = high_s = None
        binding = ""
        if len(crossed_s):
            low_s, middle_s, high_s = map(float, np.quantile(crossed_s, (0.05, 0.5, 0.95)))
            binding = self._binding(parsed, float(np.median(crossed_s)))
        return OverloadCall(
            condition=str(parsed),
            probability=len(crossed_s) / len(times_s),
            members=len(times_s),
            time_s=middle_s,
            low_s=low_s,
            high_s=high_s,
            binding=binding,
            is_extrapolating=bool(self.extrapolating),
        )

    def _binding(self, condition: Overload, at_s: float) -> str:
        """Return the resource that is used most over the condition's window before a time."""
        if condition.column in _RESOURCE_OF:
            return _RESOURCE_OF[condition.column]
        second = int(np.clip(np.searchsorted(self.ends_s, at_s), 0, len(self.ends_s) - 1))
        window = slice(max(0, second - condition.seconds + 1), second + 1)
        return max(_USED, key=lambda name: float(self.columns[_USED[name]][window].mean()))


def predict_plans(
    model: FittedModel,
    experiments: Sequence[Experiment],
    start: Start | None = None,
    demands: Sequence[Demand] | None = None,
    background: str | Path | Others | None = None,
    at: StartingTime | None = None,
) -> list[Prediction]:
    """Predict experiments in batches, each independently of the others.

    Args:
        model: the fitted model.
        experiments: the plans.
        start: the machine as it is before each of them, arrays of one.
        demands: the plans on the seconds of recordings; from the start of each lead unless given.
        background: as of ``background_choice.choose``, or what others use.
        at: when they begin.

    Raises:
        InvalidInput: a plan lasts longer than six hours, or the background does not fit.
    """
    for experiment in experiments:
        if experiment.duration_s > LONGEST_S:
            msg = (
                f"experiment {experiment.name!r}: {experiment.duration_s:.0f} s; the twin"
                f" predicts up to {LONGEST_S} s, expected a shorter plan"
            )
            raise InvalidInput(msg)
    if demands is None:
        demands = [demand_of(experiment, model.capacity) for experiment in experiments]
    if not demands:
        return []
    others: Others | None
    if isinstance(background, Others):
        others, words = background, "background as it was measured"
    else:
        others, words = choose(model, demands, background, at)
    longest = max(demand.seconds for demand in demands)
    members = max(len(model.parameter_sets), 1 if others is None else others.members)
    size = max(1, _CHUNK_VALUES // (members * longest))
    predictions: list[Prediction] = []
    for begin in range(0, len(demands), _MEMORY_PLANS):
        together = slice(begin, begin + _MEMORY_PLANS)
        beside = None if others is None else others.select(together)
        predictions += _predict_together(
            model, experiments[together], demands[together], start, beside, words, size
        )
    return predictions


def _predict_together(
    model: FittedModel,
    experiments: Sequence[Experiment],
    demands: Sequence[Demand],
    start: Start | None,
    others: Others | None,
    background: str,
    size: int,
) -> list[Prediction]:
    """Predict experiments whose memory is followed together, the rest a few at a time.

    Args:
        model: the fitted model.
        experiments: the plans.
        demands: of them.
        start: the machine as it is before each of them, arrays of one.
        others: beside each of them.
        background: that in words.
        size: how many at a time.
    """
    memory = model.follow_memory(demands, start, others)
    predictions: list[Prediction] = []
    for first in range(0, len(demands), size):
        part = slice(first, first + size)
        longest = max(demand.seconds for demand in demands[part])
        free, columns = model.simulate(
            demands[part],
            start,
            None if others is None else others.select(part),
            {name: values[part, :, :longest] for name, values in memory.items()},
        )
        predictions += _predictions(
            model, experiments[part], demands[part], free, columns, background
        )
    return predictions


def _predictions(
    model: FittedModel,
    experiments: Sequence[Experiment],
    demands: Sequence[Demand],
    free: FreeRun,
    columns: dict[str, np.ndarray],
    background: str,
) -> list[Prediction]:
    """Return the predictions of plans that were simulated together.

    Args:
        model: the fitted model.
        experiments: the plans.
        demands: of them.
        free: their free runs.
        columns: under the fitted parameters, (plans, seconds) each.
        background: what others were taken to use, in words.
    """
    bands = _bands(model, free.centre, model.spread.reach(free))
    predictions = []
    for number, (experiment, demand) in enumerate(zip(experiments, demands, strict=True)):
        centre, low, high, joint_low, joint_high = bands[:, number, :, : demand.seconds]
        predictions.append(
            Prediction(
                experiment=experiment,
                ends_s=demand.ends_s,
                centre=centre,
                low=low,
                high=high,
                joint_low=joint_low,
                joint_high=joint_high,
                extrapolating=extrapolations(demand, model.domain),
                background=background,
                columns={
                    name: values[number, : demand.seconds]
                    for name, values in columns.items()
                    if name != "load_share"
                },
                _model=model,
                _free=free.select(number, demand.seconds),
            )
        )
    return predictions


def _bands(model: FittedModel, centre: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Return centre, low, high, joint low and joint high, (5, plans, columns, seconds), in units.

    NaN for columns that the machine does not measure.

    Args:
        model: with its calibration.
        centre: (plans, columns, seconds) on the error scale.
        reach: (2, plans, columns, seconds) as ``Spread.reach`` returns it.
    """
    point = model.calibration.pointwise[:, np.newaxis] * reach
    joint = model.calibration.simultaneous[:, np.newaxis] * reach
    bands = in_units(
        np.stack(
            [centre, centre - point[0], centre + point[1], centre - joint[0], centre + joint[1]]
        )
    )
    is_measured = np.isin(COLUMNS, model.domain.measured)
    bands[:, :, ~is_measured] = np.nan
    return bands

"""Batches of what-ifs: many plans at once, a few at a time in what a cache holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import InvalidInput
from twin_harness.predict.background_choice import choose
from twin_harness.predict.conditions import Others
from twin_harness.predict.demand import LONGEST_S, demand_of
from twin_harness.predict.domain import extrapolations
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.prediction import Prediction
from twin_harness.predict.scale import in_units

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from twin_harness.predict.conditions import Start
    from twin_harness.predict.demand import Demand
    from twin_harness.predict.fitted_model import FittedModel
    from twin_harness.predict.free_run import FreeRun
    from twin_harness.predict.starting_time import StartingTime
    from twin_harness.schedule.model import Experiment

_MEMORY_PLANS = 256  # whose memory is followed together
_AT_ONCE = 2_000_000  # values a column whose memory is followed together, at most a long plan's
_MOST_VALUES = 50_000_000  # values a column: 4 GB of trajectories
_CHUNK_VALUES = 130_000  # simulated values a column at once: what a CPU's cache holds


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
        InvalidInput: a plan lasts longer than six hours, the plans are too many for their length,
            or the background does not fit.
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
    values = members * longest
    if len(demands) * values > _MOST_VALUES:
        msg = (
            f"predict: {len(demands)} plans of up to {longest} s with {members} trajectories are"
            f" {len(demands) * values:.2g} values a column; expected {_MOST_VALUES:.2g} at most,"
            " ask for fewer plans at once"
        )
        raise InvalidInput(msg)
    size = max(1, _CHUNK_VALUES // values)
    group = min(len(demands), max(1, _AT_ONCE // values), _MEMORY_PLANS)
    predictions: list[Prediction] = []
    for begin in range(0, len(demands), group):
        together = slice(begin, begin + group)
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
    bands = _bands(model, free, demands)
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


def _bands(model: FittedModel, free: FreeRun, demands: Sequence[Demand]) -> np.ndarray:
    """Return centre, low, high, joint low and joint high, (5, plans, columns, seconds), in units.

    NaN for columns that the machine does not measure.

    Args:
        model: with its calibration.
        free: the free runs of the plans.
        demands: the plans.
    """
    centre = free.centre
    point, joint = model.bands(free, demands)
    bands = in_units(
        np.stack(
            [centre, centre - point[0], centre + point[1], centre - joint[0], centre + joint[1]]
        )
    )
    is_measured = np.isin(COLUMNS, model.domain.measured)
    bands[:, :, ~is_measured] = np.nan
    return bands

"""Evaluation of a fitted model: the twin and every baseline, scored by the same code."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.predict.baselines import all_baselines
from twin_harness.predict.conditions import Others
from twin_harness.predict.coverage import Coverage, coverage_of
from twin_harness.predict.foundation import FoundationModel
from twin_harness.predict.gathering import check_machines
from twin_harness.predict.observation import COLUMNS, padded, start_of
from twin_harness.predict.others import Busyness, busyness_of, cpu_by_others
from twin_harness.predict.overload_scores import OverloadScore, score_overload
from twin_harness.predict.scale import in_units
from twin_harness.predict.scores import (
    ColumnScore,
    floor_of,
    score,
    skill,
    square_errors,
    tails_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.baselines import Predictor
    from twin_harness.predict.fitted_model import FittedModel
    from twin_harness.predict.free_run import FreeRun
    from twin_harness.predict.observation import Observation

TWIN, WARM = "twin", "twin, warm start"
Skills = dict[str, dict[str, tuple[float, float, float]]]


@dataclass(frozen=True)
class Evaluation:
    """The scores of one split.

    Attributes:
        split: its name; empty for held-out runs.
        scores: of the twin and every baseline, by column.
        skills: by baseline and column, the twin's skill with its interval.
        coverage: by column.
        train: runs that were fitted.
        test: runs that were judged.
        pairs: replicates that the floor is of.
        overload: the calls of each condition.
        given: CPU use by the twin and every baseline, if each is told what others used of the CPUs
            in each second, as it was measured; empty where it was not.
        others: how busy others were during the test; None where it was not measured.
    """

    split: str
    scores: list[ColumnScore]
    skills: Skills
    coverage: list[Coverage]
    train: int
    test: int
    pairs: int
    overload: list[OverloadScore] = field(default_factory=list)
    given: list[ColumnScore] = field(default_factory=list)
    others: Busyness | None = None

    def score_of(
        self, column: str, predictor: str = TWIN, *, is_given: bool = False
    ) -> ColumnScore | None:
        """Return one score; None where the column was not measured.

        Args:
            column: which.
            predictor: whose.
            is_given: told what others used.
        """
        known = self.given if is_given else self.scores
        scores = (item for item in known if item.column == column)
        return next((item for item in scores if item.predictor == predictor), None)

    def best_baseline(self, column: str, *, is_given: bool = False) -> ColumnScore | None:
        """Return the baseline with the least error; arguments as of ``score_of``."""
        baselines = [
            item
            for item in (self.given if is_given else self.scores)
            if item.column == column
            and item.predictor not in (TWIN, WARM, FoundationModel.name)
            and np.isfinite(item.rmse)
        ]
        return min(baselines, key=lambda item: item.rmse, default=None)

    def columns(self) -> dict[str, dict[str, float | None]]:
        """Return the twin's figures of each column that was measured; null for what is not known.

        ``rmse`` and ``rmse_given_background`` (told what others used, of CPU use alone) in the
        column's unit, ``nrmse``, ``floor``, ``coverage_90`` (share of seconds within the band) and
        ``width_ratio`` (the band's width over that of replicates).
        """
        bands = {one.column: one for one in self.coverage}
        table = {}
        for name in COLUMNS:
            cold, told, band = (
                self.score_of(name),
                self.score_of(name, is_given=True),
                bands.get(name),
            )
            if cold is None:
                continue
            figures = {
                "rmse": cold.rmse,
                "rmse_given_background": told.rmse if told else np.nan,
                "nrmse": cold.nrmse,
                "floor": cold.floor,
                "coverage_90": band.pointwise if band else np.nan,
                "width_ratio": band.width_ratio if band else np.nan,
            }
            table[name] = {
                key: float(value) if np.isfinite(value) else None for key, value in figures.items()
            }
        return table

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        skills = {
            name: {
                column: [None if np.isnan(part) else part for part in three]
                for column, three in columns.items()
            }
            for name, columns in self.skills.items()
        }
        return {
            "split": self.split,
            "train_runs": self.train,
            "test_runs": self.test,
            "replicate_pairs": self.pairs,
            "columns": self.columns(),
            "scores": [item.to_json() for item in self.scores],
            "skills": skills,
            "coverage": [item.to_json() for item in self.coverage],
            "overload": [item.to_json() for item in self.overload],
            "given_others": [item.to_json() for item in self.given],
            "others": None if self.others is None else asdict(self.others),
        }


def evaluate(
    model: FittedModel,
    training: Sequence[Observation],
    test: Sequence[Observation],
    split: str = "",
    floors_from: Sequence[Observation] = (),
    more: Sequence[Predictor] = (),
) -> Evaluation:
    """Judge a model, and baselines fitted to the same runs, by runs that neither has seen.

    Args:
        model: the fitted model.
        training: what it was fitted to; baselines are fitted to it.
        test: the runs it is judged by.
        split: how the runs were divided.
        floors_from: runs whose replicates give the noise floor; the test's own unless given.
        more: baselines beside the usual ones.
    """
    check_machines([*training, *test])
    demands = [observation.demand for observation in test]
    usual_others = model.recorded_others(demands)
    cold = model.free_run(demands, None, usual_others)
    warm = model.free_run(demands, start_of(test), usual_others)
    floors, pairs = {}, 0
    for column in COLUMNS:
        floors[column], pairs = floor_of(floors_from or test, column)
    centre = in_units(cold.centre)
    members = _members(model, cold, test)
    tails = tails_of(members)
    warm_tails = tails_of(_members(model, warm, test))
    scores = score(TWIN, centre, test, floors, tails, floors_from)
    scores += score(WARM, in_units(warm.centre), test, floors, warm_tails, floors_from)
    others = cpu_by_others(test)
    given: list[ColumnScore] = []
    if others is not None:
        told = in_units(model.free_run(demands, None, Others.of_cpu(others)).centre)
        given += _cpu_scores(TWIN, told, test, floors)
    skills: Skills = {}
    if training:
        usual = busyness_of(training)
        unknown = np.full((len(test), len(COLUMNS)), np.nan)
        for baseline in (*all_baselines(), *more):
            predicted = baseline.fit(training, model.capacity).predict(demands, unknown)
            scores += score(baseline.name, predicted, test, floors, floors_from=floors_from)
            skills[baseline.name] = _skills(centre, predicted, test)
            if others is not None and usual is not None:
                told = _with_others(predicted, np.nan_to_num(others - usual.mean))
                given += _cpu_scores(baseline.name, told, test, floors)
    return Evaluation(
        split=split,
        scores=scores,
        skills=skills,
        coverage=coverage_of(model, test, cold, members, floors_from),
        train=len(training),
        test=len(test),
        pairs=pairs,
        overload=score_overload(test, members),
        given=given,
        others=busyness_of(test),
    )


def _with_others(predicted: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """Return a baseline's predictions with what others used more or less than while it learnt.

    Args:
        predicted: (runs, columns, seconds), in units.
        beyond: (runs, seconds) percent of the CPUs.
    """
    told, cpu = predicted.copy(), COLUMNS.index("cpu_percent")
    seconds = beyond.shape[1]
    told[:, cpu, :seconds] = np.clip(told[:, cpu, :seconds] + beyond, 0.0, 100.0)
    return told


def _cpu_scores(
    predictor: str, told: np.ndarray, test: Sequence[Observation], floors: dict[str, float]
) -> list[ColumnScore]:
    """Return the scores of CPU use alone, of a predictor that was told what others used."""
    return [one for one in score(predictor, told, test, floors) if one.column == "cpu_percent"]


def _members(model: FittedModel, free: FreeRun, test: Sequence[Observation]) -> list[np.ndarray]:
    """Return the simulated trajectories of each run, (members, columns, its seconds), in units."""
    return [
        model.members(free, number)[..., : observation.demand.seconds]
        for number, observation in enumerate(test)
    ]


def _skills(
    centre: np.ndarray, predicted: np.ndarray, test: Sequence[Observation]
) -> dict[str, tuple[float, float, float]]:
    """Return the model's skill over a baseline by column, with its interval.

    Args:
        centre: (runs, columns, seconds) the model's predictions.
        predicted: the baseline's.
        test: the runs.
    """
    measured, plans = padded(test), [observation.plan for observation in test]
    seconds = measured.shape[2]
    skills = {}
    for index, column in enumerate(COLUMNS):
        truth = measured[:, index]
        ours = square_errors(centre[:, index], truth, column)
        theirs = square_errors(predicted[:, index, :seconds], truth, column)
        skills[column] = skill(ours, theirs, plans)
    return skills

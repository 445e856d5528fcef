"""How good a twin is.

Every split, each with its own fit, the twin and every baseline by one code path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.errors import InvalidInput
from twin_harness.predict.baselines import all_baselines
from twin_harness.predict.calibration import ratios_of
from twin_harness.predict.fit import LOG_COLUMNS, scored
from twin_harness.predict.gathering import check_machines, sides_of
from twin_harness.predict.observation import COLUMNS, padded, start_of
from twin_harness.predict.overload_scores import OverloadScore, score_overload
from twin_harness.predict.scores import (
    ColumnScore,
    floor_of,
    replicate_width,
    score,
    skill,
    square_errors,
    tails_of,
)
from twin_harness.predict.splits import SPLITS, divide
from twin_harness.predict.twin import Twin, ways_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from twin_harness.predict.observation import Observation
    from twin_harness.predict.uncertainty import FreeRun

TWIN, WARM = "twin", "twin, as found"


@dataclass(frozen=True)
class Coverage:
    """How often a band held, over runs that nothing of the model has seen.

    Attributes:
        column: which. pointwise, simultaneous: shares of seconds and of runs inside; NaN without a
            calibrated band. low, high: the interval (95 %) of the simultaneous share, exact
            binomial. width: mean of the pointwise band in the column's unit. replicate_width: what
            a perfect model's would be, from replicates. crps: mean continuous ranked probability
            score, in it, too (of latencies of their logarithm). runs: how many; each weighs the
            same.
    """

    column: str
    pointwise: float
    simultaneous: float
    low: float
    high: float
    width: float
    replicate_width: float
    crps: float
    runs: int


@dataclass(frozen=True)
class Evaluation:
    """The scores of one split.

    Attributes:
        split: its name; empty for held-out runs. scores: of the twin and every baseline, by column.
            skills: by baseline and column, the twin's skill with its interval. coverage: by column.
            train, test: runs on each side. pairs: replicates that the floor is of.
        overload: the calls of each condition.
    """

    split: str
    scores: list[ColumnScore]
    skills: dict[str, dict[str, tuple[float, float, float]]]
    coverage: list[Coverage]
    train: int
    test: int
    pairs: int
    overload: list[OverloadScore] = field(default_factory=list)

    def score_of(self, column: str, predictor: str = TWIN) -> ColumnScore | None:
        """Return one score; None where the column was not measured."""
        return next(
            (one for one in self.scores if one.column == column and one.predictor == predictor),
            None,
        )

    def best_baseline(self, column: str) -> ColumnScore | None:
        """Return the baseline with the least error."""
        others = [
            one for one in self.scores if one.column == column and one.predictor not in (TWIN, WARM)
        ]
        return min(
            (one for one in others if np.isfinite(one.rmse)), key=lambda one: one.rmse, default=None
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        skills = {
            name: {
                column: [None if np.isnan(part) else part for part in three]
                for column, three in columns.items()
            }
            for name, columns in self.skills.items()
        }
        coverage = [
            {
                key: None if isinstance(value, float) and np.isnan(value) else value
                for key, value in vars(one).items()
            }
            for one in self.coverage
        ]
        scores = [one.to_json() for one in self.scores]
        return {
            "split": self.split,
            "train_runs": self.train,
            "test_runs": self.test,
            "replicate_pairs": self.pairs,
            "scores": scores,
            "skills": skills,
            "coverage": coverage,
            "overload": [one.to_json() for one in self.overload],
        }


def evaluate(
    twin: Twin,
    training: Sequence[Observation],
    test: Sequence[Observation],
    split: str = "",
    floors_from: Sequence[Observation] = (),
) -> Evaluation:
    """Judge a fitted twin, and baselines fitted to the same training runs, by runs that neither has seen.

    Args:
        twin: fitted.
        training: what it was fitted to; baselines are fitted to it.
        test: the runs it is judged by.
        split: how the runs were divided.
        floors_from: runs whose replicates tell the noise floor; the test's own unless given.
    """
    demands = [one.demand for one in test]
    cold = np.full((len(test), len(COLUMNS)), np.nan)
    measured = padded(test)
    check_machines([*training, *test])
    free, as_found = twin.simulated(demands), twin.simulated(demands, start_of(test))
    floors, pairs = {}, 0
    for column in COLUMNS:
        floors[column], pairs = floor_of(floors_from or test, column)
    ours = _linear(free.centre)
    members = [
        ways_of(twin, free, plan)[..., : one.demand.seconds] for plan, one in enumerate(test)
    ]
    others = [
        ways_of(twin, as_found, plan)[..., : one.demand.seconds] for plan, one in enumerate(test)
    ]
    scores = score(TWIN, ours, test, floors, tails_of(members), floors_from)
    scores += score(WARM, _linear(as_found.centre), test, floors, tails_of(others), floors_from)
    skills = {}
    for baseline in all_baselines() if training else []:
        guess = baseline.fit(training, twin.capacity_).predict(demands, cold)
        scores += score(baseline.name, guess, test, floors, floors_from=floors_from)
        plans = [one.plan for one in test]
        skills[baseline.name] = {
            column: skill(
                square_errors(ours[:, index], measured[:, index], column),
                square_errors(guess[:, index, : measured.shape[2]], measured[:, index], column),
                plans,
            )
            for index, column in enumerate(COLUMNS)
        }
    return Evaluation(
        split,
        scores,
        skills,
        _coverage(twin, test, free, members, floors_from),
        len(training),
        len(test),
        pairs,
        score_overload(test, members),
    )


def evaluate_splits(
    observations: Sequence[Observation],
    names: Iterable[str] = SPLITS,
    say: Callable[[str], None] = lambda _: None,
    starts: int = 3,
) -> tuple[list[Evaluation], list[str]]:
    """Judge the model's design by every split that the runs allow, each with its own fit.

    Returns:
        The evaluations, and a sentence for each split that could not be made.
    """
    check_machines(observations)
    found, missing = [], []
    for name in names:
        try:
            divided = divide(name, observations)
            say(f"{name}: {len(divided.train)} runs to train, {len(divided.test)} to test")
            kept = [
                one
                for one in observations
                if one.role == "calibrate"
                and one.plan not in {other.plan for other in (*divided.train, *divided.test)}
            ]
            twin = Twin(starts).fit_observations([*divided.train, *kept], say)
            fitted = sides_of([*divided.train, *kept])[0]
        except InvalidInput as error:
            missing.append(str(error))
            continue
        found.append(
            evaluate(
                twin, fitted, divided.test, name, floors_from=observations if name == "S1" else ()
            )
        )
    return found, missing


def _linear(values: np.ndarray) -> np.ndarray:
    """Return (runs, columns, seconds) of the scale of ``scored`` in the columns' units."""
    linear = values.copy()
    for index, name in enumerate(COLUMNS):
        if name in LOG_COLUMNS:
            linear[:, index] = np.exp(linear[:, index])
    return linear


def check_held_out(twin: Twin, observations: Sequence[Observation]) -> None:
    """Go on only with runs that the model has not seen and that began after it was written.

    Raises:
        InvalidInput: a run is of a plan that the model knows, is older than it, of another machine,
            or there is none.
    """
    if not observations:
        msg = (
            "score: the folders hold no runs to judge by; expected some of plans that the model was"
            " not fitted to"
        )
        raise InvalidInput(msg)
    known = {*twin.file_.training.plans, *twin.file_.training.calibration_plans}
    written = datetime.fromisoformat(twin.file_.created)
    for one in observations:
        where = f"score: {one.name!r} of run {one.run}"
        if one.plan in known:
            msg = (
                f"{where} is of a plan that the model was fitted to; expected others, leave the"
                " folder out or judge the design: --split S1,S2,S3"
            )
            raise InvalidInput(msg)
        if not one.is_of(twin.file_.fingerprint):
            msg = (
                f"{where} is of machine {one.fingerprint}, the model of {twin.file_.fingerprint};"
                " expected runs of the same machine"
            )
            raise InvalidInput(msg)
        try:
            began = datetime.fromisoformat(one.began)
        except ValueError:
            began = None
        if began is None or began.tzinfo is None or began < written:
            msg = (
                f"{where} began at {one.began[:19] or 'an unknown time'}, the model was written at"
                f" {written:%Y-%m-%d %H:%M:%S}; expected later runs"
            )
            raise InvalidInput(msg)


def _crps(ways: np.ndarray, truth: np.ndarray) -> float:
    """Return the continuous ranked probability score of members (members, seconds), its mean over a run: E|X − y| − E|X − X′| / 2."""
    count = len(ways)
    weights = (2.0 * np.arange(1, count + 1) - count - 1.0) / count**2
    spread = (weights[:, np.newaxis] * np.sort(ways, axis=0)).sum(
        axis=0
    )  # half the mean distance of two members
    values = np.abs(ways - truth).mean(axis=0) - spread
    if not np.isnan(values).all():
        return float(np.nanmean(values))
    return float("nan")


def _by_run(values: np.ndarray) -> np.ndarray:
    """Return the mean of each run of which something is known."""
    counts = (~np.isnan(values)).sum(axis=1)
    found: np.ndarray = np.nansum(values[counts > 0], axis=1) / counts[counts > 0]
    return found


def _in_unit(column: str, values: np.ndarray) -> np.ndarray:
    """Return values of the scale of ``scored`` in the column's unit, within what is physical."""
    found: np.ndarray = (
        np.exp(np.minimum(values, 20.0))
        if column in LOG_COLUMNS
        else np.clip(values, 0.0, 100.0 if column.endswith("_percent") else None)
    )
    return found


def _coverage(
    twin: Twin,
    test: Sequence[Observation],
    free: FreeRun,
    members: Sequence[np.ndarray],
    floors_from: Sequence[Observation],
) -> list[Coverage]:
    from scipy.stats import binomtest

    measured = padded(test)
    reach = twin.spread_.reach(free)
    found = []
    for index, column in enumerate(COLUMNS):
        centre, sides = free.centre[:, index], reach[:, :, index]
        truth = scored(column, measured[:, index])
        known = ~np.isnan(truth)
        if not known.any():
            continue
        ratios = ratios_of(truth, centre, sides)
        point, joint = twin.calibration_.pointwise[index], twin.calibration_.simultaneous[index]
        counts = known.sum(axis=1)
        inside = np.nanmean(
            [
                np.nansum(row <= point) / count
                for row, count in zip(ratios, counts, strict=True)
                if count
            ]
        )
        whole = [
            bool(np.nanmax(row) <= joint)
            for row, count in zip(ratios, counts, strict=True)
            if count
        ]
        plans = len({one.plan for one in test})  # replicates of one are no independent runs
        interval = binomtest(
            round(float(np.mean(whole)) * min(plans, len(whole))), min(plans, len(whole))
        ).proportion_ci(0.95)
        crps = [
            _crps(scored(column, ways[:, index]), row[: ways.shape[2]])
            for ways, row in zip(members, truth, strict=True)
        ]
        is_known = np.isfinite(point)
        ends = [
            _in_unit(column, centre + part) if is_known else np.full_like(truth, np.nan)
            for part in (-point * sides[0], point * sides[1])
        ]
        found.append(
            Coverage(
                column,
                float(inside) if is_known else float("nan"),
                float(np.mean(whole)) if np.isfinite(joint) else float("nan"),
                float(interval.low) if np.isfinite(joint) else float("nan"),
                float(interval.high) if np.isfinite(joint) else float("nan"),
                (
                    float(np.mean(_by_run(np.where(known, ends[1] - ends[0], np.nan))))
                    if is_known
                    else float("nan")
                ),
                replicate_width(floors_from or test, column),
                float(np.nanmean(crps)),
                len(whole),
            )
        )
    return found

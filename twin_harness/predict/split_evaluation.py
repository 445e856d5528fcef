"""Evaluation of the model's design: every split of the runs, each with its own fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput
from twin_harness.predict.evaluate import Evaluation, evaluate
from twin_harness.predict.gathering import check_machines, sides_of
from twin_harness.predict.splits import SPLITS, divide
from twin_harness.predict.twin import Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from twin_harness.predict.baselines import Predictor
    from twin_harness.predict.observation import Observation


def evaluate_splits(
    observations: Sequence[Observation],
    names: Iterable[str] = SPLITS,
    progress: Callable[[str], None] = lambda _: None,
    starts: int = 3,
    more: Sequence[Predictor] = (),
) -> tuple[list[Evaluation], list[str]]:
    """Judge the model's design by every split that the runs allow, each with its own fit.

    Args:
        observations: the runs to divide.
        names: of the splits.
        progress: called with a sentence for each split and each start of its fit.
        starts: from how many points each fit begins.
        more: baselines beside the usual ones.

    Returns:
        The evaluations, and a sentence for each split that could not be made.
    """
    check_machines(observations)
    evaluations: list[Evaluation] = []
    missing: list[str] = []
    for name in names:
        try:
            evaluations.append(_evaluate_split(name, observations, progress, starts, more))
        except InvalidInput as error:
            missing.append(str(error))
    return evaluations, missing


def _evaluate_split(
    name: str,
    observations: Sequence[Observation],
    progress: Callable[[str], None],
    starts: int,
    more: Sequence[Predictor],
) -> Evaluation:
    split = divide(name, observations)
    progress(f"{name}: {len(split.train)} runs to train, {len(split.test)} to test")
    used = {observation.plan for observation in (*split.train, *split.test)}
    kept = [
        observation
        for observation in observations
        if observation.role == "calibrate" and observation.plan not in used
    ]
    twin = Twin(starts).fit_observations([*split.train, *kept], progress)
    training = sides_of([*split.train, *kept])[0]
    if name == "S1":
        floors_from = observations
    else:
        floors_from = ()
    return evaluate(twin.model_, training, split.test, name, floors_from, more)

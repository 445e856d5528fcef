"""Splits: which runs a model is fitted to and which it is judged by.

No plan stands on both sides, except for the split that measures the noise floor.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from twin_harness.dataset.preparation import assign
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.observation import Observation

SPLITS = {
    "S1": "replicate: another run of a plan that was trained on (the noise floor)",
    "S2": "new plans: random ones that were not trained on",
    "S3": "combinations: trained on one resource at a time, tested on several",
    "S4": "amplitude: trained up to 70 percent of each resource's highest level, tested above",
    "S5": "shape: trained on steps and holds, tested on ramps, waves and spikes",
    "S6": "another day: trained on the first day, tested on plans of later ones",
}
HEADLINE = ("S2", "S3", "S5")
_STEPPED = {"constant", "steps", "square", "holds"}
_SMOOTH = {"ramp", "sine", "spikes", "leak", "trace"}
_LOW_AMPLITUDE = 0.7
_TRAINING_SHARE = 0.6
FEWEST_RUNS = 3


@dataclass(frozen=True)
class Split:
    """One way to divide runs.

    Attributes:
        name: ``S1`` to ``S6``.
        train: the runs to fit.
        test: the runs to judge by.
    """

    name: str
    train: tuple[Observation, ...]
    test: tuple[Observation, ...]


def divide(name: str, observations: Sequence[Observation]) -> Split:
    """Divide runs in one way.

    Raises:
        InvalidInput: the split is unknown, or one side holds fewer than three runs.
    """
    if name not in SPLITS:
        msg = f"split: expected one of {', '.join(SPLITS)} but got {name!r}"
        raise InvalidInput(msg)
    train, test = _SIDES[name](observations)
    if name != "S1":
        tested = {observation.plan for observation in test}
        train = [observation for observation in train if observation.plan not in tested]
    if min(len(train), len(test)) < FEWEST_RUNS:
        msg = (
            f"split {name} ({SPLITS[name]}): {len(train)} runs to train and {len(test)} to test"
            f" among {len(observations)}; expected {FEWEST_RUNS} of each, record more (pytest"
            " scenarios/campaign --twin-campaign 1h)"
        )
        raise InvalidInput(msg)
    return Split(name, tuple(train), tuple(test))


_Sides: TypeAlias = "tuple[list[Observation], list[Observation]]"


def _by_replicate(observations: Sequence[Observation]) -> _Sides:
    by_plan = defaultdict(list)
    for observation in observations:
        by_plan[observation.plan].append(observation)
    train = [replicates[0] for replicates in by_plan.values()]
    return train, [other for replicates in by_plan.values() for other in replicates[1:]]


def _by_plan(observations: Sequence[Observation]) -> _Sides:
    """Take what the campaign set aside as its test, or divide by the hash without such runs."""
    tests = [observation for observation in observations if observation.role == "test"]
    if tests:
        return [observation for observation in observations if observation.role == "train"], tests
    sides = assign(
        [observation.plan for observation in observations],
        {"train": _TRAINING_SHARE, "test": 1.0 - _TRAINING_SHARE},
    )
    return tuple(
        [observation for observation in observations if sides[observation.plan] == side]
        for side in ("train", "test")
    )  # type: ignore[return-value]


def _by_combination(observations: Sequence[Observation]) -> _Sides:
    return [one for one in observations if len(one.stressors) <= 1], [
        one for one in observations if len(one.stressors) > 1
    ]


def _by_amplitude(observations: Sequence[Observation]) -> _Sides:
    names = (
        "cpu_percent",
        "memory_bytes",
        "write_bytes_per_s",
        "sync_bytes_per_s",
        "read_bytes_per_s",
    )
    highest = {
        name: max(float(one.demand.channel(name).max()) for one in observations) for name in names
    }

    def is_low(one: Observation) -> bool:
        return all(
            one.demand.channel(name).max() <= _LOW_AMPLITUDE * highest[name] for name in names
        )

    return [one for one in observations if is_low(one)], [
        one for one in observations if not is_low(one)
    ]


def _by_shape(observations: Sequence[Observation]) -> _Sides:
    return [one for one in observations if one.shapes <= _STEPPED], [
        one for one in observations if one.shapes & _SMOOTH
    ]


def _by_day(observations: Sequence[Observation]) -> _Sides:
    first = min(one.began[:10] for one in observations)
    return [one for one in observations if one.began[:10] == first], [
        one for one in observations if one.began[:10] != first
    ]


_SIDES = {
    "S1": _by_replicate,
    "S2": _by_plan,
    "S3": _by_combination,
    "S4": _by_amplitude,
    "S5": _by_shape,
    "S6": _by_day,
}

"""The training campaign.

Experiments from which a twin of this machine is fitted, calibrated and tested, in that order.

train      a warm-up at rest, staircases and random holds (APRBS: amplitude-modulated random steps)
           of each resource alone, one run that saturates it, then pairs and all three; some of them
           three times
calibrate  random plans of every shape, none of which the model has seen; every second one reaches
           for a limit, memory and disk by turns, so that calls of overload can be judged
test       other such plans, to be recorded once the model is written; a quarter of them twice,
           which shows how far two runs of one plan differ

The same size, seed and bounds give the same experiments, so a campaign is recorded in pieces: what
a data folder holds is not run again.
"""

from __future__ import annotations

import random as _random
from collections import Counter
from typing import TYPE_CHECKING, Any

from twin_harness.control.campaign_bounds import CampaignBounds
from twin_harness.control.campaign_events import SPAN_S, Drawing
from twin_harness.errors import InvalidInput, TwinError
from twin_harness.runs.folder import RunFolder
from twin_harness.schedule.builders import plan
from twin_harness.schedule.tolerance import NO_TOLERANCE
from twin_harness.system.machine import is_same_machine
from twin_harness.system.provenance import is_predicted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment

# Runs of train, calibrate and test.
COUNTS = {
    "10m": (6, 2, 2),
    "1h": (24, 20, 16),
    "4h": (60, 50, 40),
}
ROLES = ("train", "calibrate", "test")
ADAPTIVE = "adaptive"  # the first word of what a campaign has chosen as it went
LEAD_S, TAIL_S, SETTLE_S = 3.0, 7.0, 5.0
_REPEATED = (1, 4, 11, 5, 15, 21)  # of the training runs: singles and combinations


def draw_campaign(
    size: str, seed: int = 0, bounds: CampaignBounds | None = None
) -> tuple[Experiment, ...]:
    """Return the experiments of a campaign, each of about a minute, named after their role.

    ``train 07 cpu, disk holds``, ``test 03 again``.

    Args:
        size: ``10m``, ``1h`` or ``4h``.
        seed: decides levels, holds and shapes.
        bounds: what is asked for at most.

    Raises:
        InvalidInput: the size is unknown.
    """
    if size not in COUNTS:
        msg = f"campaign: expected one of {', '.join(COUNTS)} but got size={size!r}"
        raise InvalidInput(msg)
    # A source of its own for each role: the smaller campaign is the beginning of the larger one.
    drawings = {}
    for role in ROLES:
        source = _random.Random(f"campaign {seed} {role}")  # noqa: S311 - reproducible on purpose
        drawings[role] = Drawing(source, bounds or CampaignBounds())
    training, calibrating, testing = COUNTS[size]
    return (
        *_train(drawings["train"], training),
        *_random_plans(drawings["calibrate"], "calibrate", calibrating, calibrating),
        *_random_plans(drawings["test"], "test", testing, max(1, testing * 3 // 4)),
    )


def role_of(name: str) -> str:
    """Return which part of the campaign an experiment of that name belongs to.

    ``train`` for all others.
    """
    first = name.split(" ", 1)[0]
    if first in ROLES:
        return first
    return "train"


def recorded_hashes(
    data_dir: Path, here: dict[str, Any], skip: str = ""
) -> Counter[tuple[str, str]]:
    """Return how often each experiment (name, and hash) was run to its end on a machine.

    Args:
        data_dir: where run folders are; all of them count.
        here: what ``machine.json`` says of the machine.
        skip: a run that does not count: the one under way.
    """
    recorded: Counter[tuple[str, str]] = Counter()
    for folder in _folders_of(data_dir, here):
        if folder.run_id != skip:
            recorded.update(_completed(folder))
    return recorded


def campaign_folders(data_dir: Path, here: dict[str, Any]) -> list[Path]:
    """Return the run folders in which experiments of campaigns were run on a machine.

    Args:
        data_dir: where run folders are.
        here: what ``machine.json`` says of the machine.
    """
    return [
        folder.path
        for folder in _folders_of(data_dir, here)
        if any(name.partition(" ")[0] in (*ROLES, ADAPTIVE) for name, _ in _completed(folder))
    ]


def _folders_of(data_dir: Path, here: dict[str, Any]) -> Iterator[RunFolder]:
    """Give the folders of runs that were measured on a machine."""
    for path in sorted(data_dir.glob("*Z-*")) if data_dir.is_dir() else []:
        if path.is_symlink() or not (path / "run.json").exists():
            continue
        folder = RunFolder(path)
        try:
            machine = folder.read_machine()
        except TwinError:  # an old or damaged folder is no record of anything
            continue
        if is_same_machine(machine, here) and not is_predicted(machine):
            yield folder


def _completed(folder: RunFolder) -> list[tuple[str, str]]:
    """Return the name and the hash of each experiment that was run to its end."""
    try:
        return [
            (planned.experiment.name, planned.experiment.hash())
            for planned in folder.read_plans()
            if planned.status == "completed"
        ]
    except TwinError:
        return []


def remaining(
    runs: Sequence[Experiment], recorded: Counter[tuple[str, str]]
) -> tuple[Experiment, ...]:
    """Return the experiments of a campaign that were not recorded yet.

    What stands in the place of a placeholder has its name.
    """
    names = {name for name, _ in recorded if name.startswith(f"{ADAPTIVE} ")}
    return tuple(
        run for run in runs if (run.name, run.hash()) not in recorded and run.name not in names
    )


def _train(drawing: Drawing, count: int) -> Iterator[Experiment]:
    """Give training runs, the most informative first.

    A fifth of them, at the end, make some of the first plans run three times.
    """
    repeated = count // 10
    made = [
        _experiment(f"train {number:02d} {name}", events, TAIL_S if events else SPAN_S)
        for number, (name, events) in zip(
            range(count - 2 * repeated), drawing.training(), strict=False
        )
    ]
    yield from made
    for word in ("again", "once more"):
        for number in _REPEATED[:repeated]:
            yield _renamed(made[number], word)


def _random_plans(drawing: Drawing, role: str, count: int, different: int) -> Iterator[Experiment]:
    """Give random plans, every second one of which reaches for a limit.

    Those beyond the number of different ones repeat the first.
    """
    made = [
        _experiment(f"{role} {number:02d}", _random_events(drawing, number), TAIL_S)
        for number in range(different)
    ]
    yield from made
    yield from (_renamed(experiment, "again") for experiment in made[: count - different])


def _random_events(drawing: Drawing, number: int) -> list[Event]:
    if number % 2 == 0:
        return drawing.mixture()
    return drawing.overload("memory" if number % 4 == 1 else "disk")


def _experiment(name: str, events: list[Event], tail_s: float) -> Experiment:
    return plan(
        *events,
        name=name,
        lead_s=LEAD_S,
        tail_s=tail_s,
        settle_s=SETTLE_S,
        tolerance=NO_TOLERANCE,
    )


def _renamed(experiment: Experiment, word: str) -> Experiment:
    return experiment.model_copy(update={"name": f"{experiment.name} {word}"})

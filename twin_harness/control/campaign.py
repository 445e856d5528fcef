"""The training campaign.

Experiments from which a twin of this machine is fitted, calibrated and tested, in that order.

train      a warm-up at rest, staircases and random holds (APRBS: amplitude-modulated random steps)
of each resource alone, one run that saturates
           it, then pairs and all three; some of them three times
calibrate  random plans of every shape, none of which the model has seen; every second one reaches
for a limit, memory and disk by turns, so that
           calls of overload can be judged
test       other such plans, to be recorded once the model is written; a quarter of them twice,
which tells how far two runs of one plan differ

The same size, seed and bounds give the same experiments, so a campaign is recorded in pieces: what
a data folder holds is not run again.
"""

from __future__ import annotations

import itertools
import random as _random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput, TwinError
from twin_harness.runs.folder import RunFolder
from twin_harness.schedule.builders import cpu, disk, memory, plan
from twin_harness.schedule.tolerance import NO_TOLERANCE
from twin_harness.shapes.shape import Shape, constant, ramp, sine, spikes, square, steps, trace
from twin_harness.system.machine import is_same_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from twin_harness.schedule.model import Event, Experiment

COUNTS = {
    "10m": (6, 2, 2),
    "1h": (24, 20, 16),
    "4h": (60, 50, 40),
}  # runs of train, calibrate and test
ROLES = ("train", "calibrate", "test")
SPAN_S, LEAD_S, TAIL_S, SETTLE_S = 48.0, 3.0, 7.0, 5.0
_SHORTEST_HOLD_S, _LONGEST_HOLD_S = 2.0, 24.0
_LEAST_DISK_BYTES_PER_S = 5_000_000
_SATURATING_BYTES_PER_S = 4e9
_RESOURCES = ("cpu", "memory", "disk")
_TOGETHER: tuple[tuple[str, ...], ...] = (
    ("cpu", "memory"),
    ("memory", "disk"),
    ("cpu", "disk"),
    _RESOURCES,
)
_REPEATED = (1, 4, 11, 5, 15, 21)  # of the training runs: singles and combinations


@dataclass(frozen=True)
class Bounds:
    """What the campaign asks of the machine at most.

    Attributes:
        max_cpu_percent, max_memory_percent: of the machine. max_disk_bytes_per_s: but for the run
            that saturates the device.
    """

    max_cpu_percent: int = 100
    max_memory_percent: int = 80
    max_disk_bytes_per_s: int = 1_000_000_000

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            InvalidInput: one is out of range.
        """
        for name, low, high in (
            ("max_cpu_percent", 10, 100),
            ("max_memory_percent", 10, 95),
            ("max_disk_bytes_per_s", 2 * _LEAST_DISK_BYTES_PER_S, 10**12),
        ):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                msg = (
                    f"campaign: expected a whole number from {low} to {high} but got"
                    f" {name}={value!r}"
                )
                raise InvalidInput(msg)


def draw_campaign(size: str, seed: int = 0, bounds: Bounds | None = None) -> tuple[Experiment, ...]:
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
        drawings[role] = _Drawing(source, bounds or Bounds())
    training, calibrating, testing = COUNTS[size]
    runs = [
        *_train(drawings["train"], training),
        *_random_plans(drawings["calibrate"], "calibrate", calibrating, calibrating),
    ]
    return (*runs, *_random_plans(drawings["test"], "test", testing, max(1, testing * 3 // 4)))


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
    """Return how often each experiment (name without repetition, and hash) was run to its end on a machine, over all run folders.

    Args:
        data_dir: where run folders are.
        here: what ``machine.json`` says of the machine.
        skip: a run that does not count: the one under way.
    """
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted(data_dir.glob("*Z-*")) if data_dir.is_dir() else ():
        if path.name == skip or path.is_symlink() or not (path / "run.json").exists():
            continue
        folder = RunFolder(path)
        try:
            machine = folder.read_machine()
            if is_same_machine(machine, here) and "foretold_by" not in machine:
                found.update(
                    (one.experiment.name, one.experiment.hash())
                    for one in folder.read_plans()
                    if one.status == "completed"
                )
        except TwinError:  # an old or damaged folder is no record of anything
            continue
    return found


def remaining(
    runs: Sequence[Experiment], recorded: Counter[tuple[str, str]]
) -> tuple[Experiment, ...]:
    """Return the experiments of a campaign that were not recorded yet."""
    return tuple(run for run in runs if (run.name, run.hash()) not in recorded)


def _train(drawing: _Drawing, count: int) -> Iterator[Experiment]:
    """Give training runs, the most telling first.

    A fifth of them, at the end, make some of the first plans run three times.
    """
    repeated = count // 10
    made = [
        plan(
            *events,
            name=f"train {number:02d} {name}",
            lead_s=LEAD_S,
            tail_s=TAIL_S if events else SPAN_S,
            settle_s=SETTLE_S,
            tolerance=NO_TOLERANCE,
        )
        for number, (name, events) in zip(
            range(count - 2 * repeated), drawing.training(), strict=False
        )
    ]
    yield from made
    for word in ("again", "once more"):
        for number in _REPEATED[:repeated]:
            yield made[number].model_copy(update={"name": f"{made[number].name} {word}"})


def _random_plans(drawing: _Drawing, role: str, count: int, different: int) -> Iterator[Experiment]:
    """Give random plans, every second one of which reaches for a limit.

    Those beyond the number of different ones repeat the first.
    """
    drawn = [
        (
            drawing.overload("memory" if number % 4 == 1 else "disk")
            if number % 2
            else drawing.mixture()
        )
        for number in range(different)
    ]
    made = [
        plan(
            *events,
            name=f"{role} {number:02d}",
            lead_s=LEAD_S,
            tail_s=TAIL_S,
            settle_s=SETTLE_S,
            tolerance=NO_TOLERANCE,
        )
        for number, events in enumerate(drawn)
    ]
    yield from made
    yield from (
        one.model_copy(update={"name": f"{one.name} again"}) for one in made[: count - different]
    )


@dataclass
class _Drawing:
    """Draws shapes and events on integer grids."""

    random: _random.Random
    bounds: Bounds

    def level(self, resource: str, least: float = 0.0) -> float:
        """Return a level, at least that share of the highest.

        Those of the disk are drawn by their logarithm.
        """
        if resource == "disk":
            low, high = _LEAST_DISK_BYTES_PER_S, self.bounds.max_disk_bytes_per_s
            share = self.random.randint(round(100 * least), 100) / 100.0
            return float(round(low * (high / low) ** share / 1e6) * 1_000_000)
        if resource == "cpu":
            highest = self.bounds.max_cpu_percent
        else:
            highest = self.bounds.max_memory_percent
        return float(max(1, round(highest * self.random.randint(round(100 * least), 100) / 100.0)))

    def holds(self, resource: str, span_s: float = SPAN_S) -> Shape:
        """Return random levels held for random times, short ones as often as long ones (by their logarithm)."""
        points, at_s = [], 0.0
        while at_s < span_s:
            points.append((at_s, self.level(resource)))
            at_s += round(
                _SHORTEST_HOLD_S * (_LONGEST_HOLD_S / _SHORTEST_HOLD_S) ** self.random.random(), 1
            )
        return trace(points, interpolation="previous")

    def staircase(self, resource: str, *, is_falling: bool) -> Shape:
        """Return six levels from the lowest to the highest, or back."""
        highest = {
            "cpu": self.bounds.max_cpu_percent,
            "memory": self.bounds.max_memory_percent,
            "disk": self.bounds.max_disk_bytes_per_s,
        }[resource]
        levels = [round(highest * k / 6) for k in range(1, 7)]
        if resource == "disk":
            low = _LEAST_DISK_BYTES_PER_S
            levels = [round(low * (highest / low) ** (k / 5) / 1e6) * 1_000_000 for k in range(6)]
        return steps([float(level) for level in (reversed(levels) if is_falling else levels)])

    def event(
        self,
        resource: str,
        shape: Shape,
        duration_s: float = SPAN_S,
        start_s: float = 0.0,
        *,
        disk_does: str = "",
    ) -> Event:
        """Return an event; the disk does what is said (``write``, ``read``, ``sync``), else one in four reads, one in six writes by the page cache."""
        make: dict[str, Callable[..., Event]] = {"cpu": cpu, "memory": memory, "disk": disk}
        options: dict[str, object] = {}
        if resource == "disk":
            drawn = self.random.random()
            does = disk_does or (
                "read" if drawn < 1 / 4 else "sync" if drawn < 1 / 4 + 1 / 6 else "write"
            )
            table: dict[str, dict[str, object]] = {
                "read": {"operation": "read"},
                "sync": {"direct": False},
                "write": {},
            }
            options = table[does]
        return make[resource](shape, start_s=start_s, duration_s=duration_s, **options)

    def training(self) -> Iterator[tuple[str, list[Event]]]:
        """Give training plans without end.

        Singles first, then pairs and all three, with random holds.
        """
        yield "rest", []
        for resource in _RESOURCES:
            yield (
                f"{resource} staircase",
                [
                    self.event(
                        resource, self.staircase(resource, is_falling=False), disk_does="write"
                    )
                ],
            )
        for resources in _TOGETHER[:2]:
            yield (
                f"{', '.join(resources)} holds",
                [self.event(resource, self.holds(resource)) for resource in resources],
            )
        yield "cpu saturated", [self.event("cpu", constant(float(self.bounds.max_cpu_percent)))]
        yield (
            "memory saturated",
            [self.event("memory", constant(float(self.bounds.max_memory_percent)))],
        )
        yield (
            "disk saturated",
            [self.event("disk", square(0.0, _SATURATING_BYTES_PER_S, 12.0), disk_does="write")],
        )
        for resource in _RESOURCES:
            yield (
                f"{resource} holds",
                [self.event(resource, self.holds(resource), disk_does="sync")],
            )
            yield (
                f"{resource} staircase down",
                [self.event(resource, self.staircase(resource, is_falling=True), disk_does="read")],
            )
        for resources in itertools.cycle(_TOGETHER):
            yield (
                f"{', '.join(resources)} holds",
                [self.event(resource, self.holds(resource)) for resource in resources],
            )
            single = self.random.choice(_RESOURCES)
            yield f"{single} holds", [self.event(single, self.holds(single))]

    def mixture(self) -> list[Event]:
        """Return a random plan.

        Two or three resources as a rule, any shape, half of the events with a peak near the highest
        level.
        """
        chosen = [resource for resource in _RESOURCES if self.random.random() < 3 / 4] or [
            self.random.choice(_RESOURCES)
        ]
        events = []
        for resource in chosen:
            duration_s = float(self.random.randint(14, int(SPAN_S)))
            start_s = float(self.random.randint(0, int(SPAN_S - duration_s)))
            events.append(
                self.event(resource, self.any_shape(resource, duration_s), duration_s, start_s)
            )
        return events

    def overload(self, resource: str) -> list[Event]:
        """Return a random plan that fills memory to its bound all the while, or keeps the disk busy for long, some with another load beside."""
        if resource == "memory":
            level = round(
                self.bounds.max_memory_percent * self.random.randint(970, 1000) / 1000.0, 2
            )
            start_s = self.random.randint(0, 30) / 10.0
            if self.random.random() < 1 / 3:
                beside = [self.event("disk", constant(self.level("disk") / 10.0))]
            else:
                beside = []
            return [self.event("memory", constant(level), SPAN_S - start_s, start_s), *beside]
        duration_s = float(self.random.randint(14, 36))
        start_s = float(self.random.randint(0, int(SPAN_S - duration_s)))
        if self.random.random() < 1 / 3:
            does = "read"
        else:
            does = "write"
        busy = self.event(
            "disk", constant(self.level("disk", 0.95)), duration_s, start_s, disk_does=does
        )
        if self.random.random() < 1 / 2:
            return [self.event("cpu", self.any_shape("cpu", SPAN_S)), busy]
        return [busy]

    def any_shape(self, resource: str, duration_s: float) -> Shape:
        """Return a shape of any kind."""
        top = self.level(resource, 0.85 if self.random.random() < 1 / 2 else 0.2)
        low = float(round(top * self.random.randint(0, 60) / 100.0))
        kind = self.random.choice(
            ("constant", "ramp", "steps", "sine", "square", "spikes", "holds")
        )
        if kind == "ramp":
            if self.random.random() < 3 / 4:
                return ramp(low, top)
            return ramp(top, low)
        if kind == "steps":
            return steps([self.level(resource) for _ in range(self.random.randint(2, 5))])
        if kind == "sine":
            return sine((top + low) / 2.0, (top - low) / 2.0, float(self.random.randint(6, 24)))
        if kind == "square":
            return square(
                low, top, float(self.random.randint(6, 20)), self.random.randint(3, 7) / 10.0
            )
        if kind == "spikes":
            return spikes(
                low,
                top - low,
                float(self.random.randint(2, 5)),
                float(self.random.randint(4, 10)),
                self.random.randint(0, 1000),
            )
        if kind == "holds":
            return self.holds(resource, duration_s)
        return constant(top)

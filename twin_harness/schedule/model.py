"""Event, Experiment and Schedule: the plan, checked against itself.

pydantic models around the shapes. Files are untrusted: unknown and duplicate keys are refused by
name, every number is finite and bounded, and a trace file must lie in the schedule's own folder.
Whether a machine can carry a plan is ``control/preflight.py``'s question.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, Strict, ValidationError, model_validator

from twin_harness.errors import InvalidInput
from twin_harness.schedule.event_options import (
    UNITS,
    is_stressor,
    known_stressors,
    options_of,
    resolved,
)
from twin_harness.schedule.file import inline_traces, read_json
from twin_harness.schedule.refusal import checked, describe, refuse
from twin_harness.schedule.shape_models import FrozenModel, ShapeField, witnesses
from twin_harness.schedule.tolerance import NO_TOLERANCE, percent_of
from twin_harness.shapes import shape as shapes
from twin_harness.system import newest

FORMAT = "twin-schedule/1"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.,:/#\[\]-]{0,119}")
_PERCENT = re.compile(r"[0-9]+(\.[0-9]+)?\s*%")
LONGEST_EVENT_S = 604_800
SHORTEST_EVENT_S = 1e-6
MOST_EVENTS = 1_000
_DEEPEST_GENERATOR = 50
_SHORT = {"cpu": "cpu", "memory": "mem", "disk": "disk"}

NotNegative = Annotated[float, Strict(), Field(ge=0, le=LONGEST_EVENT_S, allow_inf_nan=False)]


class Event(FrozenModel):
    """One load on one resource.

    A shape of level over ``duration_s`` seconds, from ``start_s`` on the events' clock.

    Levels are in ``unit``: percent of the machine for cpu, percent or bytes for memory, bytes_per_s
    or operations_per_s for disk, its own for a stressor that a project brings. A command has no
    shape: it runs, and is stopped at the end.
    """

    id: str = ""
    stressor: str
    start_s: NotNegative = 0.0
    duration_s: Annotated[float, Strict(), Field(gt=0, le=LONGEST_EVENT_S, allow_inf_nan=False)]
    shape: ShapeField
    unit: str = ""
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _has_a_shape_unless_a_command(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("stressor") != "command":
            return data
        if data.get("shape") is not None:
            refuse("shape", "stands beside a command, which has none; expected options.argv alone")
        return {**data, "shape": {"kind": "constant", "level": 0.0}}

    @model_validator(mode="after")
    def _is_consistent(self) -> Event:
        if not is_stressor(self.stressor):
            refuse(
                "stressor",
                f"{self.stressor!r} is unknown; expected one of {', '.join(known_stressors())}",
            )
        if self.id and (not NAME_PATTERN.fullmatch(self.id) or "/" in self.id):
            refuse(
                "id",
                f"{self.id!r} is no name; expected letters, digits and _.,:#[]- and no slash, at"
                " most 120 characters",
            )
        if self.duration_s < SHORTEST_EVENT_S:
            refuse("duration_s", f"{self.duration_s:g} is below a microsecond; expected seconds")
        self._check_unit()
        self._check_options()
        if isinstance(self.shape, shapes.Trace) and not self.shape.points:
            refuse(
                "shape.file",
                f"{self.shape.file!r} has not been read; read the schedule from its file, or give"
                " points",
            )
        self._check_levels()
        return self

    def _check_unit(self) -> None:
        allowed = UNITS.get(self.stressor, (self.unit or "level",))
        if self.stressor == "memory" and not self.unit:
            refuse("unit", "is missing; expected 'percent' or 'bytes' for memory")
        if not self.unit:
            object.__setattr__(self, "unit", allowed[0])
        if self.unit not in allowed:
            refuse(
                "unit",
                f"{self.unit!r} does not fit {self.stressor}; expected"
                f" {' or '.join(map(repr, allowed))}",
            )

    def _check_options(self) -> None:
        try:
            options_of(self.stressor).model_validate(self.options)
        except ValidationError as error:
            path, message = describe(error, options_of(self.stressor))
            refuse(f"options.{path}" if path else "options", message)

    def _check_levels(self) -> None:
        if self.unit == "percent":
            highest = 100.0
        else:
            highest = float("inf")
        for path, level in witnesses(self.shape, self.duration_s):
            if level < 0:
                refuse(f"shape.{path}", f"{level:g} is below 0 {self.unit}")
            if level > highest:
                refuse(f"shape.{path}", f"{level:g} is above 100 percent")

    @property
    def end_s(self) -> float:
        """When the event ends on the events' clock."""
        return self.start_s + self.duration_s

    def level(self, t_s: float) -> float:
        """Return the planned level, in ``unit``, ``t_s`` seconds after the event's start.

        0 outside it.
        """
        if 0 <= t_s < self.duration_s:
            return self.shape.level(t_s, self.duration_s)
        return 0.0

    def mean(self) -> float:
        """Return the planned mean level over the event, in ``unit``."""
        return self.shape.area(self.duration_s, self.duration_s) / self.duration_s

    def scale(self, cpu_capacity: float, memory_limit_bytes: float) -> float:
        """Return what one unit of this event's level is in the unit of its resource's dataset column (percent, bytes, bytes/s)."""
        if self.stressor == "cpu" and (cpus := self.option("cpus")):
            return len(set(cpus)) / cpu_capacity
        if self.stressor == "memory" and self.unit == "percent":
            return memory_limit_bytes / 100.0
        if self.unit == "operations_per_s":
            return float(self.option("block_bytes"))
        return 1.0

    def resolved_options(self) -> dict[str, Any]:
        """Return every option with its default filled in."""
        return resolved(self.stressor, self.options)

    def option(self, name: str) -> Any:
        """Return an option, its default unless given."""
        return getattr(options_of(self.stressor).model_validate(self.options), name)

    @property
    def is_of_system(self) -> bool:
        """Whether its level is a total of the machine, which others' work counts towards."""
        return self.stressor == "cpu" and self.options.get("target") == "system"

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as it stands in ``schedule.json``."""
        data = self.model_dump(mode="json", by_alias=True)
        unused = [key for key in ("options",) if not data[key]] + (
            ["shape", "unit"] if self.stressor == "command" else []
        )
        return {key: value for key, value in data.items() if key not in unused}


class Experiment(FrozenModel):
    """A named set of events with quiet time around them.

    ``lead_s`` and ``tail_s`` are recorded before and after; ``settle_s`` is the longest wait before
    the lead for the machine to fall idle; ``tolerance`` (``"5%"``) fails the experiment when any
    event's mean delivered load is further from the plan. None is held against the session's
    tolerance, ``"none"`` against nothing.
    """

    name: str = "experiment"
    lead_s: NotNegative = 1.0
    tail_s: NotNegative = 1.0
    share: Annotated[bool, Strict()] = False
    settle_s: NotNegative = 0.0
    tolerance: str | None = None
    events: Annotated[tuple[Event, ...], Field(max_length=MOST_EVENTS)] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> Experiment:
        if not NAME_PATTERN.fullmatch(self.name):
            refuse(
                "name",
                f"{self.name!r} is no name; expected letters, digits, blanks and _.,:/#[]-, at most"
                " 120 characters",
            )
        if self.tolerance not in (None, NO_TOLERANCE) and not _PERCENT.fullmatch(
            self.tolerance or ""
        ):
            refuse("tolerance", f"{self.tolerance!r} is no percent; expected e.g. '5%', or 'none'")
        if not self.events and self.lead_s + self.tail_s <= 0:
            refuse(
                "events",
                "is empty and so are lead_s and tail_s; expected an event, or quiet time to record",
            )
        object.__setattr__(self, "events", _with_ids(self.events))
        return self

    @property
    def span_s(self) -> float:
        """Seconds from the first event's clock zero to the end of the last event."""
        return max((event.end_s for event in self.events), default=0.0)

    @property
    def duration_s(self) -> float:
        """Planned seconds in all, lead and tail included."""
        return self.lead_s + self.span_s + self.tail_s

    @property
    def tolerance_percent(self) -> float | None:
        """The experiment's own tolerance as a number; None where it has none."""
        if self.tolerance:
            return percent_of(self.tolerance)
        return None

    def event(self, event_id: str) -> Event:
        """Return the event of that id.

        Raises:
            InvalidInput: there is none; the message lists those there are.
        """
        for event in self.events:
            if event.id == event_id:
                return event
        msg = (
            f"event {event_id!r} is not in experiment {self.name!r}; expected one of"
            f" {', '.join(e.id for e in self.events) or 'none'}"
        )
        raise InvalidInput(msg)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as it stands in ``schedule.json``."""
        data = self.model_dump(mode="json", by_alias=True, exclude={"events"})
        return {**data, "events": [event.to_json() for event in self.events]}

    def hash(self) -> str:
        """Return the SHA-256 of the canonical JSON without the name, traces inlined.

        Equal plans have equal hashes.
        """
        data = self.to_json()
        del data["name"]
        if data["tolerance"] == NO_TOLERANCE:
            data["tolerance"] = (
                # the load is the same, and nothing that was recorded before it could be said is
                # orphaned
                None
            )
        for event, plain in zip(self.events, data["events"], strict=True):
            plain["options"] = (
                options_of(event.stressor)
                .model_validate(event.options)
                .model_dump(exclude_defaults=True)
            )
            if not plain["options"]:
                del plain["options"]
        return hashlib.sha256(
            json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
        ).hexdigest()


def _with_ids(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """Name the events that have no id (``cpu-0``, ``mem-0`` …) and refuse ids that stand twice."""
    taken = {event.id for event in events if event.id}
    named, seen = [], set()
    for index, event in enumerate(events):
        event_id = event.id
        if not event_id:
            count = 0
            while (event_id := f"{_SHORT.get(event.stressor, event.stressor)}-{count}") in taken:
                count += 1
            taken.add(event_id)
        if event_id in seen:
            refuse(
                f"events[{index}].id",
                f"{event_id!r} stands twice; expected ids unique within an experiment",
            )
        seen.add(event_id)
        named.append(event.model_copy(update={"id": event_id}))
    return tuple(named)


class Schedule(FrozenModel):
    """The content of a ``schedule.json``."""

    format: Literal["twin-schedule/1"] = "twin-schedule/1"
    seed: Annotated[int, Strict(), Field(ge=0)] | None = None
    generator: dict[str, Any] = Field(default_factory=dict)
    experiments: Annotated[tuple[Experiment, ...], Field(min_length=1, max_length=100_000)]

    @model_validator(mode="after")
    def _has_plain_generator(self) -> Schedule:
        if _depth(self.generator) > _DEEPEST_GENERATOR:
            refuse(
                "generator",
                f"is nested more than {_DEEPEST_GENERATOR} deep; expected names, numbers and short"
                " lists",
            )
        return self

    @classmethod
    def of(cls, *experiments: Experiment) -> Schedule:
        """Make a schedule of experiments."""
        return checked(cls, {"experiments": experiments}, "Schedule.of()")

    @classmethod
    def from_json(
        cls, data: object, *, folder: Path | None = None, source: str = "schedule"
    ) -> Schedule:
        """Check plain data; trace files are read from within ``folder``.

        Raises:
            InvalidInput: one sentence that names the path within the data and the value.
        """
        if isinstance(data, dict) and str(data.get("format", FORMAT)) != FORMAT:
            msg = (
                f"{source}: format: {data['format']!r} is not one this version reads; expected"
                f" {FORMAT!r}, or upgrade twin-harness"
            )
            raise InvalidInput(msg)
        if folder is not None:
            inline_traces(data, folder, source)
        return checked(cls, data, source)

    @classmethod
    def read(cls, path: str | Path) -> Schedule:
        """Read and check a schedule file.

        Raises:
            InvalidInput: the file is missing, too large, no JSON, or no schedule; one sentence that
                names path and value.
        """
        path = newest.follow(path)
        return cls.from_json(read_json(path), folder=path.resolve().parent, source=str(path))

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as it stands in ``schedule.json``."""
        data = self.model_dump(mode="json", by_alias=True, exclude={"experiments"})
        return {**data, "experiments": [experiment.to_json() for experiment in self.experiments]}

    def write(self, path: str | Path) -> None:
        """Write the file."""
        Path(path).write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")


def _depth(value: object, deep: int = 0) -> int:
    """Return how deep plain data is nested, looking no further than needed to refuse it."""
    if deep > _DEEPEST_GENERATOR or not isinstance(value, (dict, list)):
        return deep
    return max(
        (_depth(part, deep + 1) for part in (value.values() if isinstance(value, dict) else value)),
        default=deep,
    )

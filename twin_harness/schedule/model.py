"""Experiment and Schedule: the plan, checked against itself.

pydantic models around the events. Files are untrusted: unknown and duplicate keys are refused by
name, every number is finite and bounded, and a trace file must lie in the schedule's own folder.
Whether a machine can carry a plan is ``control/preflight.py``'s question.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, Strict, model_validator

from twin_harness.errors import InvalidInput
from twin_harness.schedule.event import NAME_PATTERN, Event, NotNegative
from twin_harness.schedule.event_options import options_model
from twin_harness.schedule.file import inline_traces, read_json
from twin_harness.schedule.shape_models import FrozenModel
from twin_harness.schedule.tolerance import NO_TOLERANCE, percent_of
from twin_harness.schedule.validation import refuse, validated
from twin_harness.system import newest
from twin_harness.system.whole_file import write_whole

__all__ = ["FORMAT", "Event", "Experiment", "Schedule"]

FORMAT = "twin-schedule/1"
_PERCENT = re.compile(r"[0-9]+(\.[0-9]+)?\s*%")
MOST_EVENTS = 1_000
_DEEPEST_GENERATOR = 50
_SHORT = {"cpu": "cpu", "memory": "mem", "disk": "disk"}


class Experiment(FrozenModel):
    """A named set of events with quiet time around them.

    Attributes:
        name: of the experiment.
        lead_s: quiet time that is recorded before the events.
        tail_s: quiet time that is recorded after them.
        share: whether it runs beside experiments that use other resources.
        settle_s: the longest wait before the lead for the machine to fall idle.
        tolerance: (``"5%"``) fails the experiment when any event's mean delivered load is further
            from the plan; None takes the session's tolerance, ``"none"`` judges nothing.
        events: the loads, which may overlap.
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
                f"{self.name!r} is not a valid name; use letters, digits, blanks and _.,:/#[]-, at"
                " most 120 characters",
            )
        has_percent = self.tolerance not in (None, NO_TOLERANCE)
        if has_percent and not _PERCENT.fullmatch(self.tolerance or ""):
            refuse(
                "tolerance",
                f"{self.tolerance!r} is not a percentage; expected e.g. '5%', or 'none'",
            )
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
    def machine_s(self) -> float:
        """Seconds of the machine that a run takes at most: the wait before it, and its plan."""
        return self.settle_s + self.duration_s

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

    def has_overlap(self, event: Event) -> bool:
        """Tell whether another event is planned beside this one."""
        return any(other.id != event.id and other.overlaps(event) for other in self.events)

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
            # The load is the same, so experiments recorded before there was "none" keep their hash.
            data["tolerance"] = None
        for event, plain in zip(self.events, data["events"], strict=True):
            options = options_model(event.stressor).model_validate(event.options)
            plain["options"] = options.model_dump(exclude_defaults=True)
            if not plain["options"]:
                del plain["options"]
        canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


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
                f"{event_id!r} is given twice; expected ids unique within an experiment",
            )
        seen.add(event_id)
        named.append(event.model_copy(update={"id": event_id}))
    return tuple(named)


class Schedule(FrozenModel):
    """The content of a ``schedule.json``.

    Attributes:
        format: version of the format.
        seed: what random plans were drawn by; None where there are none.
        generator: what made the plans: name, version and arguments.
        experiments: the plans, in order.
    """

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
        return validated(cls, {"experiments": experiments}, "Schedule.of()")

    @classmethod
    def from_json(
        cls, data: object, *, folder: Path | None = None, source: str = "schedule"
    ) -> Schedule:
        """Check plain data.

        Args:
            data: what JSON gave.
            folder: trace files are read from within it; None takes them as they are.
            source: what messages begin with.

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
        return validated(cls, data, source)

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
        """Write the file: readers see the old content or the new one, never half of it.

        What is no regular file (a pipe, a device) is written to in place.

        Raises:
            OSError: it cannot be written.
        """
        path, text = Path(path), json.dumps(self.to_json(), indent=1) + "\n"
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            write_whole(path.resolve(), text)  # a link stays one


def _depth(value: object, deep: int = 0) -> int:
    """Return how deep plain data is nested, looking no further than needed to refuse it."""
    if deep > _DEEPEST_GENERATOR or not isinstance(value, (dict, list)):
        return deep
    parts = value.values() if isinstance(value, dict) else value
    return max((_depth(part, deep + 1) for part in parts), default=deep)

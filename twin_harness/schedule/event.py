"""Event: one load on one resource, checked against itself."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, Strict, ValidationError, model_validator

from twin_harness.schedule.event_options import (
    UNITS,
    is_stressor,
    known_stressors,
    options_model,
    resolve_options,
)
from twin_harness.schedule.shape_models import FrozenModel, ShapeField, bounding_levels
from twin_harness.schedule.validation import describe, refuse
from twin_harness.shapes import shape as shapes

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.,:/#\[\]-]{0,119}")
LONGEST_EVENT_S = 604_800
SHORTEST_EVENT_S = 1e-6

NotNegative = Annotated[float, Strict(), Field(ge=0, le=LONGEST_EVENT_S, allow_inf_nan=False)]


class Event(FrozenModel):
    """One load on one resource: a shape of levels over a time.

    A command has no shape: it runs, and is stopped at the end.

    Attributes:
        id: name of the event, unique within its experiment.
        stressor: ``cpu``, ``memory``, ``disk``, ``command``, or one that a project brings.
        start_s: when it starts, on the events' clock.
        duration_s: how long it lasts.
        shape: its levels over that time.
        unit: of the levels: percent of the machine for cpu, percent or bytes for memory,
            bytes_per_s or operations_per_s for disk, its own for a stressor that a project brings.
        options: of the stressor, as they were given.
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
                f"{self.id!r} is not a valid name; use letters, digits and _.,:#[]- and no slash,"
                " at most 120 characters",
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
            options_model(self.stressor).model_validate(self.options)
        except ValidationError as error:
            path, message = describe(error, options_model(self.stressor))
            refuse(f"options.{path}" if path else "options", message)

    def _check_levels(self) -> None:
        if self.unit == "percent":
            highest = 100.0
        else:
            highest = float("inf")
        for path, level in bounding_levels(self.shape, self.duration_s):
            if level < 0:
                refuse(f"shape.{path}", f"{level:g} is below 0 {self.unit}")
            if level > highest:
                refuse(f"shape.{path}", f"{level:g} is above 100 percent")

    @property
    def end_s(self) -> float:
        """When the event ends on the events' clock."""
        return self.start_s + self.duration_s

    def overlaps(self, other: Event) -> bool:
        """Tell whether both are planned to run at some moment."""
        return self.start_s < other.end_s and self.end_s > other.start_s

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
        """Return what one unit of this event's level is in its resource's dataset column.

        That is in percent, bytes or bytes per second.
        """
        if self.stressor == "cpu" and (cpus := self.option("cpus")):
            return len(set(cpus)) / cpu_capacity
        if self.stressor == "memory" and self.unit == "percent":
            return memory_limit_bytes / 100.0
        if self.unit == "operations_per_s":
            return float(self.option("block_bytes"))
        return 1.0

    def resolved_options(self) -> dict[str, Any]:
        """Return every option with its default filled in."""
        return resolve_options(self.stressor, self.options)

    def option(self, name: str) -> Any:
        """Return an option, its default unless given."""
        return getattr(options_model(self.stressor).model_validate(self.options), name)

    @property
    def is_of_system(self) -> bool:
        """Whether its level is a total of the machine, which others' work counts towards."""
        return self.stressor == "cpu" and self.options.get("target") == "system"

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as it stands in ``schedule.json``."""
        data = self.model_dump(mode="json", by_alias=True)
        unused = set()
        if not data["options"]:
            unused.add("options")
        if self.stressor == "command":
            unused |= {"shape", "unit"}
        return {key: value for key, value in data.items() if key not in unused}

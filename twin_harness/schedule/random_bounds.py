"""Bounds: what random schedules stay within."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

TENTH_S = 0.1
_LEAST_DISK_BYTES_PER_S, _MOST_DISK_BYTES_PER_S = 1_000_000, 10**12
_LONGEST_S = 86_400.0
_MOST_EVENTS = 100
SHAPES = ("constant", "ramp", "steps", "sine", "square", "spikes", "leak")


@dataclass(frozen=True)
class Bounds:
    """What random schedules stay within.

    Attributes:
        stressors: the resources used.
        shapes: the kinds of shape used, out of constant, ramp, steps, sine, square, spikes and
            leak.
        min_events: events per experiment, at least.
        max_events: events per experiment, at most; fewer where no more fit in ``max_duration_s``.
        overlap: whether events of different resources may overlap; those of one never do.
        max_duration_s: when the last event ends, at most.
        min_event_s: how long an event lasts, at least.
        max_event_s: how long an event lasts, at most.
        min_cpu_percent: peak of a CPU event, at least (spikes may fall outside of it); None is a
            tenth of the highest level.
        min_memory_percent: the same of a memory event.
        min_disk_bytes_per_s: the same of a disk event.
        max_cpu_percent: level of a CPU event, at most.
        max_memory_percent: level of a memory event, at most.
        max_disk_bytes_per_s: level of a disk event, at most.
        lead_s: quiet time before the events.
        tail_s: quiet time after the events.
    """

    stressors: tuple[str, ...] = ("cpu", "memory", "disk")
    shapes: tuple[str, ...] = ("constant", "ramp", "steps", "sine")
    min_events: int = 1
    max_events: int = 3
    overlap: bool = True
    max_duration_s: float = 8.0
    min_event_s: float = 2.0
    max_event_s: float | None = None
    min_cpu_percent: int | None = None
    min_memory_percent: int | None = None
    min_disk_bytes_per_s: int | None = None
    max_cpu_percent: int = 80
    max_memory_percent: int = 5
    max_disk_bytes_per_s: int = 20_000_000
    lead_s: float = 1.0
    tail_s: float = 1.0

    def __post_init__(self) -> None:
        """Check the bounds against each other.

        Raises:
            InvalidInput: a bound is out of range.
        """
        object.__setattr__(self, "stressors", tuple(self.stressors))
        if not self.stressors or set(self.stressors) - {"cpu", "memory", "disk"}:
            msg = (
                "random schedules: expected stressors out of cpu, memory, disk but got"
                f" stressors={self.stressors!r}"
            )
            raise InvalidInput(msg)
        object.__setattr__(self, "shapes", tuple(self.shapes))
        if not self.shapes or set(self.shapes) - set(SHAPES):
            msg = (
                f"random schedules: expected shapes out of {', '.join(SHAPES)} but got"
                f" shapes={self.shapes!r}"
            )
            raise InvalidInput(msg)
        self._check_ranges()
        lanes = len(self.stressors) if self.overlap else 1
        if self.fitting([0.0] * lanes) < self.min_events:
            msg = (
                f"random schedules: min_events={self.min_events} of"
                f" min_event_s={self.min_event_s:g} s do not fit in"
                f" max_duration_s={self.max_duration_s:g} s; expected fewer, shorter, or more time"
            )
            raise InvalidInput(msg)

    def _check_ranges(self) -> None:
        whole = int
        for name, kind, low, high in (
            ("max_duration_s", float, TENTH_S, _LONGEST_S),
            ("min_event_s", float, TENTH_S, self.max_duration_s),
            ("max_event_s", float, self.min_event_s, _LONGEST_S),
            ("min_events", whole, 1, _MOST_EVENTS),
            ("max_events", whole, self.min_events, _MOST_EVENTS),
            ("max_cpu_percent", float, 1, 100),
            ("max_memory_percent", float, 1, 100),
            ("max_disk_bytes_per_s", float, _LEAST_DISK_BYTES_PER_S, _MOST_DISK_BYTES_PER_S),
            ("min_cpu_percent", float, 1, self.max_cpu_percent),
            ("min_memory_percent", float, 1, self.max_memory_percent),
            ("min_disk_bytes_per_s", float, 1, self.max_disk_bytes_per_s),
            ("lead_s", float, 0, _LONGEST_S),
            ("tail_s", float, 0, _LONGEST_S),
            ("overlap", bool, False, True),
        ):
            value = getattr(self, name)
            if value is None and type(self).__dataclass_fields__[name].default is None:
                continue
            is_of_kind = kind is float or type(value) is kind
            if not (low <= value <= high and is_of_kind):
                if kind is bool:
                    expected = "True or False"
                elif kind is whole:
                    expected = f"a whole number from {low:g} to {high:g}"
                else:
                    expected = f"a number from {low:g} to {high:g}"
                msg = f"random schedules: {name}={value!r} is out of range; expected {expected}"
                raise InvalidInput(msg)

    def fitting(self, next_s: Iterable[float]) -> int:
        """Return how many of the shortest events fit after resources are free, at ``next_s``."""
        return sum(
            int((self.max_duration_s - instant_s + 1e-9) / self.shortest_s) for instant_s in next_s
        )

    @property
    def shortest_s(self) -> float:
        """The shortest event, on the grid of tenths."""
        return math.ceil(self.min_event_s / TENTH_S - 1e-9) * TENTH_S

    @classmethod
    def of(cls, **bounds: Any) -> Bounds:
        """Make bounds of keywords.

        Raises:
            InvalidInput: a keyword is unknown, or a value out of range.
        """
        known = [field.name for field in fields(cls)]
        for name in bounds:
            if name not in known:
                msg = (
                    f"random schedules: {name!r} is not a bound; expected one of {', '.join(known)}"
                )
                raise InvalidInput(msg)
        try:
            return cls(**bounds)
        except TypeError as error:
            msg = f"random schedules: {error}; bounds are numbers, stressors a list of names"
            raise InvalidInput(msg) from None

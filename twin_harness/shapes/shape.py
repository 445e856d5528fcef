"""Load shapes: which level is asked for at time t.

A shape is a small frozen object with one question, ``level(t_s, duration_s)``, and its integral,
``area``. Time counts from the start of the event. Ramp and steps stretch over the event, so they
need its duration; without one, ``t_s`` is a fraction of the event. Levels carry the unit of the
event that uses the shape. Nothing here is random: ``spikes`` draws from its own seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from twin_harness.shapes.spikes import Spikes
from twin_harness.shapes.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "SHAPES", "Constant", "Leak", "Ramp", "Shape", "Sine", "Spikes", "Square", "Steps", "Trace",
    "constant", "cut", "from_json", "leak", "parameter_names", "ramp", "sine", "spikes", "square", "steps", "to_json", "trace",
]  # fmt: skip


class Shape(Protocol):
    """A load level over time."""

    kind: ClassVar[str]

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the level at ``t_s`` seconds after the start of an event of ``duration_s`` seconds."""
        ...

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the integral of the level from 0 to ``t_s``, in level × seconds."""
        ...

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the lowest and the highest level within the event."""
        ...

    def discontinuities(self, duration_s: float = 1.0) -> tuple[float, ...]:
        """Return the instants within the event, in seconds, at which the level jumps.

        At most 10,000 of them.
        """
        ...


MOST_DISCONTINUITIES = 10_000


@dataclass(frozen=True, slots=True)
class Constant:
    """The same level throughout."""

    kind: ClassVar[str] = "constant"
    level_: float

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the level."""
        del t_s, duration_s
        return self.level_

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return level × time."""
        del duration_s
        return self.level_ * t_s

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the level twice."""
        del duration_s
        return self.level_, self.level_

    def discontinuities(self, duration_s: float = 1.0) -> tuple[float, ...]:
        """Return nothing: the level never jumps."""
        del duration_s
        return ()


@dataclass(frozen=True, slots=True)
class Ramp:
    """A straight line over the whole event."""

    kind: ClassVar[str] = "ramp"
    from_: float
    to: float

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the level on the line."""
        return self.from_ + (self.to - self.from_) * t_s / duration_s

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the area under the line."""
        return self.from_ * t_s + (self.to - self.from_) * t_s * t_s / (2.0 * duration_s)

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the two ends in order."""
        del duration_s
        return min(self.from_, self.to), max(self.from_, self.to)

    def discontinuities(self, duration_s: float = 1.0) -> tuple[float, ...]:
        """Return nothing: a line never jumps."""
        del duration_s
        return ()


@dataclass(frozen=True, slots=True)
class Steps:
    """A staircase: the levels one after another, each held equally long."""

    kind: ClassVar[str] = "steps"
    levels: tuple[float, ...]

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the level of the step that holds at ``t_s``."""
        index = int(t_s * len(self.levels) / duration_s)
        return self.levels[min(max(index, 0), len(self.levels) - 1)]

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the whole steps passed, and the part of the present one."""
        hold_s = duration_s / len(self.levels)
        index = min(int(t_s / hold_s), len(self.levels) - 1)
        return sum(self.levels[:index]) * hold_s + self.levels[index] * (t_s - index * hold_s)

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the lowest and the highest step."""
        del duration_s
        return min(self.levels), max(self.levels)

    def discontinuities(self, duration_s: float = 1.0) -> tuple[float, ...]:
        """Return the starts of the steps that differ from the one before."""
        hold_s = duration_s / len(self.levels)
        jumps = [
            k * hold_s
            for k, (before, after) in enumerate(pairwise(self.levels), 1)
            if before != after
        ]
        return tuple(jumps[:MOST_DISCONTINUITIES])


@dataclass(frozen=True, slots=True)
class Sine:
    """A wave around a mean; ``phase`` is a fraction of a period."""

    kind: ClassVar[str] = "sine"
    mean: float
    amplitude: float
    period_s: float
    phase: float = 0.0

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return mean + amplitude · sin(2π (t/period + phase))."""
        del duration_s
        return self.mean + self.amplitude * math.sin(math.tau * (t_s / self.period_s + self.phase))

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the integral of the wave."""
        del duration_s
        start, end = (
            math.cos(math.tau * self.phase),
            math.cos(math.tau * (t_s / self.period_s + self.phase)),
        )
        return self.mean * t_s + self.amplitude * self.period_s / math.tau * (start - end)

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return mean ± amplitude, whether or not the event is long enough to reach them."""
        del duration_s
        swing = abs(self.amplitude)
        return self.mean - swing, self.mean + swing

    def discontinuities(self, duration_s: float = 1.0) -> tuple[float, ...]:
        """Return nothing: a wave never jumps."""
        del duration_s
        return ()


@dataclass(frozen=True, slots=True)
class Square:
    """High for ``duty`` of each period, then low."""

    kind: ClassVar[str] = "square"
    low: float
    high: float
    period_s: float
    duty: float = 0.5

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return ``high`` in the first part of a period and ``low`` in the rest."""
        del duration_s
        if t_s % self.period_s < self.duty * self.period_s:
            return self.high
        return self.low

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return whole periods, and the part of the present one."""
        del duration_s
        whole, rest_s = divmod(t_s, self.period_s)
        high_s = self.duty * self.period_s
        full = self.high * high_s + self.low * (self.period_s - high_s)
        return whole * full + self.high * min(rest_s, high_s) + self.low * max(rest_s - high_s, 0.0)

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the two levels in order."""
        del duration_s
        return min(self.low, self.high), max(self.low, self.high)

    def discontinuities(self, duration_s: float = 1.0) -> tuple[float, ...]:
        """Return every edge within the event."""
        if self.low == self.high or self.duty in (0.0, 1.0):
            return ()
        jumps: list[float] = []
        for k in range(min(int(duration_s / self.period_s) + 1, MOST_DISCONTINUITIES // 2)):
            jumps += [k * self.period_s, (k + self.duty) * self.period_s]
        return tuple(t for t in jumps if 0 < t < duration_s)


@dataclass(frozen=True, slots=True)
class Leak:
    """Growth at a steady rate from ``start``, as a memory leak shows it."""

    kind: ClassVar[str] = "leak"
    start: float
    rate_per_s: float

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return start + rate · t."""
        del duration_s
        return self.start + self.rate_per_s * t_s

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the area under the line."""
        del duration_s
        return self.start * t_s + self.rate_per_s * t_s * t_s / 2.0

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the levels at start and end, in order."""
        end = self.start + self.rate_per_s * duration_s
        return min(self.start, end), max(self.start, end)

    def discontinuities(self, duration_s: float = 1.0) -> tuple[float, ...]:
        """Return nothing: a line never jumps."""
        del duration_s
        return ()


def cut(shape: Shape, duration_s: float, new_duration_s: float) -> Shape:
    """Return the shape that asks for the same levels when an event of ``duration_s`` ends early, after ``new_duration_s``."""
    if isinstance(shape, Ramp):
        return Ramp(shape.from_, shape.level(new_duration_s, duration_s))
    if isinstance(shape, Steps):
        hold_s = duration_s / len(shape.levels)
        return Trace(
            tuple((k * hold_s, level) for k, level in enumerate(shape.levels)),
            interpolation="previous",
        )
    return shape


SHAPES: dict[str, type[Any]] = {
    shape.kind: shape for shape in (Constant, Ramp, Steps, Sine, Square, Spikes, Leak, Trace)
}
_JSON_NAME = {"from_": "from", "level_": "level"}
_FIELD_NAME = {name: field for field, name in _JSON_NAME.items()}


def parameter_names(kind: str) -> tuple[str, ...]:
    """Return the JSON names of a kind's parameters, in order."""
    return tuple(_JSON_NAME.get(part.name, part.name) for part in fields(SHAPES[kind]) if part.init)


def to_json(shape: Shape) -> dict[str, Any]:
    """Return the shape as plain JSON data, ``kind`` first and None left out."""
    data: dict[str, Any] = {"kind": shape.kind}
    for part in fields(shape):  # type: ignore[arg-type]  # every Shape here is a dataclass
        value = getattr(shape, part.name)
        if not part.init or value is None or value == ():
            continue
        data[_JSON_NAME.get(part.name, part.name)] = _listed(value)
    return data


def _listed(value: object) -> object:
    if isinstance(value, tuple):
        return [_listed(part) for part in value]
    return value


def from_json(data: dict[str, Any]) -> Shape:
    """Return the shape of plain JSON data that has been checked (by ``schedule.py``, or written by ``to_json``)."""
    arguments = {
        _FIELD_NAME.get(name, name): value for name, value in data.items() if name != "kind"
    }
    if "levels" in arguments:
        arguments["levels"] = tuple(arguments["levels"])
    if "points" in arguments:
        arguments["points"] = tuple(
            (float(t_s), float(level)) for t_s, level in arguments["points"]
        )
    shape: Shape = SHAPES[data["kind"]](**arguments)
    return shape


def constant(level: float) -> Constant:
    """Ask for the same level throughout."""
    return Constant(level)


def ramp(from_: float, to: float) -> Ramp:
    """Ask for a straight line from one level to another over the whole event."""
    return Ramp(from_, to)


def steps(levels: Sequence[float]) -> Steps:
    """Ask for a staircase: ``steps([20, 50, 80])``, each level held equally long."""
    return Steps(tuple(levels))


def sine(mean: float, amplitude: float, period_s: float, phase: float = 0.0) -> Sine:
    """Ask for a wave of ``amplitude`` around ``mean``; ``phase`` is a fraction of a period."""
    return Sine(mean, amplitude, period_s, phase)


def square(low: float, high: float, period_s: float, duty: float = 0.5) -> Square:
    """Ask for ``high`` during ``duty`` (a fraction) of each period, and ``low`` for the rest."""
    return Square(low, high, period_s, duty)


def spikes(
    base: float, height: float, width_s: float, rate_per_minute: float, seed: int = 0
) -> Spikes:
    """Ask for rectangles of ``height`` on top of ``base``, at moments drawn from ``seed``."""
    return Spikes(base, height, width_s, rate_per_minute, seed)


def leak(start: float, rate_per_s: float) -> Leak:
    """Ask for growth at a steady rate, as a leak shows it."""
    return Leak(start, rate_per_s)


def trace(
    points: Sequence[tuple[float, float]] | None = None,
    file: str | None = None,
    *,
    interpolation: str = "linear",
    time_scale: float = 1.0,
    level_scale: float = 1.0,
) -> Trace:
    """Ask for a recorded series, by its (time in s, level) points or by a CSV file of two columns."""
    return Trace(
        tuple((t_s, level) for t_s, level in points or ()),
        file,
        interpolation,
        time_scale,
        level_scale,
    )

"""Load shapes: which level is requested at time t, and shapes as JSON data.

A shape is a small frozen object with one question, ``level(t_s, duration_s)``, and its integral,
``area``. Time counts from the start of the event. Ramp and steps stretch over the event, so they
need its duration; without one, ``t_s`` is a fraction of the event. Levels carry the unit of the
event that uses the shape. Nothing here is random: ``spikes`` draws from its own seed.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from twin_harness.shapes.formulas import (
    MOST_DISCONTINUITIES,
    Constant,
    Leak,
    Ramp,
    Sine,
    Square,
    Steps,
)
from twin_harness.shapes.spikes import Spikes
from twin_harness.shapes.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "MOST_DISCONTINUITIES", "SHAPES", "Constant", "Leak", "Ramp", "Shape", "Sine", "Spikes",
    "Square", "Steps", "Trace", "constant", "cut", "from_json", "leak", "parameter_names", "ramp",
    "sine", "spikes", "square", "steps", "to_json", "trace",
]  # fmt: skip


class Shape(Protocol):
    """A load level over time."""

    kind: ClassVar[str]

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the level at ``t_s`` seconds after the start of an event of that duration."""
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


def cut(shape: Shape, duration_s: float, new_duration_s: float) -> Shape:
    """Return the shape that asks for the same levels when an event ends early.

    Args:
        shape: of the event.
        duration_s: of the event as planned.
        new_duration_s: after which it ends.
    """
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
    """Return the shape of plain JSON data that was checked or written by ``to_json``."""
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
    """Ask for a wave of ``amplitude`` around ``mean``; ``phase`` is a fraction of a period.

    Args:
        mean: the level in the middle.
        amplitude: how far the wave swings to either side of it.
        period_s: how long one wave lasts, above 0.
        phase: the part of a period that has passed at the start of the event.
    """
    return Sine(mean, amplitude, period_s, phase)


def square(low: float, high: float, period_s: float, duty: float = 0.5) -> Square:
    """Ask for ``high`` during ``duty`` (a fraction) of each period, and ``low`` for the rest.

    Args:
        low: the level in the second part of a period.
        high: the level in the first part.
        period_s: how long both parts last, above 0.
        duty: share of a period, 0 to 1, in which the level is ``high``.
    """
    return Square(low, high, period_s, duty)


def spikes(
    base: float, height: float, width_s: float, rate_per_minute: float, seed: int = 0
) -> Spikes:
    """Ask for rectangles of ``height`` on top of ``base``, at moments drawn from ``seed``.

    Args:
        base: the level between spikes.
        height: of a spike, above the base.
        width_s: how long a spike lasts; at most the seconds that ``rate_per_minute`` leaves it.
        rate_per_minute: how many spikes there are, one in each 60/``rate_per_minute`` seconds.
        seed: of their moments, 0 or more.
    """
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
    """Ask for a recorded series, by its points or by a CSV file of two columns.

    Args:
        points: (time in s, level), times rising.
        file: where the points stand instead.
        interpolation: ``linear``, or ``previous`` (each level holds until the next point).
        time_scale: 0.1 replays ten times as fast.
        level_scale: 2 doubles every level.
    """
    series = tuple((t_s, level) for t_s, level in points or ())
    return Trace(series, file, interpolation, time_scale, level_scale)

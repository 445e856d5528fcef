"""Load shapes as chains of straight lines, from which peaks and fills are computed.

Every shape but the sine is such a chain exactly, a sine is a polygon. Where a shape has more lines
than can be handled, neighbours count as their highest: a chain is never below the shape's peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.shapes.formulas import Leak, Ramp, Sine, Square, Steps
from twin_harness.shapes.spikes import Spikes, draws
from twin_harness.shapes.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from twin_harness.shapes.shape import Shape

    Array = NDArray[np.float64]

MOST_LINES = 2**21  # of one event: a week of spikes or of a square by the second has 1.2 million
# instants within a nanosecond are one: events that follow each other do not overlap by rounding
DECIMALS = 9
_PER_PERIOD = 64


@dataclass(frozen=True)
class Lines:
    """A load as a chain of straight lines without gaps.

    Attributes:
        at_s: shape (n + 1,), where each line begins, and where the last one ends; rises.
        first: shape (n,), the level at the beginning of each line.
        last: shape (n,), the level towards its end.
    """

    at_s: Array
    first: Array
    last: Array

    @property
    def highest(self) -> float:
        """The highest level of all lines."""
        return float(max(self.first.max(), self.last.max()))

    def until(self, end_s: float) -> Lines:
        """Return what of it lies before an instant, which it reaches."""
        count = max(1, int(np.searchsorted(self.at_s[:-1], end_s)))
        at_s, first, last = (
            self.at_s[: count + 1].copy(),
            self.first[:count],
            self.last[:count].copy(),
        )
        if at_s[-1] > at_s[-2]:
            last[-1] = first[-1] + (last[-1] - first[-1]) * (end_s - at_s[-2]) / (
                at_s[-1] - at_s[-2]
            )
        at_s[-1] = end_s
        return Lines(at_s, first, last)

    def coarser(self, most: int) -> Lines:
        """Return at most so many holds, each the highest of the lines that it stands for."""
        step = -(-len(self.first) // most)
        if step == 1:
            return self
        starts = np.arange(0, len(self.first), step)
        held = np.maximum.reduceat(np.maximum(self.first, self.last), starts)
        return Lines(np.append(self.at_s[:-1][starts], self.at_s[-1]), held, held)

    def placed(self, start_s: float, end_s: float, factor: float) -> Lines:
        """Return it on the events' clock, its levels scaled.

        Lines too short for that clock count with their highest level where they begin.

        Args:
            start_s: when the event begins.
            end_s: when it ends.
            factor: what one unit of level counts.
        """
        at_s = np.clip(np.round(self.at_s + start_s, DECIMALS), start_s, end_s)
        at_s[0], at_s[-1] = start_s, end_s
        first, last = self.first * factor, self.last * factor
        is_line = np.diff(at_s) > 0
        if not is_line.all():
            # Each line too short to last goes to the next one that does, or to the last.
            kept = np.flatnonzero(is_line)
            owner = np.minimum(np.searchsorted(kept, np.arange(len(first))), len(kept) - 1)
            top = np.full(len(kept), -np.inf)
            np.maximum.at(top, owner[~is_line], np.maximum(first, last)[~is_line])
            at_s, first, last = (
                np.append(at_s[:-1][kept], end_s),
                np.maximum(first[kept], top),
                last[kept],
            )
        return Lines(at_s, first, last)


def line_count(shape: Shape, duration_s: float) -> float:
    """Return about how many lines an event's shape takes: of a sine its turns."""
    if isinstance(shape, Trace):
        return len(shape.points) + 2
    if isinstance(shape, Steps):
        return len(shape.levels)
    if isinstance(shape, Spikes):
        period_s = shape.cell_s
    else:
        period_s = getattr(shape, "period_s", duration_s)
    return 2 * duration_s / float(period_s) + 2


def lines_of(shape: Shape, duration_s: float, most: int = MOST_LINES) -> Lines:
    """Return a shape as straight lines over an event.

    Args:
        shape: of the event; a sine becomes a polygon.
        duration_s: of the event.
        most: lines, at most; of what is finer the highest levels count.
    """
    make = _MAKERS.get(type(shape))
    if make is None or (
        isinstance(shape, Square | Spikes) and line_count(shape, duration_s) > most
    ):
        return hold(shape.extremes(duration_s)[1], duration_s)
    return make(shape, duration_s).coarser(most)


def _ramp(shape: Ramp | Leak, duration_s: float) -> Lines:
    first, last = (shape.level(at_s, duration_s) for at_s in (0.0, duration_s))
    return Lines(np.array([0.0, duration_s]), np.array([first]), np.array([last]))


def _steps(shape: Steps, duration_s: float) -> Lines:
    levels = np.array(shape.levels, dtype=float)
    return Lines(np.linspace(0.0, duration_s, len(levels) + 1), levels, levels)


def _square(shape: Square, duration_s: float) -> Lines:
    if shape.duty in (0.0, 1.0):
        return hold(shape.high if shape.duty else shape.low, duration_s)
    starts_s = shape.period_s * np.arange(np.floor(duration_s / shape.period_s) + 1.0)
    return _alternating(
        starts_s, shape.high, starts_s + shape.duty * shape.period_s, shape.low
    ).until(duration_s)


def _spikes(shape: Spikes, duration_s: float) -> Lines:
    if shape.width_s >= shape.cell_s:
        return hold(shape.base + shape.height, duration_s)
    cells = np.arange(int(duration_s / shape.cell_s) + 1)
    starts_s = cells * shape.cell_s + draws(shape.seed, len(cells)) * (shape.cell_s - shape.width_s)
    spikes = _alternating(starts_s, shape.base + shape.height, starts_s + shape.width_s, shape.base)
    levels = np.append(shape.base, spikes.first)
    return Lines(np.append(0.0, spikes.at_s), levels, levels).until(duration_s)


def _sine(shape: Sine, duration_s: float) -> Lines:
    """Return a sine as straight lines between levels that it has.

    As its highest where they would be too many.
    """
    count = max(
        _PER_PERIOD, int(np.ceil(min(_PER_PERIOD * duration_s / shape.period_s, MOST_LINES + 1.0)))
    )
    if count > MOST_LINES:
        return hold(shape.extremes(duration_s)[1], duration_s)
    at_s = np.linspace(0.0, duration_s, 1 + count)
    levels = shape.mean + shape.amplitude * np.sin(
        2 * np.pi * (at_s / shape.period_s + shape.phase)
    )
    return Lines(at_s, levels[:-1], levels[1:])


def hold(level: float, duration_s: float) -> Lines:
    """Return a constant level as one line."""
    levels = np.array([level])
    return Lines(np.array([0.0, duration_s]), levels, levels)


def _alternating(starts_s: Array, level: float, ends_s: Array, between: float) -> Lines:
    """Return a level held from each start to its end, and another one between.

    The last one between has no length.
    """
    edges_s = np.maximum.accumulate(np.column_stack([starts_s, ends_s]).ravel())
    levels = np.tile([level, between], len(starts_s))
    return Lines(np.append(edges_s, np.inf), levels, levels)


def _trace(shape: Trace, duration_s: float) -> Lines:
    points = np.array(shape.points, dtype=float)
    at_s, levels = points[:, 0] * shape.time_scale, points[:, 1] * shape.level_scale
    # Both ends hold on.
    first = np.concatenate([levels[:1], levels])
    if shape.interpolation == "previous":
        last = first
    else:
        last = np.concatenate([levels[:1], levels[1:], levels[-1:]])
    edges_s = np.maximum.accumulate(np.concatenate([[0.0], at_s, [np.inf]]))
    if at_s[0] <= 0:
        edges_s, first, last = edges_s[1:], first[1:], last[1:]
    return Lines(edges_s, first, last).until(duration_s)


_MAKERS: dict[type, Callable[[Any, float], Lines]] = {
    Ramp: _ramp,
    Leak: _ramp,
    Steps: _steps,
    Sine: _sine,
    Square: _square,
    Spikes: _spikes,
    Trace: _trace,
}

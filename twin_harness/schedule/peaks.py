"""How high a plan goes.

The highest sum of the levels of events that overlap, from the shapes themselves.

No grid of instants: a spike of one second in a week is met as surely as a constant. Every shape but
the sine is a chain of straight lines, so
a sum of them is highest at the end of a line. Between those ends sums of sines are bounded by their
steepest bend, and halved where the bound
leaves doubt. Where a plan has more lines than can be added up, neighbours count as their highest:
the peak is never below the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.shapes.shape import Leak, Ramp, Sine, Spikes, Square, Steps, Trace
from twin_harness.shapes.spikes import draws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from twin_harness.schedule.model import Event
    from twin_harness.shapes.shape import Shape

    Array = NDArray[np.float64]

MOST_LINES = 2**21  # of one event: a week of spikes or of a square by the second has 1.2 million
MOST_OF_ALL = 2**22  # of all events together: some 200 MiB
MOST_WORK = 2**25  # lines times events, and halves of sines: some seconds
# instants within a nanosecond are one: events that follow each other do not overlap by rounding
_DECIMALS = 9
_DOUBT = 1e-9
_MOST_HALVINGS = 60
_PER_PERIOD = 64


@dataclass(frozen=True)
class Lines:
    """A load as a chain of straight lines without gaps.

    Attributes:
        at_s: shape (n + 1,), where each line begins, and where the last one ends; rises.
        first, last: shape (n,), the level at the beginning of each line, and towards its end.
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
        """Return it between two instants of the events' clock, its levels times ``factor``.

        Of lines shorter than that the highest level counts where they begin.
        """
        at_s = np.clip(np.round(self.at_s + start_s, _DECIMALS), start_s, end_s)
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


@dataclass(frozen=True)
class Wave:
    """A sine of the plan on the events' clock.

    It is added to the lines as ``amplitude`` · sin(``per_s`` · t + ``angle``).
    """

    begin_s: float
    end_s: float
    amplitude: float
    per_s: float
    angle: float

    def at(self, at_s: Array) -> Array:
        """Return its level, which is around 0."""
        values: Array = self.amplitude * np.sin(self.per_s * at_s + self.angle)
        return values

    def turns_s(self) -> Array:
        """Return the instants within it at which it is highest and lowest."""
        low, high = (self.per_s * at_s + self.angle for at_s in (self.begin_s, self.end_s))
        numbers = np.arange(np.ceil(low / np.pi - 0.5), np.floor(high / np.pi - 0.5) + 1)
        return ((numbers + 0.5) * np.pi - self.angle) / self.per_s


def count_of(shape: Shape, duration_s: float) -> float:
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
    """Return a shape as straight lines over an event, ``most`` at most.

    Of what is finer the highest levels; of a sine a polygon.
    """
    make = _MAKERS.get(type(shape))
    if make is None or (isinstance(shape, Square | Spikes) and count_of(shape, duration_s) > most):
        return _hold(shape.extremes(duration_s)[1], duration_s)
    return make(shape, duration_s).coarser(most)


def _ramp(shape: Ramp | Leak, duration_s: float) -> Lines:
    first, last = (shape.level(at_s, duration_s) for at_s in (0.0, duration_s))
    return Lines(np.array([0.0, duration_s]), np.array([first]), np.array([last]))


def _steps(shape: Steps, duration_s: float) -> Lines:
    levels = np.array(shape.levels, dtype=float)
    return Lines(np.linspace(0.0, duration_s, len(levels) + 1), levels, levels)


def _square(shape: Square, duration_s: float) -> Lines:
    if shape.duty in (0.0, 1.0):
        return _hold(shape.high if shape.duty else shape.low, duration_s)
    starts_s = shape.period_s * np.arange(np.floor(duration_s / shape.period_s) + 1.0)
    return _alternating(
        starts_s, shape.high, starts_s + shape.duty * shape.period_s, shape.low
    ).until(duration_s)


def _spikes(shape: Spikes, duration_s: float) -> Lines:
    if shape.width_s >= shape.cell_s:
        return _hold(shape.base + shape.height, duration_s)
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
        return _hold(shape.extremes(duration_s)[1], duration_s)
    at_s = np.linspace(0.0, duration_s, 1 + count)
    levels = shape.mean + shape.amplitude * np.sin(
        2 * np.pi * (at_s / shape.period_s + shape.phase)
    )
    return Lines(at_s, levels[:-1], levels[1:])


def _hold(level: float, duration_s: float) -> Lines:
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
    Ramp: _ramp, Leak: _ramp, Steps: _steps, Sine: _sine, Square: _square, Spikes: _spikes, Trace:
        _trace,
}  # fmt: skip


def highest(event: Event) -> float:
    """Return the highest level that an event asks for, in its unit."""
    return peak([(event, 1.0)])[0]


def highest_within(event: Event, edges_s: Array) -> Array:
    """Return the highest level of an event between each two edges on the events' clock.

    In its unit; 0 where it does not run.
    """
    lines = lines_of(event.shape, event.duration_s).placed(event.start_s, event.end_s, 1.0)
    # Lines that begin or end between two edges, and what the lines are at the edges themselves.
    inside_s = np.unique(
        np.concatenate([lines.at_s, edges_s[(edges_s > event.start_s) & (edges_s < event.end_s)]])
    )
    line = np.searchsorted(lines.at_s, inside_s[:-1], side="right") - 1
    slope = ((lines.last - lines.first) / np.diff(lines.at_s))[line]
    ends = [
        lines.first[line] + slope * (instants_s - lines.at_s[line])
        for instants_s in (inside_s[:-1], inside_s[1:])
    ]
    slot = np.searchsorted(edges_s, inside_s[:-1], side="right") - 1
    found = np.zeros(len(edges_s) - 1)
    is_seen = (slot >= 0) & (slot < len(found))
    np.maximum.at(found, slot[is_seen], np.maximum(*ends)[is_seen])
    return found


def peak(loads: Iterable[tuple[Event, float]]) -> tuple[float, float]:
    """Return the highest sum of levels over time, and when it is reached on the events' clock.

    Nothing is asked for by no events.

    Args:
        loads: each event with what one unit of its level counts.
    """
    placed = [(event, factor, count_of(event.shape, event.duration_s)) for event, factor in loads]
    most = MOST_LINES
    while most > 1 and sum(min(count, most) for *_, count in placed) > MOST_OF_ALL:
        most //= 2
    lines: list[Lines] = []
    waves: list[Wave] = []
    for event, factor, count in placed:
        begin_s, end_s = round(event.start_s, _DECIMALS), round(event.end_s, _DECIMALS)
        shape = event.shape
        if isinstance(shape, Sine) and count <= most:
            per_s = 2 * np.pi / shape.period_s
            waves.append(
                Wave(
                    begin_s,
                    end_s,
                    shape.amplitude * factor,
                    per_s,
                    2 * np.pi * shape.phase - per_s * event.start_s,
                )
            )
            lines.append(_hold(shape.mean, event.duration_s).placed(begin_s, end_s, factor))
        else:
            lines.append(lines_of(shape, event.duration_s, most).placed(begin_s, end_s, factor))
    if lines:
        return _highest_sum(lines, waves)
    return (0.0, 0.0)


def _highest_sum(lines: list[Lines], waves: list[Wave]) -> tuple[float, float]:
    most = MOST_LINES
    turns = [np.clip(wave.turns_s(), wave.begin_s, wave.end_s) for wave in waves]
    while True:
        edges_s = np.unique(np.concatenate([*(load.at_s for load in lines), *turns]))
        spans = [np.searchsorted(edges_s, [load.at_s[0], load.at_s[-1]]) for load in lines]
        work = sum(int(end - begin) for begin, end in spans)
        if work <= MOST_WORK or most == 1:
            break
        most = max(1, most // 8)
        lines = [load.coarser(most) for load in lines]
    first, last = np.zeros(len(edges_s) - 1), np.zeros(len(edges_s) - 1)
    for load, (begin, end) in zip(lines, spans, strict=True):
        starts_s, ends_s = edges_s[begin:end], edges_s[begin + 1 : end + 1]
        line = np.searchsorted(load.at_s, starts_s, side="right") - 1
        slope = (load.last - load.first) / np.diff(load.at_s)
        first[begin:end] += load.first[line] + slope[line] * (starts_s - load.at_s[line])
        # Where a line ends, its own level counts, not what rounding makes of its slope.
        inner = load.first[line] + slope[line] * (ends_s - load.at_s[line])
        last[begin:end] += np.where(ends_s == load.at_s[line + 1], load.last[line], inner)
    if waves:
        return _highest_with_waves(edges_s[:-1], edges_s[1:], first, last, waves)
    best_first, best_last = int(first.argmax()), int(last.argmax())
    if first[best_first] >= last[best_last]:
        return float(first[best_first]), float(edges_s[best_first])
    return float(last[best_last]), float(edges_s[best_last + 1])


def _highest_with_waves(
    begin_s: Array, end_s: Array, first: Array, last: Array, waves: list[Wave]
) -> tuple[float, float]:
    """Return the highest of lines and waves.

    Pieces whose bound is above the best known value are halved until none is left.

    Within a piece every wave rises or falls throughout, so it lies below its higher end; and a sum
    of waves lies above the line between its
    ends by no more than an eighth of length² × its greatest bend. The lower of the two bounds
    holds.
    """
    best, best_s, work = -np.inf, 0.0, 0
    for _ in range(_MOST_HALVINGS):
        at_begin, at_end, of_waves, bend = (
            first.copy(),
            last.copy(),
            np.zeros(len(first)),
            np.zeros(len(first)),
        )
        for wave in waves:
            is_on = (begin_s >= wave.begin_s) & (end_s <= wave.end_s)
            low, high = wave.at(begin_s) * is_on, wave.at(end_s) * is_on
            at_begin, at_end = at_begin + low, at_end + high
            of_waves += np.maximum(low, high)
            bend += abs(wave.amplitude) * wave.per_s**2 * is_on
        for values, instants_s in ((at_begin, begin_s), (at_end, end_s)):
            if values.max() > best:
                best, best_s = float(values.max()), float(instants_s[values.argmax()])
        bound = np.minimum(
            np.maximum(first, last) + of_waves,
            np.maximum(at_begin, at_end) + (end_s - begin_s) ** 2 * bend / 8.0,
        )
        is_open = bound > best + _DOUBT * max(1.0, abs(best))
        if not is_open.any():
            return best, best_s
        top, top_s = float(bound[is_open].max()), float(begin_s[is_open][bound[is_open].argmax()])
        work += int(is_open.sum()) * len(waves)
        if work > MOST_WORK:
            break
        begin_s, end_s, first, last = (
            begin_s[is_open],
            end_s[is_open],
            first[is_open],
            last[is_open],
        )
        middle_s, middle = (begin_s + end_s) / 2.0, (first + last) / 2.0
        begin_s, end_s = np.concatenate([begin_s, middle_s]), np.concatenate([middle_s, end_s])
        first, last = np.concatenate([first, middle]), np.concatenate([middle, last])
    return top, top_s

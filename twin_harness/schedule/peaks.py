"""Peak of a plan: the highest sum of the levels of events that overlap, from the shapes themselves.

No grid of instants: a spike of one second in a week is met as surely as a constant. Every shape but
the sine is a chain of straight lines, so a sum of them is highest at the end of a line. Between
those ends sums of sines are bounded by their steepest bend, and halved where the bound leaves
doubt. Where a plan has more lines than can be added up, neighbours count as their highest: the
peak is never below the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.schedule.lines import DECIMALS, MOST_LINES, hold, line_count, lines_of
from twin_harness.shapes.formulas import Sine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from twin_harness.schedule.event import Event
    from twin_harness.schedule.lines import Lines

    Array = NDArray[np.float64]

MOST_OF_ALL = 2**22  # lines of all events together: some 200 MiB
MOST_WORK = 2**25  # lines times events, and halves of sines: some seconds
_DOUBT = 1e-9
_MOST_HALVINGS = 60


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
    levels = np.zeros(len(edges_s) - 1)
    is_seen = (slot >= 0) & (slot < len(levels))
    np.maximum.at(levels, slot[is_seen], np.maximum(*ends)[is_seen])
    return levels


def peak(loads: Iterable[tuple[Event, float]]) -> tuple[float, float]:
    """Return the highest sum of levels over time, and when it is reached on the events' clock.

    Nothing is asked for by no events.

    Args:
        loads: each event with what one unit of its level counts.
    """
    placed = [(event, factor, line_count(event.shape, event.duration_s)) for event, factor in loads]
    most = MOST_LINES
    while most > 1 and sum(min(count, most) for *_, count in placed) > MOST_OF_ALL:
        most //= 2
    lines: list[Lines] = []
    waves: list[Wave] = []
    for event, factor, count in placed:
        begin_s, end_s = round(event.start_s, DECIMALS), round(event.end_s, DECIMALS)
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
            lines.append(hold(shape.mean, event.duration_s).placed(begin_s, end_s, factor))
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
    of waves lies above the line between its ends by no more than an eighth of length² × its
    greatest bend. The lower of the two bounds holds.
    """
    best, best_s, work = -np.inf, 0.0, 0
    for _ in range(_MOST_HALVINGS):
        at_begin, at_end = first.copy(), last.copy()
        of_waves, bend = np.zeros(len(first)), np.zeros(len(first))
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
        begin_s, end_s = begin_s[is_open], end_s[is_open]
        first, last = first[is_open], last[is_open]
        middle_s, middle = (begin_s + end_s) / 2.0, (first + last) / 2.0
        begin_s, end_s = np.concatenate([begin_s, middle_s]), np.concatenate([middle_s, end_s])
        first, last = np.concatenate([first, middle]), np.concatenate([middle, last])
    return top, top_s

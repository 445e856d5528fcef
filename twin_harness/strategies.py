"""Hypothesis strategies for shapes, events, experiments and schedules.

On integer grids (tenths of a second, whole percents): floats would give start times such as 2e-311,
and ``target()`` climbs integers only. Levels stay within the bounds that are given, and events of
one resource do not overlap, so that their sum does too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from twin_harness.schedule.event import Event
from twin_harness.schedule.model import Experiment, Schedule
from twin_harness.schedule.random_bounds import SHAPES, TENTH_S, Bounds
from twin_harness.shapes import shape as _shapes

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

__all__ = ["PROFILE", "SHAPES", "Bounds", "events", "experiments", "schedules", "shapes"]

# Half a second after a jump is left out of settling, and a window must follow.
_SHORTEST_STEP_S = 1.5

# For @given over these strategies with a model: ``@settings(PROFILE)``, or
# ``settings.load_profile("twin")``. A what-if takes milliseconds, but its first call loads the
# model, so there is no deadline; fixtures of a module or session may be used.
PROFILE = settings(
    deadline=None, max_examples=100, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("twin", PROFILE)


def shapes(
    highest: float,
    duration_s: float,
    kinds: tuple[str, ...] = Bounds.shapes,
    lowest_peak: float | None = None,
) -> SearchStrategy[_shapes.Shape]:
    """Return shapes whose levels lie on a grid of hundredths of ``highest``, from 0 to ``highest``.

    Args:
        highest: no level is above it.
        duration_s: of the event.
        kinds: the kinds of shape that are drawn; where steps do not fit into the event, constants
            are.
        lowest_peak: the highest level of each shape is at least that, to the nearest hundredth;
            None is a tenth of ``highest``.
    """
    if lowest_peak is None:
        least = 10
    else:
        least = max(1, min(100, math.ceil(100.0 * lowest_peak / highest - 1e-9)))

    def of(part: float) -> float:
        return round(part * highest / 100.0, 6)

    peak = st.integers(least, 100)
    level = peak if lowest_peak is None else st.integers(0, 100)
    most_steps = min(4, int(duration_s / _SHORTEST_STEP_S))
    constant = peak.map(lambda top: _shapes.constant(of(top)))
    steps: SearchStrategy[_shapes.Shape] = constant
    if most_steps > 1:
        steps = (
            st.lists(level, min_size=2, max_size=most_steps)
            .filter(lambda levels: max(levels) >= least)
            .map(lambda levels: _shapes.steps(list(map(of, levels))))
        )
    below = st.tuples(peak, st.integers(0, 100))  # a peak, and another level in percent of it
    made = {
        "constant": constant,
        "ramp": (
            st.tuples(level, level)
            .filter(lambda ends: max(ends) >= least)
            .map(lambda ends: _shapes.ramp(*map(of, ends)))
        ),
        "steps": steps,
        "sine": (
            _sines(least, lowest_peak).map(
                lambda parts: _shapes.sine(of(parts[0]), of(parts[1]), duration_s / parts[2])
            )
        ),
        "square": (
            st.tuples(below, st.integers(1, 4)).map(
                lambda parts: _shapes.square(
                    of(parts[0][0] * parts[0][1] / 100.0),
                    of(parts[0][0]),
                    duration_s / parts[1],
                    0.5,
                )
            )
        ),
        "spikes": (
            st.tuples(below, st.integers(6, 60), st.integers(0, 1000)).map(
                lambda parts: _shapes.spikes(
                    of(parts[0][0] * parts[0][1] / 100.0),
                    of(parts[0][0] * (100 - parts[0][1]) / 100.0),
                    round(max(0.1, duration_s / 10), 1),
                    parts[1],
                    parts[2],
                )
            )
        ),
        "leak": peak.map(lambda top: _shapes.leak(0.0, of(top) / duration_s)),
    }
    return st.one_of(*(made[kind] for kind in kinds))


def _sines(least: int, lowest_peak: float | None) -> SearchStrategy[tuple[int, int, int]]:
    """Return mean, amplitude and number of periods."""
    periods = st.integers(1, 4)
    if lowest_peak is None:
        return st.tuples(st.integers(20, 50), st.integers(5, 20), periods)
    # Peak, amplitude in percent of it, periods.
    drawn = st.tuples(st.integers(max(2, least), 100), st.integers(1, 50), periods)
    return drawn.map(
        lambda parts: (
            parts[0] - max(1, parts[0] * parts[1] // 100),
            max(1, parts[0] * parts[1] // 100),
            parts[2],
        )
    )


@st.composite
def events(
    draw: DrawFn, stressor: str, earliest_s: float, bounds: Bounds, kept_s: float = 0.0
) -> Event:
    """Draw one event of a stressor within the bounds.

    Args:
        draw: given by hypothesis.
        stressor: cpu, memory or disk.
        earliest_s: it starts then or later.
        bounds: what it stays within.
        kept_s: it ends so long before the end of ``max_duration_s``.
    """
    shortest = round(bounds.shortest_s / TENTH_S)
    room = round((bounds.max_duration_s - kept_s - earliest_s) / TENTH_S)
    length = draw(st.integers(shortest, max(shortest, room)))
    if bounds.max_event_s is not None:
        length = min(length, round(bounds.max_event_s / TENTH_S))
    start = draw(st.integers(0, max(0, room - length)))
    start_s, duration_s = round(earliest_s + start * TENTH_S, 1), round(length * TENTH_S, 1)
    highest = {
        "cpu": bounds.max_cpu_percent,
        "memory": bounds.max_memory_percent,
        "disk": bounds.max_disk_bytes_per_s,
    }[stressor]
    lowest = {
        "cpu": bounds.min_cpu_percent,
        "memory": bounds.min_memory_percent,
        "disk": bounds.min_disk_bytes_per_s,
    }[stressor]
    shape = draw(shapes(float(highest), duration_s, bounds.shapes, lowest))
    unit = "bytes_per_s" if stressor == "disk" else "percent"
    return Event(stressor=stressor, start_s=start_s, duration_s=duration_s, shape=shape, unit=unit)


@st.composite
def experiments(draw: DrawFn, bounds: Bounds | None = None, name: str = "random") -> Experiment:
    """Draw an experiment of ``min_events`` to ``max_events`` events, as far as they fit.

    Events of one resource do not overlap.

    Args:
        draw: given by hypothesis.
        bounds: what events stay within; ``Bounds()`` unless given.
        name: of the experiment.
    """
    bounds = bounds or Bounds()
    count = draw(st.integers(bounds.min_events, bounds.max_events))
    next_s = dict.fromkeys(bounds.stressors, 0.0)
    drawn: list[Event] = []
    for _ in range(count):
        free = [stressor for stressor in bounds.stressors if bounds.fitting([next_s[stressor]])]
        if not free:
            break
        stressor = draw(st.sampled_from(free))
        others = []
        if bounds.overlap:
            others = [next_s[other] for other in bounds.stressors if other != stressor]
        still_needed = bounds.min_events - len(drawn) - 1 - bounds.fitting(others)
        kept_s = max(0, still_needed) * bounds.shortest_s
        event = draw(events(stressor, next_s[stressor], bounds, kept_s))
        next_s[stressor] = event.end_s
        if not bounds.overlap:
            next_s = dict.fromkeys(bounds.stressors, event.end_s)
        drawn.append(event)
    return Experiment(name=name, lead_s=bounds.lead_s, tail_s=bounds.tail_s, events=tuple(drawn))


def schedules(bounds: Bounds | None = None, max_experiments: int = 3) -> SearchStrategy[Schedule]:
    """Return schedules of one to ``max_experiments`` experiments."""
    return st.lists(experiments(bounds), min_size=1, max_size=max_experiments).map(
        lambda drawn: Schedule.of(*drawn)
    )

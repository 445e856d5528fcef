"""Hypothesis strategies for shapes, events, experiments and schedules.

On integer grids (tenths of a second, whole percents): floats would give start times such as 2e-311, and ``target()`` climbs integers
only. Levels stay within the bounds that are given, and events of one resource do not overlap, so that their sum does too.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from twin_harness import shapes as _shapes
from twin_harness.errors import InvalidInput
from twin_harness.schedule import Event, Experiment, Schedule

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

_TENTH_S = 0.1
_SHORTEST_STEP_S = 1.5  # half a second after a jump is left out of settling, and a window must follow
_LEAST_DISK_BYTES_PER_S, _MOST_DISK_BYTES_PER_S = 1_000_000, 10**12
_LONGEST_S = 86_400.0


@dataclass(frozen=True)
class Bounds:
    """What random schedules stay within.

    Attributes:
        stressors: the resources used.
        max_events: events an experiment at most (at least 1).
        max_duration_s: end of the last event at most; min_event_s: an event lasts at least this long.
        max_cpu_percent, max_memory_percent, max_disk_bytes_per_s: levels at most.
        lead_s, tail_s: quiet time around the events.
    """

    stressors: tuple[str, ...] = ("cpu", "memory", "disk")
    max_events: int = 3
    max_duration_s: float = 8.0
    min_event_s: float = 2.0
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
            msg = f"random schedules: expected stressors out of cpu, memory, disk but got stressors={self.stressors!r}"
            raise InvalidInput(msg)
        wrong = {
            "max_events": type(self.max_events) is not int or not 1 <= self.max_events <= 100,  # noqa: PLR2004 - a bound
            "max_duration_s": not _TENTH_S <= self.max_duration_s <= _LONGEST_S,
            "min_event_s": not _TENTH_S <= self.min_event_s <= self.max_duration_s,
            "max_cpu_percent": not 1 <= self.max_cpu_percent <= 100,  # noqa: PLR2004 - percent
            "max_memory_percent": not 1 <= self.max_memory_percent <= 100,  # noqa: PLR2004 - percent
            "max_disk_bytes_per_s": not _LEAST_DISK_BYTES_PER_S <= self.max_disk_bytes_per_s <= _MOST_DISK_BYTES_PER_S,
            "lead_s": not 0 <= self.lead_s <= _LONGEST_S,
            "tail_s": not 0 <= self.tail_s <= _LONGEST_S,
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                msg = f"random schedules: {name}={getattr(self, name)!r} is out of range; see twin_harness.strategies.Bounds"
                raise InvalidInput(msg)

    @classmethod
    def of(cls, **bounds: Any) -> Bounds:
        """Make bounds of keywords.

        Raises:
            InvalidInput: a keyword is unknown, or a value out of range.
        """
        known = [field.name for field in fields(cls)]
        for name in bounds:
            if name not in known:
                msg = f"random schedules: {name!r} is no bound; expected one of {', '.join(known)}"
                raise InvalidInput(msg)
        try:
            return cls(**bounds)
        except TypeError as error:
            msg = f"random schedules: {error}; bounds are numbers, stressors a list of names"
            raise InvalidInput(msg) from None


def shapes(highest: float, duration_s: float) -> SearchStrategy[_shapes.Shape]:
    """Return shapes whose levels lie on a grid of hundredths of ``highest``, within 0 and ``highest``."""
    level = st.integers(10, 100).map(lambda part: round(part * highest / 100.0, 6))
    constant = level.map(_shapes.constant)
    ramp = st.tuples(level, level).map(lambda ends: _shapes.ramp(*ends))
    most_steps = min(4, int(duration_s / _SHORTEST_STEP_S))
    steps = st.lists(level, min_size=2, max_size=most_steps).map(_shapes.steps) if most_steps > 1 else constant
    sine = st.tuples(st.integers(20, 50), st.integers(5, 20), st.integers(1, 4)).map(
        lambda parts: _shapes.sine(parts[0] * highest / 100.0, parts[1] * highest / 100.0, duration_s / parts[2])
    )
    return st.one_of(constant, ramp, steps, sine)


@st.composite
def events(draw: DrawFn, stressor: str, earliest_s: float, bounds: Bounds) -> Event:
    """Draw one event of a stressor that starts at ``earliest_s`` or later and ends within the bounds."""
    shortest, room = round(bounds.min_event_s / _TENTH_S), round((bounds.max_duration_s - earliest_s) / _TENTH_S)
    length = draw(st.integers(shortest, max(shortest, room)))
    start = draw(st.integers(0, max(0, room - length)))
    start_s, duration_s = round(earliest_s + start * _TENTH_S, 1), round(length * _TENTH_S, 1)
    highest = {"cpu": bounds.max_cpu_percent, "memory": bounds.max_memory_percent, "disk": bounds.max_disk_bytes_per_s}[stressor]
    shape = draw(shapes(float(highest), duration_s))
    unit = "bytes_per_s" if stressor == "disk" else "percent"
    return Event(stressor=stressor, start_s=start_s, duration_s=duration_s, shape=shape, unit=unit)


@st.composite
def experiments(draw: DrawFn, bounds: Bounds | None = None, name: str = "random") -> Experiment:
    """Draw an experiment of one to ``max_events`` events; different resources may overlap, the same does not."""
    bounds = bounds or Bounds()
    count = draw(st.integers(1, bounds.max_events))
    next_s = dict.fromkeys(bounds.stressors, 0.0)
    drawn: list[Event] = []
    for _ in range(count):
        free = [stressor for stressor in bounds.stressors if next_s[stressor] + bounds.min_event_s <= bounds.max_duration_s]
        if not free:
            break
        stressor = draw(st.sampled_from(free))
        event = draw(events(stressor, next_s[stressor], bounds))
        next_s[stressor] = event.end_s
        drawn.append(event)
    return Experiment(name=name, lead_s=bounds.lead_s, tail_s=bounds.tail_s, events=tuple(drawn))


def schedules(bounds: Bounds | None = None, max_experiments: int = 3) -> SearchStrategy[Schedule]:
    """Return schedules of one to ``max_experiments`` experiments."""
    return st.lists(experiments(bounds), min_size=1, max_size=max_experiments).map(lambda drawn: Schedule.of(*drawn))

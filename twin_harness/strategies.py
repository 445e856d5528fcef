"""Hypothesis strategies for shapes, events, experiments and schedules.

On integer grids (tenths of a second, whole percents): floats would give start times such as 2e-311,
and ``target()`` climbs integers only. Levels stay within the bounds that are given, and events of
one resource do not overlap, so that their sum does too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from twin_harness.errors import InvalidInput
from twin_harness.schedule.model import Event, Experiment, Schedule
from twin_harness.shapes import shape as _shapes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypothesis.strategies import DrawFn, SearchStrategy

_TENTH_S = 0.1
_SHORTEST_STEP_S = (
    1.5  # half a second after a jump is left out of settling, and a window must follow
)
_LEAST_DISK_BYTES_PER_S, _MOST_DISK_BYTES_PER_S = 1_000_000, 10**12
_LONGEST_S = 86_400.0
_MOST_EVENTS = 100
SHAPES = ("constant", "ramp", "steps", "sine", "square", "spikes", "leak")

# For @given over these strategies with a model: ``@settings(PROFILE)``, or
# ``settings.load_profile("twin")``. A what-if takes milliseconds, but its first call loads the
# model, so there is no deadline; fixtures of a module or session may be used.
PROFILE = settings(
    deadline=None, max_examples=100, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("twin", PROFILE)


@dataclass(frozen=True)
class Bounds:
    """What random schedules stay within.

    Attributes:
        stressors: the resources used. shapes: the kinds of shape used, out of constant, ramp,
            steps, sine, square, spikes and leak.
        min_events, max_events: events an experiment (fewer where no more fit in
            ``max_duration_s``).
        overlap: whether events of different resources may overlap; those of one never do.
        max_duration_s: end of the last event at most; min_event_s, max_event_s: an event lasts at
            least and at most this long.
        min_cpu_percent, min_memory_percent, min_disk_bytes_per_s: peaks of an event at least
            (spikes may fall outside of it); None is a tenth.
        max_cpu_percent, max_memory_percent, max_disk_bytes_per_s: levels at most.
        lead_s, tail_s: quiet time around the events.
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
        whole = int
        for name, kind, low, high in (
            ("max_duration_s", float, _TENTH_S, _LONGEST_S),
            ("min_event_s", float, _TENTH_S, self.max_duration_s),
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
            is_absent = value is None and type(self).__dataclass_fields__[name].default is None
            if not is_absent and not (
                low <= value <= high and (kind is float or type(value) is kind)
            ):
                if kind is bool:
                    wanted = "True or False"
                else:
                    wanted = (
                        f"{'a whole number' if kind is whole else 'a number'} from {low:g} to"
                        f" {high:g}"
                    )
                msg = f"random schedules: {name}={value!r} is out of range; expected {wanted}"
                raise InvalidInput(msg)
        if self.fitting([0.0] * (len(self.stressors) if self.overlap else 1)) < self.min_events:
            msg = (
                f"random schedules: min_events={self.min_events} of"
                f" min_event_s={self.min_event_s:g} s do not fit in"
                f" max_duration_s={self.max_duration_s:g} s; expected fewer, shorter, or more time"
            )
            raise InvalidInput(msg)

    def fitting(self, next_s: Iterable[float]) -> int:
        """Return how many of the shortest events fit in what is left of resources that are free from these instants on."""
        return sum(
            int((self.max_duration_s - instant_s + 1e-9) / self.shortest_s) for instant_s in next_s
        )

    @property
    def shortest_s(self) -> float:
        """The shortest event, on the grid of tenths."""
        return math.ceil(self.min_event_s / _TENTH_S - 1e-9) * _TENTH_S

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


def shapes(
    highest: float,
    duration_s: float,
    kinds: tuple[str, ...] = Bounds.shapes,
    lowest_peak: float | None = None,
) -> SearchStrategy[_shapes.Shape]:
    """Return shapes whose levels lie on a grid of hundredths of ``highest``, within 0 and ``highest``.

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
    if lowest_peak is None:
        level = peak
    else:
        level = st.integers(0, 100)
    most_steps = min(4, int(duration_s / _SHORTEST_STEP_S))
    constant = peak.map(lambda top: _shapes.constant(of(top)))
    below = st.tuples(peak, st.integers(0, 100))  # a peak, and another level in percent of it
    made = {
        "constant": constant,
        "ramp": (
            st.tuples(level, level)
            .filter(lambda ends: max(ends) >= least)
            .map(lambda ends: _shapes.ramp(*map(of, ends)))
        ),
        "steps": (
            st.lists(level, min_size=2, max_size=max(2, most_steps))
            .filter(lambda levels: max(levels) >= least)
            .map(lambda levels: _shapes.steps(list(map(of, levels))))
            if most_steps > 1
            else constant
        ),
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
    drawn = st.tuples(
        st.integers(max(2, least), 100), st.integers(1, 50), periods
    )  # peak, amplitude in percent of it
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
    """Draw one event of a stressor that starts at ``earliest_s`` or later and ends within the bounds, ``kept_s`` before their end."""
    shortest, room = (
        round(bounds.shortest_s / _TENTH_S),
        round((bounds.max_duration_s - kept_s - earliest_s) / _TENTH_S),
    )
    length = draw(st.integers(shortest, max(shortest, room)))
    if bounds.max_event_s is not None:
        length = min(length, round(bounds.max_event_s / _TENTH_S))
    start = draw(st.integers(0, max(0, room - length)))
    start_s, duration_s = round(earliest_s + start * _TENTH_S, 1), round(length * _TENTH_S, 1)
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
    if stressor == "disk":
        unit = "bytes_per_s"
    else:
        unit = "percent"
    return Event(stressor=stressor, start_s=start_s, duration_s=duration_s, shape=shape, unit=unit)


@st.composite
def experiments(draw: DrawFn, bounds: Bounds | None = None, name: str = "random") -> Experiment:
    """Draw an experiment of ``min_events`` to ``max_events`` events, as far as they fit.

    Events of one resource do not overlap.
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
        if bounds.overlap:
            others = [next_s[other] for other in bounds.stressors if other != stressor]
        else:
            others = []
        kept_s = (
            max(0, bounds.min_events - len(drawn) - 1 - bounds.fitting(others)) * bounds.shortest_s
        )
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

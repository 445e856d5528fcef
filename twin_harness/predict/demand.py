"""What an experiment asks for, second by second: the only input of a free run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.planned_levels import areas, levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment

CHANNELS = (
    "cpu_percent",
    "cpu_total_percent",
    "memory_bytes",
    "memory_end_bytes",
    "write_bytes_per_s",
    "sync_bytes_per_s",
    "read_bytes_per_s",
    "filled_bytes",
    "host_starts",
    "host_ends",
)
_JUST_BEFORE_S = 1e-6  # the end of a second: a jump at it belongs to the next
_MODELLED = ("cpu", "memory", "disk")
LONGEST_S = 21_600  # six hours of seconds: what a prediction may take in memory and time


@dataclass(frozen=True)
class Capacity:
    """What 100 percent of the machine is.

    Attributes:
        cpus: CPUs that are 100 percent.
        memory_bytes: memory that is 100 percent.
    """

    cpus: float
    memory_bytes: float


@dataclass(frozen=True)
class Demand:
    """A plan on a grid of seconds.

    Attributes:
        levels: (channels, seconds), in the order of ``CHANNELS``; each the mean over its second,
            except for ``memory_end_bytes`` (at the second's end) and the counts ``host_starts``,
            ``host_ends`` and ``filled_bytes``, which are sums.
        begin_s: of the first second on the events' clock; the lead is negative.
        unmodelled: what the plan asks for that is not modelled, in words.
        step_s: how long a step is; a second, except in a virtual recording.
    """

    levels: np.ndarray
    begin_s: float
    unmodelled: tuple[str, ...] = ()
    step_s: float = 1.0

    @property
    def seconds(self) -> int:
        """How many seconds."""
        return int(self.levels.shape[1])

    @property
    def ends_s(self) -> np.ndarray:
        """The end of each second on the events' clock."""
        return self.begin_s + self.step_s * (1.0 + np.arange(self.seconds))

    def channel(self, name: str) -> np.ndarray:
        """Return one channel, (seconds,)."""
        row: np.ndarray = self.levels[CHANNELS.index(name)]
        return row


def demand_of(
    experiment: Experiment,
    capacity: Capacity,
    begin_s: float | None = None,
    seconds: int | None = None,
    step_s: float = 1.0,
) -> Demand:
    """Return what a plan asks for in each second.

    Args:
        experiment: the plan.
        capacity: of the machine that it is asked of.
        begin_s: start of the grid on the events' clock; the start of the lead unless given.
        seconds: how many steps; the whole experiment unless given.
        step_s: how long each is.
    """
    if begin_s is None:
        begin_s = -experiment.lead_s
    if seconds is None:
        seconds = max(
            1, int(np.ceil((experiment.span_s + experiment.tail_s - begin_s) / step_s - 1e-9))
        )
    edges_s = begin_s + step_s * np.arange(seconds + 1.0)
    levels = np.zeros((len(CHANNELS), seconds))
    unmodelled: list[str] = []
    for event in experiment.events:
        if event.stressor not in _MODELLED:
            unmodelled.append(f"stressor {event.stressor}")
            continue
        unmodelled += _add(levels, event, edges_s, capacity)
    _count(levels, "host_starts", -experiment.lead_s, edges_s)
    _count(levels, "host_ends", experiment.span_s, edges_s)
    return Demand(levels, begin_s, tuple(dict.fromkeys(unmodelled)), step_s)


def _add(channels: np.ndarray, event: Event, edges_s: np.ndarray, capacity: Capacity) -> list[str]:
    """Add one event to the channels, and return what of it is not modelled."""
    scale = event.scale(capacity.cpus, capacity.memory_bytes)
    options = event.resolved_options()
    inside_s = np.clip(edges_s - event.start_s, 0.0, event.duration_s)
    # From the second before the event to the one after it; nothing is asked for beyond.
    moments = slice(*_around(inside_s, event.duration_s))
    seconds = slice(moments.start, moments.stop - 1)
    passed = areas(event.shape, inside_s[moments], event.duration_s) * scale
    means = np.diff(passed) / np.diff(edges_s[moments])
    if event.stressor == "cpu":
        channel = "cpu_total_percent" if event.is_of_system else "cpu_percent"
        channels[CHANNELS.index(channel), seconds] += means
        return ["cpu on chosen CPUs"] if options["cpus"] else []
    if event.stressor == "memory":
        ends_s = edges_s[moments][1:] - event.start_s - _JUST_BEFORE_S
        is_inside = (ends_s >= 0) & (ends_s < event.duration_s)
        held = np.where(
            is_inside,
            levels(event.shape, np.clip(ends_s, 0.0, event.duration_s), event.duration_s),
            0.0,
        )
        channels[CHANNELS.index("memory_bytes"), seconds] += means
        channels[CHANNELS.index("memory_end_bytes"), seconds] += held * scale
        return ["memory that is stirred"] if options["pattern"] == "stir" else []
    operation = options["operation"]
    writes, reads = {"write": (1.0, 0.0), "read": (0.0, 1.0), "mixed": (0.5, 0.5)}[operation]
    channel = "write_bytes_per_s" if options["direct"] else "sync_bytes_per_s"
    channels[CHANNELS.index(channel), seconds] += writes * means
    channels[CHANNELS.index("read_bytes_per_s"), seconds] += reads * means
    if operation != "write":
        size = float(options["file_bytes"])
        _count(channels, "filled_bytes", float(edges_s[0]), edges_s, size)
    return ["disk access at random"] if options["pattern"] == "random" else []


def _around(inside_s: np.ndarray, duration_s: float) -> tuple[int, int]:
    """Return which edges of the grid an event lies between, as the ends of a slice."""
    begin = int(np.searchsorted(inside_s, 0.0, side="right")) - 1
    end = int(np.searchsorted(inside_s, duration_s, side="left")) + 1
    begin = max(0, min(begin, len(inside_s) - 2))
    return begin, max(begin + 2, min(end, len(inside_s)))


def _count(
    levels: np.ndarray, channel: str, at_s: float, edges_s: np.ndarray, amount: float = 1.0
) -> None:
    """Add something that happens at an instant to the second in which it does."""
    second = int(np.searchsorted(edges_s, at_s + 1e-9, side="right")) - 1
    if 0 <= second < levels.shape[1]:
        levels[CHANNELS.index(channel), second] += amount


def stacked(demands: Sequence[Demand]) -> np.ndarray:
    """Return the levels of several plans as one array (plans, channels, seconds of the longest).

    Beyond its end a plan asks for nothing.
    """
    longest = max(demand.seconds for demand in demands)
    levels = np.zeros((len(demands), len(CHANNELS), longest))
    for row, demand in zip(levels, demands, strict=True):
        row[:, : demand.seconds] = demand.levels
    return levels

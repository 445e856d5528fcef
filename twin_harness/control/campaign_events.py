"""Drawing: the events of the training campaign, drawn on integer grids from one random source."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twin_harness.control.campaign_bounds import LEAST_DISK_BYTES_PER_S
from twin_harness.schedule.builders import cpu, disk, memory
from twin_harness.shapes.shape import Shape, constant, ramp, sine, spikes, square, steps, trace

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from twin_harness.control.campaign_bounds import CampaignBounds
    from twin_harness.schedule.event import Event

SPAN_S = 48.0
_SHORTEST_HOLD_S, _LONGEST_HOLD_S = 2.0, 24.0
_SATURATING_BYTES_PER_S = 4e9
_RESOURCES = ("cpu", "memory", "disk")
_TOGETHER: tuple[tuple[str, ...], ...] = (
    ("cpu", "memory"),
    ("memory", "disk"),
    ("cpu", "disk"),
    _RESOURCES,
)
_DISK_OPTIONS: dict[str, dict[str, Any]] = {
    "read": {"operation": "read"},
    "sync": {"direct": False},
    "write": {},
}


@dataclass
class Drawing:
    """Draws shapes and events on integer grids.

    Attributes:
        random: the source of all draws; the same source and calls give the same events.
        bounds: what is asked for at most.
        span_s: of a random plan's events.
    """

    random: random.Random
    bounds: CampaignBounds
    span_s: float = SPAN_S

    def level(self, resource: str, least: float = 0.0) -> float:
        """Return a level, at least that share of the highest.

        Those of the disk are drawn by their logarithm.
        """
        if resource == "disk":
            low, high = LEAST_DISK_BYTES_PER_S, self.bounds.max_disk_bytes_per_s
            share = self.random.randint(round(100 * least), 100) / 100.0
            return float(round(low * (high / low) ** share / 1e6) * 1_000_000)
        if resource == "cpu":
            highest = self.bounds.max_cpu_percent
        else:
            highest = self.bounds.max_memory_percent
        return float(max(1, round(highest * self.random.randint(round(100 * least), 100) / 100.0)))

    def holds(self, resource: str, span_s: float = SPAN_S) -> Shape:
        """Return random levels held for random times, whose logarithm is uniform."""
        points, at_s = [], 0.0
        longest = _LONGEST_HOLD_S / _SHORTEST_HOLD_S
        while at_s < span_s:
            points.append((at_s, self.level(resource)))
            at_s += round(_SHORTEST_HOLD_S * longest ** self.random.random(), 1)
        return trace(points, interpolation="previous")

    def staircase(self, resource: str, *, is_falling: bool, count: int = 6) -> Shape:
        """Return levels from the lowest to the highest, or back; those of the disk by logarithm.

        Args:
            resource: cpu, memory or disk.
            is_falling: from the highest.
            count: how many.
        """
        highest = {
            "cpu": self.bounds.max_cpu_percent,
            "memory": self.bounds.max_memory_percent,
            "disk": self.bounds.max_disk_bytes_per_s,
        }[resource]
        levels = [round(highest * k / count) for k in range(1, count + 1)]
        if resource == "disk":
            low = LEAST_DISK_BYTES_PER_S
            shares = [k / (count - 1) for k in range(count)]
            levels = [round(low * (highest / low) ** share / 1e6) * 1_000_000 for share in shares]
        if is_falling:
            levels.reverse()
        return steps([float(level) for level in levels])

    def event(
        self,
        resource: str,
        shape: Shape,
        duration_s: float = SPAN_S,
        start_s: float = 0.0,
        *,
        disk_does: str = "",
    ) -> Event:
        """Return an event.

        Args:
            resource: cpu, memory or disk.
            shape: of its levels.
            duration_s: how long it lasts.
            start_s: on the events' clock.
            disk_does: ``write``, ``read`` or ``sync`` (writes through the page cache); else one
                disk event in four reads, and one in six syncs.
        """
        if resource == "cpu":
            return cpu(shape, start_s=start_s, duration_s=duration_s)
        if resource == "memory":
            return memory(shape, start_s=start_s, duration_s=duration_s)
        drawn = self.random.random()  # always: what is drawn afterwards must not depend on it
        if disk_does:
            does = disk_does
        elif drawn < 1 / 4:
            does = "read"
        elif drawn < 1 / 4 + 1 / 6:
            does = "sync"
        else:
            does = "write"
        return disk(shape, start_s=start_s, duration_s=duration_s, **_DISK_OPTIONS[does])

    def training(self) -> Iterator[tuple[str, list[Event]]]:
        """Give training plans without end, the most telling first.

        A staircase of each resource alone, each pair and all three with random holds; what
        saturates a resource; then more holds, staircases down, and pairs and threes.
        """
        yield "rest", []
        for resource in ("cpu", "memory"):
            yield (
                f"{resource} staircase",
                [self.event(resource, self.staircase(resource, is_falling=False))],
            )
        # six runs hold all that a plan can ask for: each channel alone, each pair, and all at once
        yield "disk staircases", list(self._disk_staircases())
        yield "pairs by turns", list(self._pairs())
        yield (
            "cpu, memory, disk holds",
            [self.event(resource, self.holds(resource)) for resource in _RESOURCES],
        )
        yield "cpu saturated", [self.event("cpu", constant(float(self.bounds.max_cpu_percent)))]
        yield (
            "memory saturated",
            [self.event("memory", constant(float(self.bounds.max_memory_percent)))],
        )
        yield (
            "disk saturated",
            [self.event("disk", square(0.0, _SATURATING_BYTES_PER_S, 12.0), disk_does="write")],
        )
        for resource in _RESOURCES:
            yield (
                f"{resource} holds",
                [self.event(resource, self.holds(resource), disk_does="sync")],
            )
            yield (
                f"{resource} staircase down",
                [self.event(resource, self.staircase(resource, is_falling=True), disk_does="read")],
            )
        for resources in itertools.cycle(_TOGETHER):
            yield (
                f"{', '.join(resources)} holds",
                [self.event(resource, self.holds(resource)) for resource in resources],
            )
            single = self.random.choice(_RESOURCES)
            yield f"{single} holds", [self.event(single, self.holds(single))]

    def _disk_staircases(self) -> Iterator[Event]:
        """Give writes past the page cache, writes through it, and reads, one after the other."""
        part_s = SPAN_S / len(_DISK_OPTIONS)
        for number, does in enumerate(("write", "sync", "read")):
            shape = self.staircase("disk", is_falling=False, count=4)
            yield self.event("disk", shape, part_s, number * part_s, disk_does=does)

    def _pairs(self) -> Iterator[Event]:
        """Give holds of CPU and memory, then of memory and disk, then of disk and CPU."""
        third_s = SPAN_S / 3.0
        for resource, begin, thirds, does in (
            ("cpu", 0, 1, ""),
            ("memory", 0, 2, ""),
            ("disk", 1, 1, "write"),
            ("disk", 2, 1, "read"),
            ("cpu", 2, 1, ""),
        ):
            duration_s = thirds * third_s
            shape = self.holds(resource, duration_s)
            yield self.event(resource, shape, duration_s, begin * third_s, disk_does=does)

    def mixture(self) -> list[Event]:
        """Return a random plan.

        Two or three resources as a rule, any shape, half of the events with a peak near the highest
        level.
        """
        chosen = [resource for resource in _RESOURCES if self.random.random() < 3 / 4]
        if not chosen:
            chosen = [self.random.choice(_RESOURCES)]
        events = []
        for resource in chosen:
            duration_s = float(self.random.randint(14, int(self.span_s)))
            start_s = float(self.random.randint(0, int(self.span_s - duration_s)))
            shape = self.any_shape(resource, duration_s)
            events.append(self.event(resource, shape, duration_s, start_s))
        return events

    def overload(self, resource: str) -> list[Event]:
        """Return a random plan that fills memory to its bound, or keeps the disk busy for long.

        Some have another load beside.
        """
        if resource == "memory":
            level = round(
                self.bounds.max_memory_percent * self.random.randint(970, 1000) / 1000.0, 2
            )
            start_s = self.random.randint(0, 30) / 10.0
            if self.random.random() < 1 / 3:
                beside = [self.event("disk", constant(self.level("disk") / 10.0))]
            else:
                beside = []
            return [self.event("memory", constant(level), SPAN_S - start_s, start_s), *beside]
        duration_s = float(self.random.randint(14, 36))
        start_s = float(self.random.randint(0, int(SPAN_S - duration_s)))
        does = "read" if self.random.random() < 1 / 3 else "write"
        busy = self.event(
            "disk", constant(self.level("disk", 0.95)), duration_s, start_s, disk_does=does
        )
        if self.random.random() < 1 / 2:
            return [self.event("cpu", self.any_shape("cpu", SPAN_S)), busy]
        return [busy]

    def any_shape(self, resource: str, duration_s: float) -> Shape:
        """Return a shape of any kind."""
        top = self.level(resource, 0.85 if self.random.random() < 1 / 2 else 0.2)
        low = float(round(top * self.random.randint(0, 60) / 100.0))
        kind = self.random.choice(
            ("constant", "ramp", "steps", "sine", "square", "spikes", "holds")
        )
        if kind == "ramp":
            is_rising = self.random.random() < 3 / 4
            return ramp(low, top) if is_rising else ramp(top, low)
        if kind == "steps":
            return steps([self.level(resource) for _ in range(self.random.randint(2, 5))])
        if kind == "sine":
            return sine((top + low) / 2.0, (top - low) / 2.0, float(self.random.randint(6, 24)))
        if kind == "square":
            return square(
                low, top, float(self.random.randint(6, 20)), self.random.randint(3, 7) / 10.0
            )
        if kind == "spikes":
            return spikes(
                low,
                top - low,
                float(self.random.randint(2, 5)),
                float(self.random.randint(4, 10)),
                self.random.randint(0, 1000),
            )
        if kind == "holds":
            return self.holds(resource, duration_s)
        return constant(top)

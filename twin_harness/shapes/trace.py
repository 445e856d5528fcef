"""A load trace: a recorded series of levels, replayed."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

_MOST_JUMPS = 10_000


@dataclass(frozen=True, slots=True)
class Trace:
    """A recorded series: ``points`` are (time in s, level), times rising.

    Before the first and after the last the ends hold.

    Args:
        points: the series; empty only until ``file`` has been read.
        file: where the points stand, for a schedule file that names one; reading the schedule fills
            ``points``.
        interpolation: ``linear``, or ``previous`` (each level holds until the next point).
        time_scale: 0.1 replays ten times as fast.
        level_scale: 2 doubles every level.
    """

    kind: ClassVar[str] = "trace"
    points: tuple[tuple[float, float], ...] = ()
    file: str | None = None
    interpolation: str = "linear"
    time_scale: float = 1.0
    level_scale: float = 1.0
    _areas: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Add up the area before each point once: a sampler asks for areas ten times a second."""
        total = 0.0
        if self.points:
            total = self.points[0][0] * self.points[0][1]
        areas = [total]
        for (start_s, start), (end_s, end) in pairwise(self.points):
            mean = start if self.interpolation == "previous" else (start + end) / 2.0
            total += mean * (end_s - start_s)
            areas.append(total)
        object.__setattr__(self, "_areas", tuple(areas))

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the interpolated level."""
        del duration_s
        recorded_s = t_s / self.time_scale
        right = bisect_right(self.points, (recorded_s, math.inf))
        if right == 0:
            return self.points[0][1] * self.level_scale
        before = self.points[right - 1]
        if right == len(self.points) or self.interpolation == "previous":
            return before[1] * self.level_scale
        after = self.points[right]
        share = (recorded_s - before[0]) / (after[0] - before[0])
        return (before[1] + (after[1] - before[1]) * share) * self.level_scale

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the pieces passed, and the part of the present one."""
        recorded_s = t_s / self.time_scale
        right = bisect_right(self.points, (recorded_s, math.inf))
        if right == 0:
            return self.points[0][1] * recorded_s * self.level_scale * self.time_scale
        start_s, start = self.points[right - 1]
        mean = start
        if self.interpolation != "previous":
            now = self.level(t_s, duration_s) / self.level_scale if self.level_scale else 0.0
            mean = (start + now) / 2.0
        area = self._areas[right - 1] + mean * (recorded_s - start_s)
        return area * self.level_scale * self.time_scale

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the lowest and the highest point, also of points beyond the event's end."""
        del duration_s
        levels = [level * self.level_scale for _, level in self.points]
        return min(levels), max(levels)

    def discontinuities(self, duration_s: float = 1.0) -> tuple[float, ...]:
        """Return the points at which a ``previous`` trace jumps."""
        if self.interpolation != "previous" or not self.level_scale:
            return ()
        jumps = [t * self.time_scale for (_, a), (t, b) in pairwise(self.points) if a != b]
        return tuple(t for t in jumps[:_MOST_JUMPS] if 0 < t < duration_s)

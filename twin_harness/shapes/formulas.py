"""Load shapes that a formula gives: constant, ramp, steps, sine, square and leak."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

MOST_DISCONTINUITIES = 10_000


class _Continuous:
    """A shape whose level never jumps."""

    __slots__ = ()

    def discontinuities(self, duration_s: float = 1.0) -> tuple[float, ...]:
        """Return nothing: the level never jumps."""
        del duration_s
        return ()


@dataclass(frozen=True, slots=True)
class Constant(_Continuous):
    """The same level throughout."""

    kind: ClassVar[str] = "constant"
    level_: float

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the level."""
        del t_s, duration_s
        return self.level_

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return level × time."""
        del duration_s
        return self.level_ * t_s

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the level twice."""
        del duration_s
        return self.level_, self.level_


@dataclass(frozen=True, slots=True)
class Ramp(_Continuous):
    """A straight line over the whole event."""

    kind: ClassVar[str] = "ramp"
    from_: float
    to: float

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the level on the line."""
        return self.from_ + (self.to - self.from_) * t_s / duration_s

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the area under the line."""
        return self.from_ * t_s + (self.to - self.from_) * t_s * t_s / (2.0 * duration_s)

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the two ends in order."""
        del duration_s
        return min(self.from_, self.to), max(self.from_, self.to)


@dataclass(frozen=True, slots=True)
class Steps:
    """A staircase: the levels one after another, each held equally long."""

    kind: ClassVar[str] = "steps"
    levels: tuple[float, ...]

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the level of the step that holds at ``t_s``."""
        index = int(t_s * len(self.levels) / duration_s)
        return self.levels[min(max(index, 0), len(self.levels) - 1)]

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the whole steps passed, and the part of the present one."""
        hold_s = duration_s / len(self.levels)
        index = min(int(t_s / hold_s), len(self.levels) - 1)
        return sum(self.levels[:index]) * hold_s + self.levels[index] * (t_s - index * hold_s)

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the lowest and the highest step."""
        del duration_s
        return min(self.levels), max(self.levels)

    def discontinuities(self, duration_s: float = 1.0) -> tuple[float, ...]:
        """Return the starts of the steps that differ from the one before."""
        hold_s = duration_s / len(self.levels)
        jumps = [
            k * hold_s
            for k, (before, after) in enumerate(pairwise(self.levels), 1)
            if before != after
        ]
        return tuple(jumps[:MOST_DISCONTINUITIES])


@dataclass(frozen=True, slots=True)
class Sine(_Continuous):
    """A wave around a mean; ``phase`` is a fraction of a period."""

    kind: ClassVar[str] = "sine"
    mean: float
    amplitude: float
    period_s: float
    phase: float = 0.0

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return mean + amplitude · sin(2π (t/period + phase))."""
        del duration_s
        return self.mean + self.amplitude * math.sin(math.tau * (t_s / self.period_s + self.phase))

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the integral of the wave."""
        del duration_s
        start = math.cos(math.tau * self.phase)
        end = math.cos(math.tau * (t_s / self.period_s + self.phase))
        return self.mean * t_s + self.amplitude * self.period_s / math.tau * (start - end)

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return mean ± amplitude, whether or not the event is long enough to reach them."""
        del duration_s
        swing = abs(self.amplitude)
        return self.mean - swing, self.mean + swing


@dataclass(frozen=True, slots=True)
class Square:
    """High for ``duty`` of each period, then low."""

    kind: ClassVar[str] = "square"
    low: float
    high: float
    period_s: float
    duty: float = 0.5

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return ``high`` in the first part of a period and ``low`` in the rest."""
        del duration_s
        if t_s % self.period_s < self.duty * self.period_s:
            return self.high
        return self.low

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return whole periods, and the part of the present one."""
        del duration_s
        whole, rest_s = divmod(t_s, self.period_s)
        high_s = self.duty * self.period_s
        full = self.high * high_s + self.low * (self.period_s - high_s)
        return whole * full + self.high * min(rest_s, high_s) + self.low * max(rest_s - high_s, 0.0)

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the two levels in order."""
        del duration_s
        return min(self.low, self.high), max(self.low, self.high)

    def discontinuities(self, duration_s: float = 1.0) -> tuple[float, ...]:
        """Return every edge within the event."""
        if self.low == self.high or self.duty in (0.0, 1.0):
            return ()
        jumps: list[float] = []
        for k in range(min(int(duration_s / self.period_s) + 1, MOST_DISCONTINUITIES // 2)):
            jumps += [k * self.period_s, (k + self.duty) * self.period_s]
        return tuple(t for t in jumps if 0 < t < duration_s)


@dataclass(frozen=True, slots=True)
class Leak(_Continuous):
    """Growth at a steady rate from ``start``, as a memory leak shows it."""

    kind: ClassVar[str] = "leak"
    start: float
    rate_per_s: float

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return start + rate · t."""
        del duration_s
        return self.start + self.rate_per_s * t_s

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the area under the line."""
        del duration_s
        return self.start * t_s + self.rate_per_s * t_s * t_s / 2.0

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the levels at start and end, in order."""
        end = self.start + self.rate_per_s * duration_s
        return min(self.start, end), max(self.start, end)

"""The time that the harness lives by: CLOCK_MONOTONIC, and a clock that tests move by hand."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the harness asks of time; all instants are CLOCK_MONOTONIC seconds unless named otherwise."""

    def monotonic_s(self) -> float:
        """Read CLOCK_MONOTONIC, in seconds: one clock for all processes of a machine."""
        ...

    def utc_s(self) -> float:
        """Read the wall clock, in seconds since the epoch; it may step."""
        ...

    def suspended_s(self) -> float:
        """Return how long the machine has been suspended since boot, in seconds: time that CLOCK_MONOTONIC does not count."""
        ...

    def sleep_until(self, instant_s: float) -> None:
        """Return at ``instant_s`` on the monotonic clock, at once if that is past."""
        ...


class SystemClock:
    """The clock of this machine."""

    def monotonic_s(self) -> float:
        """Read CLOCK_MONOTONIC, in seconds."""
        return time.monotonic()

    def utc_s(self) -> float:
        """Read the wall clock, in seconds since the epoch."""
        return time.time()

    def suspended_s(self) -> float:
        """Return CLOCK_BOOTTIME less CLOCK_MONOTONIC, in seconds; 0 where the kernel has no such clock."""
        if not hasattr(time, "CLOCK_BOOTTIME"):
            return 0.0
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()

    def sleep_until(self, instant_s: float) -> None:
        """Sleep until ``instant_s``; the kernel's high resolution timers wake within about 60 µs."""
        remaining_s = instant_s - time.monotonic()
        if remaining_s > 0:
            time.sleep(remaining_s)


class FakeClock:
    """A clock that stands still until it is moved: for tests, and for virtual time.

    Args:
        start_s: the first reading of the monotonic clock, in seconds.
        utc_offset_s: wall clock minus monotonic clock, in seconds; assign to it to step the wall clock.
    """

    def __init__(self, start_s: float = 0.0, utc_offset_s: float = 1_700_000_000.0) -> None:
        self._now_s = start_s
        self.utc_offset_s = utc_offset_s
        self.asleep_s = 0.0

    def monotonic_s(self) -> float:
        """Return the present virtual instant, in seconds."""
        return self._now_s

    def utc_s(self) -> float:
        """Return the present virtual wall clock, in seconds since the epoch."""
        return self._now_s + self.utc_offset_s

    def suspended_s(self) -> float:
        """Return what was assigned to ``asleep_s``."""
        return self.asleep_s

    def sleep_until(self, instant_s: float) -> None:
        """Jump to ``instant_s``; never backwards."""
        self._now_s = max(self._now_s, instant_s)

    def advance(self, seconds_s: float) -> None:
        """Move on by ``seconds_s`` ≥ 0.

        Raises:
            ValueError: ``seconds_s`` is negative.
        """
        if seconds_s < 0:
            msg = f"expected seconds_s >= 0 but got seconds_s={seconds_s!r}: a monotonic clock never goes back"
            raise ValueError(msg)
        self._now_s += seconds_s

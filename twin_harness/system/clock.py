"""The time that the harness goes by: CLOCK_MONOTONIC, and a clock that tests move by hand.

Sessions live in a user's process, whose tests may freeze or replace ``time.monotonic``,
``time.time``, ``time.sleep`` and ``datetime`` (freezegun, time-machine, monkeypatch). What waits by
a frozen clock waits for ever, so whatever runs in such a process takes the time from here:
``time.clock_gettime`` asks the kernel, and what replaces clocks leaves the monotonic ones of it
alone.
"""

from __future__ import annotations

import time
from typing import Protocol

# Bound before any test can replace it. Tools that freeze time leave sleeping alone; tests that
# spare themselves a sleep do not.
_sleep = time.sleep
# Linux numbers them so (clock_gettime(2)); Python names neither.
_REALTIME_COARSE, _MONOTONIC_COARSE = 5, 6
# Linux alone has CLOCK_BOOTTIME.
_HAS_KERNEL_CLOCKS = hasattr(time, "clock_gettime") and hasattr(time, "CLOCK_BOOTTIME")
_time = time.time
_LOOKS, _LOOK_S = 5, 0.002


def monotonic_s() -> float:
    """Read CLOCK_MONOTONIC, in seconds: what ``time.monotonic`` reads, whoever has replaced it."""
    if not hasattr(time, "clock_gettime"):  # Windows, where nothing is loaded or sampled
        return time.monotonic()
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def utc_s() -> float:
    """Read the wall clock, in seconds since the epoch; it may step.

    time-machine replaces CLOCK_REALTIME inside ``time.clock_gettime``, too. The coarse clocks are
    not replaced and are set by the kernel in one step, so that their difference is exactly what
    separates wall clock and CLOCK_MONOTONIC.
    """
    if not _HAS_KERNEL_CLOCKS:
        return _time()
    while True:
        before_ns = time.clock_gettime_ns(_MONOTONIC_COARSE)
        wall_ns = time.clock_gettime_ns(_REALTIME_COARSE)
        if time.clock_gettime_ns(_MONOTONIC_COARSE) == before_ns:
            return (wall_ns - before_ns + time.clock_gettime_ns(time.CLOCK_MONOTONIC)) / 1e9


def sleep_s(seconds_s: float) -> None:
    """Sleep, whoever has replaced ``time.sleep``; give way to others for a length that is past."""
    _sleep(max(0.0, seconds_s))


def utc_text(instant_utc_s: float) -> str:
    """Return an instant of the wall clock, ISO 8601 with microseconds.

    No class takes part that a test may have replaced.
    """
    whole_us = round(instant_utc_s * 1e6)
    day = time.gmtime(whole_us // 1_000_000)
    date = f"{day.tm_year:04d}-{day.tm_mon:02d}-{day.tm_mday:02d}"
    return f"{date}T{day.tm_hour:02d}:{day.tm_min:02d}:{day.tm_sec:02d}.{whole_us % 1_000_000:06d}Z"


def now_text() -> str:
    """Return the wall clock, ISO 8601 with microseconds."""
    return utc_text(utc_s())


def is_standing() -> bool:
    """Tell whether CLOCK_MONOTONIC stands still.

    A library that is loaded before all others (libfaketime) can make it do so.
    """
    before_s = monotonic_s()
    for _ in range(_LOOKS):
        if monotonic_s() > before_s:
            return False
        _sleep(_LOOK_S)
    return True


class Clock(Protocol):
    """What the harness asks of time.

    All instants are CLOCK_MONOTONIC seconds unless named otherwise.
    """

    def monotonic_s(self) -> float:
        """Read CLOCK_MONOTONIC, in seconds: one clock for all processes of a machine."""
        ...

    def utc_s(self) -> float:
        """Read the wall clock, in seconds since the epoch; it may step."""
        ...

    def suspended_s(self) -> float:
        """Return how long the machine has been suspended since boot, in seconds.

        CLOCK_MONOTONIC does not count that time.
        """
        ...

    def sleep_until(self, instant_s: float) -> None:
        """Return at ``instant_s`` on the monotonic clock, at once if that is past."""
        ...


class SystemClock:
    """The clock of this machine."""

    def monotonic_s(self) -> float:
        """Read CLOCK_MONOTONIC, in seconds."""
        return monotonic_s()

    def utc_s(self) -> float:
        """Read the wall clock, in seconds since the epoch."""
        return utc_s()

    def suspended_s(self) -> float:
        """Return CLOCK_BOOTTIME less CLOCK_MONOTONIC, in seconds.

        0 where the kernel has no such clock.
        """
        if not hasattr(time, "CLOCK_BOOTTIME"):
            return 0.0
        return time.clock_gettime(time.CLOCK_BOOTTIME) - monotonic_s()

    def sleep_until(self, instant_s: float) -> None:
        """Sleep until ``instant_s``.

        The kernel's high resolution timers wake within about 60 µs.
        """
        sleep_s(instant_s - monotonic_s())


class FakeClock:
    """A clock that stands still until it is moved: for tests, and for virtual time.

    Args:
        start_s: the first reading of the monotonic clock, in seconds.
        utc_offset_s: wall clock minus monotonic clock, in seconds; assign to it to step the wall
            clock.
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
            msg = (
                f"expected seconds_s >= 0 but got seconds_s={seconds_s!r}: a monotonic clock never"
                " goes back"
            )
            raise ValueError(msg)
        self._now_s += seconds_s

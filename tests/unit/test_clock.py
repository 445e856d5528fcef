"""The clocks: the machine's own, and the one that tests move by hand."""

import time

import pytest

from twin_harness.system import clock as clock_module
from twin_harness.system.clock import FakeClock, SystemClock


def test_a_fake_clock_stands_still():
    """Two readings without a move between them are equal."""
    clock = FakeClock(5.0)
    assert (clock.monotonic_s(), clock.monotonic_s()) == (5.0, 5.0)


def test_advancing_moves_both_clocks():
    """Monotonic and wall clock move on together."""
    clock = FakeClock(1.0, utc_offset_s=100.0)
    clock.advance(2.5)
    assert (clock.monotonic_s(), clock.utc_s()) == (3.5, 103.5)


def test_the_wall_clock_may_step_alone():
    """A step of the wall clock leaves the monotonic clock alone."""
    clock = FakeClock(1.0, utc_offset_s=100.0)
    clock.utc_offset_s = 40.0
    assert (clock.monotonic_s(), clock.utc_s()) == (1.0, 41.0)


def test_sleeping_jumps_to_the_instant():
    """Sleeping until a moment takes no real time."""
    clock = FakeClock()
    clock.sleep_until(1e6)
    assert clock.monotonic_s() == 1e6


def test_sleeping_never_goes_back():
    """Sleeping until a moment that is past changes nothing."""
    clock = FakeClock(10.0)
    clock.sleep_until(9.0)
    assert clock.monotonic_s() == 10.0


def test_advancing_by_nothing_is_fine():
    """Zero is a permitted move."""
    clock = FakeClock(10.0)
    clock.advance(0.0)
    assert clock.monotonic_s() == 10.0


def test_advancing_backwards_is_refused():
    """A negative move names the argument, its value and the reason."""
    with pytest.raises(
        ValueError,
        match=(
            r"^expected seconds_s >= 0 but got seconds_s=-0\.5: a monotonic clock never goes back$"
        ),
    ):
        FakeClock().advance(-0.5)


def test_the_system_clock_reads_the_kernel_s():
    """The system's readings lie between two readings of the kernel's clocks."""
    clock = SystemClock()
    before_s, before_utc_s = time.monotonic(), time.time()
    read_s, read_utc_s = clock.monotonic_s(), clock.utc_s()
    assert before_s <= read_s <= time.monotonic()
    assert before_utc_s <= read_utc_s <= time.time()


def test_the_system_clock_sleeps_what_remains(monkeypatch):
    """It asks for exactly the seconds that are left until the instant."""
    slept_s = []
    monkeypatch.setattr(clock_module, "monotonic_s", lambda: 100.0)
    monkeypatch.setattr(clock_module, "_sleep", slept_s.append)
    SystemClock().sleep_until(100.25)
    assert slept_s == [0.25]


@pytest.mark.parametrize("instant_s", [100.0, 99.0, -1.0])
def test_the_system_clock_does_not_sleep_for_the_past(monkeypatch, instant_s):
    """An instant that is past or now returns at once, though others may run first."""
    slept_s = []
    monkeypatch.setattr(clock_module, "monotonic_s", lambda: 100.0)
    monkeypatch.setattr(clock_module, "_sleep", slept_s.append)
    SystemClock().sleep_until(instant_s)
    assert slept_s == [0.0]

"""What an experiment depends on: the guard, the logger, and an idle machine before it."""

from math import nan
from types import SimpleNamespace

import pytest

from tests.support.machines import MACHINE
from twin_harness.control import health, idle
from twin_harness.control.health import DataHealth, GuardHealth
from twin_harness.errors import HarnessFailure


@pytest.fixture
def clock(monkeypatch):
    """A clock that sleeping advances."""
    clock = SimpleNamespace(now_s=100.0)

    def sleep(seconds):
        clock.now_s += seconds

    for module in (health, idle):
        monkeypatch.setattr(module, "monotonic_s", lambda: clock.now_s)
        monkeypatch.setattr(module, "sleep_s", sleep)
    return clock


def test_guard_that_stays_suspended_ends_the_experiment(clock):
    """Once may be a debugger's glance; half a second later it is still so, and nobody watches."""
    link = SimpleNamespace(is_guard_stopped=True, guard_pid=7)
    guard = GuardHealth(link)
    guard.check()
    clock.now_s += 0.4
    guard.check()
    clock.now_s += 0.2
    with pytest.raises(HarnessFailure, match=r"^the guard \(process 7\) is stopped"):
        guard.check()


def test_guard_that_goes_on_is_fine(clock):
    """Suspended for a moment, it watches again."""
    link = SimpleNamespace(is_guard_stopped=True, guard_pid=7)
    guard = GuardHealth(link)
    for is_stopped in (True, False, True, False):
        link.is_guard_stopped = is_stopped
        guard.check()
        clock.now_s += 0.6


def test_rows_are_waited_for_as_long_as_samples_may_take(clock):
    """Three seconds and two intervals after the end, the run is PARTIAL."""
    board = SimpleNamespace(dataset_state=lambda: (0, 101.0, 0, ()))
    data = DataHealth(SimpleNamespace(board=board, interval_s=0.5))
    data.await_rows(101.0)
    assert clock.now_s == 100.0
    with pytest.raises(HarnessFailure, match=r"written nothing for 4\.0 s; the run is PARTIAL"):
        data.await_rows(102.0)
    assert clock.now_s == pytest.approx(106.0, abs=0.1)


@pytest.fixture
def site():
    return SimpleNamespace(machine=MACHINE, board=SimpleNamespace(is_load_stopping=False))


def test_idle_machine_is_waited_for(monkeypatch, clock, site):
    """CPU and disk are idle together, and the record says how long that took."""
    seconds = iter([(nan, nan), (50.0, 0.0), (1.0, 5e6), (1.234, 1000.0)])
    monkeypatch.setattr(idle, "_last_second", lambda *_: next(seconds))
    assert idle.wait_until_idle(site, 10.0) == {
        "is_idle": True,
        "waited_s": 0.6,
        "cpu_percent": 1.23,
        "disk_bytes_per_s": 1000.0,
    }


def test_wait_for_an_idle_machine_is_bounded(monkeypatch, clock, site):
    """A busy machine begins after the longest wait; figures that are unknown are None."""
    monkeypatch.setattr(idle, "_last_second", lambda *_: (nan, nan))
    outcome = idle.wait_until_idle(site, 1.0)
    assert outcome == {
        "is_idle": False,
        "waited_s": 1.0,
        "cpu_percent": None,
        "disk_bytes_per_s": None,
    }


def test_interrupted_wait_ends_at_once(monkeypatch, clock, site):
    """The controller's Ctrl-C reaches a worker that waits."""
    site.board.is_load_stopping = True
    monkeypatch.setattr(idle, "_last_second", lambda *_: (90.0, 0.0))
    with pytest.raises(KeyboardInterrupt):
        idle.wait_until_idle(site, 10.0)

"""An experiment under way, from what its load host says and when the runner listens."""

from types import SimpleNamespace

import pytest

from tests.support.machines import MACHINE
from twin_harness.control import execution
from twin_harness.control.execution import Execution
from twin_harness.runs.records import AnnotationRow, PlannedExperiment
from twin_harness.schedule.builders import command, plan
from twin_harness.system.clock import FakeClock

ZERO_S = 100.0


class Link:
    """A load host that has said by a time what is listed for it, and a guard that is well."""

    tripped = None
    is_over = is_guard_stopped = has_guard_died = False

    def __init__(self, clock, said):
        self._clock, self._said = clock, dict(said)

    def poll(self, timeout_s):
        due = [at_s for at_s in self._said if at_s <= self._clock.monotonic_s()]
        if not due:
            self._clock.advance(timeout_s)
        return [self._said.pop(at_s) for at_s in due]

    def await_dead_load(self, patience_s):
        pass


def ended(event, end_s):
    return {
        "event": event,
        "state": "ended",
        "start_s": ZERO_S,
        "end_s": end_s,
        "status": "completed",
        "message": "",
    }


@pytest.fixture
def under_way(monkeypatch):
    """Two commands, of 1 s and of 3 s; taking up the row of the first holds the runner up."""

    def make(said, *, held_up_s):
        clock = FakeClock(ZERO_S)
        monkeypatch.setattr(execution, "monotonic_s", clock.monotonic_s)
        recorded = []

        def record(row):
            if not recorded:
                clock.advance(held_up_s)
            recorded.append(row)

        site = SimpleNamespace(
            board=SimpleNamespace(
                dataset_state=lambda: (0, clock.monotonic_s(), 0, ()), is_load_stopping=False
            ),
            recorder=SimpleNamespace(
                new_row=lambda *names: AnnotationRow("r", *names), record=record
            ),
            machine=MACHINE,
        )
        events = command(["a"], duration_s=1, id="short"), command(["b"], duration_s=3, id="long")
        planned = PlannedExperiment(plan(*events, name="x"), ZERO_S - 1, ZERO_S, ZERO_S + 4)
        data = SimpleNamespace(check_sampling=lambda _: None)
        made = Execution(site, data, planned, Link(clock, said))
        made.watch(ZERO_S + 20)
        return {row.event: (row.status, row.message) for row in recorded} | {
            row.event: (row.status, row.message) for _, row in made.events.ended
        }

    return make


@pytest.mark.parametrize("held_up_s", [0.0, 60.0])
def test_a_host_is_not_mute_while_nobody_listens(under_way, held_up_s):
    """The first row takes a minute, pandas being read: what the host said meanwhile counts."""
    said = {101.0: ended("short", 101.0), 103.0: ended("long", 103.0)}
    assert under_way(said, held_up_s=held_up_s) == {
        "short": ("completed", ""),
        "long": ("completed", ""),
    }


@pytest.mark.parametrize("held_up_s", [0.0, 60.0])
def test_a_host_that_says_nothing_is_mute(under_way, held_up_s):
    """However late that is noticed."""
    assert under_way({101.0: ended("short", 101.0)}, held_up_s=held_up_s) == {
        "short": ("completed", ""),
        "long": ("failed", "the load was stopped because its load host did not answer"),
    }

"""What the controller alone does: gather reports, stop, close."""

from types import SimpleNamespace

import pytest

from tests.support.items import config_of, report_of
from twin_harness.errors import ExperimentAborted, HarnessFailure, Undecided
from twin_harness.plugin import controller, tries, undecided
from twin_harness.plugin.state import state_of


def hooks_of(config):
    """Hooks of a controller whose session can be stopped."""
    hooks = controller.ControllerHooks(config)
    session = SimpleNamespace(shouldstop=False, exitstatus=pytest.ExitCode.OK, config=config)
    hooks.pytest_sessionstart(session)
    return hooks, session


def tripped():
    report = report_of("failed")
    undecided.phrase(report, ExperimentAborted("guard: x"), None)
    return report


@pytest.mark.parametrize(("parts", "trips"), [(0, 3), (2, 6)])
def test_three_trips_in_a_row_end_the_session(tmp_path, parts, trips):
    """One test in between that the guard left alone begins the count anew."""
    hooks, session = hooks_of(config_of(tmp_path, parts=parts))
    for report in [*[tripped()] * (trips - 1), report_of(), *[tripped()] * (trips - 1)]:
        hooks.pytest_runtest_logreport(report)
        assert not session.shouldstop
    hooks.pytest_runtest_logreport(tripped())
    assert session.shouldstop.startswith(f"the guard stopped {trips} experiments in a row;")


def test_session_of_xdist_has_a_flag_of_its_own(tmp_path):
    """Under pytest-xdist its session is stopped, not pytest's."""
    config = config_of(tmp_path)
    distributed = SimpleNamespace(shouldstop=False)
    config.pluginmanager.getplugin = lambda name: distributed
    hooks, session = hooks_of(config)
    for _ in range(3):
        hooks.pytest_runtest_logreport(tripped())
    assert distributed.shouldstop
    assert not session.shouldstop


def undecided_report(outcome=None):
    report = report_of()
    undecided.phrase(report, Undecided("no room"), SimpleNamespace(undecided="ignore"))
    if outcome:
        report.outcome = outcome
    return report


def test_undecided_tests_are_gathered(tmp_path):
    """Once a test: neither a subtest nor a try that is run again has the last word."""
    config = config_of(tmp_path)
    hooks, _ = hooks_of(config)
    subtest = undecided_report()
    setattr(subtest, tries._SUBTEST, True)
    for report in (undecided_report(), subtest, undecided_report("rerun"), report_of()):
        hooks.pytest_runtest_logreport(report)
    assert state_of(config).undecided == [("test_x.py::test_it", "no room")]


def test_session_that_nobody_used_is_closed_in_silence(tmp_path):
    """Nothing is written, nothing is said."""
    config = config_of(tmp_path)
    hooks, _ = hooks_of(config)
    hooks.pytest_sessionfinish(pytest.ExitCode.OK)
    assert state_of(config).closing_lines == []
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("code", [pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR])
def test_interrupt_is_noted(tmp_path, code):
    """A second Ctrl-C leaves pytest with the exit status of an internal error."""
    config = config_of(tmp_path)
    hooks, _ = hooks_of(config)
    hooks.pytest_sessionfinish(code)
    assert state_of(config).is_interrupted


class Session:
    """A session that closes, or cannot."""

    def __init__(self, tmp_path, error=None):
        self.folder = SimpleNamespace(path=tmp_path / "data" / "run", read_state=self.read_state)
        self.error, self.lost = error, []

    def lose(self, sentence):
        self.lost.append(sentence)

    def close(self, *, is_interrupted):
        self.is_interrupted = is_interrupted
        if self.error:
            raise self.error

    def read_state(self):
        return {"status": "COMPLETE", "experiments": []}


def test_session_is_closed_with_what_was_lost(tmp_path):
    """Lost workers and the interrupt are handed on, and the summary says where everything is."""
    config = config_of(tmp_path)
    state = state_of(config)
    session = state.session = Session(tmp_path)
    state.lost, state.is_interrupted = ["worker gw1 was lost: killed"], True
    controller.close_session(config, state)
    assert session.lost == ["worker gw1 was lost: killed"]
    assert session.is_interrupted
    assert state.session is None
    assert state.closing_lines[0] == "COMPLETE: 0 experiments, 0.0 s, 0 samples, 0 missed"


def test_run_that_cannot_be_closed_is_said(tmp_path):
    """What was written is there, and the line names the folder and the reason."""
    config = config_of(tmp_path)
    state = state_of(config)
    state.session = Session(tmp_path, HarnessFailure("the disk is full"))
    controller.close_session(config, state)
    (line,) = state.closing_lines
    assert line.startswith(
        f"PARTIAL: the run could not be closed, {tmp_path / 'data' / 'run'}: the"
    )


def test_stop_without_a_session_stops_nothing(tmp_path):
    """Ctrl-C before the first experiment finds no board."""
    config = config_of(tmp_path)
    hooks, _ = hooks_of(config)
    hooks.pytest_keyboard_interrupt()
    assert state_of(config).is_interrupted

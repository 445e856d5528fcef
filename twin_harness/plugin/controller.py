"""What the controller alone does: gather reports, stop load on an interrupt, close the session."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from twin_harness.errors import HarnessFailure, TwinError
from twin_harness.plugin import allure_session, gate_verdict, terminal, tries, undecided, workers
from twin_harness.plugin.state import state_of

if TYPE_CHECKING:
    from twin_harness.plugin.state import PluginState


_MOST_TRIPS = 3


class ControllerHooks:
    """Registered on the controller, plain or under pytest-xdist; never on a worker."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._session: pytest.Session | None = None

    @property
    def _state(self) -> PluginState:
        return state_of(self._config)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember UNDECIDED tests, also those of workers.

        A subtest's report is part of its test's, which comes after it.
        """
        if tries.is_subtest(report):
            return
        # A try that is run again has said nothing yet: pytest-rerunfailures and its like call that
        # "rerun".
        if str(report.outcome) != "rerun" and (reason := undecided.reason_of(report)):
            self._state.undecided.append((report.nodeid, reason))
        if report.when == "call":
            if undecided.has_tripped(report):
                self._state.trips += 1
            else:
                self._state.trips = 0
            # One crossing stops the load of every part.
            if self._state.trips == _MOST_TRIPS * max(1, self._state.config.parts):
                self._stop(
                    f"the guard stopped {self._state.trips} experiments in a row; ask for less, or"
                    " look at what else the machine does"
                )

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Remember the session that may have to be stopped."""
        self._session = session

    def _stop(self, reason: str) -> None:
        """End the session after the present test: xdist keeps a flag of its own."""
        distributed = self._config.pluginmanager.getplugin("dsession")
        if distributed is not None:
            distributed.shouldstop = reason
        elif self._session is not None:
            self._session.shouldstop = reason

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """Have every runner of the session end its load, before anything is torn down."""
        self._state.is_interrupted = True
        stop_load(self._state)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Close the session when everybody else has finished: merge, write, report.

        A second Ctrl-C leaves pytest before it has noted the first: its exit status is still that
        of an internal error.
        """
        if (
            self._session is not None
            and self._state.is_interrupted
            and gate_verdict.is_distributed(self._config)
        ):
            gate_verdict.finish(self._session, self._state)
        self._state.is_interrupted |= exitstatus in (
            pytest.ExitCode.INTERRUPTED,
            pytest.ExitCode.INTERNAL_ERROR,
        )
        if not self._state.closing_lines:  # else it has been closed for want of an answer
            close_session(self._config, self._state)


class GateHooks:
    """Judges before others write what they have of the session; JUnit takes no more then."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge what gated tests gave."""
        state = state_of(session.config)
        state.is_interrupted |= session.exitstatus == pytest.ExitCode.INTERRUPTED
        if state.session is not None and state.session.is_mute:
            close_session(session.config, state)  # what gated tests gave cannot be read
            return
        # Where it was interrupted, workers are still at it.
        if not (state.is_interrupted and gate_verdict.is_distributed(session.config)):
            gate_verdict.finish(session, state)


def _join(state: PluginState) -> None:
    """Join the session that workers have made; nothing when no test used it."""
    if state.session is not None or not state.may_touch_run():
        return
    if (state.seat.run_dir / "run.json").exists():
        from twin_harness.session.session import Session

        state.session = Session.open(state.config, state.seat, state.status.write_line)


def _clear_lost(state: PluginState) -> None:
    """End what workers began in a session whose run folder is not there any more."""
    if not Path("/dev/shm", state.seat.board).exists():
        return  # there was no session, as in most projects: nothing is imported
    from twin_harness.system import reaper

    reaper.reap(ended_board=state.seat.board)
    sentence = (
        f"PARTIAL: the run folder {state.seat.run_dir} was lost under way; nothing of this session"
        " is left running"
    )
    state.closing_lines = [sentence]


def stop_load(state: PluginState) -> None:
    """Ask every runner to stop; each writes what it has.

    By the board alone: to join the session takes imports, while load goes on.
    """
    if not state.may_touch_run():
        return
    try:
        text = (state.seat.run_dir / "run.json").read_text(encoding="utf-8")
        path = json.loads(text).get("board")
    except (OSError, ValueError):
        return  # there is no session
    if not path:
        return
    from twin_harness.system.board import Board

    with contextlib.suppress(HarnessFailure):  # it is over
        board = Board.open(path)
        board.ask_load_to_stop()
        board.close()


def close_session(config: pytest.Config, state: PluginState) -> None:
    """Close the session, if a test used it, and keep what the summary is to say."""
    state.status.close()
    workers.remove_lines(state.seat)
    try:
        _join(state)
    except (OSError, ValueError, TwinError) as error:
        state.closing_lines = [_not_closed(state.seat.run_dir, error)]
        return
    session, state.session = state.session, None
    if session is None:
        _clear_lost(state)
        return
    try:
        for sentence in state.lost:
            session.lose(sentence)
        state.report = session.close(is_interrupted=state.is_interrupted)
        faults = allure_session.write_session(config, session.folder, state.report)
        lines = terminal.closing_lines(
            session.folder.path, session.folder.read_state(), state.report
        )
        state.closing_lines = [*lines, *(f"note    {fault}" for fault in faults)]
    except (OSError, ValueError, TwinError) as error:
        state.closing_lines = [_not_closed(session.folder.path, error)]


def _not_closed(folder: Path, error: Exception) -> str:
    """Return what is said of a run that nobody could close."""
    return (
        f"PARTIAL: the run could not be closed, {folder}: {error}; what was written is there, `twin"
        " report` reads it"
    )

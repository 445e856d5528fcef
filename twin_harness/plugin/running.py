"""The session of a pytest process, opened on first use, and experiments run in it for a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin_harness.errors import ExperimentError, InvalidInput, Undecided
from twin_harness.plugin.state import state_of
from twin_harness.system.support import lack_of_support

if TYPE_CHECKING:
    import pytest

    from twin_harness.plugin.state import TestState
    from twin_harness.runs.recording import Recording
    from twin_harness.schedule.model import Experiment
    from twin_harness.session.session import Session


def open_session(config: pytest.Config) -> Session:
    """Return the session; the first call makes its run folder.

    Raises:
        Undecided: this system is one that cannot be loaded and recorded.
    """
    state = state_of(config)
    if state.session is None:
        if reason := lack_of_support("an experiment"):
            raise Undecided(reason)
        from twin_harness.session.session import Session as _Session

        state.session = _Session.open(state.config, state.seat, state.status.write_line)
    return state.session


def run_for(
    test: TestState,
    session: Session,
    experiment: Experiment,
    generator: dict[str, Any] | None = None,
) -> Recording:
    """Run an experiment for a test and keep what was recorded, also when it failed.

    Args:
        test: keeps what was planned, recorded and waited for.
        session: whose runner runs it.
        experiment: what is run.
        generator: what made the plan; None where a person did.

    Raises:
        as ``ServerRunner.run``.
    """
    test.planned.append(experiment)
    try:
        recording = session.runner.run(experiment, generator)
    except (ExperimentError, Undecided) as error:
        if error.recording is not None:
            test.recordings.append(error.recording)
        raise
    finally:
        test.note_waits(session.admission.take_waits())
    test.recordings.append(recording)
    return recording


class ExperimentRunner:
    """The ``experiment`` fixture: runs experiments that a test makes itself."""

    def __init__(self, test: TestState, session: Session) -> None:
        self._test = test
        self._session = session

    def run(self, experiment: Experiment) -> Recording:
        """Run an experiment and return its recording.

        Raises:
            InvalidInput: ``experiment`` is not one, or the machine cannot carry it.
            ExperimentFailed, ExperimentAborted, FidelityMissed, Undecided: as it went.
        """
        from twin_harness.schedule.model import Experiment as _Experiment

        if not isinstance(experiment, _Experiment):
            msg = (
                "experiment.run(): expected an Experiment made by plan() but got"
                f" experiment={experiment!r} (type={type(experiment).__name__})"
            )
            raise InvalidInput(msg)
        return run_for(self._test, self._session, experiment)

"""The stressor fixtures' value: a load on one resource, run or kept up from within a test."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twin_harness.errors import ExperimentError, InvalidInput, Undecided
from twin_harness.plugin.running import run_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twin_harness.plugin.state import TestState
    from twin_harness.runs.recording import Recording
    from twin_harness.schedule.model import Experiment
    from twin_harness.session.session import Session
    from twin_harness.shapes.shape import Shape


class BackgroundLoad:
    """A load that runs while a block does; ``recording`` is there once the block is left."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._recordings = recordings

    @property
    def recording(self) -> Recording:
        """What was recorded.

        Raises:
            InvalidInput: the block has not been left yet.
        """
        if not self._recordings:
            msg = "background load: recording is there once the with block is left; leave it first"
            raise InvalidInput(msg)
        return self._recordings[0]


class StressFixture:
    """``cpu_stress``, ``mem_stress``, ``disk_stress``: one load on one resource, in a test.

    ``cpu_stress(ramp(0, 80), duration_s=10)`` runs it and returns its Recording;
    ``with cpu_stress.background(50, at_most_s=600):`` keeps it up while the block runs.
    """

    def __init__(self, stressor: str, test: TestState, session: Session, name: str) -> None:
        self._stressor = stressor
        self._test = test
        self._session = session
        self._name = name

    def _plan(
        self,
        shape: Shape | float,
        duration_s: float,
        lead_s: float,
        tail_s: float,
        tolerance: str | None,
        options: dict[str, Any],
    ) -> Experiment:
        from twin_harness.schedule import builders

        make = {"cpu": builders.cpu, "memory": builders.memory, "disk": builders.disk}
        event = make[self._stressor](shape, duration_s=duration_s, **options)
        return builders.plan(
            event, name=self._name, lead_s=lead_s, tail_s=tail_s, tolerance=tolerance
        )

    def __call__(
        self,
        shape: Shape | float,
        *,
        duration_s: float,
        lead_s: float = 1,
        tail_s: float = 1,
        tolerance: str | None = None,
        **options: Any,
    ) -> Recording:
        """Run the load for ``duration_s`` seconds and return its recording.

        Args:
            shape: a level, or a shape of levels.
            duration_s: how long.
            lead_s: quiet seconds before.
            tail_s: quiet seconds after.
            tolerance: how far the load may be from its plan, ``"5%"``; the session's unless given,
                ``"none"`` judges nothing.
            options: of the stressor.

        Raises:
            InvalidInput: an argument is out of range, or the machine cannot carry it.
            ExperimentFailed, ExperimentAborted, FidelityMissed, Undecided: as it went.
        """
        planned = self._plan(shape, duration_s, lead_s, tail_s, tolerance, options)
        return run_for(self._test, self._session, planned)

    @contextmanager
    def background(
        self,
        shape: Shape | float,
        *,
        at_most_s: float,
        lead_s: float = 0,
        tail_s: float = 0,
        tolerance: str | None = None,
        **options: Any,
    ) -> Iterator[BackgroundLoad]:
        """Keep the load up while a block runs, ``at_most_s`` seconds at the longest.

        Leaving the block ends it as completed.

        Args:
            shape: a level, or a shape of levels.
            at_most_s: the longest it may last.
            lead_s: quiet seconds before.
            tail_s: quiet seconds after.
            tolerance: as for calling it.
            options: of the stressor.

        Raises:
            as calling it does, when the block is left.
        """
        recordings: list[Recording] = []
        planned = self._plan(shape, at_most_s, lead_s, tail_s, tolerance, options)
        self._test.planned.append(planned)
        try:
            with self._session.runner.background(planned, recordings):
                yield BackgroundLoad(recordings)
        except (ExperimentError, Undecided) as error:
            if error.recording is not None:
                recordings.append(error.recording)
                self._test.recordings.append(error.recording)
            raise
        finally:
            self._test.note_waits(self._session.admission.take_waits())
        self._test.recordings += recordings

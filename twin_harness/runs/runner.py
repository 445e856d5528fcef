"""Where experiments run: the protocol that the server, the twin and a user's own runner share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from twin_harness.runs.recording import Recording
    from twin_harness.schedule.model import Experiment


class Runner(Protocol):
    """Where experiments run: this machine, or a model of it."""

    def run(self, experiment: Experiment) -> Recording:
        """Run one experiment and return what was recorded.

        Raises:
            ExperimentFailed, ExperimentAborted: it did not run as planned; the recording is on the
                exception.
        """
        ...

"""Several experiments at once on one machine: who may run now.

By default experiments take turns, over all workers and sessions. Experiments with ``share`` run beside others that use other resources.
A test takes the machine at its first load and keeps it to its end, so that its loads may nest; waiting is told apart from running.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twin_harness.control.machine_lock import MachineLock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin_harness.schedule import Experiment


class Admission:
    """Lets experiments in, one holder a process.

    Args:
        say: told, once a wait, that another session has the machine.
        folders: where lock files stand; None takes the system's.
    """

    def __init__(self, say: Callable[[str], None], folders: Sequence[str] | None = None) -> None:
        self._say = say
        self._lock = MachineLock(folders, self._tell_waiting)
        self._waiting_for = ""
        self.waited_s = 0.0

    def _tell_waiting(self) -> None:
        if self._waiting_for:
            self._say(f"waiting for the machine: another experiment has it; next is {self._waiting_for}")
            self._waiting_for = ""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Lock descriptors that load hosts inherit."""
        return self._lock.descriptors

    def take(self, experiment: Experiment) -> bool:
        """Take the machine for an experiment; return False when it was held already, by an earlier load of the same test.

        Raises:
            HarnessFailure: there is no place for lock files.
        """
        if self._lock.is_held:
            return False
        self._waiting_for = experiment.name
        resources = {event.stressor for event in experiment.events}
        begin_s = time.monotonic()
        self._lock.take(shared_resources=sorted(resources) if experiment.share else None)
        self.waited_s += time.monotonic() - begin_s
        return True

    def release(self) -> None:
        """Give the machine back."""
        self._lock.release()

    def take_waited_s(self) -> float:
        """Return the seconds waited since the last call."""
        waited_s, self.waited_s = self.waited_s, 0.0
        return waited_s

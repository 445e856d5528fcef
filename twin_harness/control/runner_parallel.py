"""Admission of experiments to one machine: who may run now, alone or beside others.

By default experiments take turns, over all workers and sessions. Experiments with ``share`` run
beside others that use other resources. Of a machine in parts each worker has one for as long as it
lives; the run's logger holds the machine for all of them.

A test takes the machine at its first load and keeps it to its end, so that its loads may nest;
waiting is told apart from running.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from twin_harness.errors import HarnessFailure, InvalidInput
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.file_lock import FileLock
from twin_harness.system.machine_lock import RESOURCES, MachineLock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from twin_harness.schedule.model import Experiment


def claim_part(
    paths: Sequence[Path], preferred: int, patience_s: float = 10.0
) -> tuple[int, FileLock]:
    """Take a part of the machine, and return its number and the lock that holds it.

    Load inherits it, so it is ours until load is gone.

    Args:
        paths: a lock file a part.
        preferred: the part that is tried first.
        patience_s: how long all parts may be taken: what a lost worker left there ends within half
            a second.

    Raises:
        HarnessFailure: there are more workers than parts.
    """
    deadline_s = monotonic_s() + patience_s
    order = [(preferred + step) % len(paths) for step in range(len(paths))]
    while True:
        for number in order:
            descriptor = os.open(
                paths[number], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            lock = FileLock(descriptor, str(paths[number]))
            if lock.try_take():
                return number, lock
            lock.close()
        if monotonic_s() > deadline_s:
            msg = (
                f"all {len(paths)} parts of the machine are taken, by other workers or by load that"
                " a lost one left; expected as many workers as parts"
            )
            raise HarnessFailure(msg)
        sleep_s(0.05)


def resources_of(experiment: Experiment) -> frozenset[str]:
    """Return the resources that an experiment uses.

    Every one for a command or a project's own stressor.
    """
    used = {event.stressor for event in experiment.events}
    return frozenset(RESOURCES if used - set(RESOURCES) else used)


class Admission:
    """Lets experiments in, one holder a process.

    Args:
        on_wait: told, once a wait, that another session has the machine.
        folders: where lock files stand; None takes the system's.
        part: the lock of the part of the machine that is ours; None takes turns with all others.
    """

    def __init__(
        self,
        on_wait: Callable[[str], None],
        folders: Sequence[str] | None = None,
        part: FileLock | None = None,
    ) -> None:
        self._on_wait = on_wait
        self._part = part
        self._lock = MachineLock(folders, self._tell_waiting)
        self._waiting_for = ""
        self._entering = threading.RLock()  # loads of one test may begin in threads
        self._loads, self._was_load_killed = 0, False
        self._shared: frozenset[str] | None = None
        self._waits: list[tuple[float, float]] = []

    def _tell_waiting(self, holder: str) -> None:
        if self._waiting_for:
            self._on_wait(
                f"waiting for the machine: another experiment has it{holder}; next is"
                f" {self._waiting_for}"
            )

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Lock descriptors that load hosts inherit."""
        if self._part is None:
            return self._lock.descriptors
        return (self._part.descriptor, *self._lock.descriptors)

    def note_load(self) -> None:
        """Say that a load host is about to inherit the locks."""
        with self._entering:
            self._loads += 1

    def note_load_gone(self, *, is_clean: bool) -> None:
        """Say that one of them is gone.

        By itself, and so after all load processes of its, or else killed.
        """
        with self._entering:
            self._loads -= 1
            self._was_load_killed |= not is_clean

    @property
    def has_joined(self) -> bool:
        """Whether we have a share of the machine, beside the other parts."""
        return self._part is not None and self._lock.is_held

    def join(self) -> None:
        """Take a share of the machine, which our session's logger holds for all parts.

        Load inherits it, and keeps the machine taken.
        """
        with self._entering:
            self._lock.take(shared_resources=(), is_ours_already=True)

    def take(self, experiment: Experiment, *, is_nested: bool = False) -> bool:
        """Take the machine for an experiment.

        Return False when an earlier load of the same test holds all that it needs.

        What was shared is given back and taken anew for an experiment that needs more, unless that
        runs inside the one that shares.

        Raises:
            HarnessFailure: there is no place for lock files.
            InvalidInput: it runs inside one that shares the machine, and needs more than that one
                has.
        """
        with self._entering:
            if self._part is not None:
                return False
            wanted = resources_of(experiment) if experiment.share else None
            if self._lock.is_held:
                if self._shared is None or (wanted is not None and wanted <= self._shared):
                    return False
                if is_nested:
                    has = ", ".join(sorted(self._shared)) or "nothing"
                    needed = "the whole machine"
                    if wanted is not None:
                        needed = ", ".join(sorted(wanted))
                    msg = (
                        f"experiment {experiment.name!r} needs {needed} inside a load that shares"
                        f" the machine and has {has}; expected share=False there, or share=True and"
                        " no other resource here"
                    )
                    raise InvalidInput(msg)
                self._let_go()
            self._waiting_for = experiment.name
            begin_s = monotonic_s()
            self._lock.take(shared_resources=None if wanted is None else sorted(wanted))
            self._shared = wanted
            self.note_wait(begin_s)
            return True

    def hold(self, name: str) -> None:
        """Take the whole machine for a test that measures without an experiment of ours.

        One that has it already keeps it.

        Raises:
            HarnessFailure: there is no place for lock files.
        """
        with self._entering:
            if self._part is not None or (self._lock.is_held and self._shared is None):
                return
            self._let_go()
            self._waiting_for = name
            begin_s = monotonic_s()
            self._lock.take(shared_resources=None)
            self._shared = None
            self.note_wait(begin_s)

    def release(self) -> None:
        """Give the machine back; a part is kept."""
        with self._entering:
            if self._part is None:
                self._let_go()

    def _let_go(self) -> None:
        """Let go of the machine.

        Where all load that inherited the locks is known to have ended, also for forks of ours that
        keep a copy of them.
        """
        self._lock.release(is_load_gone=self._loads == 0 and not self._was_load_killed)
        self._was_load_killed = False

    def note_wait(self, begin_s: float) -> None:
        """Say that we waited from an instant of CLOCK_MONOTONIC until now."""
        self._waits.append((begin_s, monotonic_s()))

    def take_waits(self) -> list[tuple[float, float]]:
        """Return from when to when we waited since the last call, on CLOCK_MONOTONIC."""
        waits, self._waits = self._waits, []
        return waits

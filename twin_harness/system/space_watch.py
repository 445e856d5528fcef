"""The space of a filesystem, asked by a process of its own for a loop that must not wait."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
from pathlib import Path
from typing import NamedTuple, NoReturn

from twin_harness.system.child import readable_of
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.deadline import REAP_S

_ANSWER = struct.Struct("<i4Q")  # errno; total, free, free for users, and their unit in bytes
_DESCRIPTORS = Path("/proc/self/fd")
_MOST_DESCRIPTORS = 1 << 16  # that are closed one by one where /proc does not list them


class Space(NamedTuple):
    """How much space a filesystem has.

    Attributes:
        total_bytes: in all.
        free_bytes: that users can have.
        used_percent: of what users can have, as df has it.
    """

    total_bytes: int
    free_bytes: int
    used_percent: float


def space_from(total: int, free: int, available: int, unit_bytes: int) -> Space:
    """Return the space of a filesystem from the figures of statvfs(3).

    The used share is of what users can have, as df has it.

    Args:
        total: all units.
        free: units that are free.
        available: units that are free for users.
        unit_bytes: size of a unit.
    """
    used = total - free
    used_percent = float("nan")
    if used + available:
        used_percent = 100.0 * used / (used + available)
    return Space(total * unit_bytes, available * unit_bytes, used_percent)


class SpaceWatch:
    """The space of a filesystem, for a loop that must not wait: asked now, taken when it is there.

    Args:
        folder: any folder of the filesystem.

    Attributes:
        space: the last answer; None before the first, and when it was an error.
        fault: why nothing is known, as the system says it; empty while the filesystem answers.
        errno: the number of the error that was the last answer, 0 if it was none: it is asked
            again.
        is_lost: whether the process that asks has ended or could not be started: none asks again.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.space: Space | None = None
        self.fault = ""
        self.errno = 0
        self.is_lost = False
        self.pid = 0
        self._asked_s: float | None = None
        self._questions = self._answers = -1
        try:
            self._start()
        except OSError as error:  # no further process or descriptor is permitted
            self._lose(f"the process that asks could not be started ({error.strerror})")

    def _start(self) -> None:
        ends: list[int] = []
        parent = os.getpid()
        try:
            ends += os.pipe()
            ends += os.pipe()
            pid = os.fork()
        except OSError:
            for end in ends:
                os.close(end)
            raise
        question_end, questions, answers, answer_end = ends
        if pid == 0:
            _answer_for_ever(self.folder, question_end, answer_end, parent)
        self.pid, self._questions, self._answers = pid, questions, answers
        os.close(question_end)
        os.close(answer_end)
        os.set_blocking(self._answers, False)

    @property
    def is_open(self) -> bool:
        """Whether a question waits for its answer."""
        return self._asked_s is not None

    def ask(self, now_s: float) -> None:
        """Ask, unless a question is open; an error that was the last answer may have passed."""
        if self._asked_s is not None or self.is_lost or self.pid == 0:
            return
        try:
            os.write(self._questions, b"?")
        except OSError as error:
            self._lose(f"the process that asks has ended ({error.strerror})")
            return
        self._asked_s = now_s

    def take(self, wait_s: float = 0.0) -> None:
        """Take up the answer to the open question, if it has come or comes within ``wait_s``."""
        if self._asked_s is None:
            return
        if wait_s > 0:
            readable_of([self._answers], wait_s)
        try:
            data = os.read(self._answers, _ANSWER.size)
        except BlockingIOError:
            return
        if len(data) != _ANSWER.size:
            self._lose("the process that asks has ended")
            return
        self._asked_s = None
        number, *figures = _ANSWER.unpack(data)
        self.errno = number
        if number:
            self.fault, self.space = os.strerror(number), None
        else:
            self.fault, self.space = "", space_from(*figures)

    def waited_s(self, now_s: float) -> float:
        """Return how long the open question has waited for its answer; 0 where none is open."""
        if self._asked_s is not None:
            return max(0.0, now_s - self._asked_s)
        return 0.0

    def close(self) -> None:
        """End the process that asks; one that the filesystem holds is left to the kernel."""
        pid, self.pid = self.pid, 0
        if not pid:
            return
        os.close(self._questions)
        os.close(self._answers)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        deadline_s = monotonic_s() + REAP_S
        try:
            while os.waitpid(pid, os.WNOHANG)[0] == 0 and monotonic_s() < deadline_s:
                sleep_s(0.001)
        except ChildProcessError:
            return

    def __del__(self) -> None:
        if getattr(self, "pid", 0):
            self.close()

    def _lose(self, why: str) -> None:
        self.fault, self.is_lost = why, True
        self.errno, self.space, self._asked_s = 0, None, None


def _answer_for_ever(folder: str, questions: int, answers: int, parent: int) -> NoReturn:
    """Be the process that asks, until nobody is left who would take an answer."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _keep_only(questions, answers)
        while os.getppid() == parent and os.read(0, 1):
            try:
                space = os.statvfs(folder)
                figures = (0, space.f_blocks, space.f_bfree, space.f_bavail, space.f_frsize)
            except OSError as error:
                figures = (error.errno or 1, 0, 0, 0, 0)
            os.write(1, _ANSWER.pack(*figures))
    finally:
        os._exit(0)


def _keep_only(questions: int, answers: int) -> None:
    """Keep two pipes, and nothing else of the process that we were forked from.

    Its locks and pipes would stay open while we wait.
    """
    signal.set_wakeup_fd(-1)
    questions, answers = os.dup(questions), os.dup(answers)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(questions, 0)
    os.dup2(answers, 1)
    os.dup2(nothing, 2)
    _close_from(3)


def _close_from(first: int) -> None:
    """Close what is open from a descriptor on.

    Up to the limit on descriptors there may be a thousand million numbers.
    """
    try:
        listed = [int(entry.name) for entry in _DESCRIPTORS.iterdir()]
    except OSError:
        os.closerange(first, _MOST_DESCRIPTORS)
        return
    for descriptor in listed:
        if descriptor >= first:
            with contextlib.suppress(OSError):  # the one that listed them is closed already
                os.close(descriptor)

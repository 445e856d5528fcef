"""Questions to a filesystem that may never be answered, asked by a process of its own.

Whoever asks a lost NFS server or a dead FUSE program waits where no signal reaches him. A thread is
no way out: a process cannot be reaped before the last of its threads, and keeps its files and its
locks until then. So a process waits that has nothing of ours, neither locks nor pipes, and that
nobody waits for: it ends when the filesystem answers, or is given up by the kernel.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from twin_harness.errors import HarnessFailure
from twin_harness.system.child import child_environment, interpreter_words, readable_of
from twin_harness.system.clock import monotonic_s, sleep_s

if TYPE_CHECKING:
    import subprocess

PATIENCE_S = 5.0
_ANSWER = struct.Struct("<i4Q")  # errno; total, free, free for users, and their unit in bytes
_REAP_S = 0.05
_MOST_BYTES = 1 << 20
_MOST_WORDS = 200  # of the last line on stderr of a process that ended unexpectedly
_DESCRIPTORS = Path("/proc/self/fd")
_MOST_DESCRIPTORS = 1 << 16  # that are closed one by one where /proc does not list them


class Unanswered(HarnessFailure):
    """A filesystem does not answer.

    The owner of the machine must mend it, or name another folder.
    """

    def __init__(
        self, folder: str, patience_s: float = PATIENCE_S, option: str = "scratch-dir"
    ) -> None:
        super().__init__(
            f"{folder}: its filesystem has not answered for {patience_s:g} s "
            "(a lost network server, or a FUSE program that hangs); "
            f"name a folder on another one with --twin-{option}, or have it answer"
        )


def ask(question: str, folder: str, patience_s: float = PATIENCE_S) -> Any:
    """Ask ``module:function`` about a folder in a process of its own, and return the answer.

    Args:
        question: a function of ours that takes the folder and returns plain data.
        folder: what is asked about.
        patience_s: how long to wait once the process asks; its own start does not count.

    Raises:
        Unanswered: the filesystem does not answer.
        OSError: the question cannot be asked, or the answer is an error of the system.
    """
    import subprocess

    process = subprocess.Popen(
        interpreter_words("twin_harness.system.deadline", question, folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
        start_new_session=True,
        bufsize=0,
    )
    try:
        data, is_heard = _hear(process, patience_s)
        if not is_heard:
            raise Unanswered(folder, patience_s)
        process.wait()
        if not data.endswith(b"}\n"):
            msg = f"the process that asks about {folder} ended with code {process.returncode}"
            raise OSError(0, f"{msg}{_last_words(process)}")
    finally:
        _give_up(process)
    answer = json.loads(data.partition(b"\n")[2])
    if "errno" in answer:
        raise OSError(answer["errno"], os.strerror(answer["errno"]), folder)
    return answer["answer"]


def _hear(process: subprocess.Popen[bytes], patience_s: float) -> tuple[bytes, bool]:
    """Return what a process that asks has said, and whether it came to its end in time."""
    if process.stdout is not None:
        output = process.stdout.fileno()
    else:
        output = -1
    # An interpreter takes its time to start on a loaded machine; its first line says that it asks
    # now.
    data, is_heard, deadline_s = b"", True, monotonic_s() + 4 * patience_s
    while not data.endswith(b"}\n"):
        left_s = max(0.0, deadline_s - monotonic_s())
        is_heard = bool(readable_of([output], left_s))
        if is_heard:
            more = os.read(output, _MOST_BYTES)
        else:
            more = b""
        if not more:
            break
        if not data:
            deadline_s = monotonic_s() + patience_s
        data += more
    return data, is_heard


def _last_words(process: subprocess.Popen[bytes]) -> str:
    """Return the last line that a process which has ended left on stderr, to follow a colon."""
    if process.stderr is None or not readable_of([process.stderr.fileno()], 0.0):
        return ""
    lines = os.read(process.stderr.fileno(), _MOST_BYTES).decode(errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    if said:
        return f": {said[-1]:.{_MOST_WORDS}}"
    return ""


def _give_up(process: subprocess.Popen[bytes]) -> None:
    """End a process that asks, and reap it if it can be ended at once.

    One that the filesystem holds ends when that answers. Its code is set then, or subprocess would
    warn that it still runs, which is an error in a suite that makes errors of warnings.
    """
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    if process.poll() is not None:
        return
    process.kill()
    deadline_s = monotonic_s() + _REAP_S
    while process.poll() is None and monotonic_s() < deadline_s:
        sleep_s(0.001)
    if process.returncode is None:
        process.returncode = -signal.SIGKILL


def is_mute(folder: str, patience_s: float = PATIENCE_S) -> bool:
    """Tell whether the filesystem of a folder does not answer.

    One whose answer is an error does.
    """
    try:
        ask("twin_harness.system.storage:describe", folder, patience_s)
    except Unanswered:
        return True
    except OSError:
        return False
    return False


def _answer_on_stdout(question: str, folder: str) -> int:
    module, _, name = question.partition(":")
    function = getattr(importlib.import_module(module), name)
    os.write(1, b"asking\n")
    try:
        answer = {"answer": function(folder)}
    except OSError as error:
        answer = {"errno": error.errno or 0}
    os.write(1, json.dumps(answer).encode() + b"\n")
    return 0


class Space(NamedTuple):
    """How much space a filesystem has."""

    total_bytes: int
    free_bytes: int
    used_percent: float


def space_from(total: int, free: int, available: int, unit_bytes: int) -> Space:
    """Return the space that statvfs(3) tells.

    The used share is of what users can have, as df has it.
    """
    used = total - free
    if used + available:
        share = 100.0 * used / (used + available)
    else:
        share = float("nan")
    return Space(total * unit_bytes, available * unit_bytes, share)


class SpaceWatch:
    """The space of a filesystem, for a loop that must not wait.

    Asked now, taken up when it is there.

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
            self.fault = os.strerror(number)
        else:
            self.fault = ""
        if number:
            self.space = None
        else:
            self.space = space_from(*figures)

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
        deadline_s = monotonic_s() + _REAP_S
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
    """Be the process that asks: until nobody is left who would hear."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _keep_only(questions, answers)
        while os.getppid() == parent and os.read(0, 1):
            try:
                found = os.statvfs(folder)
                figures = (0, found.f_blocks, found.f_bfree, found.f_bavail, found.f_frsize)
            except OSError as error:
                figures = (error.errno or 1, 0, 0, 0, 0)
            os.write(1, _ANSWER.pack(*figures))
    finally:
        os._exit(0)


def _keep_only(questions: int, answers: int) -> None:
    """Hold nothing of whom we were forked from.

    His locks and pipes would stay open while we wait.
    """
    signal.set_wakeup_fd(-1)
    questions, answers = os.dup(questions), os.dup(answers)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(questions, 0)
    os.dup2(answers, 1)
    os.dup2(nothing, 2)
    _close_from(3)


def _close_from(first: int) -> None:
    """Close what is open.

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


if __name__ == "__main__":
    raise SystemExit(_answer_on_stdout(sys.argv[1], sys.argv[2]))

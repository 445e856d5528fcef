"""Questions to a filesystem that may never be answered, asked by a process of its own.

Whoever asks a lost NFS server or a dead FUSE program waits where no signal gets through. A thread
is no way out: a process cannot be reaped before the last of its threads, and keeps its files and
its locks until then. So a process waits that has nothing of ours, neither locks nor pipes, and that
nobody waits for: it ends when the filesystem answers, or is given up by the kernel.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from twin_harness.errors import HarnessFailure
from twin_harness.system.child import child_environment, interpreter_words, readable_of
from twin_harness.system.clock import monotonic_s, sleep_s

if TYPE_CHECKING:
    import subprocess

PATIENCE_S = 5.0
REAP_S = 0.05
_MOST_BYTES = 1 << 20
_MOST_CHARACTERS = 200  # of the last line on stderr of a process that ended unexpectedly


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
            f"name a folder on another filesystem with --twin-{option}, or repair this one"
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
    output = -1 if process.stdout is None else process.stdout.fileno()
    # An interpreter takes its time to start on a loaded machine; its first line says that it asks
    # now.
    data, is_heard, deadline_s = b"", True, monotonic_s() + 4 * patience_s
    while not data.endswith(b"}\n"):
        left_s = max(0.0, deadline_s - monotonic_s())
        is_heard = bool(readable_of([output], left_s))
        more = os.read(output, _MOST_BYTES) if is_heard else b""
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
    spoken = [line.strip() for line in lines if line.strip()]
    if spoken:
        return f": {spoken[-1]:.{_MOST_CHARACTERS}}"
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
    deadline_s = monotonic_s() + REAP_S
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


if __name__ == "__main__":
    raise SystemExit(_answer_on_stdout(sys.argv[1], sys.argv[2]))

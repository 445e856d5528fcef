"""Processes of our own: how they are started, talked to, and ended with those they serve.

A child gets one JSON line on stdin and answers in JSON lines on stdout. It is started without
``site`` (no start-up files, a third of the time) and finds the package by PYTHONPATH, after the
standard library: a backport (enum34, typing) or a student's ``select.py`` beside the package must
not take the place of the real one. End of stdin means stop. Nothing here runs between fork and
exec.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.forks import close_in_forks

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping, Sequence

_PR_SET_PDEATHSIG = 1
_FIRST_TO_KILL = "1000"
_BOUND = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
KILLED_PATIENCE_S = 10.0
_REAP_POLL_S = 0.005
# Variables of the caller that would give a child coverage and pytest of its own, or an interactive
# prompt at its end.
_LEFT_BEHIND = ("COV_", "PYTEST_", "PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONPROFILEIMPORTTIME")


def child_environment(*libraries: str) -> dict[str, str]:
    """Return the environment of a child.

    It is ours, with a PYTHONPATH of the standard library, then the package and ``libraries``.
    """
    folders = [*standard_library(), str(Path(__file__).resolve().parents[2])]
    for library in libraries:
        file = sys.modules[library].__file__ if library in sys.modules else _find(library)
        if file:
            folders.append(str(Path(file).resolve().parent.parent))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(_LEFT_BEHIND)
    }
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folders))
    return environment


def standard_library() -> list[str]:
    """Return the folders of the standard library, in the order in which Python looks there.

    PYTHONPATH comes before them.
    """
    home = Path(os.__file__).parent
    zipped = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    folders = [
        entry
        for entry in dict.fromkeys(sys.path)
        if Path(entry).name == zipped or _is_within(Path(entry), home)
    ]
    if str(home) in folders:
        return folders
    return [str(home), *folders]


def interpreter_words(module: str, *arguments: str) -> list[str]:
    """Return the words that start one of our modules in a process of its own.

    Without ``site``, and without the working folder in the module path: it may hold a
    ``select.py``.
    """
    return [sys.executable, "-S", "-s", "-P", "-m", module, *arguments]


def _is_within(folder: Path, home: Path) -> bool:
    return folder == home or (folder.name == "lib-dynload" and folder.is_absolute())


def _find(library: str) -> str:
    from importlib.util import find_spec

    spec = find_spec(library)
    return "" if spec is None else spec.origin or ""


def start_child(
    module: str,
    message: Mapping[str, object],
    *,
    title: str = "",
    libraries: tuple[str, ...] = (),
    pass_fds: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    """Start ``python -m module [title]`` in a session of its own, and return it.

    Its stderr is ours, so that a traceback is never lost.

    Args:
        module: one of ours.
        message: its first line on stdin.
        title: what stands behind the module in a list of processes.
        libraries: that it needs beside the standard library.
        pass_fds: descriptors that it inherits.
    """
    import subprocess

    process = subprocess.Popen(
        interpreter_words(module, *filter(None, [title])),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(*libraries),
        cwd="/",
        pass_fds=pass_fds,
        start_new_session=True,
        bufsize=0,
    )
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            close_in_forks(pipe)
    send_line(process, message)
    return process


def read_line(descriptor: int) -> bytes:
    """Read one line byte by byte: what follows it stays in the pipe for who polls it.

    Empty at the end of the stream.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            return b""
        line += byte
    return bytes(line)


def send_line(process: subprocess.Popen[bytes], message: Mapping[str, object]) -> bool:
    """Send one JSON line; return False when the process is gone."""
    try:
        # started with a pipe
        process.stdin.write(json.dumps(message).encode() + b"\n")  # type: ignore[union-attr]
    except (BrokenPipeError, ValueError):
        return False
    return True


def close_pipes(process: subprocess.Popen[bytes]) -> None:
    """Close our ends of the pipes; a child reads that as stop."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def end_child(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Ask a child to stop by closing its stdin, kill its group after ``patience_s``, and reap it.

    One that a filesystem holds cannot be killed before that answers: it is left to the kernel.
    """
    if process.stdin is not None:
        process.stdin.close()
    # Popen.wait takes its time from a clock that a test may have frozen.
    deadline_s = monotonic_s() + patience_s
    while process.poll() is None and monotonic_s() < deadline_s:
        sleep_s(_REAP_POLL_S)
    if process.poll() is None:
        kill_group(process.pid)
        deadline_s = monotonic_s() + KILLED_PATIENCE_S
        while process.poll() is None and monotonic_s() < deadline_s:
            sleep_s(_REAP_POLL_S)
    if process.stdout is not None:
        process.stdout.close()


def kill_group(group: int) -> None:
    """Send SIGKILL to a process group of ours; one that is gone is fine."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when the thread that made it ends.

    PR_SET_PDEATHSIG of prctl(2).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def dying_with_parent(words: Sequence[str]) -> list[str]:
    """Return the words that start a program of others, so that it ends when this process does.

    A death signal outlives exec (PR_SET_PDEATHSIG of prctl(2)), so that an interpreter of our own
    asks for it and becomes the program.

    Args:
        words: the program's path and its arguments.
    """
    return [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid()), *words]


def leave_parent() -> None:
    """Go on in a fork, and let the process that was started end.

    What is nobody's child is not ended by a suite that kills all children of pytest. Where no
    further process is permitted, nothing happens.
    """
    with contextlib.suppress(OSError):
        if os.fork() != 0:
            os._exit(0)


def be_first_to_kill() -> None:
    """Stand first in line for the kernel's out-of-memory killer.

    Raising the score needs no privilege (proc(5)).
    """
    try:
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    except OSError:
        return
    try:
        os.write(descriptor, _FIRST_TO_KILL.encode())
    finally:
        os.close(descriptor)


def watch_process(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends.

    None where the kernel gives none. The caller closes it.

    Raises:
        ProcessLookupError: it is gone already.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:  # an older kernel, a seccomp filter, no descriptor left
        return None


def readable_of(descriptors: Iterable[int], wait_s: float | None) -> list[int]:
    """Return which descriptors can be read, or were closed at the other end, within ``wait_s``.

    None waits for ever. By poll(2): select(2) knows no descriptor above 1,023, and a user's process
    may have thousands open.
    """
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN | select.POLLHUP)
    wait_ms = None if wait_s is None else max(0.0, wait_s) * 1e3
    return [descriptor for descriptor, _ in poll.poll(wait_ms)]


def run_on(cpus: Iterable[int]) -> None:
    """Run on these CPUs alone, with all threads and children to come, where that is possible."""
    with contextlib.suppress(OSError, AttributeError, ValueError):
        os.sched_setaffinity(0, set(cpus))


def run_in_real_time() -> bool:
    """Enter SCHED_FIFO at the lowest priority, not inherited by forks; return whether we could."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (OSError, AttributeError):
        return False
    return True


def run_as_ordinary() -> None:
    """Go back to the normal scheduling class.

    The reset-on-fork flag stays, for only the privileged may clear it (sched(7)).
    """
    try:
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    except (OSError, AttributeError):
        return

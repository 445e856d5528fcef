"""Processes of our own: how they are started, talked to, and how they die with those they serve.

A child gets one JSON line on stdin and answers in JSON lines on stdout. It is started without ``site`` (no start-up files, a third
of the time) and finds the package by PYTHONPATH. End of stdin means stop. Nothing here runs between fork and exec.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable

_PR_SET_PDEATHSIG = 1
_FIRST_TO_KILL = "1000"
KILLED_PATIENCE_S = 10.0


def child_environment(*libraries: str) -> dict[str, str]:
    """Return the environment of a child: ours, with a PYTHONPATH that holds the package and ``libraries``."""
    folders = [str(Path(__file__).resolve().parent.parent)]
    for library in libraries:
        spec_file = sys.modules[library].__file__ if library in sys.modules else _find(library)
        if spec_file:
            folders.append(str(Path(spec_file).resolve().parent.parent))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))}
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folders))
    return environment


def _find(library: str) -> str:
    from importlib.util import find_spec  # noqa: PLC0415 - child processes that start nothing never need it

    spec = find_spec(library)
    return spec.origin or "" if spec else ""


def start_child(
    module: str,
    message: dict[str, Any],
    *,
    title: str = "",
    libraries: tuple[str, ...] = (),
    pass_fds: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    """Start ``python -m module [title]`` in a session of its own, hand it ``message`` as its first line, and return it.

    Its stderr is ours, so that a traceback is never lost.
    """
    import subprocess  # noqa: PLC0415 - load processes import this module and start nothing

    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-S", "-s", "-m", module, *filter(None, [title])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(*libraries),
        cwd="/",
        pass_fds=pass_fds,
        start_new_session=True,
        bufsize=0,
    )
    send_line(process, message)
    return process


def read_line(descriptor: int) -> bytes:
    """Read one line byte by byte: what follows it stays in the pipe for who polls it. Empty at the end of the stream."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            return b""
        line += byte
    return bytes(line)


def send_line(process: subprocess.Popen[bytes], message: dict[str, Any]) -> bool:
    """Send one JSON line; return False when the process is gone."""
    try:
        process.stdin.write(json.dumps(message).encode() + b"\n")  # type: ignore[union-attr]  # started with a pipe
    except (BrokenPipeError, ValueError):
        return False
    return True


def close_pipes(process: subprocess.Popen[bytes]) -> None:
    """Close our ends of the pipes; a child reads that as stop."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def end_child(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Ask a child to stop by closing its stdin, kill its whole group after ``patience_s``, and reap it.

    One that a filesystem holds cannot be killed before that answers: it is left to the kernel.
    """
    import subprocess  # noqa: PLC0415 - as above

    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        kill_group(process.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILLED_PATIENCE_S)
    if process.stdout is not None:
        process.stdout.close()


def kill_group(group: int) -> None:
    """Send SIGKILL to a process group of ours; one that is gone is fine."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when the thread that made it ends (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def be_first_to_kill() -> None:
    """Stand first in line for the kernel's out-of-memory killer; raising the score needs no privilege (proc(5))."""
    try:
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    except OSError:
        return
    try:
        os.write(descriptor, _FIRST_TO_KILL.encode())
    finally:
        os.close(descriptor)


def watch_process(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends; None where the kernel has none. The caller closes it.

    Raises:
        ProcessLookupError: it is gone already.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    return os.pidfd_open(pid)


def run_on(cpus: Iterable[int]) -> None:
    """Run on these CPUs alone, with all threads and children to come; where that is not possible, wherever the kernel likes."""
    with contextlib.suppress(OSError, AttributeError, ValueError):
        os.sched_setaffinity(0, set(cpus))


def run_in_real_time() -> bool:
    """Enter SCHED_FIFO at the lowest priority, not inherited by forks; return whether it was permitted."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (OSError, AttributeError):
        return False
    return True


def run_as_ordinary() -> None:
    """Go back to the normal scheduling class; the reset-on-fork flag stays, for only the privileged may clear it (sched(7))."""
    try:
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    except (OSError, AttributeError):
        return

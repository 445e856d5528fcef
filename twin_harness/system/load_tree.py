"""Everything that a load host has started, found by process tree, process group and a mark.

A program that runs as load may leave its group, its parents, or both. Its tree is walked while its
supervisor lives; a mark in its environment finds what the tree has lost.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.system.child import kill_group
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.procfs import children_of, start_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

# In the environment of every program that runs as load: its board, load host and event.
MARK = "TWIN_HARNESS_LOAD"
_PATIENCE_S = 1.0
_MOST_PROCESSES = 4096


def descendants(pid: int) -> list[int]:
    """Return every process below another one, at most 4,096."""
    below: list[int] = []
    unvisited = [pid]
    while unvisited and len(below) < _MOST_PROCESSES:
        children = children_of(unvisited.pop())
        below += children
        unvisited += children
    return below


def send(pid: int, number: int) -> bool:
    """Send a signal; return whether the process is there and ours to signal.

    A setuid program is not.
    """
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def marked_processes(mark: str) -> list[int]:
    """Return the processes of this user whose mark begins so: they are load of ours."""
    wanted = f"{MARK}={mark}".encode()
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_ours = folder.stat().st_uid == os.getuid() and int(folder.name) != os.getpid()
            if not is_ours:
                continue
            data = (folder / "environ").read_bytes()
        except OSError:
            continue
        if any(entry.startswith(wanted) for entry in data.split(b"\0")):
            pids.append(int(folder.name))
    return pids


def kill_marked(mark: str) -> int:
    """Kill all processes whose mark begins so, and what they start meanwhile; return their number.

    It takes a second at most.
    """
    killed: set[int] = set()
    deadline_s = monotonic_s() + _PATIENCE_S
    while monotonic_s() < deadline_s and (marked := marked_processes(mark)):
        killed |= {pid for pid in marked if send(pid, signal.SIGKILL)}
        sleep_s(0.002)
    return len(killed)


def await_dead(group: int, others: Sequence[int] = (), patience_s: float = _PATIENCE_S) -> bool:
    """Wait until no process of a group, nor any of the others, works or holds memory.

    Return whether none does. What is left are zombies at most. A process becomes a zombie after it
    has given its memory back (do_exit in kernel/exit.c: exit_mm comes before exit_notify).

    Args:
        group: a process group.
        others: processes that may not be of it.
        patience_s: how long to wait.
    """
    deadline_s = monotonic_s() + patience_s
    while any(_is_alive(Path(f"/proc/{pid}")) for pid in others) or any(
        _is_alive(folder, group) for folder in Path("/proc").glob("[0-9]*")
    ):
        if monotonic_s() > deadline_s:
            return False
        sleep_s(0.001)
    return True


def _is_alive(folder: Path, group: int | None = None) -> bool:
    try:
        fields = (folder / "stat").read_bytes().rpartition(b") ")[2].split(None, 3)
    except OSError:
        return False
    return group in (None, int(fields[2])) and fields[0] not in (b"Z", b"X")


def end_load(group: int, mark: str = "") -> list[int]:
    """Kill a load host's group, and with a mark also what a command has moved out of it.

    That is found by the process tree or by the mark.

    Returns:
        The processes below the host, which may not be of its group.
    """
    if not mark:
        kill_group(group)
        return []
    below = [(pid, start_ticks(pid)) for pid in descendants(group)]
    kill_group(group)
    for pid, born in below:
        if born is not None and start_ticks(pid) == born:
            send(pid, signal.SIGKILL)
    kill_marked(mark)
    return [pid for pid, _ in below]

"""The guard: a process of its own that watches the machine while load runs, and kills all of it when a floor is crossed.

``python -m twin_harness.control.guard``. stdin: its limits as one JSON line, then ``{"group": <process group of the load host>}``; end of stdin
means stop. stdout: ``{"state": "ready"}``; when a limit is crossed ``{"state": "tripped", …}``, after the load is dead. It looks every 50 ms,
as SCHED_FIFO 1 where permitted, and dies with the controller. A load host whose guard is gone kills its load itself.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from typing import Any

from twin_harness.board import Board
from twin_harness.child import die_with_parent, kill_group, kill_marked, read_line, run_in_real_time, watch_process
from twin_harness.procfs import AvailableMemory

POLL_S = 0.050


class MemoryFloor:
    """Memory that new work can have, in the machine and in the control group.

    Args:
        floor_bytes: the least that must stay available.
        limit_bytes: what the control group allows in all; None when it does not bound.
    """

    name = "memory_available"

    def __init__(self, floor_bytes: float, limit_bytes: int | None) -> None:
        self._floor_bytes = floor_bytes
        self._available = AvailableMemory(limit_bytes)

    def crossing(self) -> str:
        """Return a sentence when the floor is crossed, else nothing."""
        available = self._available.read_bytes()
        if available is None or available >= self._floor_bytes:
            return ""
        return f"memory_available fell to {available / 2**20:.0f} MiB, below the floor of {self._floor_bytes / 2**20:.0f} MiB"


class DiskFloor:
    """Free space of the scratch filesystem, as an ordinary user sees it."""

    name = "disk_free"

    def __init__(self, floor_bytes: float, folder: str) -> None:
        self._floor_bytes = floor_bytes
        self._folder = folder

    def crossing(self) -> str:
        """Return a sentence when the floor is crossed, else nothing."""
        try:
            status = os.statvfs(self._folder)
        except OSError as error:
            return f"disk_free cannot be read in {self._folder}: {error.strerror}"
        free_bytes = status.f_bavail * status.f_frsize
        if free_bytes >= self._floor_bytes:
            return ""
        return f"disk_free fell to {free_bytes / 2**20:.0f} MiB, below the floor of {self._floor_bytes / 2**20:.0f} MiB"


def end_load(group: int, mark: str) -> None:
    """Kill a load host's group, and what a command of its may have moved out of it; ``mark`` is empty without commands."""
    if group:
        kill_group(group)
        if mark:
            kill_marked(f"{mark}{group}.")


def _tell(message: dict[str, Any]) -> None:
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        sys.exit(0)


def main() -> int:
    """Watch until stdin ends, or until a limit is crossed and the load is dead."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    limits = json.loads(read_line(0))
    board = Board.open(limits["board"])
    slot = board.claim_process(os.getpid(), "harness")
    floors: list[MemoryFloor | DiskFloor] = []
    if limits["memory_floor_bytes"]:
        floors.append(MemoryFloor(limits["memory_floor_bytes"], limits["memory_limit_bytes"]))
    if limits["disk_floor_bytes"]:
        floors.append(DiskFloor(limits["disk_floor_bytes"], limits["scratch_dir"]))
    controller = watch_process(limits["controller_pid"])
    group, mark = 0, f"{board.path.stem}." if limits["has_commands"] else ""
    if len(limits["cpus"]) > 1:
        run_in_real_time()
    _tell({"state": "ready"})
    watched = [0, *([controller] if controller is not None else [])]
    while True:
        readable = select.select(watched, [], [], POLL_S)[0]
        if 0 in readable:
            line = os.read(0, 4096)
            if not line:
                break
            group = json.loads(line)["group"]
        if controller in readable:
            end_load(group, mark)
            break
        reason = next(filter(None, (floor.crossing() for floor in floors)), "")
        if reason and group:
            seen_s = time.monotonic()
            end_load(group, mark)
            _tell({"state": "tripped", "reason": reason, "seen_s": seen_s, "killed_s": time.monotonic()})
            break
    board.free_process(slot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The guard: a process that watches the machine while load runs, and kills all load on a crossing.

``python -m twin_harness.control.guard``. stdin: its limits as one JSON line, then ``{"group":
<process group of the load host>}``; end of stdin means stop. stdout: ``{"state": "ready"}``; when a
limit is crossed ``{"state": "tripped", …}``, after the load is dead (types in
``system.guard_messages``). It looks every 50 ms, as SCHED_FIFO 1 where permitted, and dies with the
controller. A load host whose guard is gone kills its load itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from twin_harness.control.watched_limits import DiskFloor, Seen, limits_to_watch
from twin_harness.system.board import Board
from twin_harness.system.child import (
    die_with_parent,
    read_line,
    readable_of,
    run_in_real_time,
    run_on,
)
from twin_harness.system.load_tree import await_dead, end_load
from twin_harness.system.process_watch import ProcessWatch

if TYPE_CHECKING:
    from twin_harness.system.guard_messages import (
        DeadAnswer,
        GroupLine,
        GuardAnswer,
        GuardStart,
        TrippedAnswer,
    )
    from twin_harness.system.space_watch import SpaceWatch

POLL_S = 0.050


def _end(group: int, mark: str) -> list[int]:
    """End the load, if there is any yet, and return what may have left its group."""
    if not group:
        return []
    if mark:
        mark = f"{mark}{group}."
    return end_load(group, mark)


def _trip(reason: str, clean_s: float, group: int, mark: str, *, is_mute: bool) -> None:
    """End the load and report it, then again once nothing works or holds memory any more.

    Args:
        reason: the limit that was crossed.
        clean_s: when all limits were last found respected.
        group: process group of the load host.
        mark: the beginning of the mark of every program that runs as load.
        is_mute: the scratch filesystem does not answer.
    """
    others = _end(group, mark)
    tripped: TrippedAnswer = {
        "state": "tripped",
        "reason": reason,
        "is_mute": is_mute,
        "clean_s": clean_s,
        "killed_s": time.monotonic(),
    }
    _answer(tripped)
    dead: DeadAnswer = {"state": "dead", "dead_s": None}
    if await_dead(group, others):
        dead["dead_s"] = time.monotonic()
    _answer(dead)


def _answer(message: GuardAnswer) -> None:
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        sys.exit(0)


def _leave(board: Board, slots: list[int], watches: list[SpaceWatch]) -> None:
    for watch in watches:
        watch.close()
    for slot in slots:
        board.free_process(slot)


def main() -> int:
    """Watch until stdin ends, or until a limit is crossed and the load is dead."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = read_line(0)
    if not line:
        return 0
    start: GuardStart = json.loads(line)
    if start["dies_with_starter"]:
        die_with_parent()
    board = Board.open(start["board"])
    run_on(start["cpus"])  # its worker may be confined to the part that the load fills
    limits = limits_to_watch(start)
    disk_floors = [limit for limit in limits if isinstance(limit, DiskFloor)]
    watches = [floor.watch for floor in disk_floors]
    watched = [Seen(limit) for limit in limits]
    pids = [os.getpid(), *(watch.pid for watch in watches if watch.pid)]
    slots = [board.claim_process(pid, "harness", plan=start["part"]) for pid in pids]
    controller = ProcessWatch([start["controller_pid"], start["starter_pid"]])
    group, mark = 0, f"{board.path.stem}." if start["has_commands"] else ""
    if len(start["cpus"]) > 1:
        run_in_real_time()
    _answer({"state": "ready"})
    descriptors = [0, *controller.descriptors]
    clean_s = time.monotonic()
    while True:
        readable = readable_of(descriptors, POLL_S)
        if 0 in readable:
            line = os.read(0, 4096)
            if not line:
                break
            order: GroupLine = json.loads(line)
            group = order["group"]
        if controller.has_ended(readable):
            _end(group, mark)
            break
        looked_s = time.monotonic()
        reason = next(filter(None, (limit.crossing() for limit in watched)), "")
        if reason and group:
            is_mute = any(floor.is_mute for floor in disk_floors)
            _trip(reason, clean_s, group, mark, is_mute=is_mute)
            break
        if not reason:
            clean_s = looked_s
    _leave(board, slots, watches)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

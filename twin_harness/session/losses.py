"""What a session finds at its end that should not be there.

Load of runners that are gone, and experiments without an outcome.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from twin_harness.runs.records import AnnotationRow
from twin_harness.system.board_layout import LIVE
from twin_harness.system.child import kill_group
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.load_tree import kill_marked
from twin_harness.system.procfs import start_ticks

if TYPE_CHECKING:
    from twin_harness.runs.folder import RunFolder
    from twin_harness.system.board import Board

_POLL_S = 0.02


def end_leftover_load(board: Board, patience_s: float) -> None:
    """Have every load of the session end.

    Ask its runner, and kill what is left after ``patience_s``.
    """
    board.ask_load_to_stop()
    deadline_s = monotonic_s() + patience_s
    while (left := _load_groups(board)) and monotonic_s() < deadline_s:
        sleep_s(_POLL_S)
    for group in left:
        kill_group(group)
    kill_marked(f"{board.path.stem}.")


def _load_groups(board: Board) -> set[int]:
    """Return the process groups of live load processes.

    All of them are load hosts of ours, which lead sessions of their own.
    """
    groups = set()
    for process in board.processes():
        if process.kind == "harness" or process.state != LIVE or not process.pid:
            continue
        try:
            group = os.getpgid(process.pid)
        except OSError:
            continue
        # Else the pid is somebody else's by now.
        if start_ticks(process.pid) == process.start_ticks:
            groups.add(group)
    return groups


def annotate_lost(folder: RunFolder, host: str) -> list[str]:
    """Give every planned event without an outcome a row that says so.

    Returns:
        A sentence for each experiment that was lost.
    """
    sentences = []
    rows = folder.read_annotations()
    for planned in folder.read_plans():
        if planned.status not in ("RUNNING", "stopped"):
            continue
        is_lost = planned.status == "RUNNING"
        name, worker = planned.experiment.name, planned.worker
        if is_lost:
            status, message = "failed", f"its worker {worker} was lost"
        else:
            status = "stopped"
            message = "the session was interrupted before its outcome was written"
        known = {row.event for row in rows if row.experiment == name}
        for event in planned.experiment.events:
            if event.id in known:
                continue
            folder.append_annotation(
                AnnotationRow(
                    run=folder.run_id,
                    experiment=name,
                    event=event.id,
                    stressor=event.stressor,
                    shape=event.shape.kind,
                    unit=event.unit,
                    planned_start_s=event.start_s,
                    planned_end_s=event.end_s,
                    status=status,
                    message=message,
                    host=host,
                    worker=worker,
                    partition=planned.partition,
                )
            )
        if not is_lost:
            continue
        folder.append_plan(replace(planned, status="lost"))
        sentences.append(f"experiment {name!r} was lost with its worker {worker}")
    return sentences

"""The probe: what an ordinary process feels while the machine is under load. A process of its own, of the normal class.

Every 20 ms it measures how late the kernel woke it; every 200 ms how long a fixed piece of work takes. The worst figures since the
logger's last reading stand on the board.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from itertools import repeat
from math import nan

from twin_harness.board import Board
from twin_harness.child import die_with_parent, watch_process

PERIOD_S = 0.020
WORK_EVERY = 10
WORK_TURNS = 20_000  # about 0.2 ms on a machine of 2024


def main() -> int:
    """Read the settings from stdin and probe until told to stop, or the controller is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = json.loads(sys.stdin.buffer.readline())
    board = Board.open(settings["board"])
    slot = board.claim_process(os.getpid(), "harness")
    controller = watch_process(settings["controller_pid"])
    if not settings.get("outlives_starter"):
        die_with_parent()
    wakeup_ms = work_ms = nan
    seen = board.probe_acknowledged()
    turn = 0
    next_s = time.monotonic()
    while not board.is_stopping and not _is_gone(controller, settings["controller_pid"], turn):
        next_s = max(next_s + PERIOD_S, time.monotonic())
        time.sleep(max(0.0, next_s - time.monotonic()))
        late_ms = (time.monotonic() - next_s) * 1e3
        acknowledged = board.probe_acknowledged()
        if acknowledged != seen:
            seen, wakeup_ms, work_ms = acknowledged, nan, nan
        wakeup_ms = late_ms if wakeup_ms != wakeup_ms else max(wakeup_ms, late_ms)  # noqa: PLR0124 - NaN is the one value unequal to itself
        if turn % WORK_EVERY == 0:
            took_ms = _work_ms()
            work_ms = took_ms if work_ms != work_ms else max(work_ms, took_ms)  # noqa: PLR0124 - as above
        board.publish_probe((wakeup_ms, work_ms, nan, nan), seen)
        turn += 1
    board.free_process(slot)
    board.close()
    return 0


def _work_ms() -> float:
    """Return how long a fixed piece of work took, in ms of wall time."""
    begin_s = time.monotonic()
    for _ in repeat(None, WORK_TURNS):
        pass
    return (time.monotonic() - begin_s) * 1e3


def _is_gone(descriptor: int | None, pid: int, turn: int) -> bool:
    """Tell whether the controller has ended; asked five times a second."""
    if turn % WORK_EVERY:
        return False
    if descriptor is None:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False
    import select  # noqa: PLC0415 - not on every platform's path

    return bool(select.select([descriptor], [], [], 0)[0])

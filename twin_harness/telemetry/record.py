"""``twin log``: the telemetry logger on its own, into one CSV file."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.board import Board
from twin_harness.child import end_child
from twin_harness.errors import InvalidInput
from twin_harness.machine import inspect_machine
from twin_harness.procfs import process_cpu_ns
from twin_harness.telemetry.start import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_S = 0.1
_PROGRESS_EVERY_S = 2.0


def record(out: Path, interval_s: float, duration_s: float | None, say: Callable[[str], None]) -> int:
    """Sample into ``out`` for ``duration_s`` seconds (None: until Ctrl-C or SIGTERM), and return an exit code.

    Raises:
        InvalidInput: ``out`` exists or cannot be written, or the duration is none.
    """
    if duration_s is not None and not 0 < duration_s < float("inf"):
        msg = f"log: --duration: expected seconds above 0 but got {duration_s!r}"
        raise InvalidInput(msg)
    try:
        os.close(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
    except OSError as error:
        msg = f"log: --out: {str(out)!r} cannot be made ({error.strerror}); name a file that does not exist in a folder that does"
        raise InvalidInput(msg) from None
    board = Board.create()
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with tempfile.TemporaryDirectory(prefix="twin-log-") as workings:
        lock, account = Path(workings, "logger.lock"), Path(workings, "logger.json")
        machine = inspect_machine(out.resolve().parent)
        telemetry = Telemetry(out.resolve(), account, lock, board.path, interval_s, os.getpid(), machine.to_json())
        board.claim_process(os.getpid(), "harness", base=process_cpu_ns(os.getpid()) or 0)
        processes = [process for process in (telemetry.ensure_logger(), telemetry.start_probe()) if process]
        try:
            with contextlib.suppress(KeyboardInterrupt):
                _follow(board, processes[0].poll, duration_s, say)
        finally:
            board.ask_to_stop()
            for process in processes:
                end_child(process, 5.0)
            rows = board.dataset_state()[2]
            board.close(unlink=True)
    say(f"{out}: {rows} samples every {interval_s:g} s")
    return 0 if processes[0].returncode == 0 else 1


def _follow(board: Board, poll: Callable[[], int | None], duration_s: float | None, say: Callable[[str], None]) -> None:
    """Wait until the time is over or the logger has ended, and say how far it is."""
    begin_s = told_s = time.monotonic()
    while poll() is None and (duration_s is None or time.monotonic() - begin_s < duration_s):
        time.sleep(_POLL_S)
        now_s = time.monotonic()
        if now_s - told_s >= _PROGRESS_EVERY_S:
            told_s = now_s
            _, _, rows, (cpu, memory, disk) = board.dataset_state()
            say(f"{now_s - begin_s:.0f} s  {rows} samples  cpu {cpu:.0f} %  mem {memory:.0f} %  disk {disk / 2**20:.1f} MiB/s")

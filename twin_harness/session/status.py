"""The live status line: which experiment, how far, and what CPU, memory and disk do.

Plain lines where there is no terminal.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from math import isnan
from typing import TYPE_CHECKING

from twin_harness.errors import HarnessFailure
from twin_harness.system.clock import monotonic_s
from twin_harness.system.outlet import Outlet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twin_harness.system.board import Board

_PERIOD_S = 0.5
_PLAIN_EVERY_S = 10.0
# Down and up again makes room below; then save, write on the line below, restore: pytest's own line
# is never touched.
_BELOW, _BACK = "\x1bD\x1bM\x1b7\x1b[1B\r\x1b[2K", "\x1b8"


class StatusLine:
    """Writes to a duplicate of stderr, from a thread that reads the board of the session.

    Nothing ever waits for the reader of the output: a line of the moment is left out when it would
    not go out now, a sentence that is to stay waits.

    Args:
        descriptor: where to write.
        is_terminal: whether a line can be drawn over.
    """

    def __init__(self, descriptor: int, *, is_terminal: bool) -> None:
        self._outlet = Outlet(descriptor)
        self._is_terminal = is_terminal
        self._board: Board | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._shown_s: dict[str, float] = {}
        self._is_drawn = False
        self._drawing = threading.Lock()

    @classmethod
    def on(cls, descriptor: int) -> StatusLine:
        """Return a status line on a descriptor that was kept before output was captured."""
        is_terminal = os.isatty(descriptor) and os.environ.get("TERM", "dumb") != "dumb"
        return cls(descriptor, is_terminal=is_terminal)

    def write_line(self, sentence: str) -> None:
        """Write a sentence that is to stay."""
        if self._is_terminal:
            self._write(f"\r\n\x1b[2Ktwin: {sentence}\r\n")
        else:
            self._write(f"\ntwin: {sentence}\n")

    def follow(self, state_file: Path, may_look: Callable[[], bool] = lambda: True) -> None:
        """Begin to show what runs, once the session's ``run.json`` names its board.

        Args:
            state_file: ``run.json``.
            may_look: returns whether its folder may be touched.
        """
        thread = threading.Thread(
            target=self._run, args=(state_file, may_look), name="twin-status", daemon=True
        )
        # Where no further thread is permitted (pids.max), nothing is shown.
        with contextlib.suppress(RuntimeError):
            thread.start()
            self._thread = thread

    def clear(self) -> None:
        """Wipe the line before pytest writes its next one, which would come to stand on it."""
        with self._drawing:
            self._clear()

    def close(self) -> None:
        """Stop, and leave no line behind."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, state_file: Path, may_look: Callable[[], bool]) -> None:
        while not self._end.wait(_PERIOD_S):
            if self._board is None and may_look():
                self._board = _find_board(state_file)
            with self._drawing:
                self._show()
        self.clear()
        if self._board is not None:
            self._board.close()

    def _show(self) -> None:
        board, now_s = self._board, monotonic_s()
        if board is None:
            return
        self._write("")  # what waits
        if not self._outlet.is_ready:
            return
        plan = next(filter(None, map(board.read_plan, range(board.plan_slots))), None)
        if plan is None:
            self._clear()
            return
        _, _, _, figures = board.dataset_state()
        name, planned_s = plan["experiment"], plan["end_s"] - plan["begin_s"]
        line = status_text(name, now_s - plan["begin_s"], planned_s, figures)
        if self._is_terminal:
            columns = shutil.get_terminal_size().columns
            self._write(_BELOW + line[: columns - 1] + _BACK)
            self._is_drawn = True
        elif now_s - self._shown_s.get(name, -_PLAIN_EVERY_S) >= _PLAIN_EVERY_S:
            self._shown_s[name] = now_s
            self._write(f"\ntwin: {line}\n")

    def _clear(self) -> None:
        if self._is_drawn:
            self._write(_BELOW + _BACK)
            self._is_drawn = False

    def _write(self, text: str) -> None:
        self._outlet.write(text)
        if self._outlet.fault:
            self._end.set()


def _find_board(state_file: Path) -> Board | None:
    """Return the board of a session, once there is one.

    Only then its module, which not every system can import.
    """
    try:
        path = json.loads(state_file.read_bytes()).get("board")
        if not path:
            return None
        from twin_harness.system.board import Board

        return Board.open(path)
    except (OSError, ValueError, HarnessFailure):
        return None


def status_text(
    name: str, elapsed_s: float, planned_s: float, figures: tuple[float, float, float]
) -> str:
    """Return one line, what matters most first: it is cut at the terminal's width.

    Args:
        name: of the experiment.
        elapsed_s: since its recording began.
        planned_s: how long its recording lasts.
        figures: CPU %, memory %, disk bytes/s of the last sample.
    """
    cpu_percent, memory_percent, disk_bytes_per_s = figures
    if len(name) > 30:
        name = f"{name[:29]}…"
    return (
        f"{name}  {max(0.0, min(elapsed_s, planned_s)):.0f} of {planned_s:.0f} s  "
        f"cpu {_figure(cpu_percent, 3, 0)} %  mem {_figure(memory_percent, 3, 0)} %  "
        f"disk {_figure(disk_bytes_per_s / 2**20, 5, 1)} MiB/s"
    )


def _figure(value: float, width: int, decimals: int) -> str:
    """Return a number, or a dash where it is not measured."""
    if isnan(value):
        return "–".rjust(width)
    return f"{value:{width}.{decimals}f}"

"""What shows the samples of ``twin log`` as they come: a table, CSV, or a line now and then."""

from __future__ import annotations

import platform
import shutil
from collections import deque
from typing import TYPE_CHECKING, Protocol

from twin_harness.session.log_table import make_table
from twin_harness.system.clock import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.session.csv_tail import CsvTail
    from twin_harness.system.board import Board
    from twin_harness.system.outlet import Outlet

_PROGRESS_EVERY_S, _FIRST_S, _LATER_EVERY_S = 2.0, 60.0, 30.0
_LONGEST_TABLE = 30


class Display(Protocol):
    """What shows the present state."""

    @property
    def is_over(self) -> bool:
        """Whether nobody looks any more."""
        ...

    def show(self, tail: CsvTail, board: Board, elapsed_s: float, /) -> None:
        """Show what is new.

        Args:
            tail: the growing CSV file, from which new rows are taken.
            board: the load board, which holds how many rows there are, and the last one's figures.
            elapsed_s: how long samples have been shown.
        """
        ...

    def finish(self, tail: CsvTail, board: Board, /) -> None:
        """Show the rest."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


def make_display(
    progress: Callable[[str], None], outlet: Outlet, interval_s: float, *, is_named: bool
) -> Display:
    """Return what shows the present state.

    A table on a terminal, CSV on any other stdout, lines of progress where a file is written
    anyway.

    Args:
        progress: takes a line of progress.
        outlet: where table or CSV go.
        interval_s: between two samples.
        is_named: whether a file was named.
    """
    if outlet.stream is not None and outlet.stream.isatty():
        return _TableDisplay(f"{platform.node()}, every {interval_s:g} s", outlet)
    if is_named:
        return _ProgressLines(progress)
    return _CsvLines(outlet)


class _TableDisplay:
    """A table of the newest rows, drawn over once a poll."""

    def __init__(self, title: str, outlet: Outlet) -> None:
        from rich.live import Live

        self._title = title
        self._outlet = outlet
        self._newest: deque[dict[str, str]] = deque(maxlen=_LONGEST_TABLE)
        self._live = Live(auto_refresh=False, transient=False)
        self._live.start()

    @property
    def is_over(self) -> bool:
        """Whether the terminal is gone."""
        return self._outlet.is_gone

    def show(self, tail: CsvTail, board: Board, _elapsed_s: float, /) -> None:
        """Draw the table anew when there are new rows.

        A terminal that is held (Ctrl-S) is left alone until it goes on.
        """
        rows = tail.rows()
        self._newest.extend(rows)
        if rows and self._outlet.is_ready:
            size = shutil.get_terminal_size()
            newest = list(self._newest)[-max(1, min(_LONGEST_TABLE, size.lines - 4)) :]
            title = f"{self._title}, {board.dataset_state()[2]} samples; Ctrl-C ends"
            self._live.update(make_table(newest, title, size.columns), refresh=True)

    def finish(self, tail: CsvTail, board: Board, /) -> None:
        """Draw the last rows."""
        self.show(tail, board, 0.0)

    def close(self) -> None:
        """Leave the last table, and the cursor below it."""
        if not self._outlet.is_gone:
            self._live.stop()


class _ProgressLines:
    """A line of progress every two seconds in the first minute, then one every thirty."""

    is_over = False  # the file is what it is for

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._said_s = monotonic_s()

    def show(self, _tail: CsvTail, board: Board, elapsed_s: float, /) -> None:
        """Say how far it is."""
        if elapsed_s < _FIRST_S:
            every_s = _PROGRESS_EVERY_S
        else:
            every_s = _LATER_EVERY_S
        if monotonic_s() - self._said_s >= every_s:
            self._said_s = monotonic_s()
            _, _, rows, (cpu, memory, disk) = board.dataset_state()
            figures = f"cpu {cpu:.0f} %  mem {memory:.0f} %  disk {disk / 2**20:.1f} MiB/s"
            self._progress(f"{elapsed_s:.0f} s  {rows} samples  {figures.replace('nan', '–')}")

    def finish(self, _tail: CsvTail, _board: Board, /) -> None:
        """Leave the last word to who has made the file."""

    def close(self) -> None:
        """Nothing is left to do."""


class _CsvLines:
    """The CSV itself, whole lines; what a slow reader has not taken yet waits in the file."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    @property
    def is_over(self) -> bool:
        """Whether the reader is gone."""
        return self._outlet.is_gone

    def show(self, tail: CsvTail, board: Board, _elapsed_s: float, /) -> None:
        """Hand new lines on, if they are taken at once."""
        self._outlet.write("")  # what is left of the lines before
        if self._outlet.is_ready:
            self.finish(tail, board)

    def finish(self, tail: CsvTail, _board: Board, /) -> None:
        """Hand all lines on, whether or not they are taken at once."""
        self._outlet.write("".join(f"{line}\n" for line in tail.lines()))

    def close(self) -> None:
        """Nothing is left to do."""

"""``twin log``: the telemetry logger on its own.

A table on a terminal, CSV elsewhere, a file where one is named.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes
import json
import os
import platform
import shutil
import sys
import tempfile
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from twin_harness.errors import InvalidInput
from twin_harness.system.board import Board
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.machine import inspect_machine, look_at_folder
from twin_harness.system.procfs import process_cpu_ns
from twin_harness.system.registry import register
from twin_harness.telemetry.start import Telemetry, remove_registered

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from twin_harness.session.config import TwinConfig
    from twin_harness.system.outlet import Outlet

_POLL_S = 0.1
_PROGRESS_EVERY_S, _FIRST_S, _LATER_EVERY_S = 2.0, 60.0, 30.0
_LONGEST_TABLE = 30
_PAGE_BYTES, _PUNCH_HOLE_KEEP_SIZE = 4096, 0x03
# Heading, columns whose sum is shown, divisor, decimals, the most important first.
_SHOWN = (
    ("CPU %", ("cpu_percent",), 1.0, 1),
    ("memory %", ("memory_percent",), 1.0, 1),
    ("disk MiB/s", ("disk_read_bytes_per_s", "disk_write_bytes_per_s"), 2**20, 2),
    ("net MiB/s", ("network_sent_bytes_per_s", "network_received_bytes_per_s"), 2**20, 2),
    ("steal %", ("cpu_steal_percent",), 1.0, 1),
    ("wake-up ms", ("probe_wakeup_ms",), 1.0, 2),
    ("PSI cpu %", ("pressure_cpu_percent",), 1.0, 1),
    ("busy %", ("disk_busy_percent",), 1.0, 0),
    ("run queue", ("processes_running",), 1.0, 0),
    ("dirty MiB", ("memory_dirty_bytes",), 2**20, 1),
    ("late ms", ("lateness_ms",), 1.0, 2),
)
_TIME_WIDTH, _GAP_WIDTH = 10, 2


class CsvTail:
    """The rows that a growing CSV file gets, whole ones only.

    Args:
        path: the file.
        is_kept: False gives the space of what was read back to the filesystem (fallocate(2),
            FALLOC_FL_PUNCH_HOLE).
    """

    def __init__(self, path: Path, *, is_kept: bool = True) -> None:
        self._file = path.open("r" if is_kept else "r+", encoding="utf-8", newline="")
        self._is_kept = is_kept
        self._rest = ""
        self.heading: list[str] = []

    def lines(self) -> list[str]:
        """Return the whole lines that have come since the last call, the heading among them."""
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        if (
            not self._is_kept and sys.platform == "linux"
        ):  # a table may stand open for days, and its file on tmpfs
            length = self._file.tell() // _PAGE_BYTES * _PAGE_BYTES
            ctypes.CDLL(None).fallocate(
                self._file.fileno(),
                _PUNCH_HOLE_KEEP_SIZE,
                ctypes.c_int64(0),
                ctypes.c_int64(length),
            )
        return lines

    def rows(self) -> list[dict[str, str]]:
        """Return the rows that have come since the last call.

        One that has not the heading's cells is none.
        """
        found = []
        for line in self.lines():
            cells = next(csv.reader([line]))
            if not self.heading:
                self.heading = cells
            elif len(cells) == len(self.heading):
                found.append(dict(zip(self.heading, cells, strict=True)))
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def shown_within(width: int) -> int:
    """Return how many of the columns, the most important first, stand beside the time in a terminal of that width."""
    used = _TIME_WIDTH
    for number, (heading, *_) in enumerate(_SHOWN):
        used += _GAP_WIDTH + len(heading)
        if used > width:
            return max(number, 1)
    return len(_SHOWN)


def row_cells(row: dict[str, str], columns: int = len(_SHOWN)) -> list[str]:
    """Return what a row of the dataset shows in the table; a dash for what the machine has not."""
    cells = [row.get("time", "")[11:21]]
    for _, names, divisor, decimals in _SHOWN[:columns]:
        values = [row.get(name) or "" for name in names]
        cells.append(f"{sum(map(float, values)) / divisor:.{decimals}f}" if all(values) else "–")
    return cells


def make_table(rows: list[dict[str, str]], title: str, width: int = 1000) -> Table:
    """Return the table of the newest rows, with as many columns as fit."""
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, _GAP_WIDTH, 0, 0),
        header_style="bold",
    )
    table.add_column("UTC", no_wrap=True)
    columns = shown_within(width)
    for heading, *_ in _SHOWN[:columns]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row_cells(row, columns))
    return table


def record(
    out: Path | None,
    config: TwinConfig,
    duration_s: float | None,
    say: Callable[[str], None],
    outlet: Outlet,
) -> int:
    """Sample for ``duration_s`` seconds (None: until a KeyboardInterrupt), and return an exit code.

    Ctrl-C raises one, and in ``twin log`` SIGTERM and SIGHUP, also where SIGINT is ignored. Signal
    handlers are the caller's: none is set here.

    Args:
        out: the file to make; None shows a table on a terminal and writes CSV to stdout elsewhere.
        config: interval, source and probes.
        duration_s: how long.
        say: told how far it is, where neither table nor CSV is shown.
        outlet: where table or CSV go; sampling ends on time however slowly they are read, and at
            once when nobody reads any more.

    Raises:
        InvalidInput: ``out`` exists or cannot be written, or the duration is none.
    """
    if duration_s is not None and not 0 < duration_s < float("inf"):
        msg = f"log: --duration: expected seconds above 0 but got {duration_s!r}"
        raise InvalidInput(msg)
    if duration_s is not None and duration_s < config.interval_s:
        msg = (
            f"log: --duration: expected at least one --interval ({config.interval_s:g} s) but got"
            f" {duration_s:g}, in which no sample would be taken"
        )
        raise InvalidInput(msg)
    if config.scratch_dir and not _is_folder(config.scratch_dir):
        msg = f"log: --scratch-dir: expected a folder but got {config.scratch_dir!r}; make it first"
        raise InvalidInput(msg)
    with tempfile.TemporaryDirectory(prefix="twin-log-") as workings:
        if out:
            path = _make(out)
        else:
            path = Path(workings, "metrics.csv")
        path.touch(mode=0o600)
        return _record(path, Path(workings), config, duration_s, say, outlet)


def _is_folder(path: str) -> bool:
    try:
        return bool(look_at_folder(path)["is_folder"])
    except InvalidInput:
        return False


def _make(out: Path) -> Path:
    try:
        os.close(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
    except OSError as error:
        msg = (
            f"log: --out: {str(out)!r} cannot be made ({error.strerror}); name a file that does not"
            " exist in a folder that does"
        )
        raise InvalidInput(msg) from None
    return out.resolve()


def _record(
    path: Path,
    workings: Path,
    config: TwinConfig,
    duration_s: float | None,
    say: Callable[[str], None],
    outlet: Outlet,
) -> int:
    is_named = workings not in path.parents
    with ExitStack() as ending:  # whatever fails on the way, everything before it is undone
        board = Board.create()
        ending.callback(remove_registered, board)
        register(board.path, os.getpid(), "controller", workings_dir=str(workings))
        if is_named:
            folder = path.parent
        else:
            folder = Path.cwd()
        machine = inspect_machine(Path(config.scratch_dir or folder).absolute())
        telemetry = Telemetry(
            dataset=path,
            account=workings / "logger.json",
            lock=workings / "logger.lock",
            board=board.path,
            interval_s=config.interval_s,
            controller_pid=os.getpid(),
            machine=machine.to_json(),
            source=config.source,
            probe_disk=config.probe_disk,
            probe_service=config.probe_service,
            on_start=lambda pid, role: register(board.path, pid, role),
        )
        tail = CsvTail(path, is_kept=is_named)
        ending.callback(tail.close)
        display = _display(say, outlet, config.interval_s, is_named=is_named)
        ending.callback(display.close)
        board.claim_process(os.getpid(), "harness", base=process_cpu_ns(os.getpid()) or 0)
        processes = []
        try:
            processes += [process for process in (telemetry.ensure_logger(),) if process]
            processes.append(telemetry.start_probe())
            board.claim_process(processes[-1].pid, "harness")
            with contextlib.suppress(KeyboardInterrupt):
                _follow(tail, board, processes[0].poll, duration_s, display)
        finally:
            board.ask_to_stop()
            for process in processes:
                process.end(5.0)
            display.finish(tail, board)
        rows = board.dataset_state()[2]
    if is_named:
        say(f"{path}: {rows} samples every {config.interval_s:g} s")
    for note in _notes(telemetry.account):
        say(f"note: {note}")
    if processes[0].returncode == 0:
        return 0
    return 1


def _notes(account: Path) -> list[str]:
    """Return what the logger could not measure, in its own words."""
    try:
        notes = json.loads(account.read_bytes()).get("notes", [])
    except (OSError, ValueError):
        return []
    return [str(note) for note in notes]


class Display(Protocol):
    """What shows the present state."""

    @property
    def is_over(self) -> bool:
        """Whether nobody looks any more."""
        ...

    def show(self, tail: CsvTail, board: Board, elapsed_s: float) -> None:
        """Show what is new."""
        ...

    def finish(self, tail: CsvTail, board: Board) -> None:
        """Show the rest."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


def _display(
    say: Callable[[str], None], outlet: Outlet, interval_s: float, *, is_named: bool
) -> Display:
    """Return what shows the present state.

    A table on a terminal, CSV on any other stdout, words where a file is written anyway.
    """
    if outlet.stream is not None and outlet.stream.isatty():
        return _TableDisplay(f"{platform.node()}, every {interval_s:g} s", outlet)
    if is_named:
        return _Words(say)
    return _Lines(outlet)


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

    def show(self, tail: CsvTail, board: Board, elapsed_s: float) -> None:  # noqa: ARG002 - a display
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

    def finish(self, tail: CsvTail, board: Board) -> None:
        """Draw the last rows."""
        self.show(tail, board, 0.0)

    def close(self) -> None:
        """Leave the last table, and the cursor below it."""
        if not self._outlet.is_gone:
            self._live.stop()


class _Words:
    """A line every two seconds in the first minute, then one every thirty."""

    is_over = False  # the file is what it is for

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told_s = monotonic_s()

    def show(self, tail: CsvTail, board: Board, elapsed_s: float) -> None:  # noqa: ARG002 - a display
        """Say how far it is."""
        if monotonic_s() - self._told_s >= (
            _PROGRESS_EVERY_S if elapsed_s < _FIRST_S else _LATER_EVERY_S
        ):
            self._told_s = monotonic_s()
            _, _, rows, (cpu, memory, disk) = board.dataset_state()
            figures = f"cpu {cpu:.0f} %  mem {memory:.0f} %  disk {disk / 2**20:.1f} MiB/s"
            self._say(f"{elapsed_s:.0f} s  {rows} samples  {figures.replace('nan', '–')}")

    def finish(self, tail: CsvTail, board: Board) -> None:
        """Leave the last word to who has made the file."""

    def close(self) -> None:
        """Nothing is left to do."""


class _Lines:
    """The CSV itself, whole lines; what a slow reader has not taken yet waits in the file."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    @property
    def is_over(self) -> bool:
        """Whether the reader is gone."""
        return self._outlet.is_gone

    def show(self, tail: CsvTail, board: Board, elapsed_s: float) -> None:  # noqa: ARG002 - a display
        """Hand new lines on, if they are taken at once."""
        self._outlet.write("")  # what is left of the lines before
        if self._outlet.is_ready:
            self.finish(tail, board)

    def finish(self, tail: CsvTail, board: Board) -> None:  # noqa: ARG002 - a display
        """Hand all lines on, whether or not they are taken at once."""
        self._outlet.write("".join(f"{line}\n" for line in tail.lines()))

    def close(self) -> None:
        """Nothing is left to do."""


def _follow(
    tail: CsvTail,
    board: Board,
    poll: Callable[[], int | None],
    duration_s: float | None,
    display: Display,
) -> None:
    """Show rows until the time is over, the logger has ended, or nobody looks any more."""
    begin_s = monotonic_s()
    while poll() is None and not display.is_over:
        if duration_s is not None and monotonic_s() - begin_s >= duration_s:
            return
        sleep_s(_POLL_S)
        display.show(tail, board, monotonic_s() - begin_s)

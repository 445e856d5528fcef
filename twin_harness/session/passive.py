"""``twin log``: the telemetry logger on its own.

A table on a terminal, CSV elsewhere, a file where one is named.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput
from twin_harness.session.csv_tail import CsvTail
from twin_harness.session.display import make_display
from twin_harness.system.board import Board
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.machine import inspect_machine, look_at_folder
from twin_harness.system.procfs import process_cpu_ns
from twin_harness.system.registry import register
from twin_harness.telemetry.start import Telemetry, remove_registered

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.session.config import TwinConfig
    from twin_harness.session.display import Display
    from twin_harness.system.outlet import Outlet

_POLL_S, _SLOW_POLL_S = 0.1, 1.0


def record(
    out: Path | None,
    config: TwinConfig,
    duration_s: float | None,
    progress: Callable[[str], None],
    outlet: Outlet,
    *,
    has_probe: bool = True,
    interrupted: Callable[[], None] = lambda: None,
) -> int:
    """Sample for ``duration_s`` seconds (None: until a KeyboardInterrupt), and return an exit code.

    Ctrl-C raises one, and in ``twin log`` SIGTERM and SIGHUP, also where SIGINT is ignored. Signal
    handlers are the caller's: none is set here.

    Args:
        out: the file to make; None shows a table on a terminal and writes CSV to stdout elsewhere.
        config: interval, source and probes.
        duration_s: how long.
        progress: takes lines of progress, where neither table nor CSV is shown.
        outlet: where table or CSV go; sampling ends on time however slowly they are read, and at
            once when nobody reads any more.
        has_probe: whether latencies are probed, ten times a second.
        interrupted: called where a KeyboardInterrupt has ended it.

    Raises:
        InvalidInput: ``out`` exists or cannot be written, or the duration is not a positive number.
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
            path = _make_file(out)
        else:
            path = Path(workings, "metrics.csv")
        path.touch(mode=0o600)
        return _record(
            path,
            Path(workings),
            config,
            duration_s,
            progress,
            outlet,
            has_probe=has_probe,
            interrupted=interrupted,
        )


def _is_folder(path: str) -> bool:
    try:
        return bool(look_at_folder(path)["is_folder"])
    except InvalidInput:
        return False


def _make_file(out: Path) -> Path:
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
    progress: Callable[[str], None],
    outlet: Outlet,
    *,
    has_probe: bool,
    interrupted: Callable[[], None],
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
        display = make_display(progress, outlet, config.interval_s, is_named=is_named)
        ending.callback(display.close)
        board.claim_process(os.getpid(), "harness", base=process_cpu_ns(os.getpid()) or 0)
        # who logs a second at a time for weeks is not to look ten times in each
        poll_s = _SLOW_POLL_S if is_named and config.interval_s >= _SLOW_POLL_S else _POLL_S
        processes = []
        try:
            # The probe is there before the first row: what its start costs is in none of them.
            if has_probe:
                processes.append(telemetry.start_probe())
                board.claim_process(processes[0].pid, "harness")
            processes += [process for process in (telemetry.ensure_logger(),) if process]
            try:
                _follow(tail, board, processes[-1].poll, duration_s, display, poll_s)
            except KeyboardInterrupt:
                interrupted()
        finally:
            board.ask_to_stop()
            for process in processes:
                process.end(5.0)
            display.finish(tail, board)
        rows = board.dataset_state()[2]
    if is_named:
        progress(f"{path}: {rows} samples every {config.interval_s:g} s")
    for note in _notes(telemetry.account):
        progress(f"note: {note}")
    if processes[-1].returncode == 0:
        return 0
    return 1


def _notes(account: Path) -> list[str]:
    """Return what the logger could not measure, in its own words."""
    try:
        notes = json.loads(account.read_bytes()).get("notes", [])
    except (OSError, ValueError):
        return []
    return [str(note) for note in notes]


def _follow(
    tail: CsvTail,
    board: Board,
    poll: Callable[[], int | None],
    duration_s: float | None,
    display: Display,
    poll_s: float,
) -> None:
    """Show rows until the time is over, the logger has ended, or nobody looks any more.

    Args:
        tail: of the dataset.
        board: of the session.
        poll: of the logger.
        duration_s: how long; None is for ever.
        display: shows them.
        poll_s: between two looks.
    """
    begin_s = monotonic_s()
    while poll() is None and not display.is_over:
        if duration_s is not None and monotonic_s() - begin_s >= duration_s:
            return
        left_s = poll_s
        if duration_s is not None:
            left_s = min(poll_s, max(0.0, begin_s + duration_s - monotonic_s()))
        sleep_s(left_s)
        display.show(tail, board, monotonic_s() - begin_s)

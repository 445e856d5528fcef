"""``twin log --rotate``: sampling for weeks, a file for each hour, day or week, then Parquet."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput
from twin_harness.session.passive import record
from twin_harness.system.child import dying_with_parent, end_child
from twin_harness.system.clock import monotonic_s, utc_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twin_harness.session.config import TwinConfig
    from twin_harness.system.outlet import Outlet

    _Packing = list[tuple[Path, subprocess.Popen[bytes]]]

_SECONDS = {"min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PERIOD = re.compile(r"([1-9][0-9]{0,3})(min|h|d|w)", re.ASCII)
_LEAST_S, _PACK_S = 60.0, 600.0
_SHORTEST = 2.0  # samples: no file is shorter
_EARLY_S = 2.0  # before its end: somebody has ended it


def period_s(text: str) -> float:
    """Read how long a file lasts: ``1d``, ``6h``, ``30min``, ``1w``.

    Raises:
        InvalidInput: it is none of them.
    """
    match = _PERIOD.fullmatch(text.strip())
    if match is None:
        msg = f"log: --rotate: expected a period such as 1h, 1d or 1w but got {text!r}"
        raise InvalidInput(msg)
    return max(_LEAST_S, int(match[1]) * _SECONDS[match[2]])


def record_in_files(
    folder: Path,
    every_s: float,
    config: TwinConfig,
    duration_s: float | None,
    progress: Callable[[str], None],
    outlet: Outlet,
) -> int:
    """Sample as ``passive.record`` does, into files that begin at whole periods of UTC.

    Each is a CSV while it grows, and a Parquet of the same name once it is over. What a kill leaves
    is a CSV up to its last row, which reads as well. Latencies are not probed: that takes five
    times as much of a CPU as the rows.

    Args:
        folder: where they go; it is made.
        every_s: how long a file lasts.
        config: as of ``passive.record``.
        duration_s: how long in all; None is until a KeyboardInterrupt.
        progress: takes lines of progress.
        outlet: as of ``passive.record``.

    Raises:
        InvalidInput: the folder cannot be made, or as ``passive.record``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = (
            f"log: --out: {str(folder)!r} cannot be made ({error.strerror}); with --rotate it is a"
            " folder, one file a period"
        )
        raise InvalidInput(msg) from None
    packing: _Packing = []
    try:
        return _record(folder, every_s, config, duration_s, progress, outlet, packing)
    except KeyboardInterrupt:  # between two files
        return 0
    finally:
        _wait(packing, progress)


def _record(
    folder: Path,
    every_s: float,
    config: TwinConfig,
    duration_s: float | None,
    progress: Callable[[str], None],
    outlet: Outlet,
    packing: _Packing,
) -> int:
    """Sample into one file after the other; arguments as of ``record_in_files``.

    Args:
        folder: where they go.
        every_s: how long a file lasts.
        config: of the samples.
        duration_s: how long in all.
        progress: takes lines of progress.
        outlet: where a table would go.
        packing: takes what is being packed; the last one is left there.
    """
    begin_s, code, said = monotonic_s(), 0, progress
    interrupts: list[bool] = []
    while code == 0:
        now_s = utc_s()
        piece_s = every_s - now_s % every_s
        if piece_s < _SHORTEST * config.interval_s:
            piece_s += every_s
        is_last = False
        if duration_s is not None:
            left_s = duration_s - (monotonic_s() - begin_s)
            if packing and left_s < _SHORTEST * config.interval_s:
                break  # what is left has no room for rows: loggers take time to begin and to end
            is_last = left_s <= piece_s + config.interval_s
            piece_s = left_s if is_last else piece_s
        name = datetime.fromtimestamp(now_s, UTC).strftime("log-%Y%m%dT%H%M%SZ.csv")
        piece_begin_s = monotonic_s()
        code = record(
            folder / name,
            config,
            piece_s,
            said,
            outlet,
            has_probe=False,
            interrupted=lambda: interrupts.append(True),
        )
        said = _ends_alone(progress)  # how it goes is told of the first file: a journal is not fed
        is_early = monotonic_s() - piece_begin_s < piece_s - _EARLY_S
        _wait(packing, progress)
        packing.append((folder / name, _start_packing(folder / name)))
        if is_last or is_early or interrupts:
            break
    return code


def _ends_alone(progress: Callable[[str], None]) -> Callable[[str], None]:
    """Return what passes on the line at the end of a file, and notes."""

    def said(line: str) -> None:
        if line.startswith("note:") or " samples every " in line:
            progress(line)

    return said


def _wait(packing: _Packing, progress: Callable[[str], None]) -> None:
    """Wait for files that are being packed; where that fails the CSV stays, and that is said."""
    while packing:
        path, process = packing.pop()
        end_child(process, _PACK_S)
        if process.returncode != 0:
            progress(f"note: {path} could not be packed as Parquet and stays as it is")


def _start_packing(path: Path) -> subprocess.Popen[bytes]:
    """Begin to turn a file that is over into Parquet, while the next one is written."""
    return subprocess.Popen(
        dying_with_parent([sys.executable, "-m", "twin_harness.dataset.pack", str(path.resolve())]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )

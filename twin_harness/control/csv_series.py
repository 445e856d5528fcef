"""Columns of anybody's CSV file, as series to replay."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.control.csv_times import seconds_of
from twin_harness.control.series import Series
from twin_harness.errors import InvalidInput
from twin_harness.schedule.csv_rows import decode, describe_misfit, has_trailing_commas, rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LARGEST_CSV_BYTES = 512 * 1024**2
_FIRST_CHARACTERS = 4096
_COMPRESSED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def series_of_csv(
    path: Path,
    columns: Mapping[str, str],
    time_column: str,
    time_unit: str | None,
    notes: list[str],
) -> dict[str, Series]:
    """Return what to replay of a CSV file, by resource.

    Args:
        path: the file.
        columns: the column of each resource.
        time_column: the column of times.
        time_unit: of its numbers; None guesses between seconds and times since 1970.
        notes: takes a sentence for each thing that was read otherwise than it stands there.

    Raises:
        InvalidInput: a column is missing or holds no number, or times do not rise.
    """
    strange = set(columns) - {"cpu", "memory", "disk"}
    if strange or not columns:
        got = f"{min(strange)!r}" if strange else "none"
        msg = (
            f"replay: columns: expected a column for some of cpu, memory, disk but got {got}; write"
            " e.g. cpu=usage"
        )
        raise InvalidInput(msg)
    frame = _read_csv(path, (time_column, *columns.values()), notes)
    at_s = seconds_of(frame[time_column], path, time_column, time_unit, notes)
    series = {}
    for resource, column in columns.items():
        values = _numbers(frame[column], path, column)
        present = np.isfinite(values) & np.isfinite(at_s)
        known_s, known = at_s[present], values[present]
        if len(known) < 2 or np.any(np.diff(known_s) <= 0):
            msg = (
                f"replay: {path.name}: expected two or more rows of {column!r} whose"
                f" {time_column!r} rises"
            )
            raise InvalidInput(msg)
        # Each value holds until the next; the last for as long as the one before it.
        series[resource] = Series(np.append(known_s, 2 * known_s[-1] - known_s[-2]), known)
    return series


def _read_csv(path: Path, wanted: Sequence[str], notes: list[str]) -> pd.DataFrame:
    """Return some columns of a CSV file as text, by the lines that its rows stand on.

    Rows that have not the heading's cells are refused.

    Raises:
        InvalidInput: the file cannot be read or is no CSV, a column is not in it, or a row has more
            or fewer cells than the heading.
    """
    import pandas as pd

    text = _text_of(path)
    if "\0" in text[:_FIRST_CHARACTERS]:
        msg = (
            f"replay: {path} is not text (it contains NUL bytes); expected CSV as UTF-8, or as"
            " UTF-16 with a byte order mark"
        )
        raise InvalidInput(msg)
    try:
        rows = list(rows_of(text))
    except csv.Error as error:
        msg = f"replay: {path} is not valid CSV ({error}); expected a heading and rows"
        raise InvalidInput(msg) from None
    if not rows:
        msg = f"replay: {path} is not valid CSV (it is empty); expected a heading and rows"
        raise InvalidInput(msg)
    names, rows = rows[0].cells, rows[1:]
    for column in wanted:
        if names.count(column) != 1:
            is_in = "appears twice in" if column in names else "is not in"
            msg = (
                f"replay: column {column!r} {is_in} {path.name}; expected one of"
                f" {', '.join(names[:20])}"
            )
            raise InvalidInput(msg)
    if rows and len(rows[-1].cells) < len(names) and not text.endswith(("\n", "\r")):
        notes.append(f"{path.name}: its last row, {rows[-1].line}, was cut short and is left out")
        rows = rows[:-1]
    if has_trailing_commas(rows, len(names)):
        notes.append(
            f"{path.name}: all rows end in a comma, which the heading does not; read as if they"
            " did not"
        )
    elif fault := describe_misfit(rows, len(names)):
        msg = (
            f"replay: {path.name}: {fault}; expected as many in each, quote cells that hold a"
            " comma, write decimals with a point, or repair the rows"
        )
        raise InvalidInput(msg)
    return pd.DataFrame(
        {name: [row.cells[names.index(name)] for row in rows] for name in wanted},
        index=[row.line for row in rows],
        dtype="str",
    )


def _text_of(path: Path) -> str:
    """Return a file's text, unpacked where its name says that it is packed."""
    try:
        with _COMPRESSED.get(path.suffix, Path.open)(path, "rb") as file:
            data = file.read(LARGEST_CSV_BYTES + 1)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        msg = (
            f"replay: {str(path)!r} cannot be read ({getattr(error, 'strerror', None) or error});"
            " expected a run folder or a CSV file"
        )
        raise InvalidInput(msg) from None
    if len(data) > LARGEST_CSV_BYTES:
        msg = (
            f"replay: {path}: {path.stat().st_size} bytes is above the limit of"
            f" {LARGEST_CSV_BYTES}; cut the file"
        )
        raise InvalidInput(msg)
    return decode(data)


def _numbers(column: pd.Series[str], path: Path, name: str) -> Array:
    import pandas as pd

    values = pd.to_numeric(column.replace("", "nan"), errors="coerce").to_numpy(dtype=float)
    wrong = ~np.isfinite(values) & ~column.str.lower().isin(["", "nan", "null", "na"]).to_numpy()
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        msg = (
            f"replay: {path.name}: row {column.index[row]} of {name!r} is"
            f" {column.iloc[row][:40]!r}; expected a number"
        )
        raise InvalidInput(msg)
    return values

"""Rows of CSV with the lines of the file on which they begin.

A row that has not as many cells as the heading is named by its line, never shifted, filled or
skipped.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


@dataclass(frozen=True)
class Row:
    """The cells of a row, and the line of the file on which it begins; the first is line 1."""

    line: int
    cells: list[str]


def decode(data: bytes) -> str:
    """Return bytes as text: UTF-8, or what their byte order mark says.

    Bytes that are not text become U+FFFD.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    return data.decode(encoding, "replace")


def rows_of(text: str) -> Iterator[Row]:
    """Return the rows of a text, empty lines left out.

    Raises:
        csv.Error: it is no CSV, or a quote is opened and never closed, which would make one cell of
        all that follows.
    """
    allow_cells_up_to(len(text))
    reader = csv.reader(io.StringIO(text, newline=""))
    lines = io.StringIO(text, newline="").readlines() if '"' in text else []
    line = 1
    for cells in reader:
        if (
            reader.line_num > line
            and sum(part.count('"') for part in lines[line - 1 : reader.line_num]) % 2
        ):
            msg = f"line {line} opens a quote that is never closed"
            raise csv.Error(msg)
        if len(cells) > 1 or "".join(cells).strip():
            yield Row(line, cells)
        line = reader.line_num + 1


def allow_cells_up_to(length: int) -> None:
    """Let Python's csv read cells of so many characters: a whole trace may stand in one.

    Its own limit is 131,072.
    """
    csv.field_size_limit(max(csv.field_size_limit(), length))


def has_trailing_commas(rows: list[Row], width: int) -> bool:
    """Tell whether every row ends in a comma that the heading has not.

    One empty cell more, in all of them.
    """
    return bool(rows) and all(
        len(row.cells) == width + 1 and not row.cells[-1].strip() for row in rows
    )


def describe_misfit(rows: list[Row], width: int) -> str:
    """Return what to say of the first row that has not ``width`` cells; empty when all have.

    Args:
        rows: those after the heading.
        width: how many cells the heading has.
    """
    first = next((row for row in rows if len(row.cells) != width), None)
    if first is None:
        return ""
    count = len(first.cells)
    said = f"row {first.line} has {count} cell{'s' if count != 1 else ''}, the heading {width}"
    wrong = sum(len(row.cells) != width for row in rows)
    if len(rows) > 1 and all(len(row.cells) == count for row in rows):
        return f"{said}, and all {len(rows)} rows have as many"
    if wrong > 1:
        return f"{said}, and {wrong - 1} more do not fit it"
    return said


def count_cells(line: bytes) -> int:
    """Return how many cells a line of our own files has.

    They hold no line breaks. 0 for one that is no CSV.
    """
    if b'"' not in line:
        return line.count(b",") + 1
    allow_cells_up_to(len(line))
    try:
        return len(next(csv.reader([line.decode("utf-8", "replace")], strict=True), []))
    except csv.Error:
        return 0

"""``annotations.csv`` and its shards: rows as CSV text, and the rows of a file that may be torn."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from twin_harness.runs.records import AnnotationRow
from twin_harness.schedule.csv_rows import rows_of

if TYPE_CHECKING:
    from pathlib import Path


def csv_text(rows: list[list[str]]) -> str:
    """Return CSV lines that end in a line feed; cells with line breaks of any kind are quoted."""
    parts = []
    for row in rows:
        line = io.StringIO(newline="")
        # the writer quotes what its line break is made of
        csv.writer(line, lineterminator="\r\n").writerow(row)
        parts.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(parts)


def read_rows(path: Path, faults: list[str]) -> list[AnnotationRow]:
    """Return the whole rows of a file.

    A torn last row is left out; so are damaged ones, each with a sentence in ``faults``.
    """
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            text = file.read()
    except OSError:
        return []
    try:
        lines = list(rows_of(_whole_rows(text)))
    except csv.Error as error:
        faults.append(f"{path.name} is not valid CSV ({error})")
        return []
    rows: list[AnnotationRow] = []
    for row in lines[1:]:
        names = lines[0].cells
        if len(row.cells) != len(names):
            faults.append(
                f"{path.name}: line {row.line} has {len(row.cells)} cells, the heading {len(names)}"
            )
            continue
        try:
            rows.append(AnnotationRow.from_cells(dict(zip(names, row.cells, strict=True))))
        except (ValueError, TypeError) as error:
            faults.append(f"{path.name}: line {row.line} cannot be read ({error})")
    return rows


def _whole_rows(text: str) -> str:
    """Return the text up to the last line break that ends a row, with all quotes closed."""
    end = text.rfind("\n") + 1
    while end and text.count('"', 0, end) % 2:
        end = text.rfind("\n", 0, end - 1) + 1
    return text[:end]

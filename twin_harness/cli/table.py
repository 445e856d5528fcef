"""Tables of fixed-width columns for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Column:
    """A column: text stands left after two blanks, numbers right after one.

    Attributes:
        heading: what stands above it.
        width: its least width in characters; 0 for the last one, which ends where its text does.
        is_text: whether it holds text, not numbers.
        is_cut: whether text that is too long loses its beginning.
    """

    heading: str
    width: int = 0
    is_text: bool = False
    is_cut: bool = False

    def cell(self, text: str) -> str:
        """Return a cell of this column."""
        if self.is_cut and len(text) > self.width:
            text = f"…{text[1 - self.width :]}"
        if self.is_text:
            return f"  {text:<{self.width}}"
        return f" {text:>{self.width}}"


def table_lines(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], indent: str = ""
) -> list[str]:
    """Return a heading and a line for each row, which may have fewer cells than columns.

    Args:
        columns: from left to right.
        rows: the texts of each row's cells, in the order of the columns.
        indent: what begins every line.
    """
    lines = []
    for row in ([column.heading for column in columns], *rows):
        cells = [column.cell(text) for column, text in zip(columns, row, strict=False)]
        lines.append(indent + "".join(cells).rstrip()[2 if columns[0].is_text else 1 :])
    return lines

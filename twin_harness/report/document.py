"""What a report is made of: paragraphs, lists, tables and pictures, in sections.

Plain data that the template renders.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from typing import ClassVar

from twin_harness.quantity import DASH, quantity

_LONG = 24
_SIZE_IN_PNG = slice(16, 24)


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what stands there.
        title: the reason behind a dash, shown when pointed at and read aloud.
        is_number: right-aligned.
        tone: ``bad`` or ``warn`` to set it off; empty for none.
        href: an anchor of this page, empty for none.
    """

    text: str
    title: str = ""
    is_number: bool = False
    tone: str = ""
    href: str = ""

    @property
    def classes(self) -> str:
        """The cell's classes in the style sheet."""
        kind = ""
        if self.is_number:
            kind = "number"
        elif len(self.text) > _LONG:
            kind = "long"
        return f"{kind} {self.tone}".strip()


def number(text: str, tone: str = "") -> Cell:
    """Return a right-aligned cell."""
    return Cell(text, is_number=True, tone=tone)


def dash(reason: str) -> Cell:
    """Return the cell of a figure that is not known, with the reason."""
    return Cell(DASH, title=reason, is_number=True)


def measured(value: float | None, unit: str, reason: str) -> Cell:
    """Return the cell of a figure with its unit; a dash with the reason for None.

    Args:
        value: the number, in ``unit``.
        unit: as ``quantity`` takes it.
        reason: why the figure is not known.
    """
    return dash(reason) if value is None else number(quantity(value, unit))


@dataclass(frozen=True)
class Paragraph:
    """Sentences."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True)
class Notice:
    """Sentences that must not be overlooked, under a word or two in bold."""

    kind: ClassVar[str] = "notice"
    heading: str
    text: str


@dataclass(frozen=True)
class Bullets:
    """Sentences, one a line."""

    kind: ClassVar[str] = "bullets"
    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row names the row.

    Attributes:
        id: its anchor on the page.
        caption: what it holds.
        headings: one for each column.
        rows: the cells of each row.
        empty: what stands in its place without rows.
    """

    kind: ClassVar[str] = "table"
    id: str
    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: str = "There is nothing to list."

    def is_number_column(self, index: int) -> bool:
        """Whether the heading of a column stands to the right, as its cells do."""
        return any(row[index].is_number for row in self.rows)


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        id: its anchor on the page.
        png: the picture.
        alt: what it shows, with the numbers.
        caption: what it means.
        table_id: the anchor of the table that holds its data; empty for none.
    """

    kind: ClassVar[str] = "picture"
    id: str
    png: bytes
    alt: str
    caption: str
    table_id: str = ""

    @property
    def source(self) -> str:
        """The picture as a data URL."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height, as the PNG's first chunk says (ISO/IEC 15948, 11.2.2)."""
        width_px, height_px = struct.unpack(">II", self.png[_SIZE_IN_PNG])
        return width_px, height_px


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG, which can be read at any size.

    Attributes:
        id: its anchor on the page.
        svg: the picture, made by us: whatever names it holds are escaped.
        caption: what it means.
        table_id: the anchor of the table that holds its data; empty for none.
    """

    kind: ClassVar[str] = "drawing"
    id: str
    svg: str
    caption: str
    table_id: str = ""


Block = Paragraph | Notice | Bullets | Table | Picture | Drawing


@dataclass(frozen=True)
class Section:
    """A heading with blocks, and sections below it."""

    id: str
    title: str
    blocks: tuple[Block, ...]
    parts: tuple[Section, ...] = ()

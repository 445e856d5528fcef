"""Marks and phases: moments that somebody named while the run went on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.quantity import quantity
from twin_harness.report.document import Cell, Table, dash, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twin_harness.runs.records import AnnotationRow


def mark_table(marks: Iterable[AnnotationRow], zero_s: float, table_id: str, caption: str) -> Table:
    """Return the table of marks, their times counted from ``zero_s`` on CLOCK_MONOTONIC.

    Args:
        marks: the annotation rows of marks and phases.
        zero_s: the instant that their times are counted from.
        table_id: the table's anchor on the page.
        caption: what the table holds.
    """
    return Table(
        table_id, caption, ("mark", "begins", "lasts", "parameters"), tuple(_rows(marks, zero_s))
    )


def _rows(marks: Iterable[AnnotationRow], zero_s: float) -> Iterator[tuple[Cell, ...]]:
    for row in marks:
        begin_s, end_s = row.start_monotonic_s, row.end_monotonic_s
        if begin_s is None:
            begins = dash("no moment was written")
        else:
            begins = number(f"{begin_s - zero_s:.3f} s")
        if begin_s is None or end_s is None:
            lasts = dash("it has no end")
        else:
            lasts = number(quantity(end_s - begin_s, "s"))
        yield Cell(row.event), begins, lasts, Cell(row.parameters)

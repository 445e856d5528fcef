"""The machine's answer by stressor and level: distributions of rows in which one resource alone was loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from twin_harness.report.document import Cell, Paragraph, Picture, Section, Table, number
from twin_harness.report.quantity import quantity
from twin_harness.report.relations import level_png
from twin_harness.report.response import regimes

if TYPE_CHECKING:
    from twin_harness.report.evidence import Evidence

_LEAST_ROWS = 10
_GIB, _MIB = 2.0**30, 2.0**20
# Stressor: column asked, its size and unit on the axis, step of a level, column answered, its size, unit and label.
_PANELS = {
    "cpu": ("cpu_requested_percent", 1.0, "%", 20.0, "cpu_percent", 1.0, "percent", "CPU of the machine (%)"),
    "memory": ("memory_requested_bytes", _GIB, "GiB", 0.5, "memory_percent", 1.0, "percent", "memory of the machine (%)"),
    "disk": ("disk_requested_bytes_per_s", _MIB, "MiB/s", 5.0, "disk_busy_percent", 1.0, "percent", "device busy (%)"),
}


def level_rows(samples: pd.DataFrame) -> pd.DataFrame:
    """Return ``stressor``, ``level`` (its step, in words), ``order``, ``answer`` and ``wakeup_ms`` for rows with one resource under load."""
    regime, parts = regimes(samples), []
    for stressor, (asked, size, unit, step, answer, scale, _, _) in _PANELS.items():
        own = samples[regime == stressor]
        order = (own[asked] / size // step).astype(int)
        label = [f"{k * step:g} to {(k + 1) * step:g} {unit}" for k in order]
        parts.append(pd.DataFrame({"stressor": stressor, "level": label, "order": order, "answer": own[answer] / scale, "wakeup_ms": own["probe_wakeup_ms"]}))
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    counts = rows.groupby(["stressor", "order"])["answer"].transform("count")
    return rows[(counts >= _LEAST_ROWS)]


def section(evidence: Evidence) -> Section:
    """Return the section of distributions by stressor and level."""
    title = "The machine's answer by stressor and level"
    rows = level_rows(evidence.samples)
    if rows.empty:
        return Section("levels", title, (Paragraph(f"No level of a single resource was held for {_LEAST_ROWS} rows."),))
    cells = []
    for (stressor, _), own in rows.groupby(["stressor", "order"], sort=True):
        unit = _PANELS[str(stressor)][6]
        quartiles = [own["answer"].quantile(share) for share in (0.25, 0.5, 0.75)]
        late = own["wakeup_ms"].dropna()
        cells.append(
            (
                Cell(f"{stressor} {own['level'].iloc[0]}"),
                number(f"{len(own):,}"),
                *(number(quantity(float(value), unit)) for value in quartiles),
                number(quantity(float(late.median()), "ms") if len(late) else "–"),
            )
        )
    headings = ("load asked for", "rows", "answer: 25 %", "median", "75 %", "wake-up, median")
    table = Table("table-levels", "Quartiles of the answer over the rows of each level, one resource loaded", headings, tuple(cells))
    told = "; ".join(f"{row[0].text}: median {row[3].text} ({row[1].text} rows)" for row in cells)
    labels = {stressor: panel[7] for stressor, panel in _PANELS.items() if (rows["stressor"] == stressor).any()}
    caption = "Boxes hold the middle half of the rows, the line is the median, whiskers reach 1.5 times the box; rows beyond are dots."
    picture = Picture("figure-levels", level_png(rows, labels), f"Box plots. {told}.", caption, table.id)
    text = "Rows in which one resource alone was loaded, in steps of what was asked for: what the machine showed."
    return Section("levels", title, (Paragraph(text), picture, table))

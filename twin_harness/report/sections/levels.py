"""The machine's answer by stressor and level.

Distributions of rows in which one resource alone was loaded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from twin_harness.quantity import count, quantity
from twin_harness.report.document import Cell, Paragraph, Picture, Section, Table, number
from twin_harness.report.drawing.load_charts import level_png
from twin_harness.report.sections.response import active_loads

if TYPE_CHECKING:
    from twin_harness.report.evidence import Evidence

_LEAST_ROWS, _MOST_LEVELS, _STEPS = 10, 8, 5
_GIB, _MIB = 2.0**30, 2.0**20


class _PanelOf(NamedTuple):
    """What a stressor is shown by.

    The column asked, its size and unit on the axis, and the column answered with its unit and
    label.
    """

    asked: str
    size: float
    unit: str
    answer: str
    answer_unit: str
    label: str


_PANELS = {
    "cpu": _PanelOf(
        "cpu_requested_percent", 1.0, "%", "cpu_percent", "percent", "CPU of the machine (%)"
    ),
    "memory": _PanelOf(
        "memory_requested_bytes",
        _GIB,
        "GiB",
        "memory_percent",
        "percent",
        "memory of the machine (%)",
    ),
    "disk": _PanelOf(
        "disk_requested_bytes_per_s",
        _MIB,
        "MiB/s",
        "disk_busy_percent",
        "percent",
        "device busy (%)",
    ),
}
_TEXT = (
    "Rows in which one resource alone was loaded: what the machine showed. A level that was held"
    f" stands by itself, where there are at most {_MOST_LEVELS} of a resource; rows of ramps, waves"
    " and changes stand in steps of what was asked for, whose lower end belongs to them and whose"
    f" upper end does not, but for the last. Levels and steps of fewer than {_LEAST_ROWS} rows are"
    " left out"
)


def _levels_of(asked: pd.Series[float], unit: str) -> pd.DataFrame:
    """Return ``level`` in words and ``order`` for the loads that rows asked for.

    Held levels by themselves, all others in steps.
    """
    exact = asked.round(3 if unit == "%" else 6)
    rows_of = exact.value_counts()
    held = [float(value) for value in rows_of[rows_of >= _LEAST_ROWS].index]
    is_held = exact.isin(held if len(held) <= _MOST_LEVELS else [])
    step, last = _step_of(float(asked.max()), unit)
    number_of = (asked // step).clip(upper=last).astype(int)
    order = exact.where(is_held, number_of * step)
    words = [
        f"{level:.4g} {unit}" if held_level else _step_in_words(number_of_step, last, step, unit)
        for level, held_level, number_of_step in zip(exact, is_held, number_of, strict=True)
    ]
    return pd.DataFrame({"level": words, "order": order, "is_step": ~is_held})


def _step_of(highest: float, unit: str) -> tuple[float, int]:
    """Return the length of a step and the number of the last one; a few reach the highest value."""
    if unit == "%":
        return 20.0, _STEPS - 1
    size = 10.0 ** math.floor(math.log10(highest / _STEPS))
    step = next(
        factor * size for factor in (1.0, 2.0, 5.0, 10.0) if factor * size * _STEPS >= highest
    )
    return step, max(0, math.ceil(highest / step - 1e-9) - 1)


def _step_in_words(number_of: int, last: int, step: float, unit: str) -> str:
    low, high = f"{number_of * step:g}", f"{(number_of + 1) * step:g}"
    if number_of == last:
        return f"{low} to {high} {unit}"
    return f"{low} to below {high} {unit}"


def level_rows(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with one resource under load.

    Columns: ``stressor``, ``level`` (in words), ``order``, ``is_step``, ``answer``, ``wakeup_ms``.
    """
    regime, parts = active_loads(samples), []
    for stressor, panel in _PANELS.items():
        own = samples[regime == stressor]
        if own.empty:
            continue
        levels = _levels_of(own[panel.asked] / panel.size, panel.unit)
        parts.append(
            levels.assign(
                stressor=stressor, answer=own[panel.answer], wakeup_ms=own["probe_wakeup_ms"]
            )
        )
    if not parts:
        return pd.DataFrame(
            columns=["level", "order", "is_step", "stressor", "answer", "wakeup_ms"]
        )
    rows = pd.concat(parts, ignore_index=True)
    counts = rows.groupby(["stressor", "level"])["answer"].transform("count")
    return rows[counts >= _LEAST_ROWS].sort_values(["order", "is_step"], kind="stable")


def section(evidence: Evidence) -> Section:
    """Return the section of distributions by stressor and level."""
    title = "The machine's answer by stressor and level"
    rows = level_rows(evidence.samples)
    if rows.empty:
        return Section(
            "levels",
            title,
            (Paragraph(f"No level of a single resource was held for {_LEAST_ROWS} rows."),),
        )
    cells = []
    for stressor, panel in _PANELS.items():
        for level, own in rows[rows["stressor"] == stressor].groupby("level", sort=False):
            answers, late = own["answer"].dropna(), own["wakeup_ms"].dropna()
            quartiles = [answers.quantile(share) for share in (0.25, 0.5, 0.75)]
            cells.append(
                (
                    Cell(f"{stressor} {level}"),
                    number(f"{len(answers):,}"),
                    *(number(quantity(float(value), panel.answer_unit)) for value in quartiles),
                    number(quantity(float(late.median()), "ms") if len(late) else "–"),
                )
            )
    headings = ("load asked for", "rows", "answer: 25 %", "median", "75 %", "wake-up, median")
    table = Table(
        "table-levels",
        "Quartiles of the answer over the rows of each level, one resource loaded",
        headings,
        tuple(cells),
    )
    description = "; ".join(
        f"{row[0].text}: median {row[3].text} ({row[1].text} rows)" for row in cells
    )
    labels = {
        stressor: panel.label
        for stressor, panel in _PANELS.items()
        if (rows["stressor"] == stressor).any()
    }
    caption = (
        "Boxes hold the middle half of the rows, the line is the median, whiskers reach 1.5 times"
        " the box; rows beyond are dots."
    )
    picture = Picture(
        "figure-levels", level_png(rows, labels), f"Box plots. {description}.", caption, table.id
    )
    left_out = int(active_loads(evidence.samples).isin(_PANELS).sum()) - len(rows)
    text = f"{_TEXT}: {count(left_out, 'row') if left_out else 'none'}."
    return Section("levels", title, (Paragraph(text), picture, table))

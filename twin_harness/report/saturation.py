"""Where more load begins to hurt: latency and pressure against CPU use, with the knee where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from twin_harness.report.document import Cell, Paragraph, Picture, Section, Table, dash, number
from twin_harness.report.quantity import quantity
from twin_harness.report.relations import knee_png

if TYPE_CHECKING:
    from twin_harness.report.evidence import Evidence

STEP_PERCENT, _LEAST_ROWS, _LEAST_STEPS, _LEAST_BEND, _LEAST_RATIO = 5, 10, 6, 0.25, 2.0
_RESPONSES = (("probe_wakeup_ms", "ms", "wake-up lateness (ms)"), ("pressure_cpu_percent", "percent", "CPU pressure (%)"))
_TEXT = (
    f"Rows in steps of {STEP_PERCENT} points of CPU use (steal included), medians and 95 % of each with at least {_LEAST_ROWS} rows. The knee is where the "
    "medians bend away most from the straight line between their ends (Satopää and others 2011, Finding a Kneedle in a Haystack); it is named only where they "
    "bend by at least a quarter of their range and at least double after it."
)


def steps_of(samples: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return ``cpu`` (middle of the step), ``median``, ``high`` (95 %) and ``n`` for each step with enough rows."""
    known = samples[["cpu_percent", column]].dropna()
    step = (known["cpu_percent"].clip(0, 99.999) // STEP_PERCENT).astype(int)
    grouped = known.groupby(step)[column]
    frame = pd.DataFrame({"median": grouped.median(), "high": grouped.quantile(0.95), "n": grouped.count()})
    frame = frame[frame["n"] >= _LEAST_ROWS]
    return frame.assign(cpu=(frame.index + 0.5) * STEP_PERCENT)


def knee_of(steps: pd.DataFrame) -> float | None:
    """Return the CPU percent at which the medians bend, or None where they do not."""
    if len(steps) < _LEAST_STEPS:
        return None
    x, y = steps["cpu"].to_numpy(dtype=float), steps["median"].to_numpy(dtype=float)
    if np.ptp(y) <= 0 or y[-1] <= y[0]:
        return None
    bend = (x - x[0]) / np.ptp(x) - (y - y[0]) / np.ptp(y)
    at = int(np.argmax(bend))
    has_risen = y[at:].max() >= _LEAST_RATIO * max(float(np.median(y[: at + 1])), 1e-9)
    return float(x[at]) if bend[at] >= _LEAST_BEND and has_risen else None


def section(evidence: Evidence) -> Section:
    """Return the section on saturation."""
    title = "Where more load begins to hurt"
    found = {column: steps for column, _, _ in _RESPONSES if len(steps := steps_of(evidence.samples, column)) > 1}
    if not found:
        return Section("saturation", title, (Paragraph("Too few rows at different CPU use to tell."),))
    knees = {column: knee_of(steps) for column, steps in found.items()}
    shown = [(column, unit, label) for column, unit, label in _RESPONSES if column in found]
    names = {column: label.rpartition(" (")[0] for column, _, label in shown}
    told = " ".join(
        f"{names[column]} bends at {knees[column]:.0f} % of CPU." if knees[column] is not None else f"{names[column]} shows no knee." for column, _, _ in shown
    )
    alt = " ".join(_range(names[column], unit, found[column]) for column, unit, _ in shown)
    rows = tuple(_row(step, found) for step in sorted({*(step for steps in found.values() for step in steps.index)}))
    headings = ("CPU use", *(f"{names[column]} {what}" for column, _, _ in shown for what in ("median", "95 %", "n")))
    table = Table("table-saturation", "Answers by CPU use", headings, rows)
    caption = "Median (line) and 95 % (thin line) of the rows in each step of CPU use; the dashed line is the knee."
    picture = Picture("figure-saturation", knee_png(found, knees, {column: label for column, _, label in shown}), f"{told} {alt}", caption, table.id)
    return Section("saturation", title, (Paragraph(_TEXT), Paragraph(told), picture, table))


def _range(name: str, unit: str, steps: pd.DataFrame) -> str:
    """Say the median at the lowest and at the highest step of CPU use."""
    ends = [steps.iloc[at].to_numpy(dtype=float) for at in (0, -1)]
    told = [f"{quantity(float(median), unit)} at {cpu:.0f} % of CPU ({int(n):,} rows)" for median, _, n, cpu in ends]
    return f"{name}: median {told[0]}, {told[1]}."


def _row(step: int, found: dict[str, pd.DataFrame]) -> tuple[Cell, ...]:
    cells = [Cell(f"{step * STEP_PERCENT} to {(step + 1) * STEP_PERCENT} %")]
    for column, unit, _ in _RESPONSES:
        if column not in found:
            continue
        if step in found[column].index:
            median, high, rows = (float(value) for value in found[column].loc[step, ["median", "high", "n"]].to_numpy(dtype=float))
            cells += [number(quantity(median, unit)), number(quantity(high, unit)), number(f"{int(rows):,}")]
        else:
            cells += [dash("too few rows")] * 3
    return tuple(cells)

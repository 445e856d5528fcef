"""The data description: every column with its unit, definition, count and distribution."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twin_harness.dataset.steps import FLAGS
from twin_harness.metrics import Metric, by_name
from twin_harness.quantity import count, quantity
from twin_harness.report.document import Cell, Paragraph, Section, Table, dash, number
from twin_harness.runs.frames import LABELS

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.report.evidence import Evidence

_HEADINGS = (
    "column",
    "unit",
    "definition",
    "count",
    "missing",
    "mean",
    "SD",
    "min",
    "median",
    "max",
)
# A difference of clocks of unequal fineness: a single row says nothing, and its extremes less.
OVER_1_S = ("cpu_background_percent",)
_ADDED = {
    "dt_s": Metric(
        "dt_s",
        "s",
        "Measured time since the row before; added when the dataset is read.",
        "identity",
    ),
    "run_s": Metric(
        "run_s", "s", "Time since the first sample; added when the dataset is read.", "identity"
    ),
}


def _label_row(name: str, metric: Metric, values: pd.Series[str]) -> tuple[Cell, ...]:
    filled = int((values.fillna("").astype(str) != "").sum())
    distinct = values[values.fillna("").astype(str) != ""].nunique()
    reason = f"a label; {count(distinct, 'different value')}"
    if len(values):
        missing = 100.0 * (1 - filled / len(values))
    else:
        missing = 100.0
    return (
        Cell(name),
        Cell(metric.unit or "label"),
        Cell(metric.definition),
        number(f"{filled:,}"),
        number(quantity(missing, "percent")),
        *[dash(reason)] * 5,
    )


def _number_row(name: str, metric: Metric, values: pd.Series[float]) -> tuple[Cell, ...]:
    filled = values.dropna()
    if len(values):
        missing = 100.0 * (1 - len(filled) / len(values))
    else:
        missing = 100.0
    head = (
        Cell(name),
        Cell(metric.unit),
        Cell(metric.definition),
        number(f"{len(filled):,}"),
        number(quantity(missing, "percent")),
    )
    if filled.empty:
        return (
            *head,
            *[dash("the column is empty: this machine or session does not measure it")] * 5,
        )
    figures = (filled.mean(), filled.std(), filled.min(), filled.median(), filled.max())
    cells = [number(quantity(float(figure), metric.unit)) for figure in figures]
    if len(filled) == 1:
        cells[1] = dash("a single value has no spread")
    return (*head, *cells)


def section(evidence: Evidence) -> Section:
    """Return the section that describes the dataset."""
    samples = evidence.samples
    rows = []
    for name in (name for name in samples.columns if name not in FLAGS):
        metric = (
            _ADDED.get(name)
            or by_name(name)
            or Metric(name, "", "Not in the registry of this version.", "")
        )
        if name in OVER_1_S and not evidence.window_s:
            about = f"{metric.definition} Here: of its 1 s means, which are counted."
            rows.append(
                _number_row(name, replace(metric, definition=about), evidence.second_means[name])
            )
            continue
        if name in LABELS:
            rows.append(_label_row(name, metric, samples[name]))
        else:
            rows.append(_number_row(name, metric, samples[name]))
    text = (
        f"The dataset has {count(evidence.moments, 'row')} and"
        f" {count(len(rows) - len(_ADDED), 'column')}. A rate is the difference of two counters"
        " over the measured time between two rows; means in this table weigh every row alike,"
        " means of experiments and events weigh each by the time it stands for."
    )
    if evidence.window_s:
        text += (
            f" The table is of {count(len(samples), 'mean')} over"
            f" {quantity(evidence.window_s, 's')}; of lateness and probes, of the worst in each."
        )
    table = Table(
        "table-columns",
        "Every column: unit, definition and distribution over the whole run",
        _HEADINGS,
        tuple(rows),
    )
    if samples.empty:
        return Section(
            "description",
            "Data description",
            (Paragraph("The dataset holds no rows, so there is nothing to describe."),),
        )
    return Section("description", "Data description", (Paragraph(text), table))

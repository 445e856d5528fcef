"""How good the data are, and what taking them cost: lateness, cost, steal, wake-up latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.quantity import quantity
from twin_harness.report.document import Cell, Paragraph, Picture, Section, Table, number
from twin_harness.report.drawing.charts import distribution_png

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.report.document import Block
    from twin_harness.report.evidence import Evidence

_MEASURES = (
    ("lateness_ms", "ms", "lateness of a sample (ms)"),
    ("dt_ms", "ms", "time between two samples (ms)"),
    ("sample_cost_us", "us", "CPU time of a sample (µs)"),
    ("harness_cpu_percent", "percent", "CPU of the harness (%)"),
    ("cpu_steal_percent", "percent", "steal (%)"),
    ("probe_wakeup_ms", "ms", "wake-up lateness of the probe (ms)"),
)
_TEXT = (
    "Lateness is how long after its moment a sample was taken; the time between two samples is"
    " measured, so lateness makes no rate wrong. Steal is time the hypervisor gave to others: load"
    " then takes longer than asked. The probe is an ordinary process; its wake-up lateness is what"
    " a service would feel. Rows under load are those in which some event was active. "
)


def section(evidence: Evidence) -> Section:
    """Return the section on data quality and the harness's own cost."""
    # Of rows that are means, the time between two samples is not known any more.
    dt_ms = evidence.samples["dt_s"] * (float("nan") if evidence.window_s else 1e3)
    frame = evidence.samples.assign(is_loaded=evidence.samples["active_events"] != "", dt_ms=dt_ms)
    per_row = "All figures are per row."
    if evidence.window_s:
        per_row = (
            f"All figures are of {quantity(evidence.window_s, 's')}: means, of lateness and probe"
            " the worst."
        )
    present = [measure for measure in _MEASURES if frame[measure[0]].notna().any()]
    missing = [
        label for column, _, label in _MEASURES if column not in {measure[0] for measure in present}
    ]
    blocks: list[Block] = [Paragraph(_TEXT + per_row)]
    if missing:
        blocks.append(Paragraph(f"Not measured in this run: {'; '.join(missing)}."))
    if present:
        rows = tuple(_row(frame, *measure) for measure in present)
        table = Table(
            "table-quality",
            "Quality and cost over the whole run",
            ("figure", "n", "mean", "SD", "median", "95 %", "99 %", "max"),
            rows,
        )
        caption = (
            "Distributions over the rows, idle ones and those under load; a logarithmic axis where"
            " the tail is long."
        )
        picture = distribution_png(frame, [(column, label) for column, _, label in present])
        blocks += [
            Picture("figure-quality", picture, _alt(frame, present), caption, table.id),
            table,
        ]
    return Section("quality", "Data quality and the harness's own cost", tuple(blocks))


def _row(frame: pd.DataFrame, column: str, unit: str, label: str) -> tuple[Cell, ...]:
    values = frame[column].dropna()
    figures = (
        values.mean(),
        values.std(),
        values.median(),
        values.quantile(0.95),
        values.quantile(0.99),
        values.max(),
    )
    return (
        Cell(f"{label.rpartition(' (')[0]} ({column})"),
        number(f"{len(values):,}"),
        *(number(quantity(float(figure), unit)) for figure in figures),
    )


def _alt(frame: pd.DataFrame, present: list[tuple[str, str, str]]) -> str:
    sentences = []
    for column, unit, label in present:
        values = frame[column].dropna()
        name = label.rpartition(" (")[0]
        sentences.append(
            f"{name}: median {quantity(float(values.median()), unit)}, 99 % below"
            f" {quantity(float(values.quantile(0.99)), unit)}, n = {len(values):,}"
        )
    return "Histograms. " + "; ".join(sentences) + "."

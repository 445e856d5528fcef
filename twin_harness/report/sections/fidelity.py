"""Requested against delivered, over the events of all experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from twin_harness.quantity import count, quantity, signed
from twin_harness.report.document import Cell, Paragraph, Picture, Section, Table, dash, number
from twin_harness.report.drawing.load_charts import fidelity_png

if TYPE_CHECKING:
    from twin_harness.report.evidence import Evidence
    from twin_harness.report.facts import EventFacts
    from twin_harness.runs.fidelity import Fidelity

_MIB, _GIB = 2.0**20, 2.0**30
# Resource: unit of its columns, unit of its panel, and how many of the one make one of the other.
_PANEL_OF = {
    "cpu": ("percent", "CPU (% of the machine)", 1.0),
    "memory": ("bytes", "memory (GiB)", _GIB),
    "disk": ("bytes/s", "disk (MiB/s)", _MIB),
}
_MOST_DOUBTFUL = 20


def section(evidence: Evidence) -> Section:
    """Return the section that holds delivered load against requested load."""
    title = "Requested against delivered"
    judged = [(item, item.fidelity[0]) for item in evidence.events]
    measured = [(item, fidelity) for item, fidelity in judged if fidelity is not None]
    if not measured:
        if not evidence.events:
            reason = "no experiment had an event"
        else:
            reason = "none of the events has whole rows with a requested and a delivered value"
        return Section("fidelity", title, (Paragraph(f"There is nothing to compare: {reason}."),))
    points = pd.DataFrame([_point(item, fidelity) for item, fidelity in measured])
    present = [resource for resource in _PANEL_OF if (points["resource"] == resource).any()]
    left_out = len(judged) - len(measured)
    text = (
        "Both sides come from the dataset, in the unit of its columns (CPU in percent of the"
        " machine, also where an event asked for a share of some CPUs). Where several events used"
        " one resource at once, what it was off is shared out in proportion to what each asked for."
    )
    if left_out:
        text += (
            f" {count(left_out, 'event')} of {len(judged)} cannot be compared, and have a dash and"
            " its reason in the tables above."
        )
    caption = (
        "One point an event: mean delivered against mean requested, with the RMSE over its rows as"
        " the bar; on the dashed line both are equal."
    )
    table = _resource_table(points, present)
    picture = Picture(
        "figure-fidelity",
        fidelity_png(points, {resource: _PANEL_OF[resource][1] for resource in present}),
        _alt(points, present),
        caption,
        table.id,
    )
    return Section("fidelity", title, (Paragraph(text), picture, table, _worst_table(measured)))


def _point(item: EventFacts, fidelity: Fidelity) -> dict[str, object]:
    size = _PANEL_OF[item.event.stressor][2]
    return {
        "resource": item.event.stressor,
        "requested": fidelity.requested_mean / size,
        "delivered": fidelity.delivered_mean / size,
        "rmse": fidelity.rmse / size,
        "error_percent": float("nan") if fidelity.error_percent is None else fidelity.error_percent,
    }


def _alt(points: pd.DataFrame, present: list[str]) -> str:
    sentences = []
    for resource in present:
        errors = points.loc[points["resource"] == resource, "error_percent"].dropna()
        if len(errors):
            low, middle, high = (
                signed(float(figure), "percent")
                for figure in (errors.min(), errors.median(), errors.max())
            )
            sentences.append(
                f"{resource}: median error {middle}, range {low} to {high}, n = {len(errors)}"
                " events"
            )
    return "Delivered against requested mean of each event. " + "; ".join(sentences) + "."


def _resource_table(points: pd.DataFrame, present: list[str]) -> Table:
    rows = []
    for resource in present:
        errors = points.loc[points["resource"] == resource, "error_percent"].dropna()
        total = int((points["resource"] == resource).sum())
        if errors.empty:
            rows.append((Cell(resource), number(str(total)), *[dash("nothing was requested")] * 5))
            continue
        mean, low, middle, high = (
            number(signed(float(figure), "percent"))
            for figure in (errors.mean(), errors.min(), errors.median(), errors.max())
        )
        sd = dash("a single event has no spread")
        if len(errors) > 1:
            sd = number(quantity(float(errors.std()), "percent"))
        rows.append((Cell(resource), number(str(total)), mean, sd, low, middle, high))
    caption = (
        "Error of the mean: delivered less requested, in percent of requested, over the events of"
        " each resource"
    )
    return Table(
        "table-fidelity",
        caption,
        ("resource", "events", "mean error", "SD", "min", "median", "max"),
        tuple(rows),
    )


def _worst_table(measured: list[tuple[EventFacts, Fidelity]]) -> Table:
    by_error = sorted(measured, key=lambda pair: -abs(pair[1].error_percent or 0.0))[
        :_MOST_DOUBTFUL
    ]
    rows = []
    for item, fidelity in by_error:
        unit = _PANEL_OF[item.event.stressor][0]
        rows.append(
            (
                Cell(f"{item.recording.name} / {item.event.id}"),
                number(quantity(fidelity.requested_mean, unit)),
                number(quantity(fidelity.delivered_mean, unit)),
                number(signed(fidelity.error_percent, "percent"), "bad" if item.is_off else ""),
                number(quantity(fidelity.rmse, unit)),
                number(quantity(fidelity.overshoot, unit)),
                number(f"{fidelity.rows:,}"),
            )
        )
    caption = "Events by the size of their error"
    if len(measured) > _MOST_DOUBTFUL:
        caption += f", the {_MOST_DOUBTFUL} largest of {len(measured)}"
    return Table(
        "table-fidelity-events",
        caption,
        (
            "experiment / event",
            "requested",
            "delivered",
            "error",
            "RMSE",
            "largest overshoot",
            "rows",
        ),
        tuple(rows),
    )

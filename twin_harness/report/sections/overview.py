"""The run as a whole: one timeline, and a line for each experiment."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from twin_harness.quantity import count, duration, quantity
from twin_harness.report.document import Cell, Paragraph, Picture, Section, Table, dash, number
from twin_harness.report.drawing.marks import mark_table
from twin_harness.report.drawing.timelines import overview_png

if TYPE_CHECKING:
    from twin_harness.report.document import Block
    from twin_harness.report.evidence import Evidence
    from twin_harness.report.facts import ExperimentFacts, Statistic

TONE_OF = {
    "completed": "",
    "COMPLETE": "",
    "stopped": "warn",
    "skipped": "warn",
    "RUNNING": "warn",
    "no outcome": "warn",
}


def tone(status: str) -> str:
    """Return how loudly a status is shown."""
    return TONE_OF.get(status, "bad")


def spread(figure: Statistic, unit: str) -> str:
    """Return ``49.8 % (SD 1.1 %, n = 95)``."""
    if math.isfinite(figure.sd):
        sd = f"SD {quantity(figure.sd, unit)}, "
    else:
        sd = ""
    return f"{quantity(figure.mean, unit)} ({sd}n = {figure.count:,})"


def _mean_cell(answer: tuple[Statistic | None, str], unit: str) -> Cell:
    figure, reason = answer
    if figure is None:
        return dash(reason)
    if math.isfinite(figure.sd):
        sd = f" ± {quantity(figure.sd, unit)}"
    else:
        sd = ""
    return number(f"{quantity(figure.mean, unit)}{sd}")


def _row(facts: ExperimentFacts, *, has_energy: bool) -> tuple[Cell, ...]:
    status = facts.recording.planned.status
    memory, memory_reason = facts.memory
    cpu = facts.cpu[0]
    cells = (
        Cell(f"{facts.number}. {facts.name}", href=facts.anchor),
        number(quantity(facts.duration_s, "s")),
        Cell(_loads(facts) or "none: idle"),
        Cell(status, tone=tone(status)),
        number(f"{cpu.count:,}") if cpu else dash(facts.cpu[1]),
        _mean_cell(facts.cpu, "percent"),
        number(quantity(memory.high, "percent")) if memory else dash(memory_reason),
        _mean_cell(facts.disk, "bytes/s"),
    )
    if facts.energy_joules is not None:
        energy = number(quantity(facts.energy_joules, "J"))
    else:
        energy = dash("power was not measured")
    if has_energy:
        return (*cells, energy)
    return cells


def _loads(facts: ExperimentFacts) -> str:
    return ", ".join(f"{item.event.id} {item.event.shape.kind}" for item in facts.events)


def section(evidence: Evidence) -> Section:
    """Return the section with the run's timeline and the table of experiments."""
    blocks: list[Block] = []
    has_energy = any(facts.energy_joules is not None for facts in evidence.experiments)
    headings = (
        "experiment",
        "duration",
        "events",
        "status",
        "samples",
        "CPU mean ± SD",
        "memory max",
        "disk read + write, mean ± SD",
    )
    table = Table(
        "table-experiments",
        "Experiments in order of time; means weigh each row by the time it stands for, lead and"
        " tail included",
        (*headings, "energy") if has_energy else headings,
        tuple(_row(facts, has_energy=has_energy) for facts in evidence.experiments),
        "No experiment had begun when this report was written.",
    )
    if evidence.samples.empty:
        blocks.append(Paragraph("The dataset holds no rows, so there is no timeline to draw."))
    else:
        caption = (
            "CPU, memory, disk and load average over the whole run; each numbered band is an"
            " experiment, outlined only where it never closed."
        )
        blocks.append(
            Picture("figure-overview", overview_png(evidence), _alt(evidence), caption, table.id)
        )
    blocks.append(table)
    if evidence.marks and len(evidence.samples):
        blocks.append(
            mark_table(
                evidence.marks,
                evidence.first_s,
                "table-marks",
                "Marks and phases outside of experiments, in seconds since the first sample",
            )
        )
    return Section("overview", "The run at a glance", tuple(blocks))


def _alt(evidence: Evidence) -> str:
    sentences = []
    for column, name, unit in (
        ("cpu_percent", "CPU", "percent"),
        ("memory_percent", "memory", "percent"),
        ("load1", "load average", "1"),
    ):
        figure = evidence.statistic(column)
        if figure:
            sentences.append(
                f"{name} had a mean of {spread(figure, unit)} and a maximum of"
                f" {quantity(figure.high, unit)}"
            )
    span = duration(evidence.span_s)
    return f"Timeline of {span} with {count(len(evidence.experiments), 'experiment')}. " + (
        "; ".join(sentences) + "." if sentences else "No main column holds a value."
    )

"""Who else was busy.

Background, steal and the harness's own cost in each experiment, and the processes that took most.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twin_harness.quantity import quantity
from twin_harness.report.document import Cell, Paragraph, Section, Table, dash, number
from twin_harness.report.facts import ask, statistic

if TYPE_CHECKING:
    from twin_harness.report.evidence import Evidence
    from twin_harness.report.facts import ExperimentFacts

_MOST_ROWS = 60
_COLUMNS = (
    "cpu_background_percent",
    "cpu_steal_percent",
    "cpu_side_percent",
    "harness_cpu_percent",
)
_TEXT = (
    "Background is CPU time that belongs neither to load nor to the harness nor to the hypervisor."
    " It is a difference of clocks of unequal fineness, so single rows mean nothing and a mean may"
    " be a few tenths below 0. The processes are those of others that used most CPU between the"
    " start and the end of an experiment, by the name that the kernel knows them by; those that"
    " began or ended meanwhile count as far as they were seen."
)


def section(evidence: Evidence) -> Section:
    """Return the section on neighbours."""
    title = "Who else was busy"
    if not evidence.experiments:
        return Section("neighbours", title, (Paragraph("There is no experiment to show."),))
    rows = tuple(_row(facts) for facts in evidence.experiments[:_MOST_ROWS])
    if len(evidence.experiments) > _MOST_ROWS:
        more = f"; the first {_MOST_ROWS} of {len(evidence.experiments)}"
    else:
        more = ""
    headings = (
        "experiment",
        "background",
        "steal",
        "side cost of load",
        "harness",
        "busiest processes of others",
    )
    table = Table(
        "table-neighbours",
        f"Means over each experiment, lead and tail included{more}",
        headings,
        rows,
    )
    return Section("neighbours", title, (Paragraph(_TEXT), table))


def _row(facts: ExperimentFacts) -> tuple[Cell, ...]:
    cells = [Cell(f"{facts.number}. {facts.name}", href=facts.anchor)]
    for column in _COLUMNS:
        # bound now
        figure, reason = ask(partial(statistic, facts.recording, column))
        if figure is None:
            cells.append(dash(reason))
            continue
        cells.append(number(f"{quantity(figure.mean, 'percent')} (n = {figure.count:,})"))
    others = busiest(facts.recording.planned.foreign)
    return (*cells, Cell(others) if others else dash("none used CPU, or it was not recorded"))


def busiest(foreign: list[dict[str, Any]] | None) -> str:
    """Return the processes of others in words; empty when there are none."""
    return ", ".join(
        f"{entry['name']} {quantity(float(entry['cpu_s']), 's')}" for entry in foreign or ()
    )

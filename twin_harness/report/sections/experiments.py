"""Each experiment: its timeline, and what was requested and delivered in every event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.quantity import UNIT_OF_EVENT, count, duration, listed, quantity, signed
from twin_harness.report.document import (
    Cell,
    Paragraph,
    Picture,
    Section,
    Table,
    dash,
    measured,
    number,
)
from twin_harness.report.drawing.marks import mark_table
from twin_harness.report.drawing.timelines import timeline_png
from twin_harness.report.facts import DISK_COLUMNS, ask, statistic
from twin_harness.report.sections.overview import spread, tone

if TYPE_CHECKING:
    from twin_harness.report.document import Block
    from twin_harness.report.evidence import Evidence
    from twin_harness.report.facts import EventFacts, ExperimentFacts
    from twin_harness.runs.records import AnnotationRow

MOST_TIMELINES = 16
_MOST_DESCRIBED = 4
_MOST_OF_A_PLAN = 4
_RESPONSE_OF = {
    "cpu": ("CPU", ("cpu_percent",), "percent"),
    "memory": ("memory", ("memory_percent",), "percent"),
    "disk": ("disk read + write", DISK_COLUMNS, "bytes/s"),
}
_HEADINGS = (
    *(
        "event",
        "shape",
        "planned start",
        "actual start",
        "start error",
        "requested",
        "delivered",
        "error",
        "RMSE",
        "rows",
    ),
    *("settled after", "status", "message"),
)


def sections(evidence: Evidence) -> Section:
    """Return the section of all experiments.

    Of more than 16 some have no figure, troubled ones keep theirs.
    """
    drawn = chosen(evidence.experiments)
    parts = tuple(_part(facts, is_drawn=facts.number in drawn) for facts in evidence.experiments)
    if not parts:
        return Section(
            "experiments",
            "Each experiment",
            (Paragraph("No experiment had begun, so there is none to show."),),
        )
    text = (
        "Times are on the events' clock: it starts at 0 with the first event, and the lead before"
        " it is negative. Levels are in the event's own unit."
    )
    if len(parts) > len(drawn):
        left_out = [
            f"{facts.number}. {facts.name}"
            for facts in evidence.experiments
            if facts.number not in drawn
        ]
        text += (
            f" {len(drawn)} of {len(parts)} experiments are drawn: those with trouble first, then"
            " one of each plan, those of most kinds of load and most events first; the tables are"
            f" complete. Not drawn: {listed(left_out)}."
        )
    return Section("experiments", "Each experiment", (Paragraph(text),), parts)


def chosen(experiments: tuple[ExperimentFacts, ...]) -> set[int]:
    """Return the numbers of the experiments that are drawn.

    All, or those with trouble, then the most various.

    Repetitions of a plan, as of a gate's pairs, come after the first of every other plan, and a
    plan that went well is drawn four times at most.
    """
    if len(experiments) <= MOST_TIMELINES:
        return {facts.number for facts in experiments}
    times: dict[str, int] = {}
    ranked = []
    for facts in experiments:
        plan = facts.recording.experiment.hash()
        times[plan] = times.get(plan, 0) + (not facts.has_trouble)
        kinds = {item.event.stressor for item in facts.events}
        if facts.has_trouble or times[plan] <= _MOST_OF_A_PLAN:
            if facts.has_trouble:
                repetition = 0
            else:
                repetition = times[plan]
            ranked.append(
                (not facts.has_trouble, repetition, -len(kinds), -len(facts.events), facts.number)
            )
    return {number for *_, number in sorted(ranked)[:MOST_TIMELINES]}


def _part(facts: ExperimentFacts, *, is_drawn: bool) -> Section:
    table = _event_table(facts)
    blocks: list[Block] = [Paragraph(_summary(facts))]
    if is_drawn:
        if facts.events:
            bands = (
                "events as bands, load requested (dashed) and delivered, and what the whole"
                " machine did"
            )
        else:
            bands = "the machine without load"
        caption = f"{facts.name}: {bands}."
        if facts.events:
            source = table.id
        else:
            source = "table-experiments"
        blocks.append(
            Picture(
                f"figure-{facts.anchor}",
                timeline_png(facts.recording),
                describe(facts),
                caption,
                source,
            )
        )
    else:
        blocks.append(
            Paragraph("Not drawn, to keep this file small; the numbers are in the table.")
        )
    blocks.append(table)
    if facts.marks:
        blocks.append(
            mark_table(
                facts.marks,
                facts.recording.planned.zero_s,
                f"table-marks-{facts.number}",
                f"Marks and phases of {facts.name}",
            )
        )
    return Section(facts.anchor, f"{facts.number}. {facts.name}", tuple(blocks))


def _summary(facts: ExperimentFacts) -> str:
    experiment, planned = facts.recording.experiment, facts.recording.planned
    if facts.energy_joules is not None:
        energy = f", {quantity(facts.energy_joules, 'J')} (mean power times duration)"
    else:
        energy = ""
    return (
        f"Status {planned.status}; {duration(facts.duration_s)} with"
        f" {quantity(experiment.lead_s, 's')} lead and {quantity(experiment.tail_s, 's')} tail;"
        f" {count(len(facts.events), 'event')}; {facts.tolerance}; worker"
        f" {planned.worker}{f', part {planned.partition}' if planned.partition else ''}{energy}."
    )


def describe(facts: ExperimentFacts) -> str:
    """Return in words and numbers what the timeline of an experiment shows."""
    sentences = [
        sentence
        for item in facts.events[:_MOST_DESCRIBED]
        if (sentence := _describe_event(facts, item))
    ]
    if len(facts.events) > _MOST_DESCRIBED:
        sentences.append(f"{len(facts.events) - _MOST_DESCRIBED} more events are in the table")
    if not sentences:
        cpu, reason = facts.cpu
        if cpu is None:
            return f"There is nothing to show: {reason}."
        return f"No load was planned; CPU had a mean of {spread(cpu, 'percent')}."
    return "; ".join(sentences) + "."


def _describe_event(facts: ExperimentFacts, item: EventFacts) -> str:
    name, columns, unit = _RESPONSE_OF.get(item.event.stressor, _RESPONSE_OF["cpu"])
    during, reason = ask(lambda: statistic(facts.recording.during(item.event.id), *columns))
    if during is None:
        return f"{item.event.id}: {item.fidelity[1] or reason}"
    before, _ = ask(lambda: statistic(facts.before(), *columns))
    requested, event_unit = requested_mean(item)
    asked = f" during {item.event.id}"
    if requested is not None:
        asked = f" while {item.event.id} asked for {quantity(requested, event_unit)}"
    start = "had"
    if before is not None:
        start = f"went from {quantity(before.mean, unit)} in the lead to"
    return f"{name} {start} a mean of {spread(during, unit)}{asked}"


def requested_mean(item: EventFacts) -> tuple[float | None, str]:
    """Return an event's mean requested level and its unit: as annotated, else as planned."""
    unit = UNIT_OF_EVENT.get(item.event.unit, "")
    if item.row is not None and item.row.requested_mean is not None:
        return item.row.requested_mean, unit
    return None if item.event.stressor == "command" else item.event.mean(), unit


def _event_table(facts: ExperimentFacts) -> Table:
    rows = tuple(_event_row(item) for item in facts.events)
    has_messages = any(row[-1].text for row in rows)
    shown = len(_HEADINGS) if has_messages else len(_HEADINGS) - 1
    return Table(
        f"table-{facts.anchor}",
        f"Events of {facts.name}: plan and outcome; RMSE is the spread of delivered less requested"
        " over the rows",
        _HEADINGS[:shown],
        tuple(row[:shown] for row in rows),
        "This experiment has no events: it records the idle machine.",
    )


def _event_row(item: EventFacts) -> tuple[Cell, ...]:
    event, row, status = item.event, item.row, item.status
    fidelity, reason = item.fidelity
    unit = UNIT_OF_EVENT.get(event.unit, "")
    actual, start_error_ms, delivered, rmse, settled_s, message = _outcome(row)
    error_percent, requested = item.error_percent, requested_mean(item)[0]
    error = dash(reason or "nothing was requested")
    if error_percent is not None:
        error = number(signed(error_percent, "percent"), "bad" if item.is_off else "")
    never, unknown = reason or "it never began", reason or "it was not annotated"
    unsettled = reason or "it never stayed within its tolerance band to the end"
    return (
        Cell(event.id),
        Cell(item.kind),
        number(quantity(event.start_s, "s")),
        dash(never) if actual is None else number(f"{actual:.4f} s"),
        dash(never) if start_error_ms is None else number(signed(start_error_ms, "ms")),
        measured(requested, unit, "a command has no level"),
        measured(delivered, unit, unknown),
        error,
        measured(rmse, unit, unknown),
        number(f"{fidelity.rows:,}") if fidelity else dash(reason),
        measured(settled_s, "s", unsettled),
        Cell(status, tone=tone(status)),
        Cell(message or ("" if row else reason)),
    )


def _outcome(
    row: AnnotationRow | None,
) -> tuple[float | None, float | None, float | None, float | None, float | None, str]:
    if row is None:
        return None, None, None, None, None, ""
    return (
        row.actual_start_s,
        row.start_error_ms,
        row.delivered_mean,
        row.delivered_rmse,
        row.settled_s,
        row.message,
    )

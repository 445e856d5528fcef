"""What weakens a run: what is missing, what others took, what missed its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.dataset.steps import TORN, WHOLE_PERCENT
from twin_harness.quantity import count, listed, quantity
from twin_harness.report.sections.cleaning import column_kinds
from twin_harness.report.sections.overview import spread
from twin_harness.runs.judgement import MISSED, UNDECIDED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin_harness.report.evidence import Evidence
    from twin_harness.report.facts import EventFacts

_STEAL_PERCENT, _BACKGROUND_PERCENT, _HARNESS_PERCENT = 1.0, 5.0, 5.0
_MOST_NAMED = 12
_MAIN_COLUMNS = (
    "cpu_percent",
    "memory_percent",
    "disk_write_bytes_per_s",
    "cpu_steal_percent",
    "cpu_background_percent",
    "missed_samples",
)
NO_DOUBTS = (
    "Nothing was found to doubt: every event completed close to its plan, mean steal and"
    f" background load stayed below {_STEAL_PERCENT:g} % and {_BACKGROUND_PERCENT:g} % of the CPU,"
    " no sample was missed, and every line of the dataset could be read."
)


def doubts(evidence: Evidence) -> Iterator[str]:
    """Tell in sentences what weakens a run; nothing when there is nothing."""
    if evidence.run.status != "COMPLETE":
        yield f"The run is {evidence.run.status}, so it may hold less than was planned."
    yield from evidence.troubles
    yield from _of_events(evidence)
    yield from _of_machine(evidence)
    yield from _of_file(evidence)
    yield from _notes(evidence)


def sentences(value: object) -> list[str]:
    """Return the filled entries of what may be a list."""
    if isinstance(value, list):
        return [str(entry) for entry in value if entry]
    return []


def _named(items: list[str]) -> str:
    shown = "; ".join(items[:_MOST_NAMED])
    if len(items) > _MOST_NAMED:
        return f"{shown}; and {len(items) - _MOST_NAMED} more, in the tables below"
    return shown


def _title(item: EventFacts) -> str:
    return f"{item.recording.name} / {item.event.id}"


def _of_events(evidence: Evidence) -> Iterator[str]:
    unended = [
        facts.name for facts in evidence.experiments if facts.recording.planned.status == "RUNNING"
    ]
    if unended:
        yield f"{count(len(unended), 'experiment')} never closed: {listed(unended)}."
    bad = [item for item in evidence.events if item.status != "completed"]
    if bad:
        reasons = [
            f"{_title(item)} {item.status}"
            + (f" ({item.row.message})" if item.row and item.row.message else "")
            for item in bad
        ]
        yield f"{count(len(bad), 'event')} did not complete: {_named(reasons)}."
    for verdict, words in (
        (MISSED, "missed the load that was requested"),
        (UNDECIDED, "cannot be said to have had the load"),
    ):
        items = [item for item in evidence.events if item.judgement.verdict == verdict]
        if items:
            reasons = [f"{item.recording.name}: {item.judgement.reason}" for item in items]
            yield f"{count(len(items), 'event')} {words}: {_named(reasons)}."
    unsettled = [
        _title(item)
        for item in evidence.events
        if item.status == "completed" and item.row and item.row.settled_s is None
    ]
    if unsettled:
        yield (
            f"{count(len(unsettled), 'completed event')} never settled within the tolerance band:"
            f" {_named(unsettled)}."
        )


def _of_machine(evidence: Evidence) -> Iterator[str]:
    steal, background, harness = (
        evidence.statistic(name)
        for name in ("cpu_steal_percent", "cpu_background_percent", "harness_cpu_percent")
    )
    if steal and steal.mean > _STEAL_PERCENT:
        yield (
            f"The hypervisor took a mean of {spread(steal, 'percent')} of the CPU, at most"
            f" {quantity(steal.high, 'percent')} in one row: load and response both suffered."
        )
    if background and background.mean > _BACKGROUND_PERCENT:
        yield f"Others used a mean of {spread(background, 'percent')} of the CPU meanwhile."
    if harness and harness.mean > _HARNESS_PERCENT:
        yield f"The harness itself used a mean of {spread(harness, 'percent')} of the CPU."


def _of_file(evidence: Evidence) -> Iterator[str]:
    samples = evidence.samples
    if samples.empty:
        yield "There are no samples, so nothing that was measured can be shown."
        return
    missed = float(samples["missed_samples"].sum())
    if missed:
        yield (
            f"{missed:,.0f} samples were missed"
            f" ({100 * missed / (missed + evidence.moments):.2g} %)."
        )
    found = evidence.gap_rows
    if len(found):
        yield (
            f"{count(len(found), 'gap')} in the samples, the longest"
            f" {quantity(float(found['dt_s'].max()), 's')}."
        )
    if evidence.cleaning:
        faults = list(evidence.cleaning.faults)
    else:
        faults = []
    damages = [
        fault
        for fault in faults
        if fault.kind not in ("gap", "missing column", "unknown column", TORN)
    ]
    torn = [
        f"{fault.column} {count(fault.count, 'time')}" for fault in faults if fault.kind == TORN
    ]
    if torn:
        yield (
            f"Rows say more than {WHOLE_PERCENT:g} % of the time ({', '.join(torn)}): the logger"
            " was held up between its clock and those counters, and rows after them say as much"
            " less. Trust means over 1 s or more."
        )
    if damages:
        yield f"The dataset was damaged: {'; '.join(fault.sentence for fault in damages)}."
    empty = [name for name in column_kinds(samples)["empty"] if name in _MAIN_COLUMNS]
    if empty:
        yield f"Main columns hold no value, so what they would show is unknown: {', '.join(empty)}."


def _notes(evidence: Evidence) -> Iterator[str]:
    state, logger = evidence.run.state, evidence.run.state.get("logger")
    yield from (f"Note of the run: {note}" for note in sentences(state.get("notes")))
    if isinstance(logger, dict):
        yield from (
            f"Note of the logger: {note}"
            for note in [*sentences(logger.get("notes")), *sentences([logger.get("error")])]
        )

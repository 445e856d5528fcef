"""What events asked for and got, as a table and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin_harness.cli.table import Column, table_lines
from twin_harness.errors import TwinError
from twin_harness.quantity import DASH, event_quantity

if TYPE_CHECKING:
    from pathlib import Path

    from twin_harness.runs.judgement import Judgement
    from twin_harness.runs.recording import Recording
    from twin_harness.runs.records import AnnotationRow

_COLUMNS = (
    Column("event", 22, is_text=True, is_cut=True),
    Column("asked", 12),
    Column("got", 12),
    Column("error", 9),
    Column("settled", 8),
    Column("status", is_text=True),
)
_FIELDS = (
    "experiment",
    "event",
    "status",
    "unit",
    "requested_mean",
    "delivered_mean",
    "delivered_error_percent",
    "delivered_rmse",
    "settled_s",
    "actual_start_s",
    "actual_end_s",
    "release_s",
    "message",
)


def _judged(recording: Recording, row: AnnotationRow, tolerance: str) -> Judgement:
    """Return what can be said of an event's load: UNDECIDED where its samples cannot be read."""
    from twin_harness.runs.judgement import UNDECIDED, UNJUDGED, Judgement, judge

    if row.stressor == "mark":
        return Judgement(row.event, UNJUDGED)
    try:
        return judge(recording, row.event, tolerance)
    except TwinError as error:
        return Judgement(row.event, UNDECIDED, str(error))


def result_data(recordings: list[Recording], tolerance: str) -> list[dict[str, Any]]:
    """Return each event as data: what was asked and got, and its verdict."""
    facts = []
    for recording in recordings:
        for row in recording.rows:
            judged = _judged(recording, row, tolerance)
            fields = {name: getattr(row, name) for name in _FIELDS}
            facts.append({**fields, "verdict": judged.verdict, "reason": judged.reason})
    return facts


def result_lines(recordings: list[Recording], tolerance: str) -> list[str]:
    """Return a table of what was asked and got, within 80 columns."""
    rows = [
        _cells(recording, row, tolerance)
        for recording in recordings
        for row in recording.rows
        if row.stressor != "mark"
    ]
    return table_lines(_COLUMNS, rows)


def _cells(recording: Recording, row: AnnotationRow, tolerance: str) -> list[str]:
    """Return a row of the table; its last cell is the status, or what the tolerance makes of it."""
    from twin_harness.runs.judgement import MISSED, UNDECIDED

    error = settled = DASH
    if row.delivered_error_percent is not None:
        error = f"{row.delivered_error_percent:+.2f} %"
    if row.settled_s is not None:
        settled = f"{row.settled_s:.1f} s"
    elif row.delivered_mean is not None:
        settled = "never"
    status, verdict = row.status, _judged(recording, row, tolerance).verdict
    if verdict in (MISSED, UNDECIDED):
        status = verdict
    return [
        f"{recording.name}/{row.event}",
        event_quantity(row.requested_mean, row.unit),
        event_quantity(row.delivered_mean, row.unit),
        error,
        settled,
        status,
    ]


def no_report(folder: Path) -> str:
    """Return the line that stands in place of a report's path."""
    from twin_harness.session.reporting import seen_from_here

    return f"not made for this run; `twin report {seen_from_here(folder)}` makes it"

"""What an experiment's end means.

The sentence of a failure, and whether the load was what was asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.errors import FidelityMissed, Undecided
from twin_harness.runs.judgement import KEPT, MISSED, UNDECIDED, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.runs.recording import Recording


def describe_outcome(recording: Recording, status: str) -> str:
    """Return one sentence that names the events of a bad end and the reason."""
    bad = [row for row in recording.rows if row.status == status]
    names = ", ".join(row.event for row in bad)
    return (
        f"experiment {recording.name!r} {status}: {names}:"
        f" {bad[0].message if bad else 'no reason known'}"
    )


def judge_tolerance(recording: Recording, session: str, warn: Callable[[str], None]) -> None:
    """Hold every event's load against the tolerance of its experiment, else of the session.

    Args:
        recording: of the whole experiment.
        session: the session's tolerance, ``"5%"`` or ``"none"``.
        warn: takes what is to be known of an event that was within its tolerance all the same.

    Raises:
        FidelityMissed: an event is further from its plan than the tolerance.
        Undecided: it is, and the machine had no room; or the event cannot be judged. It carries the
            recording.
    """
    judged = [
        judge(recording, row.event, session) for row in recording.rows if row.stressor != "mark"
    ]
    for one in judged:
        if one.verdict == KEPT and one.reason:
            warn(f"experiment {recording.name!r}: {one.reason}")
    for verdict in (MISSED, UNDECIDED):
        reasons = [one.reason for one in judged if one.verdict == verdict]
        if not reasons:
            continue
        msg = f"experiment {recording.name!r}: {'; and '.join(reasons)}"
        if verdict == MISSED:
            raise FidelityMissed(msg, recording)
        undecided = Undecided(msg)
        undecided.recording = recording
        raise undecided

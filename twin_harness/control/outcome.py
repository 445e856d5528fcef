"""What an experiment's end means: the sentence of a failure, and whether the load was delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.errors import FidelityMissed, Undecided
from twin_harness.runs.judgement import KEPT, MISSED, UNDECIDED, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.runs.recording import Recording
    from twin_harness.system.guard_messages import TrippedAnswer


def describe_outcome(recording: Recording, status: str) -> str:
    """Return one sentence that names the events of a bad end and the reason."""
    bad = [row for row in recording.rows if row.status == status]
    names = ", ".join(row.event for row in bad)
    return (
        f"experiment {recording.name!r} {status}: {names}:"
        f" {bad[0].message if bad else 'no reason known'}"
    )


def describe_trip(tripped: TrippedAnswer) -> str:
    """Say why the guard stopped a load, and how long the load outlived the crossing at most.

    That is measured from the last check that found the limit respected.
    """
    dead_s = tripped.get("dead_s")
    if dead_s is None:
        return (
            f"guard: {tripped['reason']}; killed at once, but not all load was gone a second later"
        )
    outlived_ms = (dead_s - tripped["clean_s"]) * 1e3
    return f"guard: {tripped['reason']}; no load {outlived_ms:.0f} ms after it at most"


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
    for judgement in judged:
        if judgement.verdict == KEPT and judgement.reason:
            warn(f"experiment {recording.name!r}: {judgement.reason}")
    for verdict in (MISSED, UNDECIDED):
        reasons = [judgement.reason for judgement in judged if judgement.verdict == verdict]
        if not reasons:
            continue
        msg = f"experiment {recording.name!r}: {'; and '.join(reasons)}"
        if verdict == MISSED:
            raise FidelityMissed(msg, recording)
        undecided = Undecided(msg)
        undecided.recording = recording
        raise undecided

"""What an experiment's end means: the sentence of a failure, and whether the load was what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.errors import FidelityMissed, Undecided

if TYPE_CHECKING:
    from twin_harness.recording import Recording

MOST_STEAL_PERCENT = 5.0
FULL_CPU_PERCENT = 97.0


def describe_outcome(recording: Recording, status: str) -> str:
    """Return one sentence that names the events of a bad end and the reason."""
    bad = [row for row in recording.rows if row.status == status]
    names = ", ".join(row.event for row in bad)
    return f"experiment {recording.name!r} {status}: {names}: {bad[0].message if bad else 'no reason known'}"


def judge_tolerance(recording: Recording) -> None:
    """Hold every event's delivered mean against the experiment's tolerance.

    Raises:
        FidelityMissed: an event is further from its plan than the tolerance.
        Undecided: it is, and the machine had no room: others or the hypervisor took the CPU.
    """
    tolerance = recording.experiment.tolerance_percent
    if tolerance is None:
        return
    for row in recording.rows:
        error = row.delivered_error_percent
        if error is None or abs(error) <= tolerance:
            continue
        msg = (
            f"experiment {recording.name!r}: {row.event} delivered {row.delivered_mean:g} {row.unit} where {row.requested_mean:g} was asked for, "
            f"an error of {error:+.2f} % against a tolerance of {tolerance:g} %"
        )
        reason = _no_room(recording, row.event) if row.stressor == "cpu" and error < 0 else ""
        if reason:
            raise Undecided(f"{msg}; {reason}")
        raise FidelityMissed(msg, recording)


def _no_room(recording: Recording, event_id: str) -> str:
    """Return why the machine could not deliver more CPU time, or nothing when it could."""
    window = recording.during(event_id)
    steal = window.mean("cpu_steal_percent")
    if steal > MOST_STEAL_PERCENT:
        return f"the hypervisor took {steal:.1f} % of the CPU meanwhile"
    busy = window.mean("cpu_percent")
    if busy > FULL_CPU_PERCENT:
        return f"the machine was full: {busy:.1f} % busy, {window.mean('cpu_background_percent'):.1f} % of it by others"
    return ""

"""What an experiment's end means: the sentence of a failure, and whether the load was what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.errors import FidelityMissed, Undecided
from twin_harness.metrics import RESOURCE_COLUMNS

if TYPE_CHECKING:
    from twin_harness.recording import Recording


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
        if row.stressor not in RESOURCE_COLUMNS or (error is not None and abs(error) <= tolerance):
            continue
        if error is None and recording.experiment.event(row.event).mean() <= 0:
            continue
        if error is None:
            msg = f"experiment {recording.name!r}: {row.event} holds no whole sample, so its tolerance of {tolerance:g} % cannot be judged"
            raise Undecided(msg)
        msg = (
            f"experiment {recording.name!r}: {row.event} delivered {row.delivered_mean:g} {row.unit} where {row.requested_mean:g} was asked for, "
            f"an error of {error:+.2f} % against a tolerance of {tolerance:g} %"
        )
        reason = recording.lack_of_room(row.event)
        if reason:
            msg = f"{msg}; {reason}"
            raise Undecided(msg)
        raise FidelityMissed(msg, recording)

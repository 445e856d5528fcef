"""Whether an event's load was what was requested, within a tolerance; and why that cannot be said.

CPU and disk load are judged by the event's mean, memory by its plateau: what is filled is not held
yet. The tolerance is the experiment's own, else the session's. Only the session's allows for the
resolution of a stressor: nobody chose it for this event.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twin_harness.errors import Undecided
from twin_harness.metrics import RESOURCE_COLUMNS
from twin_harness.runs.settling import window_s
from twin_harness.schedule.tolerance import DEFAULT_TOLERANCE, NO_TOLERANCE, percent_of
from twin_harness.system.provenance import is_predicted

if TYPE_CHECKING:
    from twin_harness.runs.fidelity import Fidelity
    from twin_harness.runs.recording import Recording
    from twin_harness.runs.records import AnnotationRow
    from twin_harness.schedule.event import Event

KEPT, MISSED, UNDECIDED, UNJUDGED = "kept", "missed", "UNDECIDED", "not judged"
_SLOT_S = 0.5 / 21  # of the closed loop of CPU load, see stress/cpu_stress.py
_GRAIN_BYTES = 2 * 1024**2  # of memory load, see stress/mem_stress.py
_LEAST_EXPLAINED = 0.5


@dataclass(frozen=True)
class Judgement:
    """What can be said of one event.

    Attributes:
        event: its id.
        verdict: ``kept``, ``missed``, ``UNDECIDED`` or ``not judged``.
        reason: a sentence where it is not kept; of a kept one what else there is to know.
        error_percent: what was judged; None where nothing could be.
        tolerance_percent: what it was held against; None where nothing is.
    """

    event: str
    verdict: str
    reason: str = ""
    error_percent: float | None = None
    tolerance_percent: float | None = None


def tolerance_of(recording: Recording, session: str) -> tuple[float | None, bool]:
    """Return the tolerance of a recording in percent, and whether it is the session's.

    None judges nothing.
    """
    own = recording.experiment.tolerance
    if own is not None:
        return percent_of(own), False
    return percent_of(session), True


def session_tolerance(state: dict[str, object]) -> str:
    """Return the tolerance that the session of a ``run.json`` had.

    The default where it is older than the option.
    """
    settings = state.get("settings")
    if isinstance(settings, dict):
        text = settings.get("tolerance")
    else:
        text = None
    default = DEFAULT_TOLERANCE
    if not isinstance(text, str):
        return default
    try:
        percent_of(text)
    except ValueError:
        return default
    return text


def judge(recording: Recording, event_id: str, session: str = NO_TOLERANCE) -> Judgement:
    """Hold an event against its tolerance.

    Args:
        recording: of the whole experiment.
        event_id: of the event.
        session: the session's tolerance, ``"5%"`` or ``"none"``.
    """
    row, event = recording.annotation(event_id), recording.experiment.event(event_id)
    limit, is_session = tolerance_of(recording, session)
    if limit is None or (unjudged := _why_unjudged(event, row)):
        return Judgement(event_id, UNJUDGED, "no tolerance is set" if limit is None else unjudged)
    if row.delivered_error_percent is None:
        reason = (
            f"{event_id} holds no whole sample, so its tolerance of {limit:g} % cannot be judged; "
            "make it longer than two sampling intervals, or sample more often"
        )
        return Judgement(event_id, UNDECIDED, reason, None, limit)
    if event.stressor == "memory":
        return _judge_memory(recording, event, row, limit, is_session=is_session)
    error_percent = row.delivered_error_percent
    if abs(error_percent) <= limit:
        return Judgement(event_id, KEPT, "", error_percent, limit)
    missed = _missed(event, row.requested_mean, row.delivered_mean, error_percent, limit)
    if is_session:
        excuse = _below_resolution(event, row, error_percent, limit)
    else:
        excuse = ""
    excuse = excuse or recording.lack_of_room(event_id)
    if excuse:
        return Judgement(event_id, UNDECIDED, f"{missed}; {excuse}", error_percent, limit)
    return Judgement(event_id, MISSED, missed, error_percent, limit)


def _why_unjudged(event: Event, row: AnnotationRow) -> str:
    """Return why an event is not a matter of tolerance; empty when it is."""
    if row.stressor not in RESOURCE_COLUMNS:
        return f"{row.stressor} load has no columns of requested and delivered"
    if row.status != "completed":
        return f"it was {row.status}"
    if row.delivered_error_percent is None and event.mean() <= 0:
        return "nothing was requested"
    return ""


def _missed(
    event: Event,
    requested: float | None,
    delivered: float | None,
    error_percent: float,
    limit: float,
) -> str:
    return (
        f"{event.id} delivered {delivered or 0.0:g} {event.unit} where {requested or 0.0:g} was"
        f" asked for, an error of {error_percent:+.2f} % against a tolerance of {limit:g} %"
    )


def _below_resolution(event: Event, row: AnnotationRow, error_percent: float, limit: float) -> str:
    """Return why an error is no more than a stressor's resolution; empty when it is more than that.

    A CPU stressor works a slot of 24 ms ahead, a disk stressor moves whole blocks (buffered: what
    one fsync covers).
    """
    seconds = max((row.actual_end_s or 0.0) - (row.actual_start_s or 0.0), 1e-9)
    if event.stressor == "cpu":
        share_percent = 100.0 * _SLOT_S / seconds
        unit = f"one slot of {1e3 * _SLOT_S:.0f} ms is {share_percent:.1f} % of its {seconds:.2f} s"
        advice = "make it longer"
    else:
        block_bytes = int(event.option("block_bytes"))
        if not event.option("direct"):
            block_bytes = max(block_bytes, int(event.option("fsync_every_bytes")))
        asked_bytes = event.mean() * event.scale(1.0, 0.0) * seconds
        share_percent = 100.0 * block_bytes / max(asked_bytes, 1e-9)
        if share_percent <= 100:
            share = f"{share_percent:.2g} % of"
        else:
            share = "more than"
        unit = (
            f"one step of {block_bytes / 1024:g} KiB is {share} the {asked_bytes:.4g} bytes asked"
            " for in all"
        )
        advice = "raise the level (bytes per second) or the duration, or lower block_bytes"
    if abs(error_percent) > limit + share_percent:
        return ""
    return f"that is within its resolution: {unit}; {advice}"


def _judge_memory(
    recording: Recording, event: Event, row: AnnotationRow, limit: float, *, is_session: bool
) -> Judgement:
    try:
        measured = recording.fidelity(event.id)
    except Undecided as error:
        return Judgement(event.id, UNDECIDED, str(error), None, limit)
    plateau, filling = measured.plateau, measured.filling
    starved_s = float(json.loads(row.parameters or "{}").get("starved_s", 0.0))
    is_virtual = is_predicted(recording.machine)
    if filling:
        filling_s = filling.seconds
    else:
        filling_s = 0.0
    has_waited = is_virtual or starved_s >= _LEAST_EXPLAINED * filling_s
    is_plateau_short = plateau is None or plateau.seconds < window_s("memory")
    if filling is not None and has_waited and (filling.is_unfinished or is_plateau_short):
        return Judgement(event.id, UNDECIDED, _never_full(event, measured), None, limit)
    if plateau is None or not has_waited:
        error_percent = row.delivered_error_percent or 0.0
        requested, delivered = row.requested_mean, row.delivered_mean
        judged_s = filling_s + (plateau.seconds if plateau else 0.0)
        filling_s = 0.0
    else:
        if row.requested_mean:
            scale = measured.requested_mean / row.requested_mean
        else:
            scale = 1.0
        error_percent = plateau.error_percent or 0.0
        requested, delivered = plateau.requested_mean / scale, plateau.delivered_mean / scale
        judged_s = plateau.seconds
    if abs(error_percent) <= limit:
        is_late = abs(row.delivered_error_percent or 0.0) > limit
        if is_late and filling:
            reason = _filled_late(event, measured)
        else:
            reason = ""
        return Judgement(event.id, KEPT, reason, error_percent, limit)
    missed = _missed(event, requested, delivered, error_percent, limit)
    share_percent = 100.0 * _GRAIN_BYTES / max(measured.requested_mean, 1.0)
    if is_session and abs(error_percent) <= limit + share_percent:
        reason = (
            f"{missed}; that is within its resolution: one huge page of {_GRAIN_BYTES / 2**20:g}"
            f" MiB is {share_percent:.2g} % of it; ask for more"
        )
        return Judgement(event.id, UNDECIDED, reason, error_percent, limit)
    waited_s = starved_s - filling_s
    if error_percent < 0 and waited_s >= _LEAST_EXPLAINED * -error_percent / 100.0 * judged_s:
        reason = (
            f"the machine had no room: the load waited {waited_s:.2f} s of {judged_s:.2f} s for"
            " memory to be filled"
        )
        return Judgement(event.id, UNDECIDED, f"{missed}; {reason}", error_percent, limit)
    return Judgement(event.id, MISSED, missed, error_percent, limit)


def _pace(measured: Fidelity) -> str:
    filling = measured.filling
    if filling is None:
        return ""
    return f"for {filling.seconds:.1f} s, at {filling.bytes_per_s / 2**20:.0f} MiB/s"


def _never_full(event: Event, measured: Fidelity) -> str:
    filling = measured.filling
    if filling is None or not filling.is_unfinished:
        return (
            f"{event.id} was filling memory {_pace(measured)}, and had no plateau to be judged by;"
            " make it longer, or ask for less"
        )
    needed = ""
    if filling.needed_s < float("inf"):
        needed = f"what was missing would have taken about {filling.needed_s:.1f} s more; "
    return (
        f"{event.id} was filling memory {_pace(measured)}, and had come to"
        f" {filling.reached_bytes / 2**20:.0f} of {filling.wanted_bytes / 2**20:.0f} MiB when that"
        f" level ended, so there is no plateau to be judged by; {needed}make it longer, or ask for"
        " less"
    )


def _filled_late(event: Event, measured: Fidelity) -> str:
    return (
        f"{event.id} filled memory {_pace(measured)}, before its plateau; its delivered_mean is of"
        f" the whole event, {measured.error_percent or 0.0:+.1f} % of what was asked for"
    )

"""Times in a recording: until a column passes a level, and until it has recovered from a load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin_harness.errors import Undecided
from twin_harness.gate.spread import robust_spread

if TYPE_CHECKING:
    from twin_harness.runs.recording import Recording


_LEAD_SPREADS, _LEAD_SHARE, _HOLD_S = 3.0, 0.02, 1.0


def time_to_threshold_s(
    recording: Recording, column: str, window: str, name: str, level: float
) -> float:
    """Return the seconds from an event's start until a column passes a level.

    Args:
        recording: of the experiment.
        column: of the dataset.
        window: the event; the first one if empty.
        name: of the measure, for messages.
        level: that is waited for, from the side on which the column was before the load.

    Raises:
        InvalidInput: the recording has no such column or event.
        Undecided: the column is empty, the event never ran, or the level was never reached.
    """
    begin_s, _, _ = _event_of(recording, column, window, name)
    before = recording.between(recording.begin_s, begin_s).samples[column].dropna()
    after = recording.between(begin_s, recording.end_s).samples[column].dropna()
    is_rising = before.empty or float(before.iloc[-1]) < level
    if is_rising:
        passed = after[after >= level]
    else:
        passed = after[after <= level]
    if passed.empty:
        msg = f"{name}: {column} never reached {level:g} in {recording.name!r}"
        raise Undecided(msg)
    return max(0.0, float(str(passed.index[0])) - begin_s)


def recovery_s(recording: Recording, column: str, window: str, name: str) -> float:
    """Return the seconds from an event's end until a column is back where it was before.

    Back is: within three robust SDs or 2 % of the lead's median, for a second on end.

    Args:
        recording: of the experiment.
        column: of the dataset.
        window: the event; the first one if empty.
        name: of the measure, for messages.

    Raises:
        InvalidInput: the recording has no such column or event.
        Undecided: the column is empty, the event never ran, there is no lead or tail, or the column
            was not back before the end.
    """
    begin_s, end_s, event = _event_of(recording, column, window, name)
    before = recording.between(recording.begin_s, begin_s).samples[column].dropna()
    after = recording.between(end_s, recording.end_s).samples[column].dropna()
    if before.empty or after.empty:
        msg = (
            f"{name}: {recording.name!r} has no samples before or after {event!r};"
            " give it a lead and a tail"
        )
        raise Undecided(msg)
    middle = float(before.median())
    limit = max(_LEAD_SPREADS * robust_spread(before), _LEAD_SHARE * abs(middle))
    held_samples = max(1, round(_HOLD_S / max(1e-3, _interval_s(after.index))))
    is_back = (after.rolling(held_samples).mean() - middle).abs() <= limit
    if not is_back.any():
        msg = (
            f"{name}: {column} was not back within"
            f" {recording.end_s - end_s:.1f} s after {event!r}; make the tail longer"
        )
        raise Undecided(msg)
    return max(0.0, float(str(is_back.idxmax())) - end_s - _HOLD_S)


def _event_of(
    recording: Recording, column: str, window: str, name: str
) -> tuple[float, float, str]:
    """Return the real start and end of an event, and its id."""
    recording.max(column)  # refuses a column that is not there, or empty
    event = window or next((event.id for event in recording.experiment.events), "")
    if not event:
        msg = f"{name}: experiment {recording.name!r} has no event to count from"
        raise Undecided(msg)
    row = recording.annotation(event)
    if row.actual_start_s is None or row.actual_end_s is None:
        msg = f"{name}: event {event!r} of {recording.name!r} never ran"
        raise Undecided(msg)
    return row.actual_start_s, row.actual_end_s, event


def _interval_s(index: Any) -> float:
    return float((index[-1] - index[0]) / max(1, len(index) - 1))

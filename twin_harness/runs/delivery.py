"""What one event asked for and what it got, row by row, from the dataset's contract columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import Undecided
from twin_harness.metrics import RESOURCE_COLUMNS
from twin_harness.runs.fidelity import Fidelity, measure

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from twin_harness.runs.records import AnnotationRow
    from twin_harness.runs.window import Window
    from twin_harness.schedule.event import Event

_OTHERS_SHARE = 1e-3  # requested stands in the dataset with three decimals


def fidelity_of(recording: Window, event_id: str) -> Fidelity:
    """Measure the fidelity of an event of a recording, in the unit of its columns.

    Raises:
        InvalidInput: there is no such event.
        Undecided: it has no columns, never ran, or is shorter than a sample.
    """
    event = recording.experiment.event(event_id)
    if event.stressor not in RESOURCE_COLUMNS:
        msg = (
            f"event {event_id!r} of {recording.name!r} is of stressor {event.stressor!r}, which has"
            " no columns of requested and delivered load"
        )
        raise Undecided(msg)
    window = recording.during(event_id)
    machine = recording.machine
    scale = event.scale(machine.get("cpu_capacity", 1.0), machine.get("memory_limit_bytes", 0))
    result = compare(event, scale, window.samples, recording.annotation(event_id))
    if result is None:
        msg = (
            f"event {event_id!r} of {recording.name!r} holds no whole sample; expected it to last"
            " at least two intervals"
        )
        raise Undecided(msg)
    return result


def compare(
    event: Event, scale: float, samples: pd.DataFrame, row: AnnotationRow
) -> Fidelity | None:
    """Measure the fidelity of one event on rows of the dataset, in the unit of its columns.

    None when no whole row lies within it.

    Args:
        event: the event as planned.
        scale: what one unit of its level is in the unit of the columns; see ``Event.scale``.
        samples: rows indexed by seconds on the events' clock. Where several events use the resource
            in a row, what it is off is shared out in proportion to what each asked for: the
            kernel's account does not tell them apart. A total of the machine is compared with cpu −
            steal.
        row: when the event really ran.
    """
    requested_column, delivered_column = RESOURCE_COLUMNS[event.stressor]
    if row.actual_start_s is None or row.actual_end_s is None or samples.empty:
        return None
    ends_s = samples.index.to_numpy(dtype=float) - row.actual_start_s
    lengths_s = samples["dt_s"].fillna(0.0).to_numpy(dtype=float)
    own = (
        np.array(
            [
                _mean_level(event, end_s - length_s, end_s)
                for end_s, length_s in zip(ends_s, lengths_s, strict=True)
            ]
        )
        * scale
    )
    if event.is_of_system:
        delivered = total_percent(samples)
    else:
        delivered = samples[delivered_column]
    requested = samples[requested_column].to_numpy(dtype=float)
    measured = delivered.to_numpy(dtype=float)
    own_delivered = own + (measured - requested) * _share_of(own, requested)
    # Of nothing nothing is the event's own; the rounding of the columns would leave a figure.
    own_delivered[measured == 0.0] = 0.0
    duration_s = row.actual_end_s - row.actual_start_s
    return measure(
        event.stressor,
        ends_s,
        lengths_s,
        own,
        own_delivered,
        duration_s,
        event.shape.discontinuities(event.duration_s),
    )


def _share_of(own: NDArray[np.float64], requested: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which part of a resource's request is an event's own, row by row.

    All of it where no other event asks for any.
    """
    is_shared = requested - own > _OTHERS_SHARE * requested
    share = np.divide(own, requested, out=np.ones_like(own), where=is_shared & (requested > 0))
    return np.clip(share, 0.0, 1.0)


def _mean_level(event: Event, begin_s: float, end_s: float) -> float:
    """Return the mean over a row, 0 outside the event, as the logger writes it.

    What others asked for is the difference to its column.
    """
    from_s, to_s = max(begin_s, 0.0), min(end_s, event.duration_s)
    if to_s <= from_s:
        return 0.0
    return (
        event.shape.area(to_s, event.duration_s) - event.shape.area(from_s, event.duration_s)
    ) / (end_s - begin_s)


def fill_delivery(row: AnnotationRow, fidelity: Fidelity, scale: float) -> None:
    """Fill in what was requested and delivered of an event.

    Args:
        row: the event's.
        fidelity: of the event, in the unit of its columns.
        scale: what one unit of the event's level is in that unit; see ``Event.scale``.
    """
    row.requested_mean = fidelity.requested_mean / scale
    row.delivered_mean = fidelity.delivered_mean / scale
    row.delivered_error_percent = fidelity.error_percent
    row.delivered_rmse = fidelity.rmse / scale
    row.settled_s = fidelity.settled_s


def total_percent(samples: pd.DataFrame) -> pd.Series[float]:
    """Return what a total of the machine counts: everything but what the hypervisor took."""
    return samples["cpu_percent"] - samples["cpu_steal_percent"]

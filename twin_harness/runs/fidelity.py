"""Requested against delivered: bias, RMSE, settling and overshoot of one event.

Pure functions on arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.runs.filling import filling_rows, holds_a_jump, plateau_of
from twin_harness.runs.settling import settled_since_s, tolerance, window_errors, window_s

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from twin_harness.runs.filling import Filling, Plateau

    Array = NDArray[np.float64]

_EDGE_S = 1e-6


@dataclass(frozen=True)
class Fidelity:
    """How close the delivered load came to the plan.

    Levels are in the unit of the resource's columns.

    Attributes:
        requested_mean: mean over the rows that lie within the event.
        delivered_mean: the same of delivered.
        bias: delivered − requested, on the mean.
        error_percent: bias in percent of requested; None when nothing was requested.
        rmse: root mean square of delivered − requested, row by row, weighed by time.
        settled_s: seconds from the start from which every window mean stays within the tolerance;
            None is never.
        overshoot: the largest window mean of delivered − requested, 0 when never above.
        rows: how many rows that rests on.
        plateau: of memory, the rows in which it was not filling; None where there are none.
        filling: of memory, how it filled; None where no row was taken while it did.
    """

    requested_mean: float
    delivered_mean: float
    bias: float
    error_percent: float | None
    rmse: float
    settled_s: float | None
    overshoot: float
    rows: int
    plateau: Plateau | None = None
    filling: Filling | None = None


def measure(
    resource: str,
    ends_s: Array,
    lengths_s: Array,
    requested: Array,
    delivered: Array,
    duration_s: float,
    jumps_s: tuple[float, ...] = (),
) -> Fidelity | None:
    """Compare two series over one event; None when no row lies within it.

    Args:
        resource: cpu, memory or disk.
        ends_s: shape (rows,), when each row was taken, in seconds from the start of the event.
        lengths_s: shape (rows,), seconds since the row before.
        requested: shape (rows,), mean requested since the row before.
        delivered: shape (rows,), the same of delivered; for memory its value at the row.
        duration_s: how long the event lasted.
        jumps_s: when the shape jumps.
    """
    held = delivered
    if resource == "memory" and len(delivered) > 1:
        delivered = np.concatenate([delivered[:1], (delivered[1:] + delivered[:-1]) / 2.0])
    inside = (
        (lengths_s > 0)
        & (ends_s - lengths_s >= -_EDGE_S)
        & (ends_s <= duration_s + _EDGE_S)
        & np.isfinite(requested)
        & np.isfinite(delivered)
    )
    if not inside.any():
        return None
    held = held[inside]
    ends_s, lengths_s = ends_s[inside], lengths_s[inside]
    requested, delivered = requested[inside], delivered[inside]
    error = delivered - requested
    requested_mean = float(np.average(requested, weights=lengths_s))
    bias = float(np.average(error, weights=lengths_s))
    plateau = filling = None
    if resource == "memory":
        is_edge = holds_a_jump(ends_s, lengths_s, jumps_s)
        is_filling, filling = filling_rows(
            ends_s, lengths_s, requested, delivered, held, jumps_s, is_edge
        )
        plateau = plateau_of(lengths_s, requested, error, ~is_filling & ~is_edge)
    starts_s, window_requested, window_error = window_errors(
        window_s(resource), ends_s, lengths_s, requested, error, jumps_s
    )
    return Fidelity(
        requested_mean=requested_mean,
        delivered_mean=requested_mean + bias,
        bias=bias,
        error_percent=100.0 * bias / requested_mean if requested_mean > 0 else None,
        rmse=float(np.sqrt(np.average(error**2, weights=lengths_s))),
        settled_s=settled_since_s(
            starts_s, np.abs(window_error) <= tolerance(resource, window_requested)
        ),
        overshoot=float(max(0.0, window_error.max())) if len(window_error) else 0.0,
        rows=len(error),
        plateau=plateau,
        filling=filling,
    )

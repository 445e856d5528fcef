"""Requested against delivered: bias, RMSE, settling and overshoot of one event. Pure functions on arrays.

The windows and tolerances are those of ``settled_s`` in the format of ``annotations.csv``: every 0.5 s mean (disk 1 s) within 1 point
(cpu), 1 % or 16 MiB (memory) or 5 % (disk) of what was requested, with 0.5 s after each jump of the shape left out.

The plateau of a memory event is what is left of it once the rows are taken out in which it was still filling: behind what was
requested by more than that tolerance, and growing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_AFTER_JUMP_S = 0.5
_CPU_POINTS = 1.0
_MEMORY_SHARE, _MEMORY_BYTES = 0.01, 16 * 1024**2
_DISK_SHARE = 0.05
_EDGE_S = 1e-6
_GROWING_BYTES = 1024**2  # within a window; a stressor grows by huge pages of 2 MiB


@dataclass(frozen=True)
class Plateau:
    """The part of an event in which its load was not filling any more.

    Attributes:
        seconds: how long it is, over its rows.
        requested_mean: over these rows.
        delivered_mean: over these rows.
    """

    seconds: float
    requested_mean: float
    delivered_mean: float

    @property
    def error_percent(self) -> float | None:
        """Delivered less requested in percent of requested; None when nothing was requested."""
        if self.requested_mean <= 0:
            return None
        return 100.0 * (self.delivered_mean - self.requested_mean) / self.requested_mean


@dataclass(frozen=True)
class Filling:
    """How memory filled.

    Attributes:
        seconds: in which it was behind, and growing.
        bytes_per_s: how fast it grew meanwhile.
        missing_bytes: what was missing when the event ended; 0 when it had caught up.
    """

    seconds: float
    bytes_per_s: float
    missing_bytes: float

    @property
    def needed_s(self) -> float:
        """How much longer it would have taken at that pace."""
        return self.missing_bytes / self.bytes_per_s if self.bytes_per_s > 0 else float("inf")


@dataclass(frozen=True)
class Fidelity:
    """How close the delivered load came to the plan; levels are in the unit of the resource's columns.

    Attributes:
        requested_mean, delivered_mean: means over the rows that lie within the event.
        bias: delivered − requested, on the mean.
        error_percent: bias in percent of requested; None when nothing was requested.
        rmse: root mean square of delivered − requested, row by row, weighed by time.
        settled_s: seconds from the start from which every window mean stays within the tolerance; None is never.
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


def window_s(resource: str) -> float:
    """Return the length of the means that settling is judged by."""
    return 1.0 if resource == "disk" else 0.5


def tolerance(resource: str, requested: Array) -> Array:
    """Return how far a window mean may be from ``requested`` to count as settled, in the same unit."""
    if resource == "cpu":
        return np.full_like(requested, _CPU_POINTS)
    if resource == "memory":
        return np.maximum(requested * _MEMORY_SHARE, _MEMORY_BYTES)
    return requested * _DISK_SHARE


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
    inside = (lengths_s > 0) & (ends_s - lengths_s >= -_EDGE_S) & (ends_s <= duration_s + _EDGE_S) & np.isfinite(requested) & np.isfinite(delivered)
    if not inside.any():
        return None
    held = held[inside]
    ends_s, lengths_s, requested, delivered = ends_s[inside], lengths_s[inside], requested[inside], delivered[inside]
    error = delivered - requested
    requested_mean = float(np.average(requested, weights=lengths_s))
    bias = float(np.average(error, weights=lengths_s))
    is_filling = np.zeros(len(error), dtype=bool)
    if resource == "memory":
        is_filling = _is_filling(ends_s, lengths_s, requested, delivered, held)
    starts_s, window_requested, window_error = _windows(window_s(resource), ends_s, lengths_s, requested, error, jumps_s)
    return Fidelity(
        requested_mean=requested_mean,
        delivered_mean=requested_mean + bias,
        bias=bias,
        error_percent=100.0 * bias / requested_mean if requested_mean > 0 else None,
        rmse=float(np.sqrt(np.average(error**2, weights=lengths_s))),
        settled_s=_settled_s(starts_s, np.abs(window_error) <= tolerance(resource, window_requested)),
        overshoot=float(max(0.0, window_error.max())) if len(window_error) else 0.0,
        rows=len(error),
        plateau=_plateau(lengths_s, requested, error, ~is_filling) if resource == "memory" else None,
        filling=_filling(lengths_s, requested, held, is_filling),
    )


def _is_filling(
    ends_s: Array, lengths_s: Array, requested: Array, delivered: Array, held: Array
) -> NDArray[np.bool_]:
    """Tell in which rows memory was behind, and had grown within the last half second."""
    is_behind = delivered < requested - tolerance("memory", requested)
    before = np.searchsorted(ends_s, ends_s - lengths_s - window_s("memory") - _EDGE_S)
    earlier = np.where(before > 0, held[np.maximum(before - 1, 0)], 0.0)
    return np.asarray(is_behind & (held - earlier > _GROWING_BYTES))


def _plateau(
    lengths_s: Array, requested: Array, error: Array, is_chosen: NDArray[np.bool_]
) -> Plateau | None:
    seconds = float(lengths_s[is_chosen].sum())
    if seconds <= 0:
        return None
    weights = lengths_s[is_chosen]
    requested_mean = float(np.average(requested[is_chosen], weights=weights))
    bias = float(np.average(error[is_chosen], weights=weights))
    return Plateau(seconds, requested_mean, requested_mean + bias)


def _filling(
    lengths_s: Array, requested: Array, held: Array, is_filling: NDArray[np.bool_]
) -> Filling | None:
    seconds = float(lengths_s[is_filling].sum())
    if seconds <= 0:
        return None
    grown = np.diff(held, prepend=0.0)[is_filling]
    missing_bytes = max(0.0, float(requested[-1] - held[-1])) if is_filling[-1] else 0.0
    return Filling(seconds, max(0.0, float(grown.sum())) / seconds, missing_bytes)


def _windows(length_s: float, ends_s: Array, lengths_s: Array, requested: Array, error: Array, jumps_s: tuple[float, ...]) -> tuple[Array, Array, Array]:
    """Return start, mean requested and mean error of every window of whole rows; those that begin within 0.5 s after a jump, or hold one, are left out."""
    total_s = np.concatenate([[0.0], np.cumsum(lengths_s)])
    total_requested = np.concatenate([[0.0], np.cumsum(requested * lengths_s)])
    total_error = np.concatenate([[0.0], np.cumsum(error * lengths_s)])
    jumps = np.asarray(jumps_s)
    starts, means, errors = [], [], []
    for first in range(len(ends_s)):
        last = int(np.searchsorted(total_s, total_s[first] + length_s - _EDGE_S))
        if last > len(ends_s):
            break
        start_s, end_s = ends_s[first] - lengths_s[first], ends_s[last - 1]
        if len(jumps) and bool(np.any((jumps < end_s) & (start_s < jumps + _AFTER_JUMP_S))):
            continue
        span_s = total_s[last] - total_s[first]
        starts.append(max(0.0, start_s))
        means.append((total_requested[last] - total_requested[first]) / span_s)
        errors.append((total_error[last] - total_error[first]) / span_s)
    return np.array(starts), np.array(means), np.array(errors)


def _settled_s(starts_s: Array, is_within: NDArray[np.bool_]) -> float | None:
    if len(starts_s) == 0 or not is_within[-1]:
        return None
    outside = np.flatnonzero(~is_within)
    return float(starts_s[outside[-1] + 1]) if len(outside) else 0.0

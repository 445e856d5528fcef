"""Requested against delivered: bias, RMSE, settling and overshoot of one event.

Pure functions on arrays.

The windows and tolerances are those of ``settled_s`` in the format of ``annotations.csv``: every
0.5 s mean (disk 1 s) within 1 point (cpu), 1 % or 16 MiB (memory) or 5 % (disk) of what was
requested, with 0.5 s after each jump of the shape left out.

The plateau of a memory event is what is left of it once the rows are taken out in which it was
filling: after its start or a jump upward, until it has caught up for the first time, as long as it
is behind what was requested by more than that tolerance and grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
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
_TICK_S = 0.02  # of a memory stressor
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
        wanted_bytes: of the level that it never reached, the one it was furthest from; 0 when it
            reached all of them.
        reached_bytes: how far it came there before the level ended.
    """

    seconds: float
    bytes_per_s: float
    wanted_bytes: float = 0.0
    reached_bytes: float = 0.0

    @property
    def is_unfinished(self) -> bool:
        """Whether a level ended before it was reached."""
        return self.wanted_bytes > 0

    @property
    def needed_s(self) -> float:
        """How much longer that level would have taken at that pace."""
        missing_bytes = self.wanted_bytes - self.reached_bytes
        if self.bytes_per_s > 0:
            return missing_bytes / self.bytes_per_s
        return float("inf")


@dataclass(frozen=True)
class Fidelity:
    """How close the delivered load came to the plan.

    Levels are in the unit of the resource's columns.

    Attributes:
        requested_mean, delivered_mean: means over the rows that lie within the event.
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


def window_s(resource: str) -> float:
    """Return the length of the means that settling is judged by."""
    if resource == "disk":
        return 1.0
    return 0.5


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
    ends_s, lengths_s, requested, delivered = (
        ends_s[inside],
        lengths_s[inside],
        requested[inside],
        delivered[inside],
    )
    error = delivered - requested
    requested_mean = float(np.average(requested, weights=lengths_s))
    bias = float(np.average(error, weights=lengths_s))
    plateau = filling = None
    if resource == "memory":
        is_edge = _holds_a_jump(ends_s, lengths_s, jumps_s)
        is_filling, filling = _filling(
            ends_s, lengths_s, requested, delivered, held, jumps_s, is_edge
        )
        plateau = _plateau(lengths_s, requested, error, ~is_filling & ~is_edge)
    starts_s, window_requested, window_error = _windows(
        window_s(resource), ends_s, lengths_s, requested, error, jumps_s
    )
    return Fidelity(
        requested_mean=requested_mean,
        delivered_mean=requested_mean + bias,
        bias=bias,
        error_percent=100.0 * bias / requested_mean if requested_mean > 0 else None,
        rmse=float(np.sqrt(np.average(error**2, weights=lengths_s))),
        settled_s=_settled_s(
            starts_s, np.abs(window_error) <= tolerance(resource, window_requested)
        ),
        overshoot=float(max(0.0, window_error.max())) if len(window_error) else 0.0,
        rows=len(error),
        plateau=plateau,
        filling=filling,
    )


def _filling(
    ends_s: Array,
    lengths_s: Array,
    requested: Array,
    delivered: Array,
    held: Array,
    jumps_s: tuple[float, ...],
    is_edge: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], Filling | None]:
    """Return in which rows memory was filling, and how that went.

    It fills after the start and after each jump upward, until it has caught up for the first time.
    A level that falls to what is held was not caught up with: it ended unreached.
    """
    band = tolerance("memory", requested)
    before = np.searchsorted(ends_s, ends_s - lengths_s - window_s("memory") - _EDGE_S)
    earlier = np.where(before > 0, held[np.maximum(before - 1, 0)], 0.0)
    is_behind_and_growing = (delivered < requested - band) & (held - earlier > _GROWING_BYTES)
    is_filling = np.zeros(len(ends_s), dtype=bool)
    wanted_bytes = reached_bytes = 0.0
    for first, bound in _climbs(ends_s, lengths_s, requested, jumps_s):
        if is_edge[bound - 1]:
            last = max(first + 1, bound - 1)
        else:
            last = bound
        caught = np.flatnonzero(delivered[first:last] >= requested[first:last] - band[first:last])
        if len(caught):
            end = first + int(caught[0])
        else:
            end = last
        is_filling[first:end] = is_behind_and_growing[first:end]
        if not is_filling[first:end].any():
            continue
        peak = first + int(np.argmax(requested[first : min(end + 1, last)]))
        has_fallen = end < last and requested[end] < requested[peak] - band[peak]
        is_last_growing = is_filling[end - 1]
        if (
            (has_fallen or end == last)
            and is_last_growing
            and requested[peak] - held[end - 1] > wanted_bytes - reached_bytes
        ):
            wanted_bytes, reached_bytes = float(requested[peak]), float(held[end - 1])
    seconds = float(lengths_s[is_filling].sum())
    if seconds <= 0:
        return is_filling, None
    grown_bytes = float(np.diff(held, prepend=0.0)[is_filling].sum())
    return is_filling, Filling(
        seconds, max(0.0, grown_bytes) / seconds, wanted_bytes, reached_bytes
    )


def _holds_a_jump(ends_s: Array, lengths_s: Array, jumps_s: tuple[float, ...]) -> NDArray[np.bool_]:
    """Tell which rows hold a jump, or end with one.

    What is held at their end is of the level after it.
    """
    jumps = np.asarray([jump_s for jump_s in jumps_s if jump_s > _EDGE_S])
    after = np.searchsorted(jumps, ends_s - lengths_s + _EDGE_S)
    return np.asarray(np.append(jumps, np.inf)[after] <= ends_s + _TICK_S)


def _climbs(
    ends_s: Array, lengths_s: Array, requested: Array, jumps_s: tuple[float, ...]
) -> list[tuple[int, int]]:
    """Return the rows between the start, or a jump upward, and the next jump.

    The first of them, and the one after the last.
    """
    begins_s = ends_s - lengths_s
    first_rows = [
        0,
        *sorted(
            {
                int(np.searchsorted(begins_s, jump_s - _EDGE_S))
                for jump_s in jumps_s
                if jump_s > _EDGE_S
            }
        ),
    ]
    bounds = [*(row for row in first_rows if row < len(ends_s)), len(ends_s)]
    climbs = []
    for first, last in pairwise(bounds):
        # the row before may hold the jump
        if first > 1:
            before = requested[first - 2]
        else:
            before = 0.0
        if last > first and requested[first] > before:
            climbs.append((first, last))
    return climbs


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


def _windows(
    length_s: float,
    ends_s: Array,
    lengths_s: Array,
    requested: Array,
    error: Array,
    jumps_s: tuple[float, ...],
) -> tuple[Array, Array, Array]:
    """Return start, mean requested and mean error of every window of whole rows.

    Those that begin within 0.5 s after a jump, or hold one, are left out.
    """
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
    if len(outside):
        return float(starts_s[outside[-1] + 1])
    return 0.0

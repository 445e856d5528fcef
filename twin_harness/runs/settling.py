"""When a load counts as settled: window means within a tolerance of what was requested.

The windows and tolerances are those of ``settled_s`` in the format of ``annotations.csv``: every
0.5 s mean (disk 1 s) within 1 point (cpu), 1 % or 16 MiB (memory) or 5 % (disk) of what was
requested, with 0.5 s after each jump of the shape left out.
"""

from __future__ import annotations

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


def window_s(resource: str) -> float:
    """Return the length of the means that settling is judged by."""
    if resource == "disk":
        return 1.0
    return 0.5


def tolerance(resource: str, requested: Array) -> Array:
    """Return how far a window mean may be off to count as settled, in the unit of ``requested``."""
    if resource == "cpu":
        return np.full_like(requested, _CPU_POINTS)
    if resource == "memory":
        return np.maximum(requested * _MEMORY_SHARE, _MEMORY_BYTES)
    return requested * _DISK_SHARE


def window_errors(
    length_s: float,
    ends_s: Array,
    lengths_s: Array,
    requested: Array,
    error: Array,
    jumps_s: tuple[float, ...],
) -> tuple[Array, Array, Array]:
    """Return start, mean requested and mean error of every window of whole rows.

    Those that begin within 0.5 s after a jump, or hold one, are left out.

    Args:
        length_s: of a window.
        ends_s: shape (rows,), when each row was taken, in seconds from the start of the event.
        lengths_s: shape (rows,), seconds since the row before.
        requested: shape (rows,), mean requested since the row before.
        error: shape (rows,), delivered − requested.
        jumps_s: when the shape jumps.
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


def settled_since_s(starts_s: Array, is_within: NDArray[np.bool_]) -> float | None:
    """Return the start of the first window from which on every one is within; None is never."""
    if len(starts_s) == 0 or not is_within[-1]:
        return None
    outside = np.flatnonzero(~is_within)
    if len(outside):
        return float(starts_s[outside[-1] + 1])
    return 0.0

"""How memory filled, and the plateau of the event that is left without that.

The plateau is what is left of a memory event once the rows are taken out in which it was filling:
after its start or a jump upward, until it has caught up for the first time, as long as it is behind
what was requested by more than the tolerance of settling and grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.runs.settling import tolerance, window_s

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

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


def filling_rows(
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

    Args:
        ends_s: shape (rows,), when each row was taken, in seconds from the start of the event.
        lengths_s: shape (rows,), seconds since the row before.
        requested: shape (rows,), mean bytes requested since the row before.
        delivered: shape (rows,), mean bytes delivered since the row before.
        held: shape (rows,), bytes held at the row.
        jumps_s: when the shape jumps.
        is_edge: shape (rows,), rows that hold a jump, or end with one.
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


def holds_a_jump(ends_s: Array, lengths_s: Array, jumps_s: tuple[float, ...]) -> NDArray[np.bool_]:
    """Return which rows hold a jump, or end with one.

    What is held at their end is of the level after it.

    Args:
        ends_s: shape (rows,), when each row was taken, in seconds from the start of the event.
        lengths_s: shape (rows,), seconds since the row before.
        jumps_s: when the shape jumps, in seconds from the start of the event.
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


def plateau_of(
    lengths_s: Array, requested: Array, error: Array, is_chosen: NDArray[np.bool_]
) -> Plateau | None:
    """Return the plateau that the chosen rows are; None where they stand for no time.

    Args:
        lengths_s: shape (rows,), seconds since the row before.
        requested: shape (rows,), mean requested since the row before.
        error: shape (rows,), mean delivered less requested since the row before.
        is_chosen: shape (rows,), which rows the plateau is made of.
    """
    seconds = float(lengths_s[is_chosen].sum())
    if seconds <= 0:
        return None
    weights = lengths_s[is_chosen]
    requested_mean = float(np.average(requested[is_chosen], weights=weights))
    bias = float(np.average(error[is_chosen], weights=weights))
    return Plateau(seconds, requested_mean, requested_mean + bias)

"""Memory in free run: how fast it is filled, which depends on what the hypervisor backs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.conditions import Start
from twin_harness.predict.demand import CHANNELS
from twin_harness.predict.parameters import NAMES

if TYPE_CHECKING:
    from twin_harness.predict.demand import Capacity

Memory = dict[str, np.ndarray]
# Parameters on which memory and its backing depend: of the sets that a derivative takes, nearly all
# have the same, and what they share is followed once.
_FILLING = tuple(
    NAMES.index(name)
    for name in ("fill_fresh", "fill_warm", "warm_idle", "warm_for", "fresh_first", "fill_yield")
)
_HELD_BYTES = 0.5
_FAIR_SHARE = 0.5  # of a CPU that two tasks of the same weight want (EEVDF, kernel/sched/fair.c)


def follow_memory(
    parameters: np.ndarray,
    levels: np.ndarray,
    capacity: Capacity,
    start: Start | None = None,
    step_s: float = 1.0,
) -> Memory:
    """Follow the memory of plans alone: second by second, and so best of many plans at once.

    Args:
        parameters: as of ``simulate``.
        levels: as of ``simulate``.
        capacity: as of ``simulate``.
        start: as of ``simulate``.
        step_s: as of ``simulate``.

    Returns:
        By name ``resident`` (bytes), ``filling`` and ``slowed`` (shares) and ``freed`` (bytes/s),
            each (plans, members, seconds).
    """
    asked = {name: levels[:, np.newaxis, index, :] for index, name in enumerate(CHANNELS)}
    sets, set_of = _distinct(parameters[:, _FILLING])
    p = {NAMES[index]: parameters[np.newaxis, sets, index, np.newaxis] for index in _FILLING}
    warm = _backed(p, start or Start.idle(len(levels)), (len(levels), len(sets)))
    followed = _fill(p, asked, asked["cpu_percent"] / 100.0, capacity, warm, step_s)
    if np.array_equal(set_of, np.arange(len(parameters))):
        return followed
    return {name: values[:, set_of] for name, values in followed.items()}


def _distinct(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which parameter sets differ, (sets,), and which of those each equals, (members,)."""
    if len(parameters) == 1:
        return np.zeros(1, dtype=int), np.zeros(1, dtype=int)
    _, sets, set_of = np.unique(parameters, axis=0, return_index=True, return_inverse=True)
    return sets, set_of.reshape(-1)


def _backed(p: dict[str, np.ndarray], start: Start, shape: tuple[int, int]) -> np.ndarray:
    """Return the free memory that the hypervisor backs before the first second.

    (plans, members), in bytes.
    """
    idle, keep = p["warm_idle"][..., 0], np.exp(-1.0 / p["warm_for"][..., 0])
    warm = np.broadcast_to(idle, shape)
    if start.held_bytes is None:
        return warm.copy()
    for taken in np.diff(start.held_bytes, append=0.0).T[..., np.newaxis]:
        left = np.maximum(warm - np.maximum(taken, 0.0), 0.0) + np.maximum(-taken, 0.0)
        warm = np.maximum(left * keep, np.minimum(idle, left))
    return warm


def _fill(
    p: dict[str, np.ndarray],
    asked: dict[str, np.ndarray],
    used: np.ndarray,
    capacity: Capacity,
    warm: np.ndarray,
    step_s: float,
) -> dict[str, np.ndarray]:
    """Follow the memory that is asked for as fast as it can be filled: fast where it is backed.

    Memory that is freed stays backed until the guest reports it (mm/page_reporting.c), a part of
    the free lists every two seconds. The blocks that are taken first are the small ones, which were
    reported first.
    """
    ends = np.minimum(asked["memory_end_bytes"], capacity.memory_bytes)
    previous = np.concatenate([np.zeros_like(ends[..., :1]), ends[..., :-1]], axis=-1)
    # Which part of its second a step of the plan leaves: a jump in the middle of a second has the
    # middle as its mean.
    changes = ends - previous
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = np.where(
            changes != 0, np.clip((asked["memory_bytes"] - previous) / changes, 0.0, 1.0), 1.0
        )
    slowed = np.maximum(1.0 / (1.0 + p["fill_yield"] * np.minimum(used, 1.0)), _FAIR_SHARE)
    warm_rate, fresh_rate = p["fill_warm"] * slowed, p["fill_fresh"] * slowed
    idle, keep = p["warm_idle"][..., 0], np.exp(-step_s / p["warm_for"][..., 0])
    shape = np.broadcast_shapes(ends.shape, warm_rate.shape)
    resident, first = np.zeros(shape[:2]), np.broadcast_to(p["fresh_first"][..., 0], shape[:2])
    series = {name: np.empty(shape) for name in ("resident", "filling", "freed")}
    # how many seconds from each on no plan asks for anything else than at its begin
    quiet = _lengths_of((np.abs(changes) < _HELD_BYTES).all(axis=(0, 1)))
    second = 0
    while second < shape[2]:
        missing = ends[..., second] - resident
        if quiet[second] and np.abs(missing).max() < _HELD_BYTES:  # every plan holds what it has
            held = slice(second, second + quiet[second])
            series["resident"][..., held] = resident[..., np.newaxis]
            series["filling"][..., held] = series["freed"][..., held] = 0.0
            warm = np.maximum(warm * keep ** quiet[second], np.minimum(idle, warm))
            second += quiet[second]
            continue
        behind = resident < previous[..., second] - 1.0
        room_s = step_s * np.where(behind, 1.0, parts[..., second])
        wanted, freed = np.maximum(missing, 0.0), np.maximum(-missing, 0.0)
        begun = np.minimum(np.minimum(wanted, first), fresh_rate[..., second] * room_s)
        begun_s = begun / fresh_rate[..., second]
        fast = np.minimum(
            np.minimum(wanted - begun, warm),
            warm_rate[..., second] * np.maximum(room_s - begun_s, 0.0),
        )
        fast_s = begun_s + fast / warm_rate[..., second]
        slow = np.minimum(
            wanted - begun - fast, fresh_rate[..., second] * np.maximum(room_s - fast_s, 0.0)
        )
        taken, taken_s = begun + fast + slow, fast_s + slow / fresh_rate[..., second]
        first = first - begun
        series["resident"][..., second] = (
            resident + taken * (room_s - taken_s / 2.0) / step_s - freed * parts[..., second]
        )
        series["filling"][..., second] = taken_s / step_s
        series["freed"][..., second] = freed / step_s
        resident = resident + taken - freed
        left = warm - fast + freed
        warm = np.maximum(left * keep, np.minimum(idle, left))
        second += 1
    return {**series, "slowed": np.broadcast_to(slowed, shape)}


def _lengths_of(is_quiet: np.ndarray) -> list[int]:
    """Return how many seconds in a row, (seconds,), are quiet from each second on."""
    lengths, ahead = [], 0
    for quiet in is_quiet[::-1]:
        ahead = ahead + 1 if quiet else 0
        lengths.append(ahead)
    return lengths[::-1]

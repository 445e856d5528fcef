"""The grey box in free run: from demand alone to every modelled column.

For many plans and many parameter sets at once.

Steps of one second unless given. Only memory and its backing are carried from step to
step in a loop; everything else follows from them and the plan by array, load by the kernel's own
recursion. Bounds are physical: CPU time within the machine, memory within its limit, the device
within its bandwidth, so no run can diverge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.conditions import Start
from twin_harness.predict.demand import CHANNELS
from twin_harness.predict.kernel import LOAD_DECAYS, LOAD_PERIOD_S, average, keep_of
from twin_harness.predict.parameters import NAMES

if TYPE_CHECKING:
    from twin_harness.predict.conditions import Others
    from twin_harness.predict.demand import Capacity

_GIB, _GB = 2.0**30, 1e9
_LONGEST_LOG_MS = 11.0  # a minute
_STILL = 1e-3  # of a busy device: below it nothing bends
# per share of the CPUs: a tenth of them keeps a machine awake half of the time that it would sleep
# for I/O
_AWAKE = 8.0
_CATCHING_UP = 200.0  # a percent of pause is enough
# Parameters on which memory and its backing depend: of the sets that a derivative takes, nearly all
# have the same, and what they share is followed once.
_FILLING = tuple(
    NAMES.index(name)
    for name in ("fill_fresh", "fill_warm", "warm_idle", "warm_for", "fresh_first", "fill_yield")
)
_FAIR_SHARE = 0.5  # of a CPU that two tasks of the same weight want (EEVDF, kernel/sched/fair.c)


def simulate(
    parameters: np.ndarray,
    levels: np.ndarray,
    capacity: Capacity,
    start: Start | None = None,
    step_s: float = 1.0,
    others: Others | None = None,
) -> dict[str, np.ndarray]:
    """Run the model freely.

    Args:
        parameters: (members, parameters) in the order of ``parameters.NAMES``.
        levels: (plans, channels, seconds), as ``demand.stacked`` makes them.
        capacity: of the machine.
        start: the state before the first second; idle unless given.
        step_s: how long each step is.
        others: what others use; where that is NaN, and unless it is given, what they use at rest:
            the parameters ``background_cpu``, ``disk_background`` and ``memory_idle``.

    Returns:
        Columns of the dataset by name, each (plans, members, seconds): means over each second, of
            probes the worst in it.
    """
    p = {name: parameters[np.newaxis, :, index, np.newaxis] for index, name in enumerate(NAMES)}
    asked = {name: levels[:, np.newaxis, index, :] for index, name in enumerate(CHANNELS)}
    start = start or Start.idle(len(levels))
    used = asked["cpu_percent"] / 100.0
    sets, set_of = _distinct(parameters[:, _FILLING])
    p_memory = {name: p[name][:, sets] for name in map(NAMES.__getitem__, _FILLING)}
    warm = _backed(p_memory, start, (len(levels), len(sets)))
    followed = _fill(p_memory, asked, used, capacity, warm, step_s)
    memory = {name: values[:, set_of] for name, values in followed.items()}
    disk = _move(p, asked, step_s)
    per_cpu = 100.0 / capacity.cpus

    # Who fills memory beside load waits for a CPU part of the time, and uses none then.
    moved = (p["write_cpu"] * disk["by_stressors"] + p["read_cpu"] * disk["read"]) / _GB
    side = per_cpu * (
        p["fill_cpu"] * memory["filling"] * memory["slowed"]
        + p["free_cpu"] * memory["freed"] / _GIB
        + moved
    )
    beyond = np.zeros((1, 1, 1))
    if others is not None:
        beyond = np.nan_to_num(others.cpu_percent - p["background_cpu"])
    beside = (
        p["background_cpu"]
        + beyond
        + p["harness_cpu"]
        + (p["start_cost"] * asked["host_starts"] + p["end_cost"] * asked["host_ends"]) / step_s
    )
    own = asked["cpu_percent"] + np.maximum(asked["cpu_total_percent"] - beside - side, 0.0) * (
        asked["cpu_total_percent"] > 0
    )
    total = beside + side + own
    excess = np.maximum(total - 100.0, 0.0)
    cpu = np.minimum(total, 100.0)
    delivered = np.maximum(own - excess, 0.0)
    busy = own / 100.0

    tasks = (
        p["load_idle"]
        + p["load_cpu"] * capacity.cpus * (busy + beyond / 100.0)
        + p["load_fill"] * memory["filling"]
        + p["load_disk"] * disk["busy"]
    )
    first = np.where(
        np.isnan(start.load1)[:, np.newaxis], p["load_start"][..., 0], start.load1[:, np.newaxis]
    )
    wait = p["cpu_wait_idle"] + p["cpu_wait_fill"] * memory["filling"] * (1.0 - memory["slowed"])
    wait = (
        wait
        + busy * (p["cpu_wait_load"] + p["cpu_wait_both"] * disk["busy"])
        + p["cpu_wait_disk"] * disk["busy"]
    )
    cpu_wait = 100.0 * -np.expm1(-(wait + excess) / 100.0)
    # A CPU that is awake takes the end of an I/O at once; one that sleeps has to be woken, which a
    # virtual machine pays for with a trip to its host.
    awake = 1.0 + p["io_wait_relief"] * np.expm1(
        -_AWAKE * (busy + memory["filling"] / capacity.cpus)
    )
    waits = (
        p["io_wait_direct"] * disk["direct"],
        p["io_wait_read"] * disk["reading"],
        p["io_wait_sync"] * disk["synced"],
    )
    io_wait = np.minimum(
        100.0,
        p["io_wait_idle"]
        + awake * sum(waits) * np.maximum(disk["busy"], _STILL) ** (p["io_wait_bend"] - 1.0),
    )
    # Who wakes up meets load that has just begun its slice, unless it never pauses and so never has
    # time to catch up on (EEVDF's lag).
    pauses = -np.expm1(-_CATCHING_UP * np.maximum(1.0 - busy, 0.0))
    wakeup = (
        p["wakeup_idle"]
        - pauses * p["wakeup_load"] * np.expm1(-busy * p["wakeup_reach"])
        + (1.0 - pauses) * p["wakeup_full"]
    )
    wakeup = wakeup + p["wakeup_wait"] * cpu_wait / 100.0
    work = p["work_idle"] + p["work_load"] * busy + p["work_wait"] * cpu_wait / 100.0
    at_rest, by_others = p["memory_idle"], p["disk_background"]
    if others is not None:
        at_rest = _known(others.memory_percent[..., np.newaxis], at_rest)
        by_others = _known(others.write_bytes_per_s, by_others)
    at_rest = _known(start.memory_percent[:, np.newaxis, np.newaxis], at_rest)
    return {
        "cpu_percent": cpu,
        "memory_percent": np.minimum(
            at_rest + 100.0 * p["memory_overhead"] * memory["resident"] / capacity.memory_bytes,
            100.0,
        ),
        "load1": average(tasks, first, keep_of(LOAD_DECAYS["load1"], LOAD_PERIOD_S, step_s)),
        "disk_write_bytes_per_s": disk["written"] + by_others,
        "disk_read_bytes_per_s": disk["read"],
        "pressure_cpu_percent": cpu_wait,
        "pressure_io_percent": io_wait,
        "probe_wakeup_ms": np.exp(np.minimum(wakeup, _LONGEST_LOG_MS)),
        "probe_cpu_ms": np.exp(np.minimum(work, _LONGEST_LOG_MS)),
        "disk_busy_percent": np.minimum(100.0 * disk["busy"], 100.0),
        "load_share": np.maximum(np.maximum(busy, memory["filling"]), disk["busy"]),
        "cpu_delivered_percent": delivered,
        "cpu_side_percent": side,
        "harness_cpu_percent": np.broadcast_to(p["harness_cpu"], cpu.shape),
        "memory_delivered_bytes": memory["resident"],
        "disk_delivered_bytes_per_s": disk["moved"],
    }


def _known(values: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Return values, and something else where they are NaN."""
    chosen: np.ndarray = np.where(np.isnan(values), otherwise, values)
    return chosen


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
    for second in range(shape[2]):
        behind = resident < previous[..., second] - 1.0
        room_s = step_s * np.where(behind, 1.0, parts[..., second])
        missing = ends[..., second] - resident
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
    return {**series, "slowed": np.broadcast_to(slowed, shape)}


def _move(
    p: dict[str, np.ndarray], asked: dict[str, np.ndarray], step_s: float
) -> dict[str, np.ndarray]:
    """Share the device among what is asked of it; what does not fit is not made up for later."""
    direct, reading = (
        asked["write_bytes_per_s"] / p["write_bandwidth"],
        asked["read_bytes_per_s"] / p["read_bandwidth"],
    )
    synced = asked["sync_bytes_per_s"] / p["sync_bandwidth"]
    share = 1.0 / np.maximum(direct + reading + synced, 1.0)
    written = (asked["write_bytes_per_s"] + asked["sync_bytes_per_s"]) * share
    read = asked["read_bytes_per_s"] * share
    filled = np.minimum(asked["filled_bytes"] / step_s, p["write_bandwidth"])
    return {
        "direct": direct * share,
        "reading": reading * share,
        "synced": synced * share,
        "busy": (direct + reading + synced) * share,
        "written": written + filled,
        "by_stressors": written,
        "read": read,
        "moved": written + read,
    }

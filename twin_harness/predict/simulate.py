"""The grey box in free run: from demand alone to every modelled column.

For many plans and many parameter sets at once.

Steps of one second unless given. Only memory and its backing are carried from step to step in a
loop (``memory_use``); everything else follows from them and the plan by array, load by the kernel's
own recursion. Bounds are physical: CPU time within the machine, memory within its limit, the device
within its bandwidth, so no run can diverge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.conditions import Start
from twin_harness.predict.demand import CHANNELS
from twin_harness.predict.kernel import LOAD_DECAYS, LOAD_PERIOD_S, average, keep_of
from twin_harness.predict.memory_use import follow_memory
from twin_harness.predict.parameters import NAMES

if TYPE_CHECKING:
    from twin_harness.predict.conditions import Others
    from twin_harness.predict.demand import Capacity
    from twin_harness.predict.memory_use import Memory

_GIB, _GB = 2.0**30, 1e9
_LONGEST_LOG_MS = 11.0  # a minute
_STILL = 1e-3  # of a busy device: below it nothing bends
# per share of the CPUs: a tenth of them keeps a machine awake half of the time that it would sleep
# for I/O
_AWAKE = 8.0
_CATCHING_UP = 200.0  # a percent of pause is enough


def simulate(
    parameters: np.ndarray,
    levels: np.ndarray,
    capacity: Capacity,
    start: Start | None = None,
    step_s: float = 1.0,
    others: Others | None = None,
    *,
    memory: Memory | None = None,
    has_logs: bool = False,
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
        memory: as ``follow_memory`` returns it for the same plans, where it is known already.
        has_logs: whether latencies are returned as logarithms of ms.

    Returns:
        Columns of the dataset by name, each (plans, members, seconds), or 1 member where all are
            alike: means over each second, of probes the worst in it.
    """
    p = {name: parameters[np.newaxis, :, index, np.newaxis] for index, name in enumerate(NAMES)}
    asked = {name: levels[:, np.newaxis, index, :] for index, name in enumerate(CHANNELS)}
    start = start or Start.idle(len(levels))
    memory = memory or follow_memory(parameters, levels, capacity, start, step_s)
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
    own = asked["cpu_percent"]
    if (asked["cpu_total_percent"] > 0).any():
        own = own + np.maximum(asked["cpu_total_percent"] - beside - side, 0.0) * (
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
    io_wait = _wait_for_disk(parameters, disk, busy, memory["filling"] / capacity.cpus)
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
    latency = np.positive if has_logs else np.exp
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
        "probe_wakeup_ms": latency(np.minimum(wakeup, _LONGEST_LOG_MS)),
        "probe_cpu_ms": latency(np.minimum(work, _LONGEST_LOG_MS)),
        "disk_busy_percent": np.minimum(100.0 * disk["busy"], 100.0),
        "load_share": np.maximum(np.maximum(busy, memory["filling"]), disk["busy"]),
        "cpu_delivered_percent": delivered,
        "cpu_side_percent": side,
        "harness_cpu_percent": np.broadcast_to(p["harness_cpu"], cpu.shape),
        "memory_delivered_bytes": memory["resident"],
        "disk_delivered_bytes_per_s": disk["moved"],
    }


def _wait_for_disk(
    parameters: np.ndarray, disk: dict[str, np.ndarray], busy: np.ndarray, filling: np.ndarray
) -> np.ndarray:
    """Return I/O pressure in percent, (plans, members, seconds): powers where the disk works alone.

    A CPU that is awake takes the end of an I/O at once; one that sleeps has to be woken, which a
    virtual machine pays for with a trip to its host.

    Args:
        parameters: (members, parameters).
        disk: as ``_move`` returns it.
        busy: (plans, 1 or members, seconds) share of the CPUs that load uses.
        filling: (plans, members, seconds) the share that filling memory uses.
    """

    def of(name: str) -> np.ndarray:
        return parameters[:, NAMES.index(name), np.newaxis]

    shape = np.broadcast_shapes(disk["busy"].shape, filling.shape)
    idle = parameters[np.newaxis, :, NAMES.index("io_wait_idle"), np.newaxis]
    io_wait = np.broadcast_to(idle, shape).copy()
    plans, seconds = np.nonzero(disk["busy"].any(axis=1))
    if not len(plans):
        return io_wait

    def at(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, shape)[plans, :, seconds].T

    awake = 1.0 + of("io_wait_relief") * np.expm1(-_AWAKE * (at(busy) + at(filling)))
    waits = (
        of("io_wait_direct") * at(disk["direct"])
        + of("io_wait_read") * at(disk["reading"])
        + of("io_wait_sync") * at(disk["synced"])
    )
    bent = np.maximum(at(disk["busy"]), _STILL) ** (of("io_wait_bend") - 1.0)
    io_wait[plans, :, seconds] = np.minimum(100.0, of("io_wait_idle") + awake * waits * bent).T
    return io_wait


def _known(values: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Return values, and something else where they are NaN."""
    chosen: np.ndarray = np.where(np.isnan(values), otherwise, values)
    return chosen


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

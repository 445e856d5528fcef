"""Why the machine could not deliver an event: others' work, steal, or a slow device.

The reason holds when delivered fell more than a point (cpu) or a percent (memory, disk) short of
requested, and at least half of what is missing is explained by the time that the load waited for
its resource while it was behind (``starved_s`` in the annotation's parameters: in a run queue by
the kernel's account, for memory to be filled, for the device) or that the hypervisor took. A
stressor that asks for too little waits for nothing and is never excused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twin_harness.metrics import RESOURCE_COLUMNS, is_within_quota
from twin_harness.runs.delivery import total_percent

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.runs.window import Window
    from twin_harness.schedule.event import Event

_SHORT_POINTS, _SHORT_SHARE, _LEAST_EXPLAINED = 1.0, 0.01, 0.5


def lack_of_room(recording: Window, event_id: str) -> str:
    """Return why the machine could not deliver an event; empty when it could have.

    Raises:
        InvalidInput: there is no such event.
        Undecided: it never began.
    """
    event = recording.experiment.event(event_id)
    if event.stressor not in RESOURCE_COLUMNS:
        return ""
    window = recording.during(event_id)
    seconds_s = float(window.samples["dt_s"].sum())
    if seconds_s <= 0:
        return ""
    if event.is_of_system and (reason := _excess_of_others(window.samples, event_id)):
        return reason
    starved_s = _starved_s(recording, event)
    requested, short = _requested_and_short(window.samples, event, seconds_s)
    if event.stressor == "cpu":
        return _lack_of_cpu(recording.machine, window, short, starved_s)
    if (
        requested <= 0
        or short <= _SHORT_SHARE * requested
        or starved_s < _LEAST_EXPLAINED * short / requested * seconds_s
    ):
        return ""
    if event.stressor == "memory":
        awaited = "memory to be filled"
    else:
        awaited = "the device"
    return (
        f"the machine had no room: {100.0 * short / requested:.1f} % short, while the load"
        f" waited {starved_s:.2f} s of {seconds_s:.2f} s for {awaited} (n = {len(window.samples)}"
        " samples)"
    )


def _requested_and_short(
    samples: pd.DataFrame, event: Event, seconds_s: float
) -> tuple[float, float]:
    """Return the means of requested, and of what delivered fell short of it."""
    requested_column, delivered_column = RESOURCE_COLUMNS[event.stressor]
    if event.is_of_system:
        delivered = total_percent(samples)
    else:
        delivered = samples[delivered_column]
    requested = float((samples[requested_column] * samples["dt_s"]).sum()) / seconds_s
    short = float(((samples[requested_column] - delivered) * samples["dt_s"]).sum()) / seconds_s
    return requested, short


def _starved_s(recording: Window, event: Event) -> float:
    """Return how long an event waited for its resource.

    With those that used the resource at the same time: they share what is missing.
    """
    row_of = {row.event: row for row in reversed(recording.rows)}
    waited_s = 0.0
    for other in recording.experiment.events:
        is_beside = other.start_s < event.end_s and other.end_s > event.start_s
        row = row_of.get(other.id)
        if other.stressor == event.stressor and is_beside and row is not None and row.parameters:
            waited_s += float(json.loads(row.parameters).get("starved_s", 0.0))
    return waited_s


def _lack_of_cpu(machine: dict[str, Any], window: Window, short: float, starved_s: float) -> str:
    """Return why CPU time was missing; empty when the load itself did too little.

    Args:
        machine: what the experiment ran on.
        window: of the event.
        short: points of the machine that were missing, on the mean.
        starved_s: how long the load stood in run queues.
    """
    if short <= _SHORT_POINTS:
        return ""
    seconds_s = float(window.samples["dt_s"].sum())
    capacity = float(machine.get("cpu_capacity", 1.0))
    missing_s = short / 100.0 * capacity * seconds_s
    steal = window.mean("cpu_steal_percent")
    # Within a quota, steal is a share of the CPUs' time and not of the quota.
    if is_within_quota(machine):
        stolen_s = steal / 100.0 * len(machine["cpus"]) * seconds_s
        others = "others in its control group"
    else:
        stolen_s = steal / 100.0 * capacity * seconds_s
        others = "others"
    if starved_s + stolen_s < _LEAST_EXPLAINED * missing_s:
        return ""
    harness_percent = window.samples.get("harness_cpu_percent")
    if harness_percent is None or harness_percent.isna().all():
        harness = 0.0
    else:
        harness = float(harness_percent.mean())
    if window.samples["cpu_background_percent"].isna().all():
        taken = "an unknown part"
    else:
        taken = f"{window.mean('cpu_background_percent'):.1f} %"
    return (
        f"the machine had no room: {short:.1f} points short, that is {missing_s:.2f} s of CPU"
        f" time, while the load stood {starved_s:.2f} s in run queues; {others} took {taken},"
        f" the harness {harness:.1f} % and the hypervisor {steal:.1f} % (n ="
        f" {len(window.samples)} samples)"
    )


def _excess_of_others(samples: pd.DataFrame, event_id: str) -> str:
    """Return why a total of the machine was too high: others alone exceeded it.

    Empty when they did not.
    """
    total = total_percent(samples)
    others = total - samples["cpu_delivered_percent"]
    requested = samples["cpu_requested_percent"]
    seconds = samples["dt_s"]
    weight_s = float(seconds.sum())
    beyond = float(((total - requested) * seconds).sum()) / weight_s
    by_others = float(((others - requested).clip(lower=0.0) * seconds).sum()) / weight_s
    if beyond <= _SHORT_POINTS or by_others < _LEAST_EXPLAINED * beyond:
        return ""
    return (
        f"the machine had no room: others alone were {by_others:.1f} points above the total that"
        f" {event_id} fills up to (n = {len(samples)} samples)"
    )

"""Headroom: what memory and space experiments need, and what the machine has left for them now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.schedule.peaks import peak
from twin_harness.system.available_memory import AvailableMemory
from twin_harness.system.machine import look_at_folder
from twin_harness.system.space_watch import space_from

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twin_harness.control.limits import GuardLimits
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment
    from twin_harness.system.machine import Machine


def available_memory_bytes(machine: Machine) -> int:
    """Return the memory that new work can have now, in the machine and in the control group.

    A part has no more than its share.
    """
    source = AvailableMemory(machine.bounding_limit_bytes)
    try:
        available_bytes = source.read_bytes() or 0
    finally:
        source.close()
    if machine.memory_share_bytes is None:
        return available_bytes
    return min(available_bytes, machine.memory_share_bytes)


def memory_floor_bytes(guard: GuardLimits, machine: Machine) -> float:
    """Return the memory that must stay available in the whole machine, not only in a part of it."""
    if guard.memory_available:
        return guard.memory_available.of(machine.memory_limit_bytes * machine.parts)
    return 0.0


def disk_floor_bytes(guard: GuardLimits, machine: Machine) -> float:
    """Return the space that must stay free on the scratch filesystem."""
    limit = guard.disk_free
    if not limit:
        return 0.0
    if limit.unit == "percent":
        return limit.of(_filesystem_bytes(machine.scratch_dir))
    return limit.of(0.0)


def free_disk_bytes(folder: str) -> int:
    """Return the free space under a folder, as an ordinary user sees it.

    Raises:
        Unanswered: its filesystem does not answer.
    """
    return space_from(*look_at_folder(folder)["space"]).free_bytes


def _filesystem_bytes(folder: str) -> int:
    return space_from(*look_at_folder(folder)["space"]).total_bytes


def with_scales(events: Iterable[Event], machine: Machine) -> list[tuple[Event, float]]:
    """Return events, each with what one unit of its level is in its resource's column."""
    return [
        (event, event.scale(machine.cpu_capacity, machine.memory_limit_bytes)) for event in events
    ]


def needs_of(experiment: Experiment, machine: Machine) -> dict[str, float]:
    """Return the highest sum of each resource's levels over time, and the space of scratch files.

    In the units of the dataset's columns.
    """

    def highest(stressor: str) -> float:
        events = [event for event in experiment.events if event.stressor == stressor]
        return peak(with_scales(events, machine))[0]

    space = sum(
        int(event.option("file_bytes")) for event in experiment.events if event.stressor == "disk"
    )
    return {
        "cpu_peak_percent": highest("cpu"),
        "memory_peak_bytes": highest("memory"),
        "disk_peak_bytes_per_s": highest("disk"),
        "space_bytes": space,
    }


def room_of(machine: Machine, guard: GuardLimits) -> dict[str, float]:
    """Return the memory and the space that experiments can have now, above the guard's floors."""
    memory_bytes = (
        available_memory_bytes(machine) - memory_floor_bytes(guard, machine) / machine.parts
    )
    space_bytes = free_disk_bytes(machine.scratch_dir) - disk_floor_bytes(guard, machine)
    return {"memory_bytes": max(0.0, memory_bytes), "space_bytes": max(0.0, space_bytes)}

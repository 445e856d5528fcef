"""An experiment against machine and guard.

What it cannot carry is refused before anything starts, by path and figure.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import InvalidInput
from twin_harness.schedule.peaks import lines_of, peak
from twin_harness.shapes.shape import Trace
from twin_harness.system.available_memory import AvailableMemory, is_swap_active
from twin_harness.system.control_group import ControlGroup
from twin_harness.system.cpu_temperature import cpu_temperature_files
from twin_harness.system.machine import look_at_folder
from twin_harness.system.space_watch import space_from

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twin_harness.control.limits import GuardLimits
    from twin_harness.schedule.model import Event, Experiment
    from twin_harness.system.machine import Machine

_ROUNDING = 1e-6
_MOST_LOAD_PROCESSES = 512
COLD_FILL_BYTES_PER_S = 0.4 * 2**30


def available_memory_bytes(machine: Machine) -> int:
    """Return what new work can have now, in the machine and in the control group.

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
    """Return what must stay available in the whole machine, of which this may be a part."""
    if guard.memory_available:
        return guard.memory_available.of(machine.memory_limit_bytes * machine.parts)
    return 0.0


def disk_floor_bytes(guard: GuardLimits, machine: Machine) -> float:
    """Return the space that must stay free on the scratch filesystem."""
    limit = guard.disk_free
    if limit:
        return limit.of(_filesystem_bytes(machine.scratch_dir) if limit.unit == "percent" else 0.0)
    return 0.0


def free_disk_bytes(folder: str) -> int:
    """Return the free space under a folder, as an ordinary user sees it.

    Raises:
        Unanswered: its filesystem does not answer.
    """
    return space_from(*look_at_folder(folder)["space"]).free_bytes


def _filesystem_bytes(folder: str) -> int:
    return space_from(*look_at_folder(folder)["space"]).total_bytes


def _scaled(events: Iterable[Event], machine: Machine) -> list[tuple[Event, float]]:
    """Return events, each with what one unit of its level is in its resource's column."""
    return [
        (event, event.scale(machine.cpu_capacity, machine.memory_limit_bytes)) for event in events
    ]


def needs_of(experiment: Experiment, machine: Machine) -> dict[str, float]:
    """Return the highest sum of each resource's levels over time, in the units of the dataset's columns, and the space of its scratch files."""

    def highest(stressor: str) -> float:
        return peak(
            _scaled([event for event in experiment.events if event.stressor == stressor], machine)
        )[0]

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
    """Return the memory and the space that experiments can have now without crossing the guard's floors."""
    memory_bytes = (
        available_memory_bytes(machine) - memory_floor_bytes(guard, machine) / machine.parts
    )
    space_bytes = free_disk_bytes(machine.scratch_dir) - disk_floor_bytes(guard, machine)
    return {"memory_bytes": max(0.0, memory_bytes), "space_bytes": max(0.0, space_bytes)}


def check(
    experiment: Experiment,
    machine: Machine,
    guard: GuardLimits,
    *,
    is_scratch_named: bool = False,
    may_run_commands: bool = False,
) -> list[str]:
    """Check an experiment and return warnings, a sentence each.

    Args:
        experiment: what is asked for.
        machine: what it is asked of.
        guard: the limits; an experiment that would cross them is refused.
        is_scratch_named: the user chose the scratch folder, so a memory-backed one is taken.
        may_run_commands: programs may be run as load.

    Raises:
        InvalidInput: the machine has not the CPUs, the memory, the space, the filesystem or the
            program, or programs are not allowed.
    """
    by_stressor: dict[str, list[Event]] = defaultdict(list)
    for event in experiment.events:
        by_stressor[event.stressor].append(event)
    _check_commands(experiment, may_run_commands=may_run_commands)
    _check_cpu(experiment, by_stressor["cpu"], machine)
    warnings = _check_disk(
        experiment, by_stressor["disk"], machine, guard, is_scratch_named=is_scratch_named
    )
    late = _late_traces(experiment)
    return [
        *_unwatched(guard),
        *late,
        *warnings,
        *_check_memory(experiment, by_stressor["memory"], machine, guard),
    ]


def _late_traces(experiment: Experiment) -> list[str]:
    """Return a warning for each trace of which the event sees the first level only.

    Times since 1970, or in another unit.
    """
    return [
        f"{experiment.name}: the trace of {event.id} begins at "
        f"{event.shape.points[0][0] * event.shape.time_scale:.12g} s, after the "
        f"{event.duration_s:g} s of "
        f"the event, which so asks for {event.level(0):g} {event.unit} throughout; expected times "
        "from the start of the event"
        for event in experiment.events
        if isinstance(event.shape, Trace)
        and event.shape.points[0][0] * event.shape.time_scale >= event.duration_s
        and len(event.shape.points) > 1
    ]


def _unwatched(guard: GuardLimits) -> list[str]:
    """Return a warning for each limit that was named and that this machine cannot tell."""
    cannot = {
        "temperature": guard.temperature not in (None, inf) and not cpu_temperature_files(),
        "pressure_memory": (
            guard.pressure_memory is not None and not Path("/proc/pressure/memory").exists()
        ),
        "swap": guard.swap is not None and not is_swap_active(),
    }
    return [
        f"the guard cannot watch {name}: this machine does not tell it; the other limits hold"
        for name, is_mute in cannot.items()
        if is_mute
    ]


def _check_commands(experiment: Experiment, *, may_run_commands: bool) -> None:
    for index, event in enumerate(experiment.events):
        if event.stressor != "command":
            continue
        program, folder, where = (
            event.options["argv"][0],
            event.option("cwd"),
            f"{experiment.name}: events[{index}].options",
        )
        if not may_run_commands:
            msg = (
                f"{where}.argv: {program!r} is a command, and commands are not allowed; expected"
                " --twin-allow-commands on the command line"
            )
            raise InvalidInput(msg)
        if folder is not None and not Path(folder).is_dir():
            msg = (
                f"{where}.cwd: {folder!r} is no folder; make it, or leave cwd out to run in the"
                " scratch folder"
            )
            raise InvalidInput(msg)
        if shutil.which(str(Path(folder or "", program)) if "/" in program else program) is None:
            msg = (
                f"{where}.argv[0]: {program!r} is no program that can be run; expected one on PATH"
                " or a path to one, install it or mend the name"
            )
            raise InvalidInput(msg)


def _check_system_target(experiment: Experiment, events: list[Event], machine: Machine) -> None:
    for event in events:
        if (
            event.is_of_system
            and machine.is_within_quota
            and (machine.partition or ControlGroup().cpu_use() is None)
        ):
            if machine.partition:
                what = "of a part"
            else:
                what = "of its control group"
            msg = (
                f"{experiment.name}: CPU event {event.id} has target system, but a CPU quota binds"
                f" here and the total {what} cannot be read; expected target own, or a machine"
                " without a quota (`twin doctor` says more)"
            )
            raise InvalidInput(msg)
        for other in events if event.is_of_system else ():
            if other is not event and other.start_s < event.end_s and other.end_s > event.start_s:
                msg = (
                    f"{experiment.name}: CPU event {other.id} overlaps {event.id}, whose target is"
                    " the total of the machine and so holds it; expected one of them at a time"
                )
                raise InvalidInput(msg)


def _check_cpu(experiment: Experiment, events: list[Event], machine: Machine) -> None:
    for index, event in enumerate(experiment.events):
        if machine.partition and event.options.get("cpus"):
            msg = (
                f"{experiment.name}: events[{index}].options.cpus: expected none in parts of a"
                " machine, whose CPUs differ; leave cpus out"
            )
            raise InvalidInput(msg)
        if event.stressor == "cpu":
            strange = sorted(set(event.options.get("cpus") or ()) - set(machine.cpus))
        else:
            strange = []
        if strange:
            msg = (
                f"{experiment.name}: events[{index}].options.cpus: {strange} are not among the"
                f" allowed CPUs {list(machine.cpus)}; name some of these"
            )
            raise InvalidInput(msg)
    _check_system_target(experiment, events, machine)
    scaled = _scaled(events, machine)
    total, at_s = peak(scaled)
    if total > 100 + _ROUNDING * 100:
        msg = (
            f"{experiment.name}: CPU events ask for {total:g} percent of the machine together at"
            f" {at_s:g} s; expected at most 100, lower or separate them"
        )
        raise InvalidInput(msg)
    processes = sum(len(event.options.get("cpus") or machine.cpus) for event in events)
    if processes > _MOST_LOAD_PROCESSES:
        msg = (
            f"{experiment.name}: CPU events would need {processes} load processes; expected at most"
            f" {_MOST_LOAD_PROCESSES}, use fewer events or a trace"
        )
        raise InvalidInput(msg)
    looked_at = set()
    for cpu in machine.cpus:
        own = [
            (event, factor * machine.cpu_capacity / len(_cpus_of(event, machine)))
            for event, factor in scaled
            if cpu in _cpus_of(event, machine)
        ]
        names = tuple(event.id for event, _ in own)
        # Most CPUs have the same events; and those that are spread over all CPUs ask no more of one
        # than of the machine.
        if names in looked_at or not any(event.options.get("cpus") for event, _ in own):
            continue
        looked_at.add(names)
        busiest, at_s = peak(own)
        if busiest > 100 + _ROUNDING * 100:
            msg = (
                f"{experiment.name}: CPU events ask for {busiest:g} percent of CPU {cpu} together"
                f" at {at_s:g} s; expected at most 100, lower or separate them"
            )
            raise InvalidInput(msg)


def _cpus_of(event: Event, machine: Machine) -> set[int]:
    return set(event.options.get("cpus") or machine.cpus)


def _check_memory(
    experiment: Experiment, events: list[Event], machine: Machine, guard: GuardLimits
) -> list[str]:
    if not events:
        return []
    total, at_s = peak(_scaled(events, machine))
    floor = memory_floor_bytes(guard, machine) / machine.parts
    available = available_memory_bytes(machine)
    if total + floor > available:
        if machine.partition:
            of_part = f" to part {machine.partition}"
        else:
            of_part = ""
        msg = (
            f"{experiment.name}: memory events ask for {total / 2**20:.0f} MiB at {at_s:g} s;"
            f" expected at most {max(0, available - floor) / 2**20:.0f} MiB, which is the"
            f" {available / 2**20:.0f} MiB available{of_part} less the guard's floor of"
            f" {floor / 2**20:.0f} MiB; lower the level or --twin-guard"
        )
        raise InvalidInput(msg)
    warnings = []
    for event, factor in _scaled(events, machine):
        slow = _cannot_fill(event, factor)
        if slow:
            rise, within_s, from_s = slow
            if from_s > 0:
                when = f" from {from_s:g} s on"
            else:
                when = ""
            warnings.append(
                f"{experiment.name}: {event.id} asks for {rise / 2**20:.0f} MiB within "
                f"{within_s:g} s{when}; "
                "memory that the hypervisor has not backed yet fills "
                f"at about {COLD_FILL_BYTES_PER_S / 2**20:.0f} MiB/s, so it may settle late or "
                "never"
            )
    return warnings


def _cannot_fill(event: Event, factor: float) -> tuple[float, float, float] | None:
    """Return the highest level of a memory event, the time to fill it, and from when on; or None.

    None where that time is long enough.
    What is held follows the level down at once, and up no faster than cold memory fills.
    """
    lines = lines_of(event.shape, event.duration_s)
    at_s = np.column_stack([lines.at_s[:-1], lines.at_s[1:]]).ravel()
    levels = np.column_stack([lines.first, lines.last]).ravel() * factor
    at_s, levels = np.append(0.0, at_s), np.append(0.0, levels)
    # At no moment more than at an earlier one and what can be filled since: the lowest of these
    # bounds is what is held.
    lag = levels - COLD_FILL_BYTES_PER_S * at_s
    lowest = np.minimum.accumulate(lag)
    held = lowest + COLD_FILL_BYTES_PER_S * at_s
    if held.max() >= levels.max() * (1 - _ROUNDING):
        return None
    top = int(np.flatnonzero(levels >= levels.max() * (1 - _ROUNDING))[-1])
    since = int(np.flatnonzero(lag[: top + 1] <= lowest[top])[-1])
    return float(levels.max()), float(at_s[top] - at_s[since]), float(event.start_s + at_s[since])


def _check_disk(
    experiment: Experiment,
    events: list[Event],
    machine: Machine,
    guard: GuardLimits,
    *,
    is_scratch_named: bool,
) -> list[str]:
    """Return warnings; what must not run is refused."""
    if not events:
        return []
    layers = machine.scratch_layers or machine.scratch_filesystem
    if machine.backing in ("memory", "network") and not is_scratch_named:
        msg = (
            f"{experiment.name}: the scratch folder {machine.scratch_dir} is on {layers}, which is"
            " no disk of this machine; name one with --twin-scratch-dir"
        )
        raise InvalidInput(msg)
    needed = sum(int(event.option("file_bytes")) for event in events)
    floor = disk_floor_bytes(guard, machine)
    free = free_disk_bytes(machine.scratch_dir)
    room = max(0.0, free - floor) / machine.parts
    if needed > room:
        if machine.partition:
            of_part = f", for each of {machine.parts} parts"
        else:
            of_part = ""
        msg = (
            f"{experiment.name}: disk events need {needed / 2**20:.0f} MiB in"
            f" {machine.scratch_dir}; expected at most {room / 2**20:.0f} MiB, which is the"
            f" {free / 2**20:.0f} MiB free less the guard's floor of {floor / 2**20:.0f}"
            f" MiB{of_part}; lower file_bytes or name another --twin-scratch-dir"
        )
        raise InvalidInput(msg)
    if machine.backing == "memory":
        warning = (
            f"{experiment.name}: the scratch folder {machine.scratch_dir} is on {layers}, which is"
            " memory: no byte of the disk load reaches a device, so none counts as delivered"
        )
        return [warning]
    return []

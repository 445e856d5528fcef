"""Preflight: an experiment against machine and guard.

What it cannot carry is refused before anything starts, by path and figure.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.control import headroom
from twin_harness.control.preflight_cpu import check_cpu
from twin_harness.control.preflight_memory import check_memory
from twin_harness.errors import InvalidInput
from twin_harness.shapes.trace import Trace
from twin_harness.system.available_memory import is_swap_active
from twin_harness.system.cpu_temperature import cpu_temperature_files

if TYPE_CHECKING:
    from twin_harness.control.limits import GuardLimits
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment
    from twin_harness.system.machine import Machine


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
    check_cpu(experiment, by_stressor["cpu"], machine)
    warnings = _check_disk(
        experiment, by_stressor["disk"], machine, guard, is_scratch_named=is_scratch_named
    )
    return [
        *_unwatched(guard),
        *_late_traces(experiment),
        *warnings,
        *check_memory(experiment, by_stressor["memory"], machine, guard),
    ]


def _late_traces(experiment: Experiment) -> list[str]:
    """Return a warning for each trace of which the event sees the first level only.

    Times since 1970, or in another unit.
    """
    warnings = []
    for event in experiment.events:
        if not isinstance(event.shape, Trace) or len(event.shape.points) <= 1:
            continue
        begin_s = event.shape.points[0][0] * event.shape.time_scale
        if begin_s >= event.duration_s:
            warnings.append(
                f"{experiment.name}: the trace of {event.id} begins at {begin_s:.12g} s, after the"
                f" {event.duration_s:g} s of the event, which so asks for {event.level(0):g}"
                f" {event.unit} throughout; expected times from the start of the event"
            )
    return warnings


def _unwatched(guard: GuardLimits) -> list[str]:
    """Return a warning for each limit that was named and that this machine does not report."""
    cannot = {
        "temperature": guard.temperature not in (None, inf) and not cpu_temperature_files(),
        "pressure_memory": (
            guard.pressure_memory is not None and not Path("/proc/pressure/memory").exists()
        ),
        "swap": guard.swap is not None and not is_swap_active(),
    }
    return [
        f"the guard cannot watch {name}: this machine does not report it; the other limits hold"
        for name, is_mute in cannot.items()
        if is_mute
    ]


def _check_commands(experiment: Experiment, *, may_run_commands: bool) -> None:
    for index, event in enumerate(experiment.events):
        if event.stressor != "command":
            continue
        program, folder = event.options["argv"][0], event.option("cwd")
        where = f"{experiment.name}: events[{index}].options"
        if not may_run_commands:
            msg = (
                f"{where}.argv: {program!r} is a command, and commands are not allowed; expected"
                " --twin-allow-commands on the command line"
            )
            raise InvalidInput(msg)
        if folder is not None and not Path(folder).is_dir():
            msg = (
                f"{where}.cwd: {folder!r} is not a folder; create it, or leave cwd out to run in"
                " the scratch folder"
            )
            raise InvalidInput(msg)
        if "/" in program:
            program_file = str(Path(folder or "", program))
        else:
            program_file = program
        if shutil.which(program_file) is None:
            msg = (
                f"{where}.argv[0]: {program!r} is not an executable program; expected one on PATH"
                " or a path to one, install it or correct the name"
            )
            raise InvalidInput(msg)


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
            " not a disk of this machine; name one with --twin-scratch-dir"
        )
        raise InvalidInput(msg)
    needed = sum(int(event.option("file_bytes")) for event in events)
    floor = headroom.disk_floor_bytes(guard, machine)
    free = headroom.free_disk_bytes(machine.scratch_dir)
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

"""Where a runner works, and the plans of the processes that it starts there."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.control.headroom import disk_floor_bytes, memory_floor_bytes
from twin_harness.schedule.event_options import custom_stressors
from twin_harness.schedule.tolerance import NO_TOLERANCE
from twin_harness.shapes import shape as shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.control.annotations import AnnotationRecorder
    from twin_harness.control.limits import GuardLimits
    from twin_harness.control.runner_parallel import Admission
    from twin_harness.runs.folder import RunFolder
    from twin_harness.runs.records import PlannedExperiment
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment
    from twin_harness.system.board import Board
    from twin_harness.system.guard_messages import GuardPlan
    from twin_harness.system.load_messages import BoardPlan, EventPlan, HostPlan
    from twin_harness.system.machine import Machine


def _options(event: Event) -> dict[str, Any]:
    """Return an event's options, of a command with program and folder as preflight found them.

    Load hosts run elsewhere.
    """
    options = event.resolved_options()
    if event.stressor != "command":
        return options
    if options["cwd"]:
        folder = str(Path(options["cwd"]).resolve())
    else:
        folder = None
    program, *words = options["argv"]
    path = program
    if "/" in program:
        path = str(Path(folder or "", program))
    executable = shutil.which(path)
    if executable:
        program_path = str(Path(executable).absolute())
    else:
        program_path = program
    return {**options, "cwd": folder, "argv": [program, *words], "program": program_path}


def _import_path(custom: dict[str, str]) -> list[str]:
    """Return where a load host looks for projects' stressors.

    An editable install is found by a hook that the host does not have.
    """
    if not custom:
        return []
    folders = []
    for reference in custom.values():
        spec = find_spec(reference.partition(":")[0].partition(".")[0])
        if spec is not None and spec.origin is not None:
            folder = Path(spec.origin).resolve().parent
            if spec.submodule_search_locations:
                folder = folder.parent
            folders.append(str(folder))
    return [*folders, *(str(Path(folder).resolve()) for folder in sys.path)]


def _variables(names: list[str]) -> dict[str, str]:
    """Return the caller's variables of these names.

    They go to the load host alone, and are written nowhere.
    """
    return {name: os.environ[name] for name in names if name in os.environ}


@dataclass
class Site:
    """Where a runner works: everything of the session that it needs.

    Attributes:
        folder: the run folder.
        board: the load board.
        machine: this machine, or the worker's part of it.
        guard: the session's limits.
        recorder: writes this worker's annotations.
        interval_s: between two samples.
        controller_pid: the process that load must not outlive.
        ensure_logger: makes sure that samples are taken.
        warn: called with each sentence that the user should read.
        admission: who may load the machine now.
        tolerance: the session's, for experiments without one of their own.
        worker: name of the worker.
        is_scratch_named: the user chose the scratch folder.
        may_run_commands: programs may be run as load.
        all_cpus: where the guard may run: also beside the machine's part.
    """

    folder: RunFolder
    board: Board
    machine: Machine
    guard: GuardLimits
    recorder: AnnotationRecorder
    interval_s: float
    controller_pid: int
    ensure_logger: Callable[[], None]
    warn: Callable[[str], None]
    admission: Admission
    tolerance: str = NO_TOLERANCE
    worker: str = "main"
    is_scratch_named: bool = False
    may_run_commands: bool = False
    all_cpus: tuple[int, ...] = ()

    def event_plans(self, experiment: Experiment) -> list[EventPlan]:
        """Return an experiment's events as load host and logger read them."""
        machine = self.machine
        return [
            {
                "id": event.id,
                "stressor": event.stressor,
                "start_s": event.start_s,
                "duration_s": event.duration_s,
                "shape": shapes.to_json(event.shape),
                "scale": event.scale(machine.cpu_capacity, machine.memory_limit_bytes),
                "options": _options(event),
            }
            for event in experiment.events
        ]

    def host_plan(self, experiment: Experiment) -> HostPlan:
        """Return the plan of an experiment's load host."""
        machine = self.machine
        custom = {
            event.stressor: custom_stressors()[event.stressor]
            for event in experiment.events
            if event.stressor in custom_stressors()
        }
        return {
            "board": str(self.board.path),
            "watch_pids": sorted({os.getpid(), self.controller_pid}),
            "cpus": list(machine.cpus),
            "cpu_capacity": machine.cpu_capacity,
            "scratch_dir": machine.scratch_dir,
            "is_scratch_memory": machine.backing == "memory",
            "is_pinned": bool(machine.partition),
            "part": machine.part_number,
            "memory_floor_bytes": int(memory_floor_bytes(self.guard, machine)),
            "memory_limit_bytes": machine.bounding_limit_bytes,
            "custom": custom,
            "custom_path": _import_path(custom),
            "environments": {
                event.id: _variables(event.option("env"))
                for event in experiment.events
                if event.stressor == "command"
            },
            "events": self.event_plans(experiment),
        }

    def guard_limits(self, experiment: Experiment) -> GuardPlan | None:
        """Return the limits that an experiment's guard watches; None when the guard is off."""
        if not self.guard.is_on:
            return None
        machine = self.machine
        return {
            "board": str(self.board.path),
            "controller_pid": self.controller_pid,
            "part": machine.part_number,
            "has_commands": any(event.stressor == "command" for event in experiment.events),
            "cpus": list(self.all_cpus),
            "memory_floor_bytes": int(memory_floor_bytes(self.guard, machine)),
            "memory_limit_bytes": machine.bounding_limit_bytes,
            "temperature_celsius": self.guard.temperature,
            "pressure_memory_percent": self.guard.pressure_memory,
            "swap_percent": self.guard.swap,
            "disk_floor_bytes": int(disk_floor_bytes(self.guard, machine)),
            "scratch_dir": machine.scratch_dir,
        }

    def board_plan(self, planned: PlannedExperiment) -> BoardPlan:
        """Return a running experiment as the load board holds it."""
        return {
            "experiment": planned.experiment.name,
            "partition": planned.partition,
            "begin_s": planned.begin_s,
            "zero_s": planned.zero_s,
            "end_s": planned.end_s,
            "events": self.event_plans(planned.experiment),
        }

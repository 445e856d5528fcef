"""Which stressor carries an event, and the share of the load that each of its processes follows."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from twin_harness.shapes import shape as shapes
from twin_harness.stress.command_stress import CommandStress, environment_of
from twin_harness.stress.cpu_stress import CpuStress, Team
from twin_harness.stress.disk_stress import DiskStress
from twin_harness.stress.load import Load
from twin_harness.stress.mem_stress import MemoryStress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twin_harness.stress.hosted_event import HostedEvent
    from twin_harness.stress.load import Stressor
    from twin_harness.system.board import Board
    from twin_harness.system.load_messages import HostStart


class Stressors:
    """Makes the stressors of a host's events.

    Args:
        plan: the host's.
        board: the load board, where buffered disk load and commands report what they got.
        mark: the beginning of the mark of every command's processes.
    """

    def __init__(self, plan: HostStart, board: Board, mark: str) -> None:
        self._plan = plan
        self._board = board
        self._mark = mark

    def loads_of(
        self, event: HostedEvent, zero_s: float
    ) -> Iterator[tuple[Load, Callable[[int], Stressor]]]:
        """Return the load of each process of an event.

        With it comes what makes its stressor there, given the process's slot on the board.
        """
        plan = event.plan
        shape, start_s = shapes.from_json(plan["shape"]), zero_s + plan["start_s"]
        if plan["stressor"] != "cpu":
            load = Load(shape, start_s, plan["duration_s"], plan["scale"], plan["options"])
            yield load, partial(self._make, event, load)
            return
        cpus = sorted(set(plan["options"].get("cpus") or self._plan["cpus"]))
        team = Team.of(cpus, is_within_quota=self._plan["cpu_capacity"] < len(self._plan["cpus"]))
        for index in range(len(team.cpus)):
            # A child's share of one percent of the machine, in CPU seconds per second.
            scale = plan["scale"] * self._plan["cpu_capacity"] / 100.0 / len(team.cpus)
            load = Load(shape, start_s, plan["duration_s"], scale, plan["options"])
            yield load, partial(_make_cpu_stressor, load, replace(team, index=index))

    def _make(self, event: HostedEvent, load: Load, slot: int) -> Stressor:
        """Make the stressor of an event that one process carries."""
        kind = event.plan["stressor"]
        if event.maker is not None:
            return event.maker(load)
        if kind == "memory":
            floor_bytes = self._plan["memory_floor_bytes"]
            return MemoryStress(load, floor_bytes, self._plan["memory_limit_bytes"])
        if kind == "command":
            load.options["cwd"] = load.options["cwd"] or self._plan["scratch_dir"]
            variables = self._plan["environments"][event.plan["id"]]
            return CommandStress(
                load,
                environment_of(f"{self._mark}{event.index}.", variables),
                lambda total_ns: self._board.publish_self_reported(slot, total_ns),
            )
        return self._make_disk_stressor(event, load, slot)

    def _make_disk_stressor(self, event: HostedEvent, load: Load, slot: int) -> Stressor:
        # The disk may hold this process for ever: nobody is to wait with it for the machine, or for
        # the end of our output. Every fault goes through the pipe to the host, so nothing is lost.
        os.dup2(1, 2)
        for descriptor in self._plan["locks"]:
            os.close(descriptor)
        is_memory = self._plan["is_scratch_memory"]  # what is written there reaches no device

        def count_fsynced(total_bytes: int) -> None:
            self._board.publish_self_reported(slot, 0 if is_memory else total_bytes)

        scratch_file = -1
        if event.descriptor is not None:
            scratch_file = event.descriptor
        return DiskStress(load, scratch_file, count_fsynced)


def _make_cpu_stressor(load: Load, team: Team, slot: int) -> Stressor:
    del slot  # the kernel accounts for its CPU time
    return CpuStress(load, team)

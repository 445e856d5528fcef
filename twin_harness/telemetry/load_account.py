"""Requested and delivered.

The plan and the kernel's account of the load processes, read at the moment of a sample.

Requested is the mean of level(t) since the row before. Delivered is what the kernel says the load
processes got in the same time: CPU clocks in ns, resident pages, I/O bytes. Nobody reports on
himself, but for bytes whose fsync has returned.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple

from twin_harness.shapes import shape as shapes
from twin_harness.system.board_layout import ENDED
from twin_harness.system.board_processes import UNCOUNTED, LoadProcess
from twin_harness.system.procfs import process_cpu_ns, process_io_bytes, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.shapes.shape import Shape
    from twin_harness.system.board import Board


@dataclass(frozen=True, slots=True)
class PlannedLoad:
    """An event as the logger needs it.

    Absolute times, and the factor from its level to the unit of the column.
    """

    event_id: str
    stressor: str
    shape: Shape
    start_s: float
    duration_s: float
    scale: float

    def requested(self, begin_s: float, end_s: float) -> float:
        """Return the mean planned load between two instants, 0 outside the event, in the unit of the column."""
        from_s, to_s = max(begin_s - self.start_s, 0.0), min(end_s - self.start_s, self.duration_s)
        if to_s <= from_s:
            return 0.0
        area = self.shape.area(to_s, self.duration_s) - self.shape.area(from_s, self.duration_s)
        return area * self.scale / (end_s - begin_s)

    def is_active(self, begin_s: float, end_s: float) -> bool:
        """Tell whether the event overlaps the time between two instants."""
        return self.start_s < end_s and self.start_s + self.duration_s > begin_s


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """A running experiment: its name, its window on CLOCK_MONOTONIC and its loads."""

    name: str
    begin_s: float
    end_s: float
    loads: tuple[PlannedLoad, ...]
    partition: str = ""

    @classmethod
    def from_json(cls, plan: dict[str, Any]) -> PlannedWindow:
        """Read a plan from the board."""
        loads = tuple(
            PlannedLoad(
                event["id"],
                event["stressor"],
                shapes.from_json(event["shape"]),
                plan["zero_s"] + event["start_s"],
                event["duration_s"],
                event["scale"],
            )
            for event in plan["events"]
        )
        return cls(
            plan["experiment"], plan["begin_s"], plan["end_s"], loads, plan.get("partition", "")
        )


@dataclass(slots=True)
class _Known:
    """A load process and where its counters stood at the row before."""

    process: LoadProcess
    cpu_ns: int
    moved_bytes: float
    part: int


class Account(NamedTuple):
    """What one row says about load.

    Percents are of the machine, rates over the time since the row before.
    """

    experiment: str
    active_events: str
    cpu_requested: float
    cpu_delivered: float
    memory_requested: float
    memory_delivered: float
    disk_requested: float
    disk_delivered: float
    cpu_side: float
    harness_cpu: float


@dataclass(slots=True)
class _Got:
    """What the load processes of a part got since the sample before."""

    cpu_ns: int = 0
    side_ns: int = 0
    moved_bytes: float = 0
    held_bytes: int = 0
    harness_ns: float = 0.0


_IDLE = Account("", "", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class LoadAccount:
    """Follows plans and processes on the board from sample to sample.

    Args:
        board: the load board.
        cpu_capacity: how many CPUs are 100 percent; of a part where there are some.
        parts: names of the machine's parts, each of which has an account. What the harness costs
            there (worker, load host, guard) is the part's; what it costs in common (logger, probe,
            controller) is shared equally among them.
    """

    def __init__(self, board: Board, cpu_capacity: float, parts: Sequence[str] = ("",)) -> None:
        self._board = board
        self._ns_per_percent = cpu_capacity * 1e7
        self._parts = tuple(parts)
        self._has_io_account = process_io_bytes(os.getpid()) is not None  # gVisor keeps none
        self._part_of_slot: dict[int, int] = {}
        self._plans_generation = -1
        self._sequences: tuple[int, ...] = ()
        self._plans: dict[int, PlannedWindow] = {}
        self._generation = -1
        self._known: dict[int, _Known] = {}
        self._are_all_ours = False
        # Of each process: where its CPU time, its moved bytes and its held bytes stand.
        self._readings: list[tuple[_Known, int | None, float, int]] | None = None

    def read(self) -> None:
        """Read where the counters of every process stand now.

        What was read before without a sample is forgotten.
        """
        self._refresh_plans()  # first: they say which part a new process belongs to
        self._refresh_processes()
        if self._are_all_ours and not self._plans:  # most rows
            self._readings = [
                (known, process_cpu_ns(known.process.pid) if known.process.pid else None, 0, 0)
                for known in self._known.values()
            ]
        else:
            self._readings = [self._reading(known) for known in self._known.values()]

    def sample(self, begin_s: float, end_s: float) -> tuple[Account, ...]:
        """Return requested and delivered between two instants, the second of which is when ``read`` was called, else now, of each part."""
        if self._readings is None:
            self.read()
        if self._are_all_ours and not self._plans:  # most rows: no load at all
            ns_per_percent = self._ns_per_percent * (end_s - begin_s)
            return tuple(
                _IDLE._replace(harness_cpu=spent_ns / ns_per_percent)
                for spent_ns in self._harness_ns()
            )
        got = self._read_processes()
        windows = sorted(
            (
                plan
                for plan in self._plans.values()
                if plan.begin_s < end_s and plan.end_s > begin_s
            ),
            key=lambda window: window.begin_s,
        )
        return tuple(
            self._account(
                [window for window in windows if window.partition == name],
                got[part],
                begin_s,
                end_s,
            )
            for part, name in enumerate(self._parts)
        )

    def _account(
        self, windows: list[PlannedWindow], got: _Got, begin_s: float, end_s: float
    ) -> Account:
        """Return the account of a part, given what runs there and what it got."""
        requested = {"cpu": 0.0, "memory": 0.0, "disk": 0.0}
        active: list[str] = []
        for window in windows:
            for load in window.loads:
                if load.is_active(begin_s, end_s):
                    if load.stressor in requested:
                        requested[load.stressor] += load.requested(begin_s, end_s)
                    active.append(
                        load.event_id if len(windows) == 1 else f"{window.name}/{load.event_id}"
                    )
        percent_per_ns = 1.0 / (self._ns_per_percent * (end_s - begin_s))
        return Account(
            experiment="+".join(window.name for window in windows),
            active_events="+".join(active),
            cpu_requested=requested["cpu"],
            cpu_delivered=got.cpu_ns * percent_per_ns,
            memory_requested=requested["memory"],
            memory_delivered=got.held_bytes,
            disk_requested=requested["disk"],
            disk_delivered=got.moved_bytes / (end_s - begin_s),
            cpu_side=got.side_ns * percent_per_ns,
            harness_cpu=got.harness_ns * percent_per_ns,
        )

    def _refresh_plans(self) -> None:
        """Read the plans whose sequence counters have moved."""
        generation = self._board.plans_generation
        if generation == self._plans_generation:
            return
        self._plans_generation = generation
        sequences = self._board.plan_sequences()
        for slot, sequence in enumerate(sequences):
            if self._sequences and sequence == self._sequences[slot]:
                continue
            plan = self._board.read_plan(slot)
            if plan is None:
                self._plans.pop(slot, None)
            else:
                self._plans[slot] = window = PlannedWindow.from_json(plan)
                if window.partition in self._parts:
                    self._part_of_slot[slot] = self._parts.index(window.partition)
                else:
                    self._part_of_slot[slot] = 0
        self._sequences = sequences

    def _refresh_processes(self) -> None:
        """Take up new processes, and what is new about known ones."""
        generation = self._board.generation
        if generation == self._generation:
            return
        is_first, self._generation = self._generation == -1, generation
        present = {}
        for process in self._board.processes():
            known = self._known.get(process.slot)
            if known is not None and known.process.pid in (0, process.pid):
                known.process = process
                if process.kind == "disk" and known.moved_bytes == UNCOUNTED:
                    known.moved_bytes = process.base
                present[process.slot] = known
            else:
                if process.kind == "harness":
                    first_ns = process.base
                else:
                    first_ns = 0
                if (
                    is_first and process.kind == "harness"
                ):  # what it spent before the first row is of no row
                    first_ns = (process_cpu_ns(process.pid) if process.pid else None) or first_ns
                present[process.slot] = _Known(
                    process,
                    first_ns,
                    process.base if process.kind == "disk" else 0,
                    self._part_of_slot.get(process.plan, -1),
                )
        self._known = present
        self._are_all_ours = all(
            known.process.kind == "harness" and known.process.state != ENDED
            for known in present.values()
        )

    def _reading(self, known: _Known) -> tuple[_Known, int | None, float, int]:
        """Read the counters of a process."""
        process = known.process
        moved_bytes: float = 0
        held_bytes = 0
        if process.kind in ("disk", "disk_buffered"):
            moved_bytes = self._moved_bytes(process)
        elif process.kind == "memory" and process.state != ENDED and process.pid:
            held_bytes = max(0, (resident_bytes(process.pid) or 0) - process.base)
        return known, self._cpu_ns(process), moved_bytes, held_bytes

    def _taken(self) -> list[tuple[_Known, int | None, float, int]]:
        """Return what was read, once."""
        readings, self._readings = self._readings or [], None
        return readings

    def _harness_ns(self) -> list[float]:
        """Return what the harness has spent for each part since the sample before."""
        spent_ns = [0.0] * len(self._parts)
        for known, now_ns, _, _ in self._taken():
            if now_ns is not None and now_ns > known.cpu_ns:
                self._charge(spent_ns, known.process.plan, now_ns - known.cpu_ns)
                known.cpu_ns = now_ns
        return spent_ns

    def _charge(self, spent_ns: list[float], part_number: int, more_ns: int) -> None:
        """Charge what a process of the harness spent to its part.

        To all of them what it spent for all.
        """
        if 0 < part_number <= len(spent_ns):
            spent_ns[part_number - 1] += more_ns
        else:
            for part in range(len(spent_ns)):
                spent_ns[part] += more_ns / len(spent_ns)

    def _read_processes(self) -> list[_Got]:
        """Return what the load of each part got since the sample before, and what the harness spent for it."""
        parts, harness_ns = [_Got() for _ in self._parts], [0.0] * len(self._parts)
        for known, now_ns, moved_bytes, held_bytes in self._taken():
            process = known.process
            if known.part < 0:  # its plan had not been read yet
                known.part = self._part_of_slot.get(process.plan, -1)
            got = parts[max(0, known.part)]
            if now_ns is not None and now_ns > known.cpu_ns:
                spent_ns, known.cpu_ns = now_ns - known.cpu_ns, now_ns
                if process.kind == "harness":
                    self._charge(harness_ns, process.plan, spent_ns)
                elif process.kind == "cpu":
                    got.cpu_ns += spent_ns
                else:
                    got.side_ns += spent_ns
            if moved_bytes != moved_bytes:  # noqa: PLR0124 - NaN alone is unequal to itself
                got.moved_bytes = nan
            elif moved_bytes > known.moved_bytes:
                got.moved_bytes += moved_bytes - known.moved_bytes
                known.moved_bytes = moved_bytes
            got.held_bytes += held_bytes
            if process.state == ENDED:
                self._board.consume_process(process.slot)
                del self._known[process.slot]
        for part, spent in zip(parts, harness_ns, strict=True):
            part.harness_ns = spent
        return parts

    def _cpu_ns(self, process: LoadProcess) -> int | None:
        """Return what a process has spent; of a command it is the whole tree."""
        if process.kind == "command":
            return self._board.self_reported(process.slot)
        if process.state == ENDED:
            return process.final[0]
        if process.pid:
            return process_cpu_ns(process.pid)
        return None

    def _moved_bytes(self, process: LoadProcess) -> float:
        """Return the bytes that a disk load has moved since its start.

        NaN where the kernel keeps no account of them.
        """
        if process.kind == "disk" and not self._has_io_account:
            return nan
        if process.kind == "disk_buffered":
            return self._board.self_reported(process.slot)
        if process.state == ENDED:
            return process.final[1]
        if process.pid:
            return sum(process_io_bytes(process.pid) or (0, 0))
        return 0

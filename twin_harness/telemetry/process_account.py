"""What the kernel says the processes on the load board got, from sample to sample."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING, TypeAlias

from twin_harness.system.board_layout import ENDED
from twin_harness.system.board_processes import UNCOUNTED
from twin_harness.system.procfs import process_cpu_ns, process_io_bytes, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twin_harness.system.board import Board
    from twin_harness.system.board_processes import LoadProcess


@dataclass(slots=True)
class _Known:
    """A load process and where its counters stood at the row before.

    Attributes:
        process: its slot on the board.
        cpu_ns: its CPU time then.
        moved_bytes: its I/O bytes then.
        part: index of the machine's part; negative where its plan has not been read yet.
    """

    process: LoadProcess
    cpu_ns: int
    moved_bytes: float
    part: int


@dataclass(slots=True)
class Delivery:
    """What the load processes of a part got since the sample before.

    Attributes:
        cpu_ns: CPU time of CPU load.
        side_ns: CPU time of every other load.
        moved_bytes: I/O of disk load; NaN where the kernel keeps no account.
        held_bytes: resident bytes of memory load, now.
        harness_ns: CPU time that the harness itself spent.
    """

    cpu_ns: int = 0
    side_ns: int = 0
    moved_bytes: float = 0
    held_bytes: int = 0
    harness_ns: float = 0.0


# A process: where its CPU time, its moved bytes and its held bytes stand.
_Reading: TypeAlias = tuple[_Known, int | None, float, int]


class ProcessAccount:
    """Follows the processes on the board.

    Args:
        board: the load board.
        parts: how many parts the machine has.
        part_of_slot: index of the part of each plan slot, as far as plans have been read.

    Attributes:
        are_all_ours: no load runs, nor has any ended since the last sample.
    """

    def __init__(self, board: Board, parts: int, part_of_slot: Mapping[int, int]) -> None:
        self._board = board
        self._parts = parts
        self._part_of_slot = part_of_slot
        self._has_io_account = process_io_bytes(os.getpid()) is not None  # gVisor keeps none
        self._generation = -1
        self._known: dict[int, _Known] = {}
        self._readings: list[_Reading] | None = None
        self.are_all_ours = False

    @property
    def is_read(self) -> bool:
        """Whether there is a reading that no sample has taken."""
        return self._readings is not None

    def read(self, *, is_idle: bool) -> None:
        """Read where the counters of every process stand now.

        Args:
            is_idle: no experiment runs.
        """
        self.refresh()
        if self.are_all_ours and is_idle:  # most rows
            self._readings = [
                (known, process_cpu_ns(known.process.pid) if known.process.pid else None, 0, 0)
                for known in self._known.values()
            ]
        else:
            self._readings = [self._reading(known) for known in self._known.values()]

    def refresh(self) -> None:
        """Take up new processes, and what is new about known ones."""
        generation = self._board.generation
        if generation == self._generation:
            return
        is_first, self._generation = self._generation == -1, generation
        present = {}
        for process in self._board.processes():
            known = self._known.get(process.slot)
            if known is None or known.process.pid not in (0, process.pid):
                present[process.slot] = self._take_up(process, is_first=is_first)
                continue
            known.process = process
            if process.kind == "disk" and known.moved_bytes == UNCOUNTED:
                known.moved_bytes = process.base
            present[process.slot] = known
        self._known = present
        self.are_all_ours = all(
            known.process.kind == "harness" and known.process.state != ENDED
            for known in present.values()
        )

    def _take_up(self, process: LoadProcess, *, is_first: bool) -> _Known:
        """Return a process as it stood before it got anything that counts."""
        first_ns, moved_bytes = 0, 0
        if process.kind == "harness":
            first_ns = process.base
            if is_first and process.pid:  # what it spent before the first row is of no row
                first_ns = process_cpu_ns(process.pid) or first_ns
        elif process.kind == "disk":
            moved_bytes = process.base
        return _Known(process, first_ns, moved_bytes, self._part_of_slot.get(process.plan, -1))

    def _reading(self, known: _Known) -> _Reading:
        """Read the counters of a process."""
        process = known.process
        moved_bytes: float = 0
        held_bytes = 0
        if process.kind in ("disk", "disk_buffered"):
            moved_bytes = self._moved_bytes(process)
        elif process.kind == "memory" and process.state != ENDED and process.pid:
            held_bytes = max(0, (resident_bytes(process.pid) or 0) - process.base)
        return known, self._cpu_ns(process), moved_bytes, held_bytes

    def _taken(self) -> list[_Reading]:
        """Return what was read, once."""
        readings, self._readings = self._readings or [], None
        return readings

    def take_harness_ns(self) -> list[float]:
        """Return what the harness has spent for each part since the sample before."""
        spent_ns = [0.0] * self._parts
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

    def take_deliveries(self) -> list[Delivery]:
        """Return what the load of each part got since the sample before.

        What the harness spent for it is there, too.
        """
        deliveries, harness_ns = [Delivery() for _ in range(self._parts)], [0.0] * self._parts
        for known, now_ns, moved_bytes, held_bytes in self._taken():
            process = known.process
            if known.part < 0:  # its plan had not been read yet
                known.part = self._part_of_slot.get(process.plan, -1)
            delivery = deliveries[max(0, known.part)]
            if now_ns is not None and now_ns > known.cpu_ns:
                spent_ns, known.cpu_ns = now_ns - known.cpu_ns, now_ns
                if process.kind == "harness":
                    self._charge(harness_ns, process.plan, spent_ns)
                elif process.kind == "cpu":
                    delivery.cpu_ns += spent_ns
                else:
                    delivery.side_ns += spent_ns
            if isnan(moved_bytes):
                delivery.moved_bytes = nan
            elif moved_bytes > known.moved_bytes:
                delivery.moved_bytes += moved_bytes - known.moved_bytes
                known.moved_bytes = moved_bytes
            delivery.held_bytes += held_bytes
            if process.state == ENDED:
                self._board.consume_process(process.slot)
                del self._known[process.slot]
        for delivery, spent in zip(deliveries, harness_ns, strict=True):
            delivery.harness_ns = spent
        return deliveries

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

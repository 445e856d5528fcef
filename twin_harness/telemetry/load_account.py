"""Requested and delivered load at the moment of a sample: by the plans, and by the kernel.

Requested is the mean of level(t) since the row before. Delivered is what the kernel says the load
processes got in the same time: CPU clocks in ns, resident pages, I/O bytes. No process reports its
own delivery, except for bytes confirmed by fsync. A stressor whose resource the kernel does not
account for by process publishes what the far end confirmed (``Board.publish_self_reported``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from twin_harness.telemetry.planned_load import PlannedWindow
from twin_harness.telemetry.process_account import ProcessAccount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.system.board import Board
    from twin_harness.telemetry.process_account import Delivery


class Account(NamedTuple):
    """What one row says about load.

    Percents are of the machine or its part, means over the time since the row before.

    Attributes:
        experiment: names of those that run, joined by ``+``.
        active_events: ids of their events, joined by ``+``.
        cpu_requested: percent that CPU events asked for.
        cpu_delivered: percent that their processes got.
        memory_requested: bytes that memory events asked for.
        memory_delivered: bytes that their processes hold.
        disk_requested: bytes/s that disk events asked for.
        disk_delivered: bytes/s that their processes moved.
        cpu_side: percent that all other load got.
        harness_cpu: percent that the harness itself spent.
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
        self._part_of_slot: dict[int, int] = {}
        self._processes = ProcessAccount(board, len(self._parts), self._part_of_slot)
        self._plans_generation = -1
        self._sequences: tuple[int, ...] = ()
        self._plans: dict[int, PlannedWindow] = {}

    def read(self) -> None:
        """Read where the counters of every process stand now.

        What was read before without a sample is forgotten.
        """
        self._refresh_plans()  # first: they say which part a new process belongs to
        self._processes.read(is_idle=not self._plans)

    def sample(self, begin_s: float, end_s: float) -> tuple[Account, ...]:
        """Return requested and delivered load between two instants, of each part.

        Args:
            begin_s: when the sample before was taken.
            end_s: when ``read`` was called; now, where it was not.
        """
        if not self._processes.is_read:
            self.read()
        if self._processes.are_all_ours and not self._plans:  # most rows: no load at all
            ns_per_percent = self._ns_per_percent * (end_s - begin_s)
            return tuple(
                _IDLE._replace(harness_cpu=spent_ns / ns_per_percent)
                for spent_ns in self._processes.take_harness_ns()
            )
        deliveries = self._processes.take_deliveries()
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
                delivery,
                begin_s,
                end_s,
            )
            for name, delivery in zip(self._parts, deliveries, strict=True)
        )

    def _account(
        self, windows: list[PlannedWindow], delivery: Delivery, begin_s: float, end_s: float
    ) -> Account:
        """Return the account of a part, given what runs there and what it got."""
        requested = {"cpu": 0.0, "memory": 0.0, "disk": 0.0}
        active: list[str] = []
        for window in windows:
            for load in window.loads:
                if load.is_active(begin_s, end_s):
                    if load.stressor in requested:
                        requested[load.stressor] += load.requested(begin_s, end_s)
                    if len(windows) == 1:
                        active.append(load.event_id)
                    else:
                        active.append(f"{window.name}/{load.event_id}")
        percent_per_ns = 1.0 / (self._ns_per_percent * (end_s - begin_s))
        return Account(
            experiment="+".join(window.name for window in windows),
            active_events="+".join(active),
            cpu_requested=requested["cpu"],
            cpu_delivered=delivery.cpu_ns * percent_per_ns,
            memory_requested=requested["memory"],
            memory_delivered=delivery.held_bytes,
            disk_requested=requested["disk"],
            disk_delivered=delivery.moved_bytes / (end_s - begin_s),
            cpu_side=delivery.side_ns * percent_per_ns,
            harness_cpu=delivery.harness_ns * percent_per_ns,
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
                self._part_of_slot[slot] = 0
                if window.partition in self._parts:
                    self._part_of_slot[slot] = self._parts.index(window.partition)
        self._sequences = sequences

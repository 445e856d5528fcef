"""The process slots of the load board: whose cost or load is counted, and what each has used."""

from __future__ import annotations

from dataclasses import dataclass

from twin_harness.errors import HarnessFailure
from twin_harness.system.board_file import BoardFile
from twin_harness.system.board_layout import (
    CONSUMED,
    ENDED,
    FREE,
    HEAD,
    KINDS,
    LIVE,
    PROCESS,
    PROCESS_BYTES,
    PROCESS_SLOTS,
    process_at,
)
from twin_harness.system.clock import monotonic_s
from twin_harness.system.procfs import start_ticks

# A base above any account: nothing counts until the host has said from where.
UNCOUNTED = (1 << 63) - 1
_STALE_NS = 60 * 10**9
_GENERATION = HEAD["generation"]
_WHOLE = PROCESS.span("pid", "born_ns")
_PID, _BASE, _BORN_NS = PROCESS["pid"], PROCESS["base"], PROCESS["born_ns"]
_START_TICKS, _SELF_REPORTED = PROCESS["start_ticks"], PROCESS["self_reported"]
_FINAL = PROCESS.span("final_cpu_ns", "final_io_bytes")
# Single bytes, which the map reads and writes by their index.
_STATE_AT, _KIND_AT = PROCESS["state"].offset, PROCESS["kind"].offset


@dataclass(frozen=True, slots=True)
class LoadProcess:
    """A process slot.

    Attributes:
        slot: its number.
        pid: the process.
        state: LIVE, or ENDED when ``final`` holds the kernel's last account of it.
        kind: cpu, memory, disk, disk_buffered, harness, command or custom.
        plan: plan slot of its experiment.
        event: index of its event in that plan.
        base: what does not count: CPU ns, resident bytes or I/O bytes before the start.
        self_reported: what the process counts itself: bytes whose fsync has returned (buffered disk
            load), CPU ns of its tree (command).
        start_ticks: when the process began, in clock ticks since boot; with the pid it identifies
            one process.
        final: (CPU ns, I/O bytes) at its end.
    """

    slot: int
    pid: int
    state: int
    kind: str
    plan: int
    event: int
    base: int
    self_reported: int
    start_ticks: int
    final: tuple[int, int]


class ProcessSlots(BoardFile):
    """A board, seen as the processes of its session."""

    @property
    def generation(self) -> int:
        """A number that changes whenever a process slot is claimed or ended."""
        return int(_GENERATION.read(self._map))

    def claim_process(
        self, pid: int, kind: str, *, plan: int = 0, event: int = 0, base: int = 0
    ) -> int:
        """Take a process slot for ``pid`` and return its number.

        Whoever starts a process of the harness claims for it at once, so that what its start costs
        is counted while it is spent; when the process claims for itself, it gets that slot.

        Args:
            pid: the process; 0 when it is yet to be forked (``set_pid``).
            kind: one of ``KINDS``.
            plan: plan slot of its experiment.
            event: index of its event in that plan.
            base: what of its account does not count as load.

        Raises:
            HarnessFailure: every slot is taken.
        """
        with self._claiming():
            if kind == "harness" and pid:
                known = self._slot_of_harness(pid)
                if known is not None:
                    return known
            now_ns = int(monotonic_s() * 1e9)
            slot = self._claimable_slot(now_ns)
            ticks = start_ticks(pid) or 0
            values = (pid, LIVE, KINDS.index(kind), plan, event, base, 0, 0, 0, ticks, now_ns)
            _WHOLE.write(self._map, *values, start=process_at(slot))
            self._renew(_GENERATION)
            return slot

    def _claimable_slot(self, now_ns: int) -> int:
        """Return a free slot, else one that nobody will ask for any more."""
        for slot, state in enumerate(self._states()):
            if state in (FREE, CONSUMED):
                return slot
        # Those that nobody read the end of, and those of processes that were killed with their
        # host.
        for slot, state in enumerate(self._states()):
            if state in (FREE, CONSUMED) or self._is_abandoned(process_at(slot), state, now_ns):
                return slot
        msg = (
            f"the load board holds {PROCESS_SLOTS} processes, the most it can; plan fewer events at"
            " once"
        )
        raise HarnessFailure(msg)

    def _is_abandoned(self, start: int, state: int, now_ns: int) -> bool:
        if state == ENDED:
            return now_ns - int(_BORN_NS.read(self._map, start)) > _STALE_NS
        pid = int(_PID.read(self._map, start))
        return bool(pid) and start_ticks(pid) != _START_TICKS.read(self._map, start)

    def _slot_of_harness(self, pid: int) -> int | None:
        """Return the slot that was claimed for this very process."""
        ticks, harness = start_ticks(pid) or 0, KINDS.index("harness")
        for slot, state in enumerate(self._states()):
            start = process_at(slot)
            is_harness = state == LIVE and self._map[start + _KIND_AT] == harness
            if is_harness and _PID.read(self._map, start) == pid:
                return slot if _START_TICKS.read(self._map, start) == ticks else None
        return None

    def set_pid(self, slot: int, pid: int) -> None:
        """Identify the process of a slot that was claimed before its fork.

        Until then its pid is 0, which nobody reads.
        """
        start = process_at(slot)
        _START_TICKS.write(self._map, start_ticks(pid) or 0, start=start)
        _PID.write(self._map, pid, start=start)
        self._renew(_GENERATION)

    def set_base(self, slot: int, base: int) -> None:
        """Say what of a process's account does not count as load."""
        _BASE.write(self._map, base, start=process_at(slot))
        self._renew(_GENERATION)

    def publish_self_reported(self, slot: int, total: int) -> None:
        """Publish what a process counts itself: bytes whose fsync has returned, or CPU ns."""
        _SELF_REPORTED.write(self._map, total, start=process_at(slot))

    def self_reported(self, slot: int) -> int:
        """Return what a process has counted itself: bytes whose fsync has returned, or CPU ns."""
        return int(_SELF_REPORTED.read_all(self._map, process_at(slot))[0])

    def end_process(self, slot: int, cpu_ns: int, io_bytes: int) -> None:
        """Leave the kernel's last account of an ended process for the logger to read once.

        Args:
            slot: of the process.
            cpu_ns: CPU time that it used in its life.
            io_bytes: bytes that it read from and wrote to block devices, together.
        """
        start = process_at(slot)
        _FINAL.write(self._map, cpu_ns, io_bytes, start=start)
        _BORN_NS.write(self._map, int(monotonic_s() * 1e9), start=start)
        self._map[start + _STATE_AT] = ENDED
        self._renew(_GENERATION)

    def consume_process(self, slot: int) -> None:
        """Free the slot of an ended process: its account has been read."""
        self._map[process_at(slot) + _STATE_AT] = CONSUMED

    def free_process(self, slot: int) -> None:
        """Free a slot whose process is not to be counted any more."""
        self.consume_process(slot)
        self._renew(_GENERATION)

    def processes(self) -> list[LoadProcess]:
        """Return the live and the ended, not yet consumed processes."""
        return [
            self._process_in(slot)
            for slot, state in enumerate(self._states())
            if state in (LIVE, ENDED)
        ]

    def _states(self) -> bytes:
        """Return the state of every slot, a byte each."""
        return self._map[process_at(0) + _STATE_AT : process_at(PROCESS_SLOTS) : PROCESS_BYTES]

    def _process_in(self, slot: int) -> LoadProcess:
        pid, state, kind, plan, event, base, self_reported, cpu_ns, io_bytes, ticks, _ = (
            _WHOLE.read_all(self._map, process_at(slot))
        )
        return LoadProcess(
            slot,
            pid,
            state,
            KINDS[kind],
            plan,
            event,
            base,
            self_reported,
            ticks,
            (cpu_ns, io_bytes),
        )

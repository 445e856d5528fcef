"""The load board: what runs now, in one shared page of memory that every process of a session maps.

A 0600 file with a random name on tmpfs. It holds the plans of the running experiments (each under a
sequence counter: odd while written, readers retry), one slot for each process whose cost or load is
to be told apart, the probe's figures, and how many bytes of the dataset are whole. Fixed offsets,
little endian, nothing pickled.

Who writes what: a runner its plan slot; a load host its process slots; a disk child the
``fsynced_bytes`` of its own slot; the probe its figures; the logger the dataset length,
``acknowledged`` and the state CONSUMED of slots whose end it has read.
"""

from __future__ import annotations

import errno
import fcntl
import json
import mmap
import os
import struct
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.errors import HarnessFailure, advise
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.procfs import start_ticks

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"TWINBRD1"
PLAN_SLOTS = 64
PLAN_BYTES = 16 * 1024
PROCESS_SLOTS = 1024

# magic at 0; then logger pid, stop flag, process generation, dataset length, and after it last row,
# rows and three figures; plan generation
_LOGGER_PID, _STOP, _GENERATION, _LENGTH, _PLANS_GENERATION = 8, 12, 16, 24, 96
WAKEUP_PROBE, CPU_PROBE, DISK_PROBE, SERVICE_PROBE = range(4)
_PROBE = struct.Struct(
    "<ddddQQQQQ"
)  # wakeup, cpu, disk, service in ms; acknowledged by the logger; seen by who publishes each of the four
_PROBE_AT = 128
_PLANS_AT = 4096
_PROCESS = struct.Struct(
    "<IBBHIIQQQQQQQ"
)  # pid, state, kind, plan, event, pad, base, fsynced, final a, final b, start ticks, pad, born
_PROCESS_SIZE = 128
_PROCESSES_AT = _PLANS_AT + PLAN_SLOTS * PLAN_BYTES
SIZE = _PROCESSES_AT + PROCESS_SLOTS * _PROCESS_SIZE

FREE, LIVE, ENDED, CONSUMED = range(4)
UNCOUNTED = (
    1 << 63
) - 1  # a base above any account: nothing counts until the host has said from where
KINDS = ("cpu", "memory", "disk", "disk_buffered", "harness", "command", "custom")
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_STALE_S = 60.0
_STOP_TELEMETRY, _STOP_LOAD = 1, 2


def board_folders() -> list[Path]:
    """Return where a board may be made, the first choice first.

    It is looked for in all of them when it has to be removed.
    """
    own = Path(os.environ.get("XDG_RUNTIME_DIR") or "/run")
    return [Path("/dev/shm"), own, Path("/tmp")]


@dataclass(frozen=True, slots=True)
class LoadProcess:
    """A process slot.

    Attributes:
        slot: its number.
        pid: the process.
        state: LIVE, or ENDED when ``final`` holds the kernel's last account of it.
        kind: cpu, memory, disk, disk_buffered, harness, command or custom.
        plan: plan slot of its experiment; event: index of its event there.
        base: what does not count: CPU ns, resident bytes or I/O bytes before the start.
        fsynced_bytes: what the process counts itself: bytes whose fsync has returned (buffered disk
            load), CPU ns of its tree (command).
        start_ticks: when the process began, in clock ticks since boot; with the pid it names one
            process.
        final: (CPU ns, I/O bytes) at its end.
    """

    slot: int
    pid: int
    state: int
    kind: str
    plan: int
    event: int
    base: int
    fsynced_bytes: int
    start_ticks: int
    final: tuple[int, int]


class Board:
    """A mapped board; make one with ``Board.create`` or ``Board.open``.

    Attributes:
        plan_slots: how many plans it holds.
    """

    plan_slots = PLAN_SLOTS

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, SIZE)
        self._entering = threading.Lock()

    @classmethod
    def create(cls, name: str = "") -> Board:
        """Make a board on tmpfs, readable by this user alone, under a random name unless one is given.

        Raises:
            HarnessFailure: there is no tmpfs to put it on.
        """
        folders = board_folders()
        for folder in folders:
            path = folder / (name or f"twin-harness-{os.urandom(8).hex()}.board")
            try:
                descriptor = os.open(
                    path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
                )
            except OSError:
                continue
            try:
                os.posix_fallocate(
                    descriptor, 0, SIZE
                )  # a hole on a full tmpfs would be a bus error at the first write
            except OSError as error:
                os.close(descriptor)
                path.unlink()
                if error.errno == errno.EFBIG:
                    msg = (
                        f"the load board takes {SIZE / 2**20:.1f} MiB, more than a file of this"
                        f" process may have; {advise(error)}"
                    )
                    raise HarnessFailure(msg) from None
                continue
            board = cls(path, descriptor)
            board._map[0:8] = MAGIC
            for index in range(4):
                board._put(
                    _PROBE_AT + 40 + 8 * index, _U64.pack((1 << 64) - 1)
                )  # the probe has seen nothing yet
            return board
        msg = (
            f"no folder for the load board: expected one of {', '.join(map(str, folders))} to be"
            " writable; mount a tmpfs there"
        )
        raise HarnessFailure(msg)

    @classmethod
    def open(cls, path: str | Path) -> Board:
        """Map an existing board.

        Raises:
            HarnessFailure: it is gone, or the file is none.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            msg = (
                f"load board {str(path)!r} cannot be opened ({error.strerror}); the session that"
                " owned it has ended"
            )
            raise HarnessFailure(msg) from None
        if os.fstat(descriptor).st_size == SIZE and os.pread(descriptor, len(MAGIC), 0) == MAGIC:
            return cls(Path(path), descriptor)
        os.close(descriptor)
        msg = f"load board {str(path)!r} is no board of this version; end the session that uses it"
        raise HarnessFailure(msg)

    def close(self, *, unlink: bool = False) -> None:
        """Unmap the board; the session that created it also unlinks it."""
        self._map.close()
        os.close(self._descriptor)
        if unlink:
            for slot in range(PLAN_SLOTS):
                self._side_file(slot).unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)

    def _put(self, offset: int, data: bytes) -> None:
        """Copy packed numbers to the board in one piece.

        Readers see the old number or the new one, where it is of 8 bytes and so aligned.

        struct's own pack_into fills its target with zeros first, and one reader in a hundred would
        see them.
        """
        self._map[offset : offset + len(data)] = data

    # -- the logger's figures ----------------------------------------------------------------------

    def publish_row(
        self, length_bytes: int, monotonic_s: float, rows: int, figures: tuple[float, float, float]
    ) -> None:
        """Say how much of the dataset is whole, and the figures that a status line shows (CPU %, memory %, disk bytes/s)."""
        self._put(_LENGTH + 8, struct.pack("<dQddd", monotonic_s, rows, *figures))
        self._put(_LENGTH, _U64.pack(length_bytes))

    def dataset_state(self) -> tuple[int, float, int, tuple[float, float, float]]:
        """Return the valid length in bytes, the last row's instant, the number of rows, and (CPU %, memory %, disk bytes/s)."""
        length, monotonic_s, rows, cpu, memory, disk = struct.unpack(
            "<QdQddd", self._map[_LENGTH : _LENGTH + 48]
        )
        return length, monotonic_s, rows, (cpu, memory, disk)

    @property
    def logger_pid(self) -> int:
        """The logger that feeds the dataset; 0 before the first."""
        return int(_U32.unpack_from(self._map, _LOGGER_PID)[0])

    @logger_pid.setter
    def logger_pid(self, pid: int) -> None:
        self._put(_LOGGER_PID, _U32.pack(pid))

    @property
    def is_stopping(self) -> bool:
        """Whether the session has asked logger and probe to end."""
        return bool(_U32.unpack_from(self._map, _STOP)[0] & _STOP_TELEMETRY)

    def ask_to_stop(self) -> None:
        """Ask logger and probe to end."""
        self._put(_STOP, _U32.pack(_U32.unpack_from(self._map, _STOP)[0] | _STOP_TELEMETRY))

    @property
    def is_load_stopping(self) -> bool:
        """Whether the controller was interrupted and asks every runner to end its load."""
        return bool(_U32.unpack_from(self._map, _STOP)[0] & _STOP_LOAD)

    def ask_load_to_stop(self) -> None:
        """Ask every runner of the session to end its load at once."""
        self._put(_STOP, _U32.pack(_U32.unpack_from(self._map, _STOP)[0] | _STOP_LOAD))

    # -- the probe's figures -----------------------------------------------------------------------

    def publish_probe(self, index: int, worst_ms: float, seen: int) -> None:
        """Publish the worst value of one figure since acknowledgement ``seen``."""
        self._put(_PROBE_AT + 8 * index, struct.pack("<d", worst_ms))
        self._put(_PROBE_AT + 40 + 8 * index, _U64.pack(seen))

    def has_probed(self, index: int) -> bool:
        """Tell whether one figure has ever been published."""
        return bool(_U64.unpack_from(self._map, _PROBE_AT + 40 + 8 * index)[0] != (1 << 64) - 1)

    def probe_acknowledged(self) -> int:
        """Return how many readings the logger has taken."""
        return int(_U64.unpack_from(self._map, _PROBE_AT + 32)[0])

    def take_probe(self) -> tuple[float, float, float, float]:
        """Return the worst figures in ms since the last reading, NaN where there is none, and acknowledge them."""
        wakeup, cpu, disk, service, acknowledged, *seen = _PROBE.unpack(
            self._map[_PROBE_AT : _PROBE_AT + _PROBE.size]
        )
        self._put(_PROBE_AT + 32, _U64.pack(acknowledged + 1))
        return (
            wakeup if seen[WAKEUP_PROBE] == acknowledged else nan,
            cpu if seen[CPU_PROBE] == acknowledged else nan,
            disk if seen[DISK_PROBE] == acknowledged else nan,
            service if seen[SERVICE_PROBE] == acknowledged else nan,
        )

    # -- plans -------------------------------------------------------------------------------------

    @contextmanager
    def _claiming(self) -> Iterator[None]:
        """Hold the board's claim lock: for a few microseconds, while a slot changes its owner."""
        # Threads of one process share the descriptor, and so would share the kernel's lock.
        with self._entering:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def publish_plan(self, plan: dict[str, Any], slot: int | None = None) -> int:
        """Write a running experiment's plan into a slot (a free one unless given) and return the slot.

        A plan longer than a slot goes to a file beside the board, and the slot holds its path.

        Raises:
            HarnessFailure: 64 experiments run already.
        """
        data = json.dumps(plan).encode()
        if slot is None:
            with self._claiming():
                slot = self._free_plan_slot()
                self._write_plan(slot, data)
        else:
            self._write_plan(slot, data)
        return slot

    def _free_plan_slot(self) -> int:
        for slot in range(PLAN_SLOTS):
            if _U32.unpack_from(self._map, _PLANS_AT + slot * PLAN_BYTES + 4)[0] == 0:
                return slot
        msg = (
            f"the load board holds {PLAN_SLOTS} running experiments, the most it can; run fewer at"
            " once"
        )
        raise HarnessFailure(msg)

    def _write_plan(self, slot: int, data: bytes) -> None:
        if len(data) > PLAN_BYTES - 8:
            side = self._side_file(slot)
            descriptor = os.open(
                side, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            data = json.dumps({"file": str(side)}).encode()
        offset = _PLANS_AT + slot * PLAN_BYTES
        odd = _U32.unpack_from(self._map, offset)[0] | 1  # also where a writer died and left it odd
        self._put(offset, _U32.pack(odd))
        self._put(offset + 4, _U32.pack(len(data)))
        self._map[offset + 8 : offset + 8 + len(data)] = data
        self._put(offset, _U32.pack((odd + 1) & 0xFFFFFFFF))
        # Random as for processes: two writers at a time must never leave the number that a reader
        # knows.
        self._put(_PLANS_GENERATION, _U64.pack(int.from_bytes(os.urandom(8), "little")))

    def _side_file(self, slot: int) -> Path:
        return self.path.with_suffix(f".plan{slot}")

    def remove_plan(self, slot: int) -> None:
        """Free a plan slot."""
        self._write_plan(slot, b"")
        self._side_file(slot).unlink(missing_ok=True)

    @property
    def plans_generation(self) -> int:
        """A number that changes whenever a plan is written or removed.

        One look instead of 64 pages far apart.
        """
        return int(_U64.unpack_from(self._map, _PLANS_GENERATION)[0])

    def plan_sequences(self) -> tuple[int, ...]:
        """Return the sequence counter of every slot: one that changed has a new content."""
        return tuple(
            _U32.unpack_from(self._map, _PLANS_AT + slot * PLAN_BYTES)[0]
            for slot in range(PLAN_SLOTS)
        )

    def read_plan(self, slot: int) -> dict[str, Any] | None:
        """Return a slot's plan; None when it is free, or its writer died while writing."""
        offset = _PLANS_AT + slot * PLAN_BYTES
        for _ in range(100):
            before, length = struct.unpack_from("<II", self._map, offset)
            data = self._map[offset + 8 : offset + 8 + length]
            if before % 2 == 0 and before == _U32.unpack_from(self._map, offset)[0]:
                return self._parse_plan(data)
            sleep_s(0)
        return None

    @staticmethod
    def _parse_plan(data: bytes) -> dict[str, Any] | None:
        if not data:
            return None
        plan: dict[str, Any] = json.loads(data)
        if set(plan) == {"file"}:
            try:
                plan = json.loads(Path(plan["file"]).read_bytes())
            except (OSError, ValueError):
                return None
        return plan

    # -- processes ---------------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """A number that changes whenever a process slot is claimed or ended."""
        return int(_U64.unpack_from(self._map, _GENERATION)[0])

    def _next_generation(self) -> None:
        # A new random number, not the next one: two writers at a time must never leave the number
        # that a reader knows.
        self._put(_GENERATION, _U64.pack(int.from_bytes(os.urandom(8), "little")))

    def claim_process(
        self, pid: int, kind: str, *, plan: int = 0, event: int = 0, base: int = 0
    ) -> int:
        """Take a process slot for ``pid`` and return its number.

        Whoever starts a process of the harness claims for it at once, so that what its start costs
        is counted while it is spent; when the process claims for itself, it gets that slot.

        Raises:
            HarnessFailure: every slot is taken.
        """
        with self._claiming():
            if kind == "harness" and pid:
                known = self._slot_of_harness(pid)
            else:
                known = None
            if known is not None:
                return known
            now_ns = int(monotonic_s() * 1e9)
            # Free slots first; only then those that nobody read the end of, and those of processes
            # that were killed with their host.
            for is_scarce, slot in (
                (is_scarce, slot) for is_scarce in (False, True) for slot in range(PROCESS_SLOTS)
            ):
                offset = _PROCESSES_AT + slot * _PROCESS_SIZE
                state = self._map[offset + 4]
                born_ns = _U64.unpack_from(self._map, offset + _PROCESS.size - 8)[0]
                if state in (FREE, CONSUMED) or (
                    is_scarce and self._is_abandoned(offset, state, now_ns - born_ns)
                ):
                    self._put(
                        offset,
                        _PROCESS.pack(
                            pid,
                            LIVE,
                            KINDS.index(kind),
                            plan,
                            event,
                            0,
                            base,
                            0,
                            0,
                            0,
                            start_ticks(pid) or 0,
                            0,
                            now_ns,
                        ),
                    )
                    self._next_generation()
                    return slot
        msg = (
            f"the load board holds {PROCESS_SLOTS} processes, the most it can; plan fewer events at"
            " once"
        )
        raise HarnessFailure(msg)

    def _slot_of_harness(self, pid: int) -> int | None:
        """Return the slot that was claimed for this very process."""
        ticks, harness = start_ticks(pid) or 0, KINDS.index("harness")
        for slot in range(PROCESS_SLOTS):
            offset = _PROCESSES_AT + slot * _PROCESS_SIZE
            if (
                self._map[offset + 4] == LIVE
                and self._map[offset + 5] == harness
                and _U32.unpack_from(self._map, offset)[0] == pid
            ):
                if _U64.unpack_from(self._map, offset + 48)[0] == ticks:
                    return slot
                return None
        return None

    def _is_abandoned(self, offset: int, state: int, age_ns: int) -> bool:
        if state == ENDED:
            return age_ns > _STALE_S * 1e9
        pid, ticks = (
            _U32.unpack_from(self._map, offset)[0],
            _U64.unpack_from(self._map, offset + 48)[0],
        )
        return bool(pid) and start_ticks(pid) != int(ticks)

    def set_pid(self, slot: int, pid: int) -> None:
        """Name the process of a slot that was claimed before its fork (with pid 0, which nobody reads)."""
        self._put(_PROCESSES_AT + slot * _PROCESS_SIZE + 48, _U64.pack(start_ticks(pid) or 0))
        self._put(_PROCESSES_AT + slot * _PROCESS_SIZE, _U32.pack(pid))
        self._next_generation()

    def set_base(self, slot: int, base: int) -> None:
        """Say what of a process's account does not count as load."""
        self._put(_PROCESSES_AT + slot * _PROCESS_SIZE + 16, _U64.pack(base))
        self._next_generation()

    def count_fsynced(self, slot: int, total_bytes: int) -> None:
        """Publish the bytes whose fsync has returned."""
        self._put(_PROCESSES_AT + slot * _PROCESS_SIZE + 24, _U64.pack(total_bytes))

    def end_process(self, slot: int, cpu_ns: int, io_bytes: int) -> None:
        """Leave the kernel's last account of an ended process for the logger to read once."""
        offset = _PROCESSES_AT + slot * _PROCESS_SIZE
        self._put(offset + 32, struct.pack("<QQ", cpu_ns, io_bytes))
        self._put(offset + _PROCESS.size - 8, _U64.pack(int(monotonic_s() * 1e9)))
        self._map[offset + 4] = ENDED
        self._next_generation()

    def consume_process(self, slot: int) -> None:
        """Free the slot of an ended process: its account has been read."""
        self._map[_PROCESSES_AT + slot * _PROCESS_SIZE + 4] = CONSUMED

    def free_process(self, slot: int) -> None:
        """Free a slot whose process is not to be counted any more."""
        self.consume_process(slot)
        self._next_generation()

    def fsynced_bytes(self, slot: int) -> int:
        """Return the bytes whose fsync has returned."""
        offset = _PROCESSES_AT + slot * _PROCESS_SIZE + 24
        return int.from_bytes(self._map[offset : offset + 8], "little")

    def processes(self) -> list[LoadProcess]:
        """Return the live and the ended, not yet consumed processes."""
        found = []
        for slot in range(PROCESS_SLOTS):
            offset = _PROCESSES_AT + slot * _PROCESS_SIZE
            if self._map[offset + 4] in (LIVE, ENDED):
                pid, state, kind, plan, event, _, base, fsynced, cpu_ns, io_bytes, ticks, _, _ = (
                    _PROCESS.unpack_from(self._map, offset)
                )
                found.append(
                    LoadProcess(
                        slot,
                        pid,
                        state,
                        KINDS[kind],
                        plan,
                        event,
                        base,
                        fsynced,
                        ticks,
                        (cpu_ns, io_bytes),
                    )
                )
        return found

"""The layout of the load board: where each number stands in the file that processes share.

The file begins with one head. Behind it stand ``PLAN_SLOTS`` slots of ``PLAN_BYTES`` each, a head
of their own and the plan as JSON, and then ``PROCESS_SLOTS`` slots of ``PROCESS_BYTES`` each. Every
number is little endian and stands at a multiple of its size, so that it is read and written in one
piece. Offsets are nowhere but here: they follow from the tables of names and formats below.

    0             HEAD     magic, the logger, the dataset, the probe's figures
    PLANS_AT      PLAN     a record for each running experiment, and its JSON from PLAN.size on
    PROCESSES_AT  PROCESS  a record for each process whose cost or load is counted
"""

from __future__ import annotations

from struct import Struct, calcsize
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmap import mmap

MAGIC = b"TWINBRD1"
PLAN_SLOTS = 64
PLAN_BYTES = 16 * 1024
PROCESS_SLOTS = 1024
PROCESS_BYTES = 128

FREE, LIVE, ENDED, CONSUMED = range(4)
KINDS = ("cpu", "memory", "disk", "disk_buffered", "harness", "command", "custom")
PROBES = ("wakeup", "cpu", "disk", "service")
WAKEUP_PROBE, CPU_PROBE, DISK_PROBE, SERVICE_PROBE = range(len(PROBES))
NEVER_SEEN = (1 << 64) - 1


class Field:
    """A number, or several that stand beside each other.

    Args:
        offset: in bytes, from the beginning of the record.
        form: the format (struct).

    Attributes:
        offset: in bytes, from the beginning of the record.
        size: in bytes.
    """

    __slots__ = ("_end", "_pack", "_unpack", "_unpack_from", "offset", "size")

    def __init__(self, offset: int, form: str) -> None:
        numbers = Struct(f"<{form}")
        self.offset, self.size, self._end = offset, numbers.size, offset + numbers.size
        # Bound once: the logger calls them for every sample.
        self._pack, self._unpack = numbers.pack, numbers.unpack
        self._unpack_from = numbers.unpack_from

    def read(self, board: mmap, start: int = 0) -> Any:
        """Return the number, of the record that begins at ``start``."""
        return self._unpack_from(board, start + self.offset)[0]

    def read_all(self, board: mmap, start: int = 0) -> tuple[Any, ...]:
        """Return all numbers, of the record that begins at ``start``.

        They are copied from the board in one piece before they are unpacked: of a number that
        grows, none that never was is seen.
        """
        return self._unpack(board[start + self.offset : start + self._end])

    def write(self, board: mmap, *values: float, start: int = 0) -> None:
        """Copy packed numbers to the board in one piece.

        A reader sees the old number or the new one. struct's own pack_into fills its target with
        zeros first, and one reader in a hundred would see them.

        Args:
            board: the mapped page.
            values: as many as the field holds.
            start: where the record begins on the page, in bytes.
        """
        board[start + self.offset : start + self._end] = self._pack(*values)


class Record:
    """Numbers one after another.

    Args:
        fields: the name and the format (struct) of each; a gap has no name.

    Attributes:
        size: in bytes.
        names: of the fields, in order.
    """

    def __init__(self, *fields: tuple[str, str]) -> None:
        self._formats = [form for _, form in fields]
        self._index = {name: index for index, (name, _) in enumerate(fields) if name}
        self.names = tuple(self._index)
        self._fields = {name: self.span(name, name) for name in self.names}
        self.size = calcsize("<" + "".join(self._formats))

    def __getitem__(self, name: str) -> Field:
        return self._fields[name]

    def span(self, first: str, last: str) -> Field:
        """Return the numbers from one to another as one field."""
        begin, end = self._index[first], self._index[last] + 1
        offset = calcsize("<" + "".join(self._formats[:begin]))
        return Field(offset, "".join(self._formats[begin:end]))


HEAD = Record(
    ("magic", "8s"),
    ("logger_pid", "I"),
    ("stop", "I"),
    ("generation", "Q"),
    # The dataset: how many bytes are whole, and its last row.
    ("length", "Q"),
    ("row_s", "d"),
    ("rows", "Q"),
    ("cpu_percent", "d"),
    ("memory_percent", "d"),
    ("disk_bytes_per_s", "d"),
    ("", "24x"),
    ("plans_generation", "Q"),
    ("", "24x"),
    # The worst of each probe, how often the logger has read them, and up to which reading each
    # probe has seen that.
    *((f"{probe}_ms", "d") for probe in PROBES),
    ("acknowledged", "Q"),
    *((f"{probe}_seen", "Q") for probe in PROBES),
)
PLANS_AT = 4096
PLAN = Record(("sequence", "I"), ("length", "I"))
PROCESSES_AT = PLANS_AT + PLAN_SLOTS * PLAN_BYTES
PROCESS = Record(
    ("pid", "I"),
    ("state", "B"),
    ("kind", "B"),
    ("plan", "H"),
    ("event", "I"),
    ("", "4x"),
    ("base", "Q"),
    ("self_reported", "Q"),
    ("final_cpu_ns", "Q"),
    ("final_io_bytes", "Q"),
    ("start_ticks", "Q"),
    ("", "8x"),
    ("born_ns", "Q"),
)
SIZE = PROCESSES_AT + PROCESS_SLOTS * PROCESS_BYTES


def plan_at(slot: int) -> int:
    """Return where a plan slot begins."""
    return PLANS_AT + slot * PLAN_BYTES


def process_at(slot: int) -> int:
    """Return where a process slot begins."""
    return PROCESSES_AT + slot * PROCESS_BYTES

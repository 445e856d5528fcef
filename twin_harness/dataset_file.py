"""The dataset as a file: which bytes are whole rows, and where a moment stands in them.

Rows are appended in the order of time, so a moment is found by bisection over byte offsets; nothing reads the whole file for a
slice of it. While a logger runs, the board says how many bytes are whole; afterwards the last line break does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from twin_harness.errors import UnreadableRun

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_ROW_BYTES = 64 * 1024


class DatasetFile:
    """A ``system_metrics_dataset.csv``, read at any moment of its life.

    Args:
        path: the file.
        valid_bytes: how much of it is whole; None takes everything up to the last line break.

    Raises:
        UnreadableRun: there is no such file, or not even a whole heading in it.
    """

    def __init__(self, path: Path, valid_bytes: int | None = None) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            msg = f"{path}: no samples were recorded ({error.strerror}); expected a folder of a run that began"
            raise UnreadableRun(msg) from None
        size_bytes = os.fstat(self._descriptor).st_size
        self.valid_bytes = size_bytes if valid_bytes is None else min(valid_bytes, size_bytes)
        self.torn_bytes = self._cut_torn_line()
        heading = os.pread(self._descriptor, min(_LONGEST_ROW_BYTES, self.valid_bytes), 0).partition(b"\n")
        if not heading[1]:
            self.close()
            msg = f"{path}: holds no heading; the logger ended before its first row"
            raise UnreadableRun(msg)
        self.columns = tuple(heading[0].decode("utf-8", "replace").split(","))
        self.first_row = len(heading[0]) + 1
        self._time_column = self.columns.index("monotonic_s") if "monotonic_s" in self.columns else 1

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cut_torn_line(self) -> int:
        """Leave out what follows the last line break, and return how many bytes that is."""
        tail_at = max(0, self.valid_bytes - _LONGEST_ROW_BYTES)
        tail = os.pread(self._descriptor, self.valid_bytes - tail_at, tail_at)
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        self.valid_bytes -= torn
        return torn

    def heading(self) -> bytes:
        """Return the heading line."""
        return os.pread(self._descriptor, self.first_row, 0)

    def _row_at_or_after(self, offset: int) -> tuple[int, bytes]:
        """Return offset and content of the first row that starts at ``offset`` or later; an empty one at the end."""
        start = offset
        if offset > self.first_row:
            block = os.pread(self._descriptor, _LONGEST_ROW_BYTES, offset - 1)
            start = offset + block.find(b"\n")
        line = os.pread(self._descriptor, min(_LONGEST_ROW_BYTES, max(0, self.valid_bytes - start)), start)
        return start, line[: line.find(b"\n") + 1]

    def _instant_s(self, row: bytes) -> float | None:
        cells = row.split(b",", self._time_column + 1)
        try:
            return float(cells[self._time_column])
        except (ValueError, IndexError):
            return None

    def find(self, instant_s: float) -> int:
        """Return the offset of the first row taken at ``instant_s`` (CLOCK_MONOTONIC) or later; the end when there is none."""
        low, high = self.first_row, self.valid_bytes
        while low < high:
            middle = (low + high) // 2
            start, row = self._row_at_or_after(middle)
            taken_s = self._instant_s(row) if row and start < high else None
            if taken_s is None or taken_s >= instant_s:
                high = middle
            else:
                low = start + len(row)
        return self._row_at_or_after(low)[0] if low < self.valid_bytes else self.valid_bytes

    def read(self, begin_s: float | None = None, end_s: float | None = None) -> bytes:
        """Return the heading and the rows taken from ``begin_s`` to ``end_s`` (both included; CLOCK_MONOTONIC); None is open."""
        begin = self.first_row if begin_s is None else self.find(begin_s)
        end = self.valid_bytes if end_s is None else self.find(end_s + 1e-9)
        parts, position = [self.heading()], begin
        while position < end:
            part = os.pread(self._descriptor, min(1 << 24, end - position), position)
            if not part:
                break
            parts.append(part)
            position += len(part)
        return b"".join(parts)

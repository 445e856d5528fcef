"""The dataset as a file: which bytes are whole rows, and where a moment stands in them.

Rows are appended in the order of time, so a moment is found by bisection over byte offsets; nothing
reads the whole file for a slice of it. While a logger runs, the board says how many bytes are
whole; afterwards the last line break does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from twin_harness.errors import UnreadableRun
from twin_harness.schedule.csv_rows import count_cells

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A row is about 500 bytes, so a step of the bisection costs one or two of these.
_BLOCK_BYTES = 4096


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
            msg = (
                f"{path}: no samples were recorded ({error.strerror}); expected a folder of a run"
                " that began"
            )
            raise UnreadableRun(msg) from None
        size_bytes = os.fstat(self._descriptor).st_size
        if valid_bytes is None:
            self.valid_bytes = size_bytes
        else:
            self.valid_bytes = min(valid_bytes, size_bytes)
        self.torn_bytes = self._cut_torn_line()
        heading = self._line_at(0)
        if not heading:
            self.close()
            msg = f"{path}: holds no heading; the logger ended before its first row"
            raise UnreadableRun(msg)
        self.columns = tuple(heading.decode("utf-8", "replace").rstrip("\n").split(","))
        self.first_row = len(heading)
        if "monotonic_s" in self.columns:
            self._time_column = self.columns.index("monotonic_s")
        else:
            self._time_column = 1

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cut_torn_line(self) -> int:
        """Leave out what follows the last line break, and return how many bytes that is."""
        end, size_bytes = self.valid_bytes, _BLOCK_BYTES
        while end:
            start = max(0, end - size_bytes)
            line_break = os.pread(self._descriptor, end - start, start).rfind(b"\n")
            if line_break >= 0:
                whole = start + line_break + 1
                torn, self.valid_bytes = self.valid_bytes - whole, whole
                return torn
            end, size_bytes = start, 2 * size_bytes
        torn, self.valid_bytes = self.valid_bytes, 0
        return torn

    def _line_at(self, start: int) -> bytes:
        """Return the line that begins at ``start``, its break included; empty at the end."""
        size_bytes = _BLOCK_BYTES
        while start < self.valid_bytes:
            block = os.pread(self._descriptor, min(size_bytes, self.valid_bytes - start), start)
            line_break = block.find(b"\n")
            if line_break >= 0:
                return block[: line_break + 1]
            if start + len(block) >= self.valid_bytes:
                break
            size_bytes *= 2
        return b""

    def _start_at_or_after(self, offset: int) -> int:
        """Return where the first row begins that begins at ``offset`` or later."""
        if offset <= self.first_row:
            return self.first_row
        if offset < self.valid_bytes:
            return offset - 1 + len(self._line_at(offset - 1))
        return self.valid_bytes

    def blocks(
        self, size_bytes: int, begin: int | None = None, end: int | None = None
    ) -> Iterator[bytes]:
        """Return rows as blocks of whole lines.

        Args:
            size_bytes: about how long a block is.
            begin: offset of the first row; None is the first one of the file.
            end: offset after the last row; None is the end of the file.
        """
        if begin is None:
            position = self.first_row
        else:
            position = begin
        if end is None:
            end = self.valid_bytes
        while position < end:
            block = os.pread(self._descriptor, min(size_bytes, end - position), position)
            if not block:
                return
            if position + len(block) < end and not block.endswith(b"\n"):
                block = block[: block.rfind(b"\n") + 1] or block + self._line_at(
                    position + len(block)
                )
            yield block
            position += len(block)

    def count_lines(self, offset: int) -> int:
        """Return how many lines stand before an offset, the heading among them."""
        return 1 + sum(block.count(b"\n") for block in self.blocks(1 << 20, end=offset))

    def heading(self) -> bytes:
        """Return the heading line."""
        return os.pread(self._descriptor, self.first_row, 0)

    def _instant_s(self, row: bytes) -> float | None:
        cells = row.split(b",", self._time_column + 1)
        try:
            return float(cells[self._time_column])
        except (ValueError, IndexError):
            return None

    def find(self, instant_s: float, *, is_after: bool = False) -> int:
        """Return the offset of the first row taken at ``instant_s`` (CLOCK_MONOTONIC) or later.

        The end when there is none.

        With ``is_after``, of the first row taken later than that. Rows that do not parse are passed
        over.
        """
        low, high = self.first_row, self.valid_bytes
        while low < high:
            middle = (low + high) // 2
            position, taken_s = self._start_at_or_after(middle), None
            while position < high:
                row = self._line_at(position)
                taken_s = self._instant_s(row)
                position += len(row)
                if taken_s is not None:
                    break
            if taken_s is None or taken_s > instant_s or (taken_s == instant_s and not is_after):
                high = middle
            else:
                low = position
        position = self._start_at_or_after(low)
        while (
            position < self.valid_bytes and self._instant_s(row := self._line_at(position)) is None
        ):
            position += len(row)
        return position

    def instant_before(self, offset: int) -> float | None:
        """Return when the row before ``offset`` was taken; None where there is none."""
        if offset <= self.first_row:
            return None
        start = max(self.first_row, offset - 64 * 1024)
        for line in reversed(os.pread(self._descriptor, offset - start, start).splitlines()):
            if count_cells(line) == len(self.columns):
                try:
                    return float(line.split(b",")[self.columns.index("monotonic_s")])
                except ValueError:
                    continue
        return None

    def read(self, begin_s: float | None = None, end_s: float | None = None) -> bytes:
        """Return the heading and the rows of a time.

        Args:
            begin_s: the first instant on CLOCK_MONOTONIC, itself included; None is open.
            end_s: the last one, itself included; None is open.
        """
        if begin_s is None:
            begin = self.first_row
        else:
            begin = self.find(begin_s)
        if end_s is None:
            end = self.valid_bytes
        else:
            end = self.find(end_s, is_after=True)
        parts, position = [self.heading()], begin
        while position < end:
            part = os.pread(self._descriptor, min(1 << 24, end - position), position)
            if not part:
                break
            parts.append(part)
            position += len(part)
        return b"".join(parts)

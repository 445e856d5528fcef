"""The rows that a growing CSV file gets, whole ones only."""

from __future__ import annotations

import csv
import ctypes
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PAGE_BYTES, _PUNCH_HOLE_KEEP_SIZE = 4096, 0x03


class CsvTail:
    """A CSV file that is read while it grows.

    Args:
        path: the file.
        is_kept: False gives the space of what was read back to the filesystem (fallocate(2),
            FALLOC_FL_PUNCH_HOLE).
    """

    def __init__(self, path: Path, *, is_kept: bool = True) -> None:
        self._file = path.open("r" if is_kept else "r+", encoding="utf-8", newline="")
        self._is_kept = is_kept
        self._rest = ""
        self.heading: list[str] = []

    def lines(self) -> list[str]:
        """Return the whole lines that have come since the last call, the heading among them."""
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        if not self._is_kept and sys.platform == "linux":
            # A table may stand open for days, and its file on tmpfs.
            length = self._file.tell() // _PAGE_BYTES * _PAGE_BYTES
            ctypes.CDLL(None).fallocate(
                self._file.fileno(),
                _PUNCH_HOLE_KEEP_SIZE,
                ctypes.c_int64(0),
                ctypes.c_int64(length),
            )
        return lines

    def rows(self) -> list[dict[str, str]]:
        """Return the rows that have come since the last call.

        A line with more or fewer cells than the heading is left out.
        """
        rows = []
        for line in self.lines():
            cells = next(csv.reader([line]))
            if not self.heading:
                self.heading = cells
            elif len(cells) == len(self.heading):
                rows.append(dict(zip(self.heading, cells, strict=True)))
        return rows

    def close(self) -> None:
        """Close the file."""
        self._file.close()

"""What the dataset's file holds that its table does not."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from twin_harness.errors import UnreadableRun
from twin_harness.frames import LABELS

if TYPE_CHECKING:
    from twin_harness.recording import Run

_CHUNK_ROWS = 20_000


@dataclass(frozen=True)
class FileFaults:
    """What the file holds that the table does not.

    Attributes:
        torn_bytes: after the last line break. lines: whole lines below the heading.
        unparsed_lines: of them, those with too many cells to be a row.
        unreadable_cells: column to the number of its cells that are no number.
        undated_rows: rows without a readable ``monotonic_s``.
    """

    torn_bytes: int
    lines: int
    unparsed_lines: int
    unreadable_cells: dict[str, int]
    undated_rows: int


def read_faults(run: Run) -> FileFaults | None:
    """Read the file once more as text, a part at a time, and count what the table leaves out; None without a dataset."""
    try:
        with run.folder.open_dataset() as dataset:
            torn_bytes, text = dataset.torn_bytes, dataset.read()
    except UnreadableRun:
        return None
    lines = text.count(b"\n") - 1 - text.count(b"\n\n")
    rows, undated, unreadable = 0, 0, dict[str, int]()
    # The same reading as recording.read_frame, but for the conversion to numbers.
    parts = pd.read_csv(
        io.BytesIO(text), dtype=str, keep_default_na=False, na_values=[""], on_bad_lines="skip", encoding_errors="replace", chunksize=_CHUNK_ROWS
    )
    for part in parts:
        rows += len(part)
        for name in part.columns:
            if name in LABELS:
                continue
            filled = part[name].dropna()
            lost = int(pd.to_numeric(filled, errors="coerce").isna().sum())
            if lost:
                unreadable[name] = unreadable.get(name, 0) + lost
            if name == "monotonic_s":
                undated += len(part) - len(filled) + lost
    return FileFaults(torn_bytes, lines, max(0, lines - rows), unreadable, undated)

"""Cleaning: the steps applied to the rows of a run, part by part.

The dataset itself is never rewritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from twin_harness.dataset.rows import open_parts
from twin_harness.dataset.steps import AFTER, BEFORE, FLAGS, CleaningSteps
from twin_harness.metrics import columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin_harness.dataset.faults import FaultLog
    from twin_harness.runs.run import Run

_HELD_ROWS = 256  # rows out of order are put back into order within so many


@dataclass
class Cleaning(CleaningSteps):
    """The cleaning of one run, under way.

    Attributes:
        rows_read: counted as they pass.
        rows_kept: as above.
    """

    rows_read: int = 0
    rows_kept: int = 0

    def parts(self, run: Run) -> Iterator[pd.DataFrame]:
        """Return the clean rows of a run, part by part.

        Every column of the registry is present, with ``dt_s`` and the flags behind.

        Raises:
            UnreadableRun: there is no dataset, or it holds rows of several hosts.
        """
        with open_parts(run, self.faults) as (names, parts):
            self.note_columns(names)
            held: pd.DataFrame | None = None
            for part in parts:
                self.rows_read += len(part)
                if held is None:
                    joined = part
                else:
                    joined = pd.concat([held, part])
                for step in BEFORE:
                    joined = step(self, joined)
                held, ready = joined.iloc[-_HELD_ROWS:], joined.iloc[:-_HELD_ROWS]
                if len(ready):
                    yield self._finish(ready)
            if held is not None and len(held):
                yield self._finish(held)

    def _finish(self, frame: pd.DataFrame) -> pd.DataFrame:
        for step in AFTER:
            frame = step(self, frame)
        self.rows_kept += len(frame)
        return frame


def start_cleaning(run: Run) -> Cleaning:
    """Return the cleaning of a run, with its interval as the logger was told.

    ``parts`` then gives the rows.
    """
    settings = run.state.get("settings")
    if isinstance(settings, dict):
        interval_s = settings.get("interval_s")
    else:
        interval_s = None
    if isinstance(interval_s, int | float) and interval_s > 0:
        known_s = float(interval_s)
    else:
        known_s = np.nan
    return Cleaning(known_s, machine=run.machine)


def clean(run: Run) -> tuple[pd.DataFrame, FaultLog]:
    """Return every clean row of a run in one table, and what was found and done about it.

    The index is seconds since the first row.

    Raises:
        UnreadableRun: as ``Cleaning.parts``.
    """
    cleaning = start_cleaning(run)
    parts = list(cleaning.parts(run))
    if parts:
        frame = pd.concat(parts, ignore_index=True)
    else:
        frame = pd.DataFrame(columns=[*(metric.name for metric in columns(())), "dt_s", *FLAGS])
    if len(frame):
        first_s = frame["monotonic_s"].iloc[0]
    else:
        first_s = 0.0
    frame.index = pd.Index(frame["monotonic_s"] - first_s, name="run_s")
    return frame, cleaning.faults

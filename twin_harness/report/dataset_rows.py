"""The clean rows of a run's dataset, or their means where there are too many to show each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from twin_harness.dataset.cleaning import Cleaning, start_cleaning
from twin_harness.dataset.preparation import window_means
from twin_harness.dataset.steps import FLAGS, GAP_INTERVALS
from twin_harness.metrics import columns
from twin_harness.report.facts import ask
from twin_harness.runs.frames import whole_machine

if TYPE_CHECKING:
    from twin_harness.runs.run import Run

MOST_ROWS, WINDOW_S = 200_000, 1.0


@dataclass(frozen=True)
class Rows:
    """What is read of the dataset; see ``Evidence`` for what the attributes are."""

    samples: pd.DataFrame
    cleaning: Cleaning | None
    window_s: float = 0.0
    moments: int = 0
    gaps: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["run_s", "dt_s"], dtype=float)
    )


def read_rows(run: Run, troubles: list[str]) -> Rows:
    """Return the clean rows, or their 1 s means where there are too many, and what cleaning did."""
    cleaning, kept, rows, window_s = start_cleaning(run), list[pd.DataFrame](), 0, 0.0
    late = list[pd.DataFrame]()

    def take() -> None:
        nonlocal kept, rows, window_s
        for part in cleaning.parts(run):
            frame = whole_machine(part)
            rows += len(frame)
            late.append(_gaps(frame, cleaning.interval_s))
            if rows > MOST_ROWS and not window_s:
                window_s, kept = WINDOW_S, [_thinned(own) for own in kept]
            kept.append(_thinned(frame) if window_s else frame)

    _, reason = ask(take)
    if reason:
        troubles.append(f"The dataset cannot be read: {reason}.")
        return Rows(no_samples(), None)
    missing = [fault.column for fault in cleaning.faults if fault.kind == "missing column"]
    if missing:
        troubles.append(
            f"The dataset has no column {', '.join(missing)}; what rests on them is left out."
        )
    if not kept:
        return Rows(no_samples(), cleaning)
    frame, gaps = (pd.concat(parts, ignore_index=True) for parts in (kept, late))
    first_s = frame["monotonic_s"].min()
    gaps = gaps.assign(run_s=gaps["monotonic_s"] - first_s)[["run_s", "dt_s"]]
    return Rows(frame.assign(run_s=frame["monotonic_s"] - first_s), cleaning, window_s, rows, gaps)


def _gaps(rows: pd.DataFrame, interval_s: float) -> pd.DataFrame:
    """Return the rows that came more than three intervals after the row before, or before it."""
    if not np.isfinite(interval_s):
        return rows.iloc[:0][["monotonic_s", "dt_s"]]
    return rows.loc[
        (rows["dt_s"] > GAP_INTERVALS * interval_s) | (rows["dt_s"] < 0), ["monotonic_s", "dt_s"]
    ]


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the 1 s means of rows, with the labels of each window's last row.

    Of what counts or is a worst value, the sum or the worst.
    """
    means = window_means(rows, WINDOW_S)
    ends_s = rows["monotonic_s"].to_numpy()
    last = np.clip(np.searchsorted(ends_s, means.index.to_numpy() + 1e-9) - 1, 0, len(rows) - 1)
    window = np.clip(
        np.searchsorted(means.index.to_numpy(), ends_s - 1e-9), 0, max(len(means) - 1, 0)
    )
    frame = rows.iloc[last].reset_index(drop=True)
    for name in means.columns:
        if name in frame.columns:
            frame[name] = means[name].to_numpy()
    frame["missed_samples"] = (
        rows["missed_samples"].groupby(window).sum().reindex(range(len(frame))).to_numpy()
    )
    frame["lateness_ms"] = (
        rows["lateness_ms"].groupby(window).max().reindex(range(len(frame))).to_numpy()
    )
    if len(means):
        return frame.assign(
            monotonic_s=means.index.to_numpy(), dt_s=(means["coverage"] * WINDOW_S).to_numpy()
        )
    return frame.iloc[:0]


def no_samples() -> pd.DataFrame:
    """Return a dataset without rows."""
    return pd.DataFrame(
        columns=[*(metric.name for metric in columns(())), "dt_s", *FLAGS, "run_s"], dtype=float
    )

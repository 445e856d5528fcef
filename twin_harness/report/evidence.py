"""What a report rests on.

Everything that a run folder yields, read once, with what could not be read said in sentences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twin_harness.dataset.cleaning import Cleaning, start_cleaning
from twin_harness.dataset.preparation import window_means
from twin_harness.dataset.steps import FLAGS, GAP_INTERVALS
from twin_harness.errors import TwinError
from twin_harness.metrics import columns
from twin_harness.report.facts import EventFacts, ExperimentFacts, Statistic, ask
from twin_harness.runs.frames import whole_machine
from twin_harness.runs.judgement import session_tolerance

if TYPE_CHECKING:
    from twin_harness.runs.recording import Recording
    from twin_harness.runs.records import AnnotationRow
    from twin_harness.runs.run import Run

MOST_ROWS, _WINDOW_S = 200_000, 1.0
MOST_TOLD = 200


@dataclass(frozen=True)
class Evidence:
    """A run as far as it can be read.

    Attributes:
        run: the run.
        samples: its clean rows, every column of the registry present; empty when nothing was
            recorded.
        cleaning: what was found in the file and done about it; None without a dataset.
        window_s: 0, or the length of the windows whose means the rows are, where the run has too
            many rows to show each.
        moments: how many samples there were, before any means were made of them.
        gap_rows: ``run_s`` and ``dt_s`` of those that came more than three intervals after the one
            before, or before it.
        experiments: the experiments begun; of very many those with trouble first.
        untold: how many experiments there are beside them.
        marks: marks and phases that belong to no experiment.
        troubles: sentences about what could not be read.
    """

    run: Run
    samples: pd.DataFrame
    cleaning: Cleaning | None
    window_s: float
    moments: int
    gap_rows: pd.DataFrame
    experiments: tuple[ExperimentFacts, ...]
    untold: int = 0
    marks: tuple[AnnotationRow, ...] = ()
    troubles: tuple[str, ...] = ()

    @cached_property
    def events(self) -> tuple[EventFacts, ...]:
        """The events of all experiments."""
        return tuple(facts for experiment in self.experiments for facts in experiment.events)

    @cached_property
    def span_s(self) -> float:
        """Seconds from the first sample to the last; 0 without samples."""
        last_s = self.samples["run_s"].max()
        if np.isfinite(last_s):
            return float(last_s)
        return 0.0

    @cached_property
    def first_s(self) -> float:
        """When the first sample was taken, on CLOCK_MONOTONIC; 0 without samples."""
        first_s = self.samples["monotonic_s"].min()
        if np.isfinite(first_s):
            return float(first_s)
        return 0.0

    @cached_property
    def interval_s(self) -> float:
        """The time between two samples: as the logger was told, else the median.

        NaN without two rows.
        """
        if self.cleaning:
            known_s = self.cleaning.interval_s
        else:
            known_s = np.nan
        if np.isnan(known_s):
            return float(self.samples["dt_s"].median())
        return known_s

    @property
    def row_s(self) -> float:
        """The time that a row of ``samples`` stands for.

        An interval, or the window whose mean it is.
        """
        return self.window_s or self.interval_s

    @cached_property
    def second_means(self) -> pd.DataFrame:
        """Means over 1 s, for columns of which single rows mean nothing."""
        if self.window_s:
            return self.samples
        return window_means(self.samples, _WINDOW_S)

    def statistic(self, column: str) -> Statistic | None:
        """Return a column's statistic over the whole run, rows weighed by their time.

        None when it is empty.
        """
        values = self.samples[column].dropna()
        if values.empty:
            return None
        weights_s = self.samples.loc[values.index, "dt_s"].fillna(0.0).clip(lower=0.0)
        if weights_s.sum() > 0:
            mean = np.average(values, weights=weights_s)
        else:
            mean = values.mean()
        return Statistic(
            float(mean), float(values.std()), float(values.min()), float(values.max()), len(values)
        )


def no_samples() -> pd.DataFrame:
    """Return a dataset without rows."""
    return pd.DataFrame(
        columns=[*(metric.name for metric in columns(())), "dt_s", *FLAGS, "run_s"], dtype=float
    )


def gather(run: Run) -> Evidence:
    """Read a run folder, at any stage of its life.

    Raises:
        UnreadableRun: ``run.json`` or ``machine.json`` is of a newer version.
    """
    troubles: list[str] = []
    _ = run.state, run.machine
    rows = _samples(run, troubles)
    recordings, marks = _recordings(run, troubles)
    trials = _trials(run)
    tolerance = session_tolerance(run.state)
    experiments = [
        ExperimentFacts(number, recording, _variant(recording, trials), tolerance)
        for number, recording in enumerate(recordings, 1)
    ]
    told = sorted(
        sorted(experiments, key=lambda facts: not facts.has_trouble)[:MOST_TOLD],
        key=lambda facts: facts.number,
    )
    if not rows.window_s:
        _hand_out(rows.samples, told)
    return Evidence(
        run,
        rows.samples,
        rows.cleaning,
        rows.window_s,
        rows.moments,
        rows.gaps,
        tuple(told),
        len(experiments) - len(told),
        marks,
        tuple(troubles),
    )


def _trials(run: Run) -> list[dict[str, Any]]:
    """Return the runs of gated tests, where variants were compared.

    None where that cannot be read, which the gate's own section says.
    """
    try:
        trials = run.folder.read_gate().get("trials")
    except (TwinError, ValueError):
        return []
    if isinstance(trials, list):
        found = [trial for trial in trials if isinstance(trial, dict)]
    else:
        found = []
    return [
        trial
        for trial in found
        if trial.get("variant")
        and all(isinstance(trial.get(name), (int, float)) for name in ("begin_s", "end_s"))
    ]


def _variant(recording: Recording, trials: list[dict[str, Any]]) -> str:
    """Return the variant that was under test when an experiment began; empty where none was."""
    zero_s = recording.planned.zero_s
    return next(
        (str(trial["variant"]) for trial in trials if trial["begin_s"] <= zero_s <= trial["end_s"]),
        "",
    )


def _hand_out(samples: pd.DataFrame, told: list[ExperimentFacts]) -> None:
    """Give each recording its rows of what was read already.

    Those of parts of a machine read their own.
    """
    at_s = samples["monotonic_s"].to_numpy()
    for facts in told:
        recording = facts.recording
        if recording.planned.partition or recording.valid_bytes is not None:
            continue
        zero_s = recording.planned.zero_s
        begin, end = (
            np.searchsorted(at_s, zero_s + recording.begin_s),
            np.searchsorted(at_s, zero_s + recording.end_s, side="right"),
        )
        frame = samples.iloc[begin:end]
        recording.keep(frame.set_index(pd.Index(frame["monotonic_s"] - zero_s, name="t_s")))


@dataclass(frozen=True)
class _Rows:
    """What ``gather`` reads of the dataset; see ``Evidence``."""

    samples: pd.DataFrame
    cleaning: Cleaning | None
    window_s: float = 0.0
    moments: int = 0
    gaps: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["run_s", "dt_s"], dtype=float)
    )


def _samples(run: Run, troubles: list[str]) -> _Rows:
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
                window_s, kept = _WINDOW_S, [_thinned(own) for own in kept]
            kept.append(_thinned(frame) if window_s else frame)

    _, reason = ask(take)
    if reason:
        troubles.append(f"The dataset cannot be read: {reason}.")
        return _Rows(no_samples(), None)
    missing = [fault.column for fault in cleaning.faults if fault.kind == "missing column"]
    if missing:
        troubles.append(
            f"The dataset has no column {', '.join(missing)}; what rests on them is left out."
        )
    if not kept:
        return _Rows(no_samples(), cleaning)
    frame, gaps = (pd.concat(parts, ignore_index=True) for parts in (kept, late))
    first_s = frame["monotonic_s"].min()
    gaps = gaps.assign(run_s=gaps["monotonic_s"] - first_s)[["run_s", "dt_s"]]
    return _Rows(frame.assign(run_s=frame["monotonic_s"] - first_s), cleaning, window_s, rows, gaps)


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
    means = window_means(rows, _WINDOW_S)
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
            monotonic_s=means.index.to_numpy(), dt_s=(means["coverage"] * _WINDOW_S).to_numpy()
        )
    return frame.iloc[:0]


def _recordings(
    run: Run, troubles: list[str]
) -> tuple[tuple[Recording, ...], tuple[AnnotationRow, ...]]:
    """Return the experiments, and the marks outside of them."""
    try:
        names = {recording.name for recording in run.recordings}
        return run.recordings, tuple(
            row
            for row in run.folder.read_annotations()
            if row.stressor == "mark" and row.experiment not in names
        )
    except (
        TwinError,
        ValueError,
        KeyError,
        TypeError,
    ) as error:  # files of a run that was killed, or edited by hand
        troubles.append(f"The experiments cannot be read from the plans and annotations: {error}.")
        return (), ()

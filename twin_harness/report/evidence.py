"""What a report rests on: all that a run folder yields, and sentences on what it does not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twin_harness.dataset.preparation import window_means
from twin_harness.errors import TwinError
from twin_harness.report.dataset_rows import WINDOW_S, read_rows
from twin_harness.report.facts import EventFacts, ExperimentFacts, Statistic
from twin_harness.runs.judgement import session_tolerance

if TYPE_CHECKING:
    from twin_harness.dataset.cleaning import Cleaning
    from twin_harness.runs.recording import Recording
    from twin_harness.runs.records import AnnotationRow
    from twin_harness.runs.run import Run

MOST_EXPERIMENTS = 200


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
        left_out: how many experiments there are beside them.
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
    left_out: int = 0
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
        """The time between two samples: as configured, else the median.

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
        return window_means(self.samples, WINDOW_S)

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


def gather_evidence(run: Run) -> Evidence:
    """Read a run folder, at any stage of its life.

    Raises:
        UnreadableRun: ``run.json`` or ``machine.json`` is of a newer version.
    """
    troubles: list[str] = []
    _ = run.state, run.machine
    rows = read_rows(run, troubles)
    recordings, marks = _recordings(run, troubles)
    trials = _trials(run)
    tolerance = session_tolerance(run.state)
    experiments = [
        ExperimentFacts(number, recording, _variant(recording, trials), tolerance)
        for number, recording in enumerate(recordings, 1)
    ]
    shown = sorted(
        sorted(experiments, key=lambda facts: not facts.has_trouble)[:MOST_EXPERIMENTS],
        key=lambda facts: facts.number,
    )
    if not rows.window_s:
        _hand_out(rows.samples, shown)
    return Evidence(
        run,
        rows.samples,
        rows.cleaning,
        rows.window_s,
        rows.moments,
        rows.gaps,
        tuple(shown),
        len(experiments) - len(shown),
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


def _hand_out(samples: pd.DataFrame, shown: list[ExperimentFacts]) -> None:
    """Give each recording its rows of what was read already.

    Those of parts of a machine read their own.
    """
    at_s = samples["monotonic_s"].to_numpy()
    for facts in shown:
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

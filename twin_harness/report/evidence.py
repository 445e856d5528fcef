"""What a report rests on: everything that a run folder yields, read once, with what could not be read said in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from twin_harness.errors import TwinError
from twin_harness.frames import LABELS, whole_machine
from twin_harness.metrics import columns
from twin_harness.report.facts import EventFacts, ExperimentFacts, Statistic, ask
from twin_harness.report.faults import FileFaults, read_faults

if TYPE_CHECKING:
    from twin_harness.recording import Recording, Run
    from twin_harness.records import AnnotationRow


@dataclass(frozen=True)
class Evidence:
    """A run as far as it can be read.

    Attributes:
        run: the run.
        samples: its rows, every column of the registry present; empty when nothing was recorded.
        experiments: the experiments begun.
        marks: marks and phases that belong to no experiment.
        troubles: sentences about what could not be read.
    """

    run: Run
    samples: pd.DataFrame
    experiments: tuple[ExperimentFacts, ...]
    marks: tuple[AnnotationRow, ...] = ()
    troubles: tuple[str, ...] = ()

    @cached_property
    def faults(self) -> FileFaults | None:
        """What the dataset's file holds that ``samples`` does not; None without a file."""
        return read_faults(self.run)

    @cached_property
    def events(self) -> tuple[EventFacts, ...]:
        """The events of all experiments."""
        return tuple(facts for experiment in self.experiments for facts in experiment.events)

    @cached_property
    def span_s(self) -> float:
        """Seconds from the first sample to the last; 0 without samples."""
        last_s = self.samples["run_s"].max()
        return float(last_s) if np.isfinite(last_s) else 0.0

    @cached_property
    def first_s(self) -> float:
        """When the first sample was taken, on CLOCK_MONOTONIC; 0 without samples."""
        first_s = self.samples["monotonic_s"].min()
        return float(first_s) if np.isfinite(first_s) else 0.0

    @cached_property
    def interval_s(self) -> float:
        """The median time between two rows; NaN without two rows."""
        return float(self.samples["dt_s"].median())

    def statistic(self, column: str) -> Statistic | None:
        """Return a column's statistic over the whole run, rows weighed by their time; None when it is empty."""
        values = self.samples[column].dropna()
        if values.empty:
            return None
        weights_s = self.samples.loc[values.index, "dt_s"].fillna(0.0).clip(lower=0.0)
        mean = np.average(values, weights=weights_s) if weights_s.sum() > 0 else values.mean()
        return Statistic(float(mean), float(values.std()), float(values.min()), float(values.max()), len(values))


def no_samples() -> pd.DataFrame:
    """Return a dataset without rows."""
    return pd.DataFrame(columns=[*(metric.name for metric in columns(())), "dt_s", "run_s"], dtype=float)


def gather(run: Run) -> Evidence:
    """Read a run folder, at any stage of its life.

    Raises:
        UnreadableRun: ``run.json`` or ``machine.json`` is of a newer version.
    """
    troubles: list[str] = []
    _ = run.state, run.machine
    samples = _samples(run, troubles)
    recordings, marks = _recordings(run, troubles)
    experiments = tuple(ExperimentFacts(number, recording) for number, recording in enumerate(recordings, 1))
    return Evidence(run, samples, experiments, marks, tuple(troubles))


def _samples(run: Run, troubles: list[str]) -> pd.DataFrame:
    names = [metric.name for metric in columns(())]
    frame, reason = ask(lambda: run.samples)
    if frame is None:
        troubles.append(f"The dataset cannot be read: {reason}.")
        return no_samples()
    missing = [name for name in names if name not in frame.columns]
    if missing:
        troubles.append(f"The dataset has no column {', '.join(missing)}; what rests on them is left out.")
        frame = pd.concat([frame, pd.DataFrame({name: "" if name in LABELS else np.nan for name in missing}, index=frame.index)], axis=1)
    frame = whole_machine(frame)
    return frame.set_index(pd.RangeIndex(len(frame))).assign(run_s=frame["monotonic_s"].to_numpy() - frame["monotonic_s"].min())


def _recordings(run: Run, troubles: list[str]) -> tuple[tuple[Recording, ...], tuple[AnnotationRow, ...]]:
    """Return the experiments, and the marks outside of them."""
    try:
        names = {recording.name for recording in run.recordings}
        return run.recordings, tuple(row for row in run.folder.read_annotations() if row.stressor == "mark" and row.experiment not in names)
    except (TwinError, ValueError, KeyError, TypeError) as error:  # files of a run that was killed, or edited by hand
        troubles.append(f"The experiments cannot be read from the plans and annotations: {error}.")
        return (), ()

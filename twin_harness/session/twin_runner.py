"""The runner on the twin: the same experiments, files and recordings, in virtual time.

Every experiment takes a slice of the run's virtual clock, one after the other whatever worker runs
it, so that the dataset is in order of time. Its rows, plan and annotations are written as those of
a real one; what the model does not predict stays empty, and asserting on it is UNDECIDED.
"""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from math import isnan
from typing import TYPE_CHECKING, Any

from twin_harness.control.outcome import judge_tolerance
from twin_harness.errors import Undecided
from twin_harness.metrics import columns
from twin_harness.predict.virtual_recording import annotate, virtual_columns
from twin_harness.runs.recording import Recording
from twin_harness.runs.records import PlannedExperiment
from twin_harness.system.clock import monotonic_s, utc_s, utc_text
from twin_harness.system.folder_lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import numpy as np

    from twin_harness.control.annotations import AnnotationRecorder
    from twin_harness.predict.twin import Twin
    from twin_harness.runs.folder import RunFolder
    from twin_harness.schedule.model import Experiment
    from twin_harness.session.config import TwinConfig
    from twin_harness.system.machine import Machine


class TwinRunner:
    """Runs experiments on a fitted model.

    Args:
        twin: the model.
        folder: the run folder.
        recorder: writes the annotations of this worker.
        machine: the one that the twin is of.
        config: of the session: seconds between two rows, and tolerance.
        worker: name of the worker.
        warn: takes what the user should know, a sentence each.
    """

    def __init__(
        self,
        twin: Twin,
        folder: RunFolder,
        recorder: AnnotationRecorder,
        machine: Machine,
        config: TwinConfig,
        worker: str,
        warn: Callable[[str], None],
    ) -> None:
        self._twin = twin
        self._folder = folder
        self._recorder = recorder
        self._machine = machine
        self._interval_s = config.interval_s
        self._tolerance = config.tolerance
        self._warn = warn
        self._worker = worker
        self._columns = [metric.name for metric in columns(machine.possible_cpus)]
        self._wall_s = utc_s() - monotonic_s()

    def begin(self) -> None:
        """Write the dataset's heading, unless another worker has."""
        with self._alone():
            if not self._folder.dataset.exists():
                self._folder.append_rows(",".join(self._columns) + "\n")

    def run(self, experiment: Experiment, generator: dict[str, Any] | None = None) -> Recording:
        """Predict one experiment and return what would have been recorded.

        Raises:
            Undecided: the plan asks for what is not modelled, lies beyond what it was
                fitted to, or its tolerance cannot be judged.
            FidelityMissed: ``tolerance`` would be missed.
        """
        offsets_s, predicted = virtual_columns(self._twin.model_, experiment, self._interval_s)
        experiment = experiment.model_copy(
            update={"name": self._folder.claim_name(experiment.name)}
        )
        self.begin()
        with self._alone():
            begin_s = self._newest_s() + self._interval_s
            zero_s = begin_s + experiment.lead_s
            planned = PlannedExperiment(
                experiment,
                begin_s,
                zero_s,
                begin_s + experiment.duration_s,
                self._worker,
                "completed",
                generator,
            )
            # First: whoever comes next begins after it, whatever becomes of these rows.
            self._folder.append_plan(planned)
            self._folder.append_rows(self._rows(planned, offsets_s, predicted))
        samples = Recording.whole(self._folder, planned, ()).samples
        machine = self._machine
        rows = tuple(
            annotate(
                self._recorder.new_row(experiment.name, event.id, event.stressor),
                planned,
                event,
                event.scale(machine.cpu_capacity, machine.memory_limit_bytes),
                samples,
            )
            for event in experiment.events
        )
        for row in rows:
            self._recorder.record(row)
        recording = Recording.whole(self._folder, planned, rows)
        judge_tolerance(recording, self._tolerance, self._warn)
        return recording

    @contextmanager
    def background(self, experiment: Experiment, recordings: list[Recording]) -> Iterator[None]:
        """Refuse: what a test does itself beside a load takes real time.

        Raises:
            Undecided: always.
        """
        del recordings
        msg = (
            f"experiment {experiment.name!r}: a load beside what the test does itself needs the"
            " real machine; run it with --twin-on=server"
        )
        raise Undecided(msg)
        yield

    def _alone(self) -> AbstractContextManager[None]:
        """Hold the run folder: rows of several workers stand in the order of their virtual time."""
        return locked(self._folder.path, "run folder")

    def _newest_s(self) -> float:
        """Return when the last row was taken; now, before the first one."""
        with self._folder.open_dataset() as dataset:
            newest = [planned.end_s for planned in self._folder.read_plans()]
            if dataset.valid_bytes > dataset.first_row:
                return max(newest, default=monotonic_s())
            return monotonic_s()

    def _rows(
        self, planned: PlannedExperiment, offsets_s: np.ndarray, predicted: dict[str, np.ndarray]
    ) -> str:
        """Return rows as CSV lines."""
        if len(offsets_s) > 1:
            step_s = float(offsets_s[1] - offsets_s[0])
        else:
            step_s = self._interval_s
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        events = planned.experiment.events
        for number, offset_s in enumerate(offsets_s):
            at_s = planned.zero_s + float(offset_s)
            active = "+".join(
                event.id
                for event in events
                if event.start_s < offset_s and event.end_s > offset_s - step_s
            )
            moment = utc_text(self._wall_s + at_s)
            labels = {
                "time": moment,
                "monotonic_s": f"{at_s:.6f}",
                "host": self._machine.host,
                "experiment": planned.experiment.name,
                "active_events": active,
            }
            writer.writerow(
                [labels.get(name) or _cell(predicted, name, number) for name in self._columns]
            )
        return text.getvalue()


def _cell(predicted: dict[str, np.ndarray], name: str, number: int) -> str:
    """Return a cell; empty for what the model knows nothing of."""
    if name not in predicted:
        return ""
    value = float(predicted[name][number])
    if isnan(value):
        return ""
    return f"{value:.6g}"

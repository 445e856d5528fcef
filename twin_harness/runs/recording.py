"""What an experiment leaves: a Recording, a slice of one dataset by time.

And a Run, the folder of many.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from twin_harness.errors import HarnessFailure, InvalidInput, Undecided
from twin_harness.metrics import RESOURCE_COLUMNS, is_within_quota
from twin_harness.runs import fidelity as _fidelity
from twin_harness.runs.folder import RunFolder
from twin_harness.runs.frames import LABELS, annotation_frame, read_samples
from twin_harness.system.board import Board
from twin_harness.system.procfs import start_ticks
from twin_harness.system.provenance import is_predicted

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from twin_harness.runs.records import AnnotationRow, PlannedExperiment
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment

_SHORT_POINTS, _SHORT_SHARE, _LEAST_EXPLAINED = 1.0, 0.01, 0.5
_EDGE_S = 1e-6
_OTHERS_SHARE = 1e-3  # requested stands in the dataset with three decimals


class Runner(Protocol):
    """Where experiments run: this machine, or a model of it."""

    def run(self, experiment: Experiment) -> Recording:
        """Run one experiment and return what was recorded.

        Raises:
            ExperimentFailed, ExperimentAborted: it did not run as planned; the recording is on the
                exception.
        """
        ...


@dataclass(frozen=True)
class Recording:
    """What was recorded of one experiment, or of a window of it.

    Attributes:
        folder: the run folder.
        planned: the experiment and where it stands on CLOCK_MONOTONIC.
        rows: the annotation rows of its events and marks.
        begin_s, end_s: the window on the events' clock, in seconds (the lead is negative).
        valid_bytes: how much of the dataset is known to be whole; None while nobody writes.
    """

    folder: RunFolder
    planned: PlannedExperiment
    rows: tuple[AnnotationRow, ...]
    begin_s: float
    end_s: float
    valid_bytes: int | None = None

    @classmethod
    def whole(
        cls,
        folder: RunFolder,
        planned: PlannedExperiment,
        rows: tuple[AnnotationRow, ...],
        valid_bytes: int | None = None,
    ) -> Recording:
        """Return the recording of a whole experiment, lead and tail included."""
        return cls(
            folder,
            planned,
            rows,
            planned.begin_s - planned.zero_s,
            planned.end_s - planned.zero_s,
            valid_bytes,
        )

    def __repr__(self) -> str:
        """Return what a failed assertion shows of it."""
        return (
            f"<Recording {self.name!r}, {self.begin_s:.1f} to {self.end_s:.1f} s, {len(self.rows)}"
            " events and marks>"
        )

    @property
    def experiment(self) -> Experiment:
        """The experiment as planned."""
        return self.planned.experiment

    @property
    def name(self) -> str:
        """The experiment's name, unique in its run."""
        return self.experiment.name

    @cached_property
    def samples(self) -> pd.DataFrame:
        """The rows of the window; index ``t_s``.

        Seconds on the events' clock, at which each row was taken.
        """
        zero_s = self.planned.zero_s
        frame = read_samples(
            self.folder,
            self.valid_bytes,
            zero_s + self.begin_s,
            zero_s + self.end_s,
            self.planned.partition,
        )
        frame.index = (frame["monotonic_s"] - zero_s).rename("t_s")
        return frame

    @cached_property
    def machine(self) -> dict[str, Any]:
        """What the experiment ran on.

        ``machine.json``, with the capacities of its part where the machine was in parts.
        """
        data = self.folder.read_machine()
        parts = data.get("parts_of") or ()
        return {
            **data,
            **next((part for part in parts if part.get("name") == self.planned.partition), {}),
        }

    @cached_property
    def annotations(self) -> pd.DataFrame:
        """One row an event or mark, with the columns of ``annotations.csv``."""
        return annotation_frame(list(self.rows))

    def annotation(self, event_id: str) -> AnnotationRow:
        """Return the row of an event, mark or phase.

        Raises:
            InvalidInput: there is none of that name.
        """
        for row in self.rows:
            if row.event == event_id:
                return row
        msg = (
            f"event {event_id!r} is not in recording {self.name!r}; expected one of"
            f" {', '.join(row.event for row in self.rows) or 'none'}"
        )
        raise InvalidInput(msg)

    def during(self, event_id: str, skip_s: float = 0.0) -> Recording:
        """Return the window of an event or phase as it really ran, ``skip_s`` after its start.

        Raises:
            InvalidInput: there is no such event, or ``skip_s`` is beyond its end.
            Undecided: the event never began.
        """
        row = self.annotation(event_id)
        if not 0 <= skip_s < float("inf"):
            msg = (
                f"during({event_id!r}): expected skip_s of 0 or more seconds but got"
                f" skip_s={skip_s!r}"
            )
            raise InvalidInput(msg)
        if row.start_monotonic_s is None or row.end_monotonic_s is None:
            msg = (
                f"event {event_id!r} of {self.name!r} never ran ({row.status}:"
                f" {row.message or 'no reason given'})"
            )
            raise Undecided(msg)
        begin_s, end_s = (
            row.start_monotonic_s - self.planned.zero_s + skip_s,
            row.end_monotonic_s - self.planned.zero_s,
        )
        if begin_s >= end_s:
            msg = (
                f"during({event_id!r}): expected skip_s below the event's"
                f" {end_s - begin_s + skip_s:.3f} s but got skip_s={skip_s!r}"
            )
            raise InvalidInput(msg)
        return self.between(begin_s, end_s)

    def between(self, begin_s: float, end_s: float) -> Recording:
        """Return the window between two instants on the events' clock, as far as it lies within this one."""
        window = replace(self, begin_s=max(begin_s, self.begin_s), end_s=min(end_s, self.end_s))
        t_s = self.samples.index
        # What cached_property would read from the file again is a part of what is here.
        window.__dict__["samples"] = self.samples[(t_s >= window.begin_s) & (t_s <= window.end_s)]
        if "machine" in self.__dict__:
            window.__dict__["machine"] = self.machine
        return window

    def settled(self, event_id: str, margin_s: float = 0.0) -> Recording:
        """Return the plateau of an event: from ``settled_s`` (and ``margin_s`` more) to its end.

        Raises:
            Undecided: the event never settled.
        """
        row = self.annotation(event_id)
        if row.settled_s is None:
            msg = f"event {event_id!r} of {self.name!r} never settled within its tolerance"
            raise Undecided(msg)
        return self.during(event_id, row.settled_s + margin_s)

    def _values(self, column: str) -> tuple[pd.Series[float], pd.Series[float]]:
        """Return a column and the seconds each of its values stands for, rows without a value left out."""
        frame = self.samples
        if column not in frame.columns or column in LABELS:
            close = difflib.get_close_matches(column, frame.columns, n=3)
            msg = (
                f"column {column!r} is not in the dataset; expected e.g."
                f" {', '.join(close) or 'cpu_percent'}"
            )
            raise InvalidInput(msg)
        values = frame[column].to_numpy(dtype=float)
        has_value = ~np.isnan(values)
        if not has_value.any():
            if is_predicted(self.machine):
                empty = "the twin does not predict it"
            else:
                empty = "it is empty: this machine or session does not measure it"
            if frame.empty:
                reason = "the window holds no samples"
            else:
                reason = empty
            msg = f"column {column!r} of {self.name!r} cannot be judged: {reason}"
            raise Undecided(msg)
        # A row that straddles the start of the window stands for time before it as well.
        import pandas as pd

        t_s, lengths_s = (
            frame.index.to_numpy(dtype=float),
            np.nan_to_num(frame["dt_s"].to_numpy(dtype=float)),
        )
        is_inside = has_value & (t_s - lengths_s >= self.begin_s - _EDGE_S)
        if is_inside.any():
            chosen = is_inside
        else:
            chosen = has_value
        return pd.Series(values[chosen], index=t_s[chosen]), pd.Series(
            lengths_s[chosen], index=t_s[chosen]
        )

    def mean(self, column: str) -> float:
        """Return the mean of a column, each row weighed by the time it stands for (for rates: exactly the counters' difference).

        Raises:
            InvalidInput: there is no such column.
            Undecided: it is empty here.
        """
        values, seconds_s = self._values(column)
        total_s = float(seconds_s.sum())
        if total_s > 0:
            return float((values * seconds_s).sum() / total_s)
        return float(values.mean())

    def max(self, column: str) -> float:
        """Return the largest value of a column. Raises as ``mean``."""
        return float(self._values(column)[0].max())

    def min(self, column: str) -> float:
        """Return the smallest value of a column. Raises as ``mean``."""
        return float(self._values(column)[0].min())

    def quantile(self, column: str, q: float) -> float:
        """Return the ``q`` quantile (0 to 1) over the rows of a column. Raises as ``mean``."""
        if not 0 <= q <= 1:
            msg = f"quantile(): expected q from 0 to 1 but got q={q!r}"
            raise InvalidInput(msg)
        return float(self._values(column)[0].quantile(q))

    def lack_of_room(self, event_id: str) -> str:
        """Return why the machine could not deliver an event: others' work, steal, a slow device.

        Empty when it could have.

        The reason holds when delivered fell more than a point (cpu) or a percent (memory, disk)
        short of requested, and at least half of what is missing is explained by the time that the
        load waited for its resource while it was behind (``starved_s`` in the annotation's
        parameters: in a run queue by the kernel's account, for memory to be filled, for the device)
        or that the hypervisor took. A stressor that asks for too little waits for nothing and is
        never excused.
        """
        event = self.experiment.event(event_id)
        if event.stressor not in RESOURCE_COLUMNS:
            return ""
        window = self.during(event_id)
        seconds_s = float(window.samples["dt_s"].sum())
        if seconds_s <= 0:
            return ""
        if event.is_of_system and (reason := _excess_of_others(window, event_id)):
            return reason
        starved_s = self._starved_s(event)
        requested_column, delivered_column = RESOURCE_COLUMNS[event.stressor]
        if event.is_of_system:
            delivered = _total(window.samples)
        else:
            delivered = window.samples[delivered_column]
        requested, short = (
            float((values * window.samples["dt_s"]).sum()) / seconds_s
            for values in (
                window.samples[requested_column],
                window.samples[requested_column] - delivered,
            )
        )
        if event.stressor == "cpu":
            return self._lack_of_cpu(window, short, starved_s, seconds_s)
        if (
            requested <= 0
            or short <= _SHORT_SHARE * requested
            or starved_s < _LEAST_EXPLAINED * short / requested * seconds_s
        ):
            return ""
        if event.stressor == "memory":
            what = "memory to be filled"
        else:
            what = "the device"
        return (
            f"the machine had no room: {100.0 * short / requested:.1f} % short, while the load"
            f" waited {starved_s:.2f} s of {seconds_s:.2f} s for {what} (n = {len(window.samples)}"
            " samples)"
        )

    def _starved_s(self, event: Event) -> float:
        """Return how long an event waited for its resource, with those that used the resource at the same time: they share what is missing."""
        waited_s = 0.0
        for other in self.experiment.events:
            is_beside = other.start_s < event.end_s and other.end_s > event.start_s
            row = next((row for row in self.rows if row.event == other.id), None)
            if (
                other.stressor == event.stressor
                and is_beside
                and row is not None
                and row.parameters
            ):
                waited_s += float(json.loads(row.parameters).get("starved_s", 0.0))
        return waited_s

    def _lack_of_cpu(
        self, window: Recording, short: float, starved_s: float, seconds_s: float
    ) -> str:
        """Return why CPU time was missing, ``short`` points of the machine over ``seconds_s``.

        Empty when the load itself did too little.
        """
        if short <= _SHORT_POINTS:
            return ""
        capacity = float(self.machine.get("cpu_capacity", 1.0))
        missing_s = short / 100.0 * capacity * seconds_s
        steal = window.mean("cpu_steal_percent")
        # Within a quota, steal is a share of the CPUs' time and not of the quota.
        stolen_s = (
            steal
            / 100.0
            * (len(self.machine["cpus"]) if is_within_quota(self.machine) else capacity)
            * seconds_s
        )
        own = window.samples.get("harness_cpu_percent")
        if own is None or own.isna().all():
            harness = 0.0
        else:
            harness = float(own.mean())
        if starved_s + stolen_s < _LEAST_EXPLAINED * missing_s:
            return ""
        is_known = not window.samples["cpu_background_percent"].isna().all()
        if is_known:
            took = f"{window.mean('cpu_background_percent'):.1f} %"
        else:
            took = "an unknown part"
        if is_within_quota(self.machine):
            others = "others in its control group"
        else:
            others = "others"
        return (
            f"the machine had no room: {short:.1f} points short, that is {missing_s:.2f} s of CPU"
            f" time, while the load stood {starved_s:.2f} s in run queues; {others} took {took},"
            f" the harness {harness:.1f} % and the hypervisor {steal:.1f} % (n ="
            f" {len(window.samples)} samples)"
        )

    def require_room(self, event_id: str) -> None:
        """Go on only if the machine could have delivered an event.

        Raises:
            Undecided: others' work filled its CPUs; see ``lack_of_room``.
        """
        if reason := self.lack_of_room(event_id):
            msg = f"event {event_id!r} of {self.name!r}: {reason}"
            raise Undecided(msg)

    def fidelity(self, event_id: str) -> _fidelity.Fidelity:
        """Compare what an event asked for with what it got, from the dataset's contract columns.

        Where several events use one resource at a time, what it is off is shared out in proportion
        to what each asked for.

        Raises:
            InvalidInput: there is no such event.
            Undecided: it never ran, or is shorter than a sample.
        """
        event = self.experiment.event(event_id)
        if event.stressor not in RESOURCE_COLUMNS:
            msg = (
                f"event {event_id!r} of {self.name!r} is of stressor {event.stressor!r}, which has"
                " no columns of requested and delivered load"
            )
            raise Undecided(msg)
        window = self.during(event_id)
        machine = self.machine
        scale = event.scale(machine.get("cpu_capacity", 1.0), machine.get("memory_limit_bytes", 0))
        result = compare(event, scale, window.samples, self.annotation(event_id))
        if result is None:
            msg = (
                f"event {event_id!r} of {self.name!r} holds no whole sample; expected it to last at"
                " least two intervals"
            )
            raise Undecided(msg)
        return result


def _total(samples: pd.DataFrame) -> pd.Series[float]:
    """Return what a total of the machine counts: everything but what the hypervisor took."""
    return samples["cpu_percent"] - samples["cpu_steal_percent"]


def _excess_of_others(window: Recording, event_id: str) -> str:
    """Return why a total of the machine was too high: others alone exceeded it.

    Empty when they did not.
    """
    samples = window.samples
    total = _total(samples)
    others = total - samples["cpu_delivered_percent"]
    requested = samples["cpu_requested_percent"]
    seconds = samples["dt_s"]
    weight_s = float(seconds.sum())
    beyond = float(((total - requested) * seconds).sum()) / weight_s
    by_others = float(((others - requested).clip(lower=0.0) * seconds).sum()) / weight_s
    if beyond <= _SHORT_POINTS or by_others < _LEAST_EXPLAINED * beyond:
        return ""
    return (
        f"the machine had no room: others alone were {by_others:.1f} points above the total that"
        f" {event_id} fills up to (n = {len(samples)} samples)"
    )


def compare(
    event: Event, scale: float, samples: pd.DataFrame, row: AnnotationRow
) -> _fidelity.Fidelity | None:
    """Measure the fidelity of one event on rows of the dataset, in the unit of its columns.

    None when no whole row lies within it.

    Args:
        event: the event as planned.
        scale: what one unit of its level is in the unit of the columns; see ``Event.scale``.
        samples: rows indexed by seconds on the events' clock. Where several events use the resource
            in a row, what it is off is shared out in proportion to what each asked for: the
            kernel's account does not tell them apart. A total of the machine is compared with cpu −
            steal.
        row: when the event really ran.
    """
    requested_column, delivered_column = RESOURCE_COLUMNS[event.stressor]
    if row.actual_start_s is None or row.actual_end_s is None or samples.empty:
        return None
    ends_s = samples.index.to_numpy(dtype=float) - row.actual_start_s
    lengths_s = samples["dt_s"].fillna(0.0).to_numpy(dtype=float)
    own = (
        np.array(
            [
                _mean_level(event, end_s - length_s, end_s)
                for end_s, length_s in zip(ends_s, lengths_s, strict=True)
            ]
        )
        * scale
    )
    if event.is_of_system:
        delivered = _total(samples)
    else:
        delivered = samples[delivered_column]
    requested = samples[requested_column].to_numpy(dtype=float)
    total_error = (delivered.to_numpy(dtype=float) - requested) * _share_of(own, requested)
    duration_s = row.actual_end_s - row.actual_start_s
    return _fidelity.measure(
        event.stressor,
        ends_s,
        lengths_s,
        own,
        own + total_error,
        duration_s,
        event.shape.discontinuities(event.duration_s),
    )


def _share_of(own: NDArray[np.float64], requested: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which part of a resource's request is an event's own, row by row.

    All of it where no other event asks for any.
    """
    is_shared = requested - own > _OTHERS_SHARE * requested
    share = np.divide(own, requested, out=np.ones_like(own), where=is_shared & (requested > 0))
    return np.clip(share, 0.0, 1.0)


def _mean_level(event: Event, begin_s: float, end_s: float) -> float:
    """Return the mean over a row, 0 outside the event, as the logger writes it.

    What others asked for is the difference to its column.
    """
    from_s, to_s = max(begin_s, 0.0), min(end_s, event.duration_s)
    if to_s <= from_s:
        return 0.0
    return (
        event.shape.area(to_s, event.duration_s) - event.shape.area(from_s, event.duration_s)
    ) / (end_s - begin_s)


@dataclass(frozen=True)
class Run:
    """A run folder as data, at any stage of its life."""

    folder: RunFolder

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @cached_property
    def state(self) -> dict[str, Any]:
        """The content of ``run.json``; empty when the run never wrote one."""
        return self.folder.read_state()

    @cached_property
    def machine(self) -> dict[str, Any]:
        """The content of ``machine.json``; empty when the run never wrote one."""
        return self.folder.read_machine()

    @property
    def status(self) -> str:
        """RUNNING, COMPLETE, PARTIAL or ABORTED; UNKNOWN without ``run.json``.

        One whose session was killed is PARTIAL.
        """
        if self.is_killed:
            return "PARTIAL"
        return str(self.state.get("status", "UNKNOWN"))

    @cached_property
    def is_killed(self) -> bool:
        """Whether ``run.json`` says RUNNING while the session's controller is gone."""
        pid, born = self.state.get("controller_pid"), self.state.get("controller_start_ticks")
        return (
            self.state.get("status") == "RUNNING"
            and isinstance(pid, int)
            and born is not None
            and start_ticks(pid) != born
        )

    @property
    def losses(self) -> list[str]:
        """Why the run is PARTIAL, a sentence each."""
        partial = self.state.get("partial")
        if isinstance(partial, list):
            known = [str(reason) for reason in partial]
        else:
            known = []
        notes = self.folder.read_notes("partial")
        return [
            *known,
            *(note for note in notes if note not in known),
            *(["its session was killed before it could finish"] if self.is_killed else []),
        ]

    def valid_bytes(self) -> int | None:
        """Ask the board of a session that still runs how much of the dataset is whole.

        None when nobody writes any more.
        """
        path = self.state.get("board")
        if self.status != "RUNNING" or not path:
            return None
        try:
            board = Board.open(path)
        except HarnessFailure:
            return None
        try:
            return board.dataset_state()[0] or None
        finally:
            board.close()

    @cached_property
    def samples(self) -> pd.DataFrame:
        """Every row of the dataset.

        Index ``monotonic_s`` less that of the first row, in seconds.
        """
        frame = read_samples(self.folder, self.valid_bytes())
        if len(frame):
            first_s = frame["monotonic_s"].iloc[0]
        else:
            first_s = 0.0
        frame.index = (frame["monotonic_s"] - first_s).rename("run_s")
        return frame

    @cached_property
    def annotations(self) -> pd.DataFrame:
        """Every annotation row so far."""
        return annotation_frame(self.folder.read_annotations())

    @cached_property
    def recordings(self) -> tuple[Recording, ...]:
        """The experiments begun so far, in order of time."""
        rows = self.folder.read_annotations()
        valid_bytes = self.valid_bytes()
        return tuple(
            Recording.whole(
                self.folder,
                planned,
                tuple(row for row in rows if row.experiment == planned.experiment.name),
                valid_bytes,
            )
            for planned in self.folder.read_plans()
        )

    def recording(self, name: str) -> Recording:
        """Return the recording of that name.

        Raises:
            InvalidInput: there is none; the message lists those there are.
        """
        for recording in self.recordings:
            if recording.name == name:
                return recording
        msg = (
            f"experiment {name!r} is not in {self.path}; expected one of"
            f" {', '.join(r.name for r in self.recordings) or 'none'}"
        )
        raise InvalidInput(msg)


def load(folder: str | Path) -> Run:
    """Return the Run in a folder such as ``data/latest``, complete, partial, killed or still running.

    Raises:
        UnreadableRun: there is no run in it.
    """
    opened = RunFolder.open(folder)
    opened.warns = True
    return Run(opened)

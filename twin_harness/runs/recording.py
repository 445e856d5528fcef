"""A Recording: what was recorded of one experiment, or of a window of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from twin_harness.errors import InvalidInput, Undecided
from twin_harness.runs.column import column_of
from twin_harness.runs.delivery import fidelity_of
from twin_harness.runs.frames import annotation_frame, read_samples
from twin_harness.runs.room import lack_of_room
from twin_harness.system.provenance import is_predicted

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.runs.column import Column
    from twin_harness.runs.fidelity import Fidelity
    from twin_harness.runs.folder import RunFolder
    from twin_harness.runs.records import AnnotationRow, PlannedExperiment
    from twin_harness.schedule.model import Experiment


@dataclass(frozen=True)
class Recording:
    """What was recorded of one experiment, or of a window of it.

    Attributes:
        folder: the run folder; None where the samples are given and lie in no folder.
        planned: the experiment and where it stands on CLOCK_MONOTONIC.
        rows: the annotation rows of its events and marks.
        begin_s: start of the window on the events' clock, in seconds (the lead is negative).
        end_s: its end.
        valid_bytes: how much of the dataset is known to be whole; None while nobody writes.
    """

    folder: RunFolder | None
    planned: PlannedExperiment
    rows: tuple[AnnotationRow, ...]
    begin_s: float
    end_s: float
    valid_bytes: int | None = None

    @classmethod
    def whole(
        cls,
        folder: RunFolder | None,
        planned: PlannedExperiment,
        rows: tuple[AnnotationRow, ...],
        valid_bytes: int | None = None,
    ) -> Self:
        """Return the recording of a whole experiment, lead and tail included.

        Args:
            folder: the run folder; None where the samples are given.
            planned: the experiment and where it stands on CLOCK_MONOTONIC.
            rows: the annotation rows of its events and marks.
            valid_bytes: how much of the dataset is known to be whole; None while nobody writes.
        """
        begin_s, end_s = planned.begin_s - planned.zero_s, planned.end_s - planned.zero_s
        return cls(folder, planned, rows, begin_s, end_s, valid_bytes)

    @classmethod
    def of_rows(
        cls,
        planned: PlannedExperiment,
        rows: tuple[AnnotationRow, ...],
        samples: pd.DataFrame,
        *,
        machine: dict[str, Any] | None = None,
    ) -> Self:
        """Return the recording of samples that are at hand and lie in no run folder.

        Args:
            planned: the experiment, and where it stands on the samples' clock.
            rows: the annotation rows of its events and marks.
            samples: the rows of the dataset, indexed by seconds on the events' clock.
            machine: what the experiment ran on, as ``machine.json`` has it.
        """
        recording = cls.whole(None, planned, rows)
        recording.keep(samples, machine or {})
        return recording

    def keep(self, samples: pd.DataFrame, machine: dict[str, Any] | None = None) -> None:
        """Take what was read already for ``samples`` and ``machine``: no file is read for it again.

        Args:
            samples: the rows of the window, indexed by seconds on the events' clock.
            machine: None has it read from the run folder when it is asked for.
        """
        self.__dict__["samples"] = samples  # where cached_property looks first
        if machine is not None:
            self.__dict__["machine"] = machine

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
    def run_id(self) -> str:
        """The run it is of; empty where it lies in no run folder."""
        if self.folder is None:
            return ""
        return self.folder.run_id

    @property
    def name(self) -> str:
        """The experiment's name, unique in its run."""
        return self.experiment.name

    @cached_property
    def samples(self) -> pd.DataFrame:
        """The rows of the window; index ``t_s``.

        Seconds on the events' clock, at which each row was taken.
        """
        if self.folder is None:
            msg = f"recording {self.name!r} lies in no run folder, and its samples were not given"
            raise Undecided(msg)
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
    def machine_file(self) -> dict[str, Any]:
        """The content of ``machine.json``; empty where there is none."""
        if self.folder is None:
            return {}
        return self.folder.read_machine()

    @cached_property
    def machine(self) -> dict[str, Any]:
        """What the experiment ran on.

        ``machine.json``, with the capacities of its part where the machine was in parts.
        """
        data = self.machine_file
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
        begin_s = row.start_monotonic_s - self.planned.zero_s + skip_s
        end_s = row.end_monotonic_s - self.planned.zero_s
        if begin_s >= end_s:
            msg = (
                f"during({event_id!r}): expected skip_s below the event's"
                f" {end_s - begin_s + skip_s:.3f} s but got skip_s={skip_s!r}"
            )
            raise InvalidInput(msg)
        return self.between(begin_s, end_s)

    def between(self, begin_s: float, end_s: float) -> Recording:
        """Return the part of this window between two instants on the events' clock."""
        window = replace(self, begin_s=max(begin_s, self.begin_s), end_s=min(end_s, self.end_s))
        t_s = self.samples.index
        window.keep(
            self.samples[(t_s >= window.begin_s) & (t_s <= window.end_s)],
            self.__dict__.get("machine"),
        )
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

    def column(self, name: str) -> Column:
        """Return a column's values with the seconds that each stands for. Raises as ``mean``."""
        column = column_of(self.samples, name, self.begin_s)
        if column is not None:
            return column
        if self.samples.empty:
            reason = "the window holds no samples"
        elif is_predicted(self.machine):
            reason = "the twin does not predict it"
        else:
            reason = "it is empty: this machine or session does not measure it"
        msg = f"column {name!r} of {self.name!r} cannot be judged: {reason}"
        raise Undecided(msg)

    def mean(self, column: str) -> float:
        """Return the mean of a column, each row weighted by the time it stands for.

        For rates that is exactly the counters' difference.

        Raises:
            InvalidInput: there is no such column.
            Undecided: it is empty here.
        """
        return self.column(column).mean()

    def max(self, column: str) -> float:
        """Return the largest value of a column. Raises as ``mean``."""
        return float(self.column(column).data.max())

    def min(self, column: str) -> float:
        """Return the smallest value of a column. Raises as ``mean``."""
        return float(self.column(column).data.min())

    def quantile(self, column: str, q: float) -> float:
        """Return the ``q`` quantile (0 to 1) over the rows of a column. Raises as ``mean``."""
        if not 0 <= q <= 1:
            msg = f"quantile(): expected q from 0 to 1 but got q={q!r}"
            raise InvalidInput(msg)
        return float(self.column(column).data.quantile(q))

    def lack_of_room(self, event_id: str) -> str:
        """Return why the machine could not deliver an event: others' work, steal, a slow device.

        Empty when it could have. What counts as a reason is said in ``runs.room``.
        """
        return lack_of_room(self, event_id)

    def require_room(self, event_id: str) -> None:
        """Go on only if the machine could have delivered an event.

        Raises:
            Undecided: others' work filled its CPUs; see ``lack_of_room``.
        """
        if reason := self.lack_of_room(event_id):
            msg = f"event {event_id!r} of {self.name!r}: {reason}"
            raise Undecided(msg)

    def fidelity(self, event_id: str) -> Fidelity:
        """Compare what an event asked for with what it got, from the dataset's contract columns.

        Where several events use one resource at a time, what it is off is shared out in proportion
        to what each asked for.

        Raises:
            InvalidInput: there is no such event.
            Undecided: it never ran, or is shorter than a sample.
        """
        return fidelity_of(self, event_id)

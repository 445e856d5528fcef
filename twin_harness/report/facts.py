"""Experiments and events in a report: plan, outcome, and the numbers that sections repeat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from twin_harness.errors import InvalidInput, Undecided, UnreadableRun
from twin_harness.runs.judgement import MISSED, UNDECIDED, UNJUDGED, Judgement, judge, tolerance_of
from twin_harness.schedule.tolerance import DEFAULT_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from twin_harness.runs.fidelity import Fidelity
    from twin_harness.runs.recording import Recording
    from twin_harness.runs.records import AnnotationRow
    from twin_harness.schedule.event import Event

T = TypeVar("T")
DISK_COLUMNS = ("disk_read_bytes_per_s", "disk_write_bytes_per_s")


def ask(question: Callable[[], T]) -> tuple[T | None, str]:
    """Return the answer, or None and why there is none."""
    try:
        return question(), ""
    except (Undecided, InvalidInput, UnreadableRun) as error:
        return None, str(error)
    except KeyError as error:  # a heading that was damaged
        return None, f"the dataset has no column {error}"


@dataclass(frozen=True)
class Statistic:
    """A mean with its spread and count.

    Attributes:
        mean: weighed by the time each row stands for.
        sd: standard deviation over the rows; NaN for a single one.
        low: the smallest row.
        high: the largest row.
        count: rows with a value.
    """

    mean: float
    sd: float
    low: float
    high: float
    count: int


def statistic(recording: Recording, *names: str) -> Statistic:
    """Return the statistic of a column, or of the sum of several.

    Raises:
        Undecided, InvalidInput, UnreadableRun: as ``Recording.mean``.
    """
    mean = sum(recording.mean(name) for name in names)
    # The rows that the mean is of: the one that straddles the start of the window stands for time
    # before it as well.
    columns = [recording.column(name) for name in names]
    each = [_weighing(column.data, column.seconds_s) for column in columns]
    values = sum(each[1:], each[0]).dropna()
    return Statistic(
        mean, float(values.std()), float(values.min()), float(values.max()), len(values)
    )


def _weighing(values: pd.Series[float], seconds_s: pd.Series[float]) -> pd.Series[float]:
    """Return the values that stand for some time, all where none does.

    A dataset's first row stands for a time that nobody knows.
    """
    if (seconds_s > 0).any():
        return values[seconds_s > 0]
    return values


@dataclass(frozen=True)
class EventFacts:
    """One event: its plan, what came of it, and its fidelity in the unit of the columns.

    Attributes:
        recording: of its experiment.
        event: as planned.
        row: what came of it; None where nothing was recorded.
        session_tolerance: what it is held against where its experiment has no tolerance of its own.
    """

    recording: Recording
    event: Event
    row: AnnotationRow | None
    session_tolerance: str = DEFAULT_TOLERANCE

    @cached_property
    def fidelity(self) -> tuple[Fidelity | None, str]:
        """Requested against delivered, or None and why that is not known."""
        row = self.row
        if row is None:
            return None, "no outcome was recorded: the run ended before the event did"
        if row.actual_start_s is None or row.actual_end_s is None:
            return None, f"the event never ran ({row.status}: {row.message or 'no reason given'})"
        return ask(lambda: self.recording.fidelity(self.event.id))

    @property
    def kind(self) -> str:
        """The shape of its level; the program of a command."""
        if self.event.stressor == "command":
            return str(self.event.options["argv"][0])
        return self.event.shape.kind

    @property
    def has_begun(self) -> bool:
        """Whether it is known to have begun."""
        return self.row is not None and self.row.actual_start_s is not None

    @property
    def span_s(self) -> tuple[float, float]:
        """From when to when on the events' clock: as it ran, else as planned."""
        begin_s, end_s = self.event.start_s, self.event.end_s
        if self.row is not None and self.row.actual_start_s is not None:
            begin_s = self.row.actual_start_s
        if self.row is not None and self.row.actual_end_s is not None:
            end_s = self.row.actual_end_s
        return begin_s, max(begin_s, end_s)

    @property
    def status(self) -> str:
        """As annotated; ``no outcome`` when nothing was."""
        return self.row.status if self.row else "no outcome"

    @property
    def error_percent(self) -> float | None:
        """Delivered less requested in percent of requested: as annotated, else from the dataset."""
        if self.row is not None and self.row.delivered_error_percent is not None:
            return self.row.delivered_error_percent
        fidelity = self.fidelity[0]
        return fidelity.error_percent if fidelity else None

    @property
    def has_missed(self) -> bool:
        """Whether the event's mean is further from its plan than the tolerance.

        A first look, without the samples.
        """
        limit_percent, _ = tolerance_of(self.recording, self.session_tolerance)
        error_percent = self.error_percent
        return (
            error_percent is not None
            and limit_percent is not None
            and abs(error_percent) > limit_percent
        )

    @cached_property
    def judgement(self) -> Judgement:
        """Whether it was within its tolerance, as the session judged it."""
        if self.row is None:
            return Judgement(self.event.id, UNJUDGED, "no outcome was recorded")
        verdict, reason = ask(lambda: judge(self.recording, self.event.id, self.session_tolerance))
        return verdict or Judgement(self.event.id, UNDECIDED, reason)

    @property
    def is_off(self) -> bool:
        """Whether it was not, or that cannot be said."""
        return self.judgement.verdict in (MISSED, UNDECIDED)


@dataclass(frozen=True)
class ExperimentFacts:
    """One experiment and the numbers that every section repeats.

    Attributes:
        number: its place in the run.
        recording: what was recorded of it.
        variant: what was under test, where a gate compares two; else empty.
        session_tolerance: what its events are held against where it has no tolerance of its own.
    """

    number: int
    recording: Recording
    variant: str = ""
    session_tolerance: str = DEFAULT_TOLERANCE

    @property
    def name(self) -> str:
        """Its name in the run, with the variant where there is one.

        Pairs bear one name and a number.
        """
        if self.variant:
            return f"{self.recording.name} ({self.variant})"
        return self.recording.name

    @property
    def anchor(self) -> str:
        """Where it stands on the page."""
        return f"experiment-{self.number}"

    @cached_property
    def events(self) -> tuple[EventFacts, ...]:
        """Its planned events, with what came of them."""
        rows = {row.event: row for row in self.recording.rows if row.stressor != "mark"}
        return tuple(
            EventFacts(self.recording, event, rows.get(event.id), self.session_tolerance)
            for event in self.recording.experiment.events
        )

    @property
    def tolerance(self) -> str:
        """The tolerance in words: its own, the session's, or none."""
        own = self.recording.experiment.tolerance
        if own is None:
            return f"tolerance {self.session_tolerance} (the session's)"
        return f"tolerance {own}"

    @property
    def marks(self) -> tuple[AnnotationRow, ...]:
        """Its marks and phases."""
        return tuple(row for row in self.recording.rows if row.stressor == "mark")

    @property
    def duration_s(self) -> float:
        """Seconds in all, lead and tail included."""
        return self.recording.end_s - self.recording.begin_s

    @property
    def has_trouble(self) -> bool:
        """Whether some event did not complete, or missed."""
        return any(facts.status != "completed" or facts.has_missed for facts in self.events)

    @cached_property
    def cpu(self) -> tuple[Statistic | None, str]:
        """CPU percent over the whole experiment."""
        return ask(lambda: statistic(self.recording, "cpu_percent"))

    @cached_property
    def memory(self) -> tuple[Statistic | None, str]:
        """Memory percent over the whole experiment."""
        return ask(lambda: statistic(self.recording, "memory_percent"))

    @cached_property
    def disk(self) -> tuple[Statistic | None, str]:
        """Bytes per second read and written over the whole experiment."""
        return ask(lambda: statistic(self.recording, *DISK_COLUMNS))

    @cached_property
    def energy_joules(self) -> float | None:
        """Mean power times duration, where the machine shows power."""
        power_watts, _ = ask(lambda: self.recording.mean("power_watts"))
        if power_watts is None:
            return None
        return power_watts * self.duration_s

    def before(self) -> Recording:
        """Return the window of the lead, before the events' clock."""
        return self.recording.between(self.recording.begin_s, 0.0)

"""The annotation recorder: what happened when, on the clock of the samples."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput
from twin_harness.runs.records import AnnotationRow
from twin_harness.schedule.event import NAME_PATTERN
from twin_harness.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin_harness.runs.folder import RunFolder

# Characters: spreadsheets cut cells off at 32,767, and Python's csv stops at 131,072.
LONGEST_CELL = 32_000


def utc_text(monotonic_s: float) -> str:
    """Return the wall clock at an instant of CLOCK_MONOTONIC, ISO 8601 with microseconds."""
    return clock.utc_text(clock.utc_s() - (clock.monotonic_s() - monotonic_s))


class AnnotationRecorder:
    """Writes annotation rows of one worker, each durable as it is known.

    Args:
        folder: the run.
        host: the machine's name, as it stands in the rows.
        worker: name of the worker that writes.
        partition: the part of the machine that it has; empty for the whole.
    """

    def __init__(
        self, folder: RunFolder, host: str, worker: str = "main", partition: str = ""
    ) -> None:
        self._folder = folder
        self._host = host
        self._worker = worker
        self._partition = partition
        self._rows: list[AnnotationRow] = []
        self._experiments: list[tuple[str, float]] = []
        # Loads of one test may end in threads, and a shard has one heading.
        self._writing = threading.Lock()

    def new_row(self, experiment: str, event: str, stressor: str) -> AnnotationRow:
        """Return a row with the run, the host, the worker and its part filled in.

        Args:
            experiment: name of the experiment; empty for a mark outside of any.
            event: id of the event, or name of the mark or phase.
            stressor: of the event; ``mark`` for marks and phases.
        """
        row = AnnotationRow(
            run=self._folder.run_id,
            experiment=experiment,
            event=event,
            stressor=stressor,
            host=self._host,
        )
        row.worker, row.partition = self._worker, self._partition
        return row

    def record(self, row: AnnotationRow) -> None:
        """Write a row; it survives a crash from here on."""
        row.parameters = fit_in_cell(row.parameters)
        if row.start_monotonic_s is not None:
            row.start_time = utc_text(row.start_monotonic_s)
        if row.end_monotonic_s is not None:
            row.end_time = utc_text(row.end_monotonic_s)
        with self._writing:
            self._folder.append_annotation(row)
            self._rows.append(row)

    def begin_experiment(self, name: str, zero_s: float) -> None:
        """Say that marks belong to an experiment from now on."""
        with self._writing:
            self._experiments.append((name, zero_s))

    def end_experiment(self, name: str) -> None:
        """Say that an experiment is over."""
        with self._writing:
            self._experiments = [entry for entry in self._experiments if entry[0] != name]

    def rows_of(self, experiment: str) -> tuple[AnnotationRow, ...]:
        """Return the rows of an experiment so far."""
        return tuple(row for row in self._rows if row.experiment == experiment)

    def mark(self, name: str, **parameters: Any) -> None:
        """Mark this moment on the timeline, with parameters that JSON can hold.

        Raises:
            InvalidInput: the name or a parameter cannot stand in a file.
        """
        now_s = clock.monotonic_s()
        self._write_mark(name, now_s, now_s, parameters)

    @contextmanager
    def phase(self, name: str, **parameters: Any) -> Iterator[None]:
        """Mark the time that a block takes as a phase of that name.

        Raises:
            InvalidInput: the name or a parameter cannot stand in a file.
        """
        _check_name(name)
        begin_s = clock.monotonic_s()
        try:
            yield
        finally:
            self._write_mark(name, begin_s, clock.monotonic_s(), parameters)

    def _write_mark(
        self, name: str, begin_s: float, end_s: float, parameters: dict[str, Any]
    ) -> None:
        _check_name(name)
        experiment, zero_s = self._experiments[-1] if self._experiments else ("", None)
        row = self.new_row(experiment, name, "mark")
        row.start_monotonic_s, row.end_monotonic_s = begin_s, end_s
        if zero_s is not None:
            row.actual_start_s, row.actual_end_s = begin_s - zero_s, end_s - zero_s
        try:
            row.parameters = json.dumps(parameters)
        except (TypeError, ValueError) as error:
            msg = (
                f"mark({name!r}): parameters {sorted(parameters)} cannot be written as JSON"
                f" ({error}); pass numbers and strings"
            )
            raise InvalidInput(msg) from None
        self.record(row)


def fit_in_cell(parameters: str) -> str:
    """Return parameters as they fit into a cell of a spreadsheet.

    A long trace is summarised by its number of points and their range; the points themselves are in
    ``schedule.json``.
    """
    if len(parameters) <= LONGEST_CELL:
        return parameters
    data = json.loads(parameters)
    shape = data.get("shape") if isinstance(data, dict) else None
    if not isinstance(shape, dict):
        return parameters
    for name in ("points", "levels"):
        if values := shape.pop(name, None):
            levels = [value[1] if isinstance(value, list) else value for value in values]
            shape[f"{name}_in_schedule_json"] = {
                "count": len(values),
                "lowest": min(levels),
                "highest": max(levels),
            }
    return json.dumps(data)


def _check_name(name: str) -> None:
    if not NAME_PATTERN.fullmatch(str(name)):
        msg = (
            f"annotation name {name!r} is not allowed; expected letters, digits, blanks and"
            " _.,:/#[]-, at most 120 characters"
        )
        raise InvalidInput(msg)

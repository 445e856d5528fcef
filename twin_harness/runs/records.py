"""What a run writes down of its experiments.

A row of ``annotations.csv``, and an experiment as planned and begun.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from twin_harness.schedule.model import Experiment


@dataclass
class AnnotationRow:
    """One row of ``annotations.csv``: what was planned of an event and what came of it.

    None is an empty cell.
    """

    run: str
    experiment: str
    event: str
    stressor: str
    shape: str = ""
    unit: str = ""
    planned_start_s: float | None = None
    planned_end_s: float | None = None
    actual_start_s: float | None = None
    actual_end_s: float | None = None
    start_time: str = ""
    end_time: str = ""
    start_monotonic_s: float | None = None
    end_monotonic_s: float | None = None
    start_error_ms: float | None = None
    end_error_ms: float | None = None
    requested_mean: float | None = None
    delivered_mean: float | None = None
    delivered_error_percent: float | None = None
    delivered_rmse: float | None = None
    settled_s: float | None = None
    release_s: float | None = None
    overlapped: bool = False
    status: str = "completed"
    message: str = ""
    host: str = ""
    worker: str = "main"
    partition: str = ""
    parameters: str = "{}"

    def to_cells(self) -> list[str]:
        """Return the row as CSV cells.

        Numbers to a microsecond or six digits, booleans in lower case.
        """
        return [cell(getattr(self, field.name)) for field in fields(self)]

    @classmethod
    def from_cells(cls, cells: dict[str, str]) -> AnnotationRow:
        """Return the row that ``to_cells`` wrote; columns of a later version are left out."""
        values: dict[str, Any] = {}
        for field in fields(cls):
            text = cells.get(field.name) or ""
            if field.type.startswith("float"):
                if text:
                    values[field.name] = float(text)
                else:
                    values[field.name] = None
            elif field.type == "bool":
                values[field.name] = text == "true"
            else:
                values[field.name] = text
        return cls(**values)


ANNOTATION_COLUMNS = tuple(field.name for field in fields(AnnotationRow))


def cell(value: object) -> str:
    """Return a CSV cell: empty for None, six decimals at most, booleans in lower case.

    Numpy's scalars like Python's own.
    """
    if hasattr(value, "item"):
        value = value.item()
    if value is None:
        return ""
    if isinstance(value, bool):
        if value:
            return "true"
        return "false"
    if isinstance(value, float):
        if abs(value) < 1e15:
            text = f"{value:.6f}".rstrip("0").rstrip(".")
        else:
            text = repr(value)
        if text == "-0":
            return "0"
        return text
    return str(value)


@dataclass(frozen=True)
class PlannedExperiment:
    """An experiment as it was planned and begun: where it stands on CLOCK_MONOTONIC.

    Attributes:
        experiment: the plan, under the name it has in this run.
        begin_s: start of the lead.
        zero_s: zero of the events' clock.
        end_s: end of the tail; planned until known.
        worker: who ran it.
        status: RUNNING until it ended.
        generator: what made the plan; None where a person did.
        partition: the part of the machine that it ran in; empty for the whole.
        settled: how the wait for an idle machine before the lead went; None when it did not wait.
        foreign: the processes of others that used most CPU meanwhile (name, pid, CPU seconds); None
            until known.
    """

    experiment: Experiment
    begin_s: float
    zero_s: float
    end_s: float
    worker: str = "main"
    status: str = "RUNNING"
    generator: dict[str, Any] | None = None
    partition: str = ""
    settled: dict[str, Any] | None = None
    foreign: list[dict[str, Any]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "experiment": self.experiment.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PlannedExperiment:
        """Return what ``to_json`` wrote."""
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        return cls(**{**known, "experiment": Experiment.model_validate(data["experiment"])})

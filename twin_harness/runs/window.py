"""What questions about one event need of a recording: its plan, rows, samples and machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.runs.records import AnnotationRow
    from twin_harness.schedule.model import Experiment


class Window(Protocol):
    """A recording of an experiment, or of a window of it; ``Recording`` is one."""

    @property
    def name(self) -> str:
        """The experiment's name."""
        ...

    @property
    def experiment(self) -> Experiment:
        """The experiment as planned."""
        ...

    @property
    def rows(self) -> tuple[AnnotationRow, ...]:
        """The annotation rows of its events and marks."""
        ...

    @property
    def samples(self) -> pd.DataFrame:
        """The rows of the dataset within the window."""
        ...

    @property
    def machine(self) -> dict[str, Any]:
        """What the experiment ran on."""
        ...

    def annotation(self, event_id: str) -> AnnotationRow:
        """Return the row of an event."""
        ...

    def during(self, event_id: str) -> Window:
        """Return the window of an event as it really ran."""
        ...

    def mean(self, column: str) -> float:
        """Return the mean of a column, weighted by time."""
        ...

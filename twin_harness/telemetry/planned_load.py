"""The plan of a running experiment as the logger reads it from the board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twin_harness.shapes import shape as shapes

if TYPE_CHECKING:
    from twin_harness.shapes.shape import Shape
    from twin_harness.system.load_messages import BoardPlan


@dataclass(frozen=True, slots=True)
class PlannedLoad:
    """An event as the logger needs it.

    Attributes:
        event_id: as in the annotations.
        stressor: its kind.
        shape: level over time.
        start_s: planned start on CLOCK_MONOTONIC.
        duration_s: planned length.
        scale: factor from its level to the unit of the column.
    """

    event_id: str
    stressor: str
    shape: Shape
    start_s: float
    duration_s: float
    scale: float

    def requested(self, begin_s: float, end_s: float) -> float:
        """Return the mean planned load between two instants, in the unit of the column.

        It is 0 outside the event.
        """
        from_s, to_s = max(begin_s - self.start_s, 0.0), min(end_s - self.start_s, self.duration_s)
        if to_s <= from_s:
            return 0.0
        area = self.shape.area(to_s, self.duration_s) - self.shape.area(from_s, self.duration_s)
        return area * self.scale / (end_s - begin_s)

    def is_active(self, begin_s: float, end_s: float) -> bool:
        """Return whether the event overlaps the time between two instants."""
        return self.start_s < end_s and self.start_s + self.duration_s > begin_s


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """A running experiment.

    Attributes:
        name: of the experiment.
        begin_s: begin of its recording on CLOCK_MONOTONIC.
        end_s: planned end of its recording.
        loads: its events.
        partition: the machine's part; empty where the machine is whole.
    """

    name: str
    begin_s: float
    end_s: float
    loads: tuple[PlannedLoad, ...]
    partition: str = ""

    @classmethod
    def from_json(cls, plan: BoardPlan) -> PlannedWindow:
        """Read a plan from the board."""
        loads = tuple(
            PlannedLoad(
                event["id"],
                event["stressor"],
                shapes.from_json(event["shape"]),
                plan["zero_s"] + event["start_s"],
                event["duration_s"],
                event["scale"],
            )
            for event in plan["events"]
        )
        part = plan.get("partition", "")
        return cls(plan["experiment"], plan["begin_s"], plan["end_s"], loads, part)

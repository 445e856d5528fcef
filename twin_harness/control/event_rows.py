"""Annotation rows of one experiment's events, from what its load host says of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twin_harness.metrics import RESOURCE_COLUMNS
from twin_harness.runs.delivered_cells import fill_delivery
from twin_harness.runs.delivery import compare
from twin_harness.runs.recording import Recording
from twin_harness.shapes import shape as shapes
from twin_harness.system.clock import monotonic_s

if TYPE_CHECKING:
    from twin_harness.control.host_link import HostLink
    from twin_harness.control.site import Site
    from twin_harness.runs.records import AnnotationRow, PlannedExperiment
    from twin_harness.schedule.event import Event
    from twin_harness.system.load_messages import EndedAnswer, EventAnswer

_POLL_S = 0.05
_END_PATIENCE_S = 3.0
_COMMAND_PATIENCE_S = 4.0
_SHORTEST_CUT_S = 1e-3


class EventRows:
    """The events of an experiment under way: which wait for their end, and the rows of the others.

    Args:
        site: where the experiment runs; rows are recorded there.
        events: of the experiment.

    Attributes:
        waiting: events that have not ended, by id.
        starts_s: when each event began, on CLOCK_MONOTONIC.
        ended: events whose samples have not all arrived, each with its row.
        written: the rows that are durable.
    """

    def __init__(self, site: Site, events: tuple[Event, ...]) -> None:
        self._site = site
        self.waiting = {event.id: event for event in events}
        self.starts_s: dict[str, float] = {}
        self.ended: list[tuple[Event, AnnotationRow]] = []
        self.written: list[AnnotationRow] = []

    @property
    def statuses(self) -> set[str]:
        """How events ended, as far as they did."""
        return {row.status for row in (*self.written, *(row for _, row in self.ended))}

    def due(self, planned: PlannedExperiment, now_s: float) -> list[Event]:
        """Return the waiting events whose planned end is over."""
        return [event for event in self.waiting.values() if planned.zero_s + event.end_s <= now_s]

    def is_host_mute(self, planned: PlannedExperiment, now_s: float) -> bool:
        """Tell whether a load host should have said by now that an event has ended."""
        return any(
            now_s > planned.zero_s + event.end_s + self._patience_s(event)
            for event in self.due(planned, now_s)
        )

    def _patience_s(self, event: Event) -> float:
        """Return how long after an event's end its load host may still be at it.

        A stressor is killed after 0.5 s, memory takes time to free.
        """
        if event.stressor == "command":
            return _END_PATIENCE_S + _COMMAND_PATIENCE_S
        if event.stressor == "memory":
            highest = event.shape.extremes(event.duration_s)[1]
            held_bytes = highest * event.scale(1.0, self._site.machine.memory_limit_bytes)
            return _END_PATIENCE_S + held_bytes / 2**30
        return _END_PATIENCE_S

    def hear(self, planned: PlannedExperiment, message: EventAnswer) -> None:
        """Take what the load host says: that an event has started, or how it has ended."""
        event = self.waiting[message["event"]]
        if message["state"] == "started":
            self.starts_s[event.id] = message["start_s"]
        else:
            del self.waiting[event.id]
            self.ended.append((event, self._row(planned, event, message)))

    def hear_ends(
        self, planned: PlannedExperiment, link: HostLink, *, is_planned: bool = False
    ) -> None:
        """Hear how events end that were asked to stop.

        Args:
            planned: the experiment.
            link: to its load host.
            is_planned: count those that were stopped as completed.
        """
        deadline_s = monotonic_s() + _END_PATIENCE_S
        while self.waiting and not link.is_over and monotonic_s() < deadline_s:
            for message in link.poll(_POLL_S):
                if is_planned and message["state"] == "ended" and message["status"] == "stopped":
                    message["status"], message["message"] = "completed", ""
                self.hear(planned, message)

    def end_waiting(
        self,
        planned: PlannedExperiment,
        status: str,
        why: str,
        *,
        end_s: float | None = None,
        unbegun: str = "",
    ) -> None:
        """End the events of which nothing more will be heard.

        Args:
            planned: the experiment.
            status: how they ended.
            why: the reason, for the row.
            end_s: on CLOCK_MONOTONIC; now unless given.
            unbegun: how those ended that had not begun while others had; ``status`` unless given.
        """
        for event in list(self.waiting.values()):
            start_s = self.starts_s.get(event.id)
            was_to_run = start_s is not None or not self.starts_s
            message: EndedAnswer = {
                "event": event.id,
                "state": "ended",
                "start_s": start_s,
                "end_s": monotonic_s() if end_s is None else end_s,
                "status": status if was_to_run else (unbegun or status),
                "message": why,
            }
            self.hear(planned, message)

    def write_sampled(self, planned: PlannedExperiment, *, is_last_chance: bool = False) -> None:
        """Write the rows of events that have ended and whose samples have all arrived."""
        if not self.ended:
            return
        sampled_s = self._site.board.dataset_state()[1]
        for entry in list(self.ended):
            event, row = entry
            is_sampled = row.end_monotonic_s is None or sampled_s >= row.end_monotonic_s
            if is_sampled or is_last_chance:
                self.ended.remove(entry)
                self._measure(planned, event, row)
                self._site.recorder.record(row)
                self.written.append(row)

    def cut_short(self) -> tuple[Event, ...]:
        """Plan events that ended before their time as if that had been planned, and return all."""
        events = []
        for index, (event, row) in enumerate(self.ended):
            is_whole = row.actual_end_s is None or row.actual_end_s >= event.end_s
            if is_whole or row.status != "completed":
                events.append(event)
                continue
            length_s = max((row.actual_end_s or 0.0) - event.start_s, _SHORTEST_CUT_S)
            shape = shapes.cut(event.shape, event.duration_s, length_s)
            shorter = event.model_copy(update={"duration_s": length_s, "shape": shape})
            row.planned_end_s, row.end_error_ms = shorter.end_s, 0.0
            self.ended[index] = (shorter, row)
            events.append(shorter)
        return tuple(events)

    def _row(self, planned: PlannedExperiment, event: Event, message: EndedAnswer) -> AnnotationRow:
        row = self._site.recorder.new_row(planned.experiment.name, event.id, event.stressor)
        row.unit = event.unit
        row.planned_start_s, row.planned_end_s = event.start_s, event.end_s
        parameters: dict[str, Any] = {}
        if event.stressor != "command":
            row.shape = event.shape.kind
            parameters["shape"] = shapes.to_json(event.shape)
        parameters["options"] = event.options
        parameters["starved_s"] = round(message.get("starved_s", 0.0), 6)
        if account := message.get("account"):
            parameters["account"] = account
        row.parameters = json.dumps(parameters)
        row.status, row.message = message["status"], message["message"]
        row.release_s = message.get("release_s")
        start_s, end_s = message["start_s"], message["end_s"]
        if start_s is not None:
            row.start_monotonic_s = start_s
            row.actual_start_s = start_s - planned.zero_s
            row.start_error_ms = (row.actual_start_s - event.start_s) * 1e3
        if start_s is not None and end_s is not None:
            row.end_monotonic_s = end_s
            row.actual_end_s = end_s - planned.zero_s
            row.end_error_ms = (row.actual_end_s - event.end_s) * 1e3
        row.overlapped = planned.experiment.has_overlap(event)
        if planned.experiment.share and row.start_monotonic_s is not None:
            row.overlapped |= self._is_beside_others(planned, row)
        return row

    def _is_beside_others(self, planned: PlannedExperiment, row: AnnotationRow) -> bool:
        """Tell whether an event ran at the same time as an event of another experiment of this run.

        Experiments that share may.
        """
        begin_s, end_s = row.start_monotonic_s or 0.0, row.end_monotonic_s or monotonic_s()
        return any(
            other.zero_s + event.start_s < end_s
            and min(other.zero_s + event.end_s, other.end_s) > begin_s
            for other in self._site.folder.read_plans()
            if other.experiment.name != planned.experiment.name
            and other.partition == planned.partition
            for event in other.experiment.events
        )

    def _measure(self, planned: PlannedExperiment, event: Event, row: AnnotationRow) -> None:
        """Fill in what was delivered, in the event's own unit."""
        if row.start_monotonic_s is None or row.end_monotonic_s is None:
            return
        if event.stressor == "command":
            return
        if event.stressor not in RESOURCE_COLUMNS:
            row.requested_mean = event.mean()
            return
        window = Recording(
            self._site.folder,
            planned,
            (row,),
            row.actual_start_s or 0.0,
            row.actual_end_s or 0.0,
            self._site.board.dataset_state()[0],
        )
        machine = self._site.machine
        scale = event.scale(machine.cpu_capacity, machine.memory_limit_bytes)
        fidelity = compare(event, scale, window.samples, row)
        if fidelity is not None:
            fill_delivery(row, fidelity, scale)

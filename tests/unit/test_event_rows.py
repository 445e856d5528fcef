"""Rows of events under way, from what a load host says of them."""

from types import SimpleNamespace

from tests.support.machines import GIB, MACHINE
from twin_harness.control.event_rows import EventRows
from twin_harness.runs.records import AnnotationRow, PlannedExperiment
from twin_harness.schedule.builders import command, cpu, memory, plan


def under_way(*events):
    """An experiment whose clock is zero at 100 s, and the rows of its events."""
    experiment = plan(*events, name="x")
    planned = PlannedExperiment(experiment, 99.0, 100.0, 130.0)
    recorded = []
    recorder = SimpleNamespace(
        new_row=lambda experiment, event, stressor: AnnotationRow("r", experiment, event, stressor),
        record=recorded.append,
    )
    board = SimpleNamespace(dataset_state=lambda: (0, 110.0, 0, ()))
    site = SimpleNamespace(board=board, recorder=recorder, machine=MACHINE)
    return planned, EventRows(site, experiment.events), recorded


def ended(event, start_s, end_s, status="completed"):
    return {
        "event": event,
        "state": "ended",
        "start_s": start_s,
        "end_s": end_s,
        "status": status,
        "message": "",
    }


def test_row_says_what_was_planned_and_what_came_of_it():
    """Times are on the events' clock, and errors in milliseconds."""
    planned, rows, _ = under_way(cpu(10, duration_s=5), cpu(10, start_s=4, duration_s=5))
    rows.hear(planned, {"event": "cpu-0", "state": "started", "start_s": 100.25})
    rows.hear(planned, ended("cpu-0", 100.25, 105.5))
    ((_, row),) = rows.ended
    assert (row.planned_start_s, row.planned_end_s) == (0.0, 5.0)
    assert (row.actual_start_s, row.actual_end_s) == (0.25, 5.5)
    assert (row.start_error_ms, row.end_error_ms) == (250.0, 500.0)
    assert row.overlapped
    assert row.parameters.startswith('{"shape": {"kind": "constant", "level": 10.0}, "options": {}')
    assert list(rows.waiting) == ["cpu-1"]


def test_row_waits_for_its_samples():
    """A row is written once the dataset has reached its end, or at the last chance."""
    planned, rows, recorded = under_way(command(["true"], duration_s=15))
    rows.hear(planned, ended("command-0", 100.0, 115.0))
    rows.write_sampled(planned)
    assert recorded == []
    rows.write_sampled(planned, is_last_chance=True)
    assert [row.event for row in recorded] == ["command-0"]
    assert recorded[0].shape == ""
    assert rows.statuses == {"completed"}


def test_events_that_had_not_begun_are_skipped():
    """Where others had; where none had, all are what ended them."""
    planned, rows, _ = under_way(cpu(10, duration_s=5), cpu(10, start_s=6, duration_s=5))
    rows.hear(planned, {"event": "cpu-0", "state": "started", "start_s": 100.0})
    rows.end_waiting(planned, "aborted", "the guard", end_s=103.0, unbegun="skipped")
    assert [row.status for _, row in rows.ended] == ["aborted", "skipped"]
    planned, rows, _ = under_way(cpu(10, duration_s=5))
    rows.end_waiting(planned, "aborted", "the guard", unbegun="skipped")
    assert [row.status for _, row in rows.ended] == ["aborted"]


def test_cut_event_was_planned_to_end_there():
    """A completed event that ended early is shortened; one that failed is as planned."""
    planned, rows, _ = under_way(cpu(10, duration_s=5), cpu(20, duration_s=5))
    rows.hear(planned, ended("cpu-0", 100.0, 102.0))
    rows.hear(planned, ended("cpu-1", 100.0, 101.0, "failed"))
    first, second = rows.cut_short()
    assert (first.duration_s, second.duration_s) == (2.0, 5.0)
    assert [row.planned_end_s for _, row in rows.ended] == [2.0, 5.0]
    assert rows.ended[0][1].end_error_ms == 0.0


def test_host_has_time_to_free_memory():
    """A second per GiB more than the others; a command has time to end by itself."""
    planned, rows, _ = under_way(cpu(10, duration_s=1), memory(4 * GIB, unit="bytes", duration_s=1))
    assert [event.id for event in rows.due(planned, 101.0)] == ["cpu-0", "mem-0"]
    assert not rows.is_host_mute(planned, 103.9)
    assert rows.is_host_mute(planned, 104.1)
    del rows.waiting["cpu-0"]
    assert not rows.is_host_mute(planned, 107.9)
    assert rows.is_host_mute(planned, 108.1)

"""The load is there: what rows say, what the kernel says from outside, and what the device says."""

import os
import subprocess
import sys
import threading
import time

import psutil
import pytest

from tests.support.quick_plans import plan
from twin_harness import cpu, disk, memory, steps
from twin_harness.errors import Undecided
from twin_harness.system.board_layout import LIVE

MIB = 1024**2


class Outside(threading.Thread):
    """Reads the load processes of a session from outside, with psutil alone."""

    def __init__(self, board, read):
        super().__init__(daemon=True)
        self.board, self.read, self.readings, self.is_over = board, read, [], threading.Event()

    def run(self):
        while not self.is_over.wait(0.05):
            total = 0.0
            for process in self.board.processes():
                if process.kind != "harness" and process.state == LIVE and process.pid:
                    try:
                        total += self.read(psutil.Process(process.pid))
                    except psutil.Error:
                        continue
            self.readings.append((time.monotonic(), total))

    def between(self, begin_s, end_s):
        return [entry for entry in self.readings if begin_s <= entry[0] <= end_s]


@pytest.fixture
def watched(session):
    def run(experiment, read):
        outside = Outside(session.board, read)
        outside.start()
        try:
            return session.runner.run(experiment), outside
        finally:
            outside.is_over.set()
            outside.join()

    return run


def test_cpu_time_agrees_with_an_outside_reading(watched, session):
    """Delivered CPU is within 1 point of what psutil reads of the same processes.

    And within 2 of requested where there was room.
    """
    recording, outside = watched(
        plan(cpu(40, duration_s=4)), lambda process: sum(process.cpu_times()[:2])
    )
    row = recording.annotation("cpu-0")
    readings = outside.between(row.start_monotonic_s + 0.5, row.end_monotonic_s - 0.1)
    (first_s, first), (last_s, last) = readings[0], readings[-1]
    from_outside = 100 * (last - first) / (last_s - first_s) / session.machine.cpu_capacity
    zero_s = recording.planned.zero_s
    inside = recording.samples.loc[
        first_s - zero_s : last_s - zero_s, "cpu_delivered_percent"
    ].mean()
    assert inside == pytest.approx(from_outside, abs=1.0)
    recording.require_room("cpu-0")
    assert inside == pytest.approx(40, abs=2.0)


def test_memory_agrees_with_an_outside_reading(watched):
    """Delivered memory is within 1 % of what psutil reads of the same process.

    And within 2 % of requested at the end of each step.
    """
    levels = [128 * MIB, 384 * MIB, 192 * MIB]
    recording, outside = watched(
        plan(memory(steps(levels), duration_s=9, unit="bytes")),
        lambda process: process.memory_info().rss,
    )
    row = recording.annotation("mem-0")
    for number, level in enumerate(levels):
        window = (
            row.start_monotonic_s + 3 * number + 2.2,
            row.start_monotonic_s + 3 * number + 2.9,
        )
        from_outside = max(total for _, total in outside.between(*window))
        inside = recording.samples.loc[
            3 * number + 2.2 : 3 * number + 2.9, "memory_delivered_bytes"
        ].mean()
        assert inside == pytest.approx(level, rel=0.02)
        assert inside == pytest.approx(from_outside, abs=max(0.01 * from_outside, 16 * MIB))
    assert row.release_s < 2


@pytest.mark.parametrize(
    "options",
    [
        {"operation": "write"},
        {"operation": "read"},
        {"operation": "mixed", "pattern": "random"},
        {"direct": False},
    ],
    ids=str,
)
def test_disk_bytes_reach_the_device(session, options):
    """Delivered disk bytes are those asked for within 5 %, and the device counted as many."""
    rate = 16 * MIB
    before = psutil.disk_io_counters()
    recording = session.runner.run(plan(disk(rate, duration_s=4, **options)))
    after = psutil.disk_io_counters()
    measured = recording.fidelity("disk-0")
    assert measured.delivered_mean == pytest.approx(rate, rel=0.05)
    moved = after.write_bytes + after.read_bytes - before.write_bytes - before.read_bytes
    assert moved > 0.95 * measured.delivered_mean * 4
    row = recording.annotation("disk-0")
    assert row.status == "completed"


def test_events_overlap_and_are_told_apart(session):
    """Two CPU events at a time add up in the column, and each annotation has its own level."""
    recording = session.runner.run(plan(cpu(20, duration_s=4), cpu(15, start_s=1, duration_s=2)))
    recording.require_room("cpu-0")
    assert recording.samples.loc[1.3:2.9, "cpu_delivered_percent"].mean() == pytest.approx(
        35, abs=2
    )
    assert recording.annotation("cpu-0").delivered_mean == pytest.approx(20, abs=1.5)
    assert recording.annotation("cpu-1").delivered_mean == pytest.approx(15, abs=1.5)
    assert set(recording.annotations["overlapped"]) == {True}


@pytest.mark.parametrize("fsync_s", [0.0, 0.15])
def test_rows_are_labelled_and_none_is_missing(session, monkeypatch, fsync_s):
    """The clock rises strictly, each row bears its experiment's name, and no sample is missed.

    Also where the plan reaches the disk slowly.
    """
    append = session.folder.append_plan
    monkeypatch.setattr(
        session.folder, "append_plan", lambda planned: (time.sleep(fsync_s), append(planned))
    )
    recording = session.runner.run(plan(cpu(30, duration_s=2), name="labelled"))
    samples = recording.samples
    assert samples["monotonic_s"].is_monotonic_increasing
    assert samples["monotonic_s"].is_unique
    assert set(samples["experiment"]) == {"labelled"}
    assert samples["missed_samples"].max() == 0
    active = samples.loc[0.15:1.95, "active_events"]
    assert set(active) == {"cpu-0"}
    assert set(samples.loc[:-0.05, "active_events"]) == {""}


def test_loads_nest(session):
    """A load may run inside another of the same test.

    Both are delivered, each under its own name, and the outer one ends with its block.
    """
    recordings = []
    with session.runner.background(
        plan(cpu(15, duration_s=60), name="outer", lead_s=0, tail_s=0), recordings
    ):
        inner = session.runner.run(
            plan(cpu(20, duration_s=2), name="inner", lead_s=0.5, tail_s=0.2)
        )
    (outer,) = recordings
    outer.require_room("cpu-0")
    assert inner.during("cpu-0").mean("cpu_delivered_percent") == pytest.approx(35, abs=3)
    assert set(inner.samples.loc[0.2:1.8, "active_events"]) == {"outer/cpu-0+inner/cpu-0"}
    row = outer.annotation("cpu-0")
    assert (row.status, row.message) == ("completed", "")
    assert 2 < row.actual_end_s < 20
    assert outer.experiment.events[0].duration_s == pytest.approx(row.actual_end_s, abs=0.1)


def test_an_event_shorter_than_a_sample_still_runs(session):
    """An event of 40 ms starts and ends; what cannot be measured of it is empty, not wrong."""
    recording = session.runner.run(plan(cpu(50, duration_s=0.04), lead_s=0, tail_s=0.3))
    row = recording.annotation("cpu-0")
    assert row.status == "completed"
    assert row.delivered_mean is None


@pytest.fixture
def hogs():
    """Start so many competitors that take what they can get, two a CPU of a list."""
    started = []

    def start(cpus):
        for cpu_number in cpus:
            for _ in range(2):
                process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                os.sched_setaffinity(process.pid, {cpu_number})
                started.append(process)

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_what_was_not_delivered_is_not_reported(watched, session, hogs):
    """Beside competitors that fill the CPUs the rows show what the processes really got.

    That is far from what was asked.
    """
    hogs(session.machine.cpus)
    recording, outside = watched(
        plan(cpu(90, duration_s=4)), lambda process: sum(process.cpu_times()[:2])
    )
    row = recording.annotation("cpu-0")
    readings = outside.between(row.start_monotonic_s + 0.5, row.end_monotonic_s - 0.1)
    (first_s, first), (last_s, last) = readings[0], readings[-1]
    from_outside = 100 * (last - first) / (last_s - first_s) / session.machine.cpu_capacity
    zero_s = recording.planned.zero_s
    inside = recording.samples.loc[
        first_s - zero_s : last_s - zero_s, "cpu_delivered_percent"
    ].mean()
    assert inside == pytest.approx(from_outside, abs=2.0)
    assert inside < 80
    assert row.delivered_mean < 80
    with pytest.raises(Undecided, match="the machine had no room"):
        recording.require_room("cpu-0")


def test_memory_heavy_work_is_as_exact(session):
    """The method changes what is done, not how much CPU time it takes."""
    recording = session.runner.run(plan(cpu(30, duration_s=3, method="memory")))
    recording.require_room("cpu-0")
    assert recording.fidelity("cpu-0").delivered_mean == pytest.approx(30, abs=1.0)


def test_total_of_the_machine_falls_to_nothing(session, hogs):
    """With target system, only what others leave of the target is filled."""
    hogs(session.machine.cpus)
    recording = session.runner.run(plan(cpu(50, duration_s=4, target="system")))
    assert recording.during("cpu-0", skip_s=2).mean("cpu_delivered_percent") < 2.0


def test_total_of_the_machine_is_filled(session):
    """On a machine that others leave alone the total is what was asked, steal not counted."""
    recording = session.runner.run(plan(cpu(50, duration_s=7, target="system")))
    window = recording.during("cpu-0", skip_s=1.5)
    total = window.mean("cpu_percent") - window.mean("cpu_steal_percent")
    others = window.mean("cpu_background_percent") + window.mean("harness_cpu_percent")
    assert total == pytest.approx(max(50, others), abs=5.0)


def test_stirred_memory_is_touched_and_held(session):
    """What is resident stays what was asked, held or stirred, and both cost little."""
    held, stirred = (
        session.runner.run(plan(memory(256 * MIB, duration_s=3, unit="bytes", pattern=pattern)))
        for pattern in ("hold", "stir")
    )
    for recording in (held, stirred):
        assert recording.during("mem-0", skip_s=2).mean("memory_delivered_bytes") == pytest.approx(
            256 * MIB, rel=0.02
        )
    cost = [
        recording.during("mem-0", skip_s=2).mean("cpu_side_percent")
        for recording in (held, stirred)
    ]
    assert 0 < max(cost) < 20

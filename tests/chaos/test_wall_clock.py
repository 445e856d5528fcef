"""The wall clock steps.

The monotonic index does not care, the time column tells, and no rate turns negative.
"""

import csv
import os
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from twin_harness.metrics import columns
from twin_harness.runs.dataset_file import DatasetFile
from twin_harness.system.board import Board
from twin_harness.system.clock import FakeClock
from twin_harness.system.machine import inspect_machine
from twin_harness.telemetry.procfs_source import ProcfsSource
from twin_harness.telemetry.psutil_logger import Logger
from twin_harness.telemetry.sample import Sample

INTERVAL_S = 0.1
START_S = 1000.0


class GrowingSource:
    """A source whose counters all grow by 100 a second."""

    def __init__(self, machine):
        others = 22  # identity, contract, probes and the logger's own
        self.resets, self._cells, self._before_s = (
            [],
            len(columns(machine.possible_cpus)) - others,
            0.0,
        )

    def start(self, now_s):
        self._before_s = now_s

    def read(self):
        pass

    def sample(self, now_s):
        rate = (100.0 * now_s - 100.0 * self._before_s) / (now_s - self._before_s)
        self._before_s = now_s
        return Sample(1.0, 0.0, 2.0, rate, (rate,) * self._cells)


@pytest.fixture
def board():
    board = Board.create()
    yield board
    board.close(unlink=True)


@pytest.fixture
def machine(tmp_path):
    return inspect_machine(tmp_path)


def log_with_steps(path, board, machine, source, steps, rows=8):
    """Log rows; before row number n the wall clock steps by ``steps[n]`` seconds.

    Return the dataset's rows.
    """
    clock = FakeClock(START_S)
    settings = {"interval_s": INTERVAL_S, "machine": machine.to_json()}
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        logger = Logger(settings, board, source, descriptor, clock)
        logger.open()
        for number in range(rows):
            clock.utc_offset_s += steps.get(number, 0.0)
            clock.sleep_until(logger.next_s)
            logger.sample()
    finally:
        os.close(descriptor)
    assert logger.missed == 0
    return list(csv.DictReader(path.open()))


def utc_s(row):
    return datetime.fromisoformat(row["time"]).timestamp()


@pytest.mark.parametrize("step_s", [-3600.0, -0.05, 0.05, 86400.0])
def test_a_step_of_the_wall_clock_shows_in_time_alone(tmp_path, board, machine, step_s):
    """Forward or back, by a little or a day.

    Monotonic_s goes on by the interval, and time steps once, by as much.
    """
    rows = log_with_steps(tmp_path / "d.csv", board, machine, GrowingSource(machine), {4: step_s})
    clock = [float(row["monotonic_s"]) for row in rows]
    assert clock == pytest.approx(
        [START_S + INTERVAL_S * (number + 1) for number in range(len(rows))], abs=1e-6
    )
    gaps = [utc_s(after) - utc_s(before) for before, after in pairwise(rows)]
    assert gaps == pytest.approx(
        [INTERVAL_S + (step_s if number == 3 else 0.0) for number in range(len(gaps))], abs=1e-3
    )
    assert {row["missed_samples"] for row in rows} == {"0"}
    assert [float(row["disk_writes_per_s"]) for row in rows] == pytest.approx([100.0] * len(rows))


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="reads /proc")
def test_no_rate_is_negative_when_the_wall_clock_steps_back(tmp_path, board, machine):
    """Rates are over the monotonic clock.

    With real counters and a wall clock that goes back an hour none is negative or infinite.
    """
    rows = log_with_steps(
        tmp_path / "d.csv", board, machine, ProcfsSource(machine.to_json()), {2: -3600.0, 5: 7200.0}
    )
    rates = {
        name: [float(row[name]) for row in rows if row[name]]
        for name in rows[0]
        if name.endswith("_per_s")
    }
    assert rates["context_switches_per_s"]
    assert {name for name, values in rates.items() if min(values, default=0.0) < 0} == set()
    assert all(value < 1e15 for values in rates.values() for value in values)


def test_rows_are_found_by_the_monotonic_clock(tmp_path, board, machine):
    """A slice by monotonic_s is right across a step: the reader never looks at the wall clock."""
    path = tmp_path / "d.csv"
    rows = log_with_steps(path, board, machine, GrowingSource(machine), {3: -10_000.0, 6: 20_000.0})
    with DatasetFile(path) as dataset:
        part = dataset.read(START_S + 0.25, START_S + 0.75).decode().splitlines()
    taken = [float(line["monotonic_s"]) for line in csv.DictReader(part)]
    assert taken == [float(row["monotonic_s"]) for row in rows[2:7]]

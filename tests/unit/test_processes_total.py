"""How many processes there are, by links of /proc or by names."""

import os
from types import SimpleNamespace

import pytest

from twin_harness.system.machine import inspect_machine
from twin_harness.telemetry import slow_metrics
from twin_harness.telemetry.notes import Notes


@pytest.mark.parametrize("is_in", [False, True])
def test_processes_of_others_are_not_counted_in_a_namespace(tmp_path, monkeypatch, is_in):
    """Links of /proc are the whole machine's: they stand for names in the first namespace alone."""
    links, names = [300], ["1", "2", "77", "self", "meminfo"]
    monkeypatch.setattr(slow_metrics, "sees_every_process", lambda: not is_in)
    machine = inspect_machine(tmp_path).to_json()
    slow = slow_metrics.SlowMetrics(machine, Notes())
    monkeypatch.setattr(os, "stat", lambda path: SimpleNamespace(st_nlink=links[0]))
    monkeypatch.setattr(os, "listdir", lambda path: names)
    assert slow._count_processes(0.0) == 3
    links[0] += 50
    names.append("78")
    assert slow._count_processes(1.0) == (4 if is_in else 53)

"""The CPU time of pytest and what it started: what the gate does not count as others' work."""

import subprocess
import sys
import time

import pandas as pd
import pytest

from twin_harness.gate.environment import Environment
from twin_harness.system.own_time import started_cpu_ns

BURN = """
import subprocess, sys, time
end = time.process_time() + float(sys.argv[1])
while time.process_time() < end: pass
if len(sys.argv) > 2:
    words = [sys.executable, "-c", sys.argv[2], sys.argv[1]]
    subprocess.run(words, stdin=subprocess.DEVNULL)
print("done", flush=True)
sys.stdin.read()
"""


def test_children_count_alive_and_ended():
    """A child, and a grandchild that it has waited for; the same once the child is gone."""
    before_ns = started_cpu_ns()
    with subprocess.Popen(
        [sys.executable, "-c", BURN, "0.15", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        child.stdout.readline()
        alive_ns = started_cpu_ns() - before_ns
        child.stdin.close()
    ended_ns = started_cpu_ns() - before_ns
    assert alive_ns / 1e9 >= 0.28
    assert ended_ns >= alive_ns - 20_000_000  # cutime and cstime are in ticks


def test_own_work_does_not_count():
    """The logger has it already, as the harness's."""
    before_ns, end_s = started_cpu_ns(), time.process_time() + 0.05
    while time.process_time() < end_s:
        pass
    assert started_cpu_ns() - before_ns < 40_000_000


@pytest.mark.parametrize(("started_percent", "others"), [(12.0, 30.0), (32.0, 10.0), (43.0, -1.0)])
def test_what_pytest_started_is_not_others_work(started_percent, others):
    """Of 30 points of background, with 12 of loads, which are of pytest but no background."""
    samples = pd.DataFrame(
        {
            "cpu_background_percent": [20.0, 40.0],
            "cpu_delivered_percent": [10.0, 10.0],
            "cpu_side_percent": [2.0, 2.0],
        }
    )
    assert Environment.of(samples, started_percent).background_percent == pytest.approx(others)

"""The CPU time of pytest and what it started: what the gate does not count as others' work."""

import subprocess
import sys
import time

import pandas as pd
import pytest

from twin_harness.gate.environment import Environment
from twin_harness.system.own_time import tree_cpu_ns

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
    before_ns = tree_cpu_ns()
    with subprocess.Popen(
        [sys.executable, "-c", BURN, "0.15", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        child.stdout.readline()
        alive_ns = tree_cpu_ns() - before_ns
        child.stdin.close()
    ended_ns = tree_cpu_ns() - before_ns
    assert alive_ns / 1e9 >= 0.28
    assert ended_ns >= alive_ns - 20_000_000  # cutime and cstime are in ticks


def test_own_work_counts():
    """What this process does itself."""
    before_ns, end_s = tree_cpu_ns(), time.process_time() + 0.05
    while time.process_time() < end_s:
        pass
    assert tree_cpu_ns() - before_ns >= 49_000_000


@pytest.mark.parametrize(
    ("tree_percent", "others"), [(0.0, 30.0), (12.0, 30.0), (32.0, 10.0), (90.0, 0.0)]
)
def test_what_pytest_started_is_not_others_work(tree_percent, others):
    """Of 30 points of background, with 12 of loads, which are of pytest but no background."""
    samples = pd.DataFrame(
        {
            "cpu_background_percent": [20.0, 40.0],
            "cpu_delivered_percent": [10.0, 10.0],
            "cpu_side_percent": [2.0, 2.0],
        }
    )
    assert Environment.of(samples, tree_percent).background_percent == pytest.approx(others)

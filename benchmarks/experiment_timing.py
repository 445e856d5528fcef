"""When events really start and end, against plan.

Quiet, and beside full load by our own stressors (all CPUs, memory, disk).

    python benchmarks/experiment_timing.py --experiments 20 --json timing.json        about 6
    minutes

Errors are those of ``annotations.csv``. For CPU events the start is checked from outside: a process
of its own reads the CPU clocks of the load processes every 0.1 ms from 3 ms before the start on,
and finds the moment at which the first of them began to rise.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import measure
from stress_fidelity import Ours

from twin_harness.errors import ExperimentError, Undecided
from twin_harness.schedule import builders
from twin_harness.session.config import TwinConfig
from twin_harness.session.seat import Seat
from twin_harness.session.session import Session
from twin_harness.system.board import Board
from twin_harness.system.board_layout import PLAN_SLOTS
from twin_harness.system.procfs import process_cpu_ns

GOAL_MS = {"quiet": 5.0, "full load": 20.0}
RISE_NS = 50_000


def experiment():
    """Return six events, one or two at a time, with a CPU event first."""
    return builders.plan(
        builders.cpu(60, duration_s=0.8),
        builders.memory(0.5, start_s=0.1, duration_s=0.8),
        builders.disk(4e6, start_s=0.3, duration_s=0.8),
        builders.cpu(30, start_s=1.2, duration_s=0.8),
        builders.memory(0.25, start_s=1.3, duration_s=0.8),
        builders.disk(2e6, start_s=1.5, duration_s=0.8),
        lead_s=0.5,
        tail_s=0.2,
    )


def watch_first_rise(board_path, answer):
    """In a process of its own.

    Wait for CPU load on the board, and write when the CPU clock of the first of them began to rise.
    """
    board = Board.open(board_path)
    while not (
        pids := [
            process.pid for process in board.processes() if process.kind == "cpu" and process.pid
        ]
    ):
        time.sleep(0.002)
    plan = next(plan for slot in range(PLAN_SLOTS) if (plan := board.read_plan(slot)) is not None)
    measure.sleep_until(plan["zero_s"] - 0.003)  # they have prepared, and wait for their start
    base_ns = {pid: process_cpu_ns(pid) or 0 for pid in pids}
    while True:
        for pid in pids:
            spent_ns = (process_cpu_ns(pid) or 0) - base_ns[pid]
            if spent_ns > RISE_NS:
                os.write(answer, json.dumps(time.monotonic() - spent_ns / 1e9).encode())
                return
        time.sleep(0.0001)


@contextlib.contextmanager
def first_rise(board_path):
    """Watch beside the block; gives a list that holds the moment afterwards."""
    read_end, write_end = os.pipe()
    found = []
    pid = os.fork()
    if pid == 0:
        try:
            watch_first_rise(board_path, write_end)
        finally:
            os._exit(0)
    os.close(write_end)
    try:
        yield found
        with os.fdopen(read_end, "rb") as file:
            found.append(json.loads(file.read() or "null"))
    finally:
        os.waitpid(pid, 0)


def run_all(count, folder, say):
    """Run experiments one after another and return how punctual they were.

    Errors of starts and ends in ms by stressor, and starts against outside in ms.
    """
    config = TwinConfig(has_report=False, data_dir=str(folder / "data"))
    session = Session.open(config, Seat.draw(config, folder, "experiment_timing"))
    starts, ends, outside = [], [], []
    try:
        for number in range(count):
            say(f"  experiment {number + 1} of {count}")
            with (
                first_rise(session.board.path) as risen,
                contextlib.suppress(ExperimentError, Undecided),
            ):
                recording = session.runner.run(experiment())
            for row in recording.rows:
                starts.append(row.start_error_ms)
                ends.append(row.end_error_ms)
            if risen and risen[0] is not None:
                outside.append((risen[0] - recording.annotation("cpu-0").start_monotonic_s) * 1e3)
            session.admission.release()
    finally:
        session.close()
    return starts, ends, outside


def quantiles(values):
    """Return median, 99th percentile and largest size of some errors, and their count."""
    sizes = sorted(abs(value) for value in values)
    return {
        "median": sizes[len(sizes) // 2],
        "p99": sizes[min(len(sizes) - 1, int(0.99 * len(sizes)))],
        "max": sizes[-1],
        "n": len(sizes),
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--experiments", type=int, default=20, help="of six events, in each state (default: 20)"
    )
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    arguments = parser.parse_args()
    results = {"machine": measure.machine_line()}
    print(results["machine"])
    for state, goal_ms in GOAL_MS.items():
        sys.stderr.write(f"{state}\n")
        with tempfile.TemporaryDirectory(dir=".") as name, contextlib.ExitStack() as stack:
            if state != "quiet":
                ours = Ours(".")
                length_s = arguments.experiments * 6.0 + 60.0
                for event in (
                    builders.cpu(100, duration_s=length_s),
                    builders.memory(20, duration_s=length_s),
                    builders.disk(40e6, duration_s=length_s),
                ):
                    _, zero_s = stack.enter_context(ours.running(event))
                measure.sleep_until(zero_s + 2.0)
            starts, ends, outside = run_all(
                arguments.experiments,
                Path(name).resolve(),
                lambda text: sys.stderr.write(f"{text}\n"),
            )
        results[state] = {
            "start_error_ms": quantiles(starts),
            "end_error_ms": quantiles(ends),
            "outside_less_annotated_ms": quantiles(outside),
        }
        print(f"\n{state} (goal p99 {goal_ms:g} ms)")
        for what, row in results[state].items():
            print(
                f"  {what:<26} median {row['median']:.3f}  p99 {row['p99']:.3f}  max"
                f" {row['max']:.3f} ms  n = {row['n']}"
            )
    if arguments.json:
        measure.write_json(arguments.json, results)


if __name__ == "__main__":
    main()

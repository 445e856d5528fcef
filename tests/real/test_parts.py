"""A machine in parts.

Experiments at once, each on CPUs of its own, with rows of its own, and nobody else on the machine
meanwhile.
"""

import os
import subprocess
import sys

import pytest

from twin_harness import Schedule, cpu, disk, load, plan

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="parts take two CPUs")

PROJECT = """
import fcntl
import os

import pytest

from twin_harness import cpu, disk, memory
from twin_harness.system.machine_lock import MACHINE, open_lock


@pytest.mark.parametrize("level", [20, 40, 60, 80])
@pytest.mark.experiment(
    cpu(50, duration_s=3),
    memory(1, duration_s=2),
    disk(2e6, duration_s=2),
    lead_s=0.5,
    tail_s=0.3,
)
def test_part(recording, machine, level):
    samples = recording.samples
    assert set(samples["partition"]) == {machine.partition}
    assert os.sched_getaffinity(0) == set(machine.cpus)
    for number in machine.possible_cpus:
        assert samples[f"cpu{number}_percent"].isna().all() == (number not in machine.cpus)
    assert recording.annotation("mem-0").partition == machine.partition
    with pytest.raises(BlockingIOError):
        fcntl.flock(open_lock(MACHINE), fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


def run_project(folder, *arguments):
    """Run pytest on the project in two parts, and return the finished process."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n2",
        "--twin-partition",
        "--twin-no-report",
        "--twin-tolerance=none",
        "-p",
        "no:cacheprovider",
        *arguments,
    ]
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def test_experiments_run_at_once_each_in_its_part(tmp_path):
    """Two experiments at a time; a row a part and moment.

    Load, CPUs and annotations of each part are its own.
    """
    tmp_path.joinpath("test_parts.py").write_text(PROJECT)
    finished = run_project(tmp_path)
    assert finished.returncode == 0, finished.stdout
    run = load(tmp_path / "data" / "latest")
    assert run.status == "COMPLETE"
    parts = {part["name"]: part for part in run.machine["parts_of"]}
    cpus = [number for part in parts.values() for number in part["cpus"]]
    assert len(cpus) == len(set(cpus))
    assert {recording.planned.partition for recording in run.recordings} == set(parts)
    first, second = (
        next(r for r in run.recordings if r.planned.partition == name) for name in parts
    )
    assert first.planned.zero_s < second.planned.end_s
    assert second.planned.zero_s < first.planned.end_s
    assert (run.samples.groupby("monotonic_s")["partition"].nunique() == len(parts)).all()
    for recording in run.recordings:
        assert {row.partition for row in recording.rows} == {recording.planned.partition}
        assert {row.status for row in recording.rows} == {"completed"}
        assert abs(
            recording.annotation("cpu-0").delivered_error_percent
        ) < 6 or recording.lack_of_room("cpu-0")
        assert recording.max("memory_requested_bytes") == pytest.approx(
            0.01 * parts[recording.planned.partition]["memory_limit_bytes"], rel=1e-3
        )
    assert not list(run.path.glob("part.*.lock"))


def test_part_of_a_lost_worker_is_taken_over(tmp_path):
    """A worker that dies leaves its part to the one that comes after it.

    The run is PARTIAL and the other tests pass.
    """
    tmp_path.joinpath("test_parts.py").write_text(
        PROJECT
        + "\n\ndef test_gone(cpu_stress):\n    with cpu_stress.background(30, at_most_s=20):\n     "
        "   os._exit(1)\n"
    )
    finished = run_project(tmp_path)
    run = load(tmp_path / "data" / "latest")
    assert "4 passed" in finished.stdout, finished.stdout
    assert run.status == "PARTIAL"
    assert any("lost with its worker" in loss for loss in run.losses)


def test_a_schedule_runs_at_once_what_shares_the_machine(tmp_path):
    """``twin run --parallel`` overlaps experiments that share and use other resources.

    Whoever does not share has the machine alone.
    """
    shared = [
        plan(cpu(20, duration_s=2), name="a", share=True, lead_s=0.2, tail_s=0.2),
        plan(disk(2e6, duration_s=2), name="b", share=True, lead_s=0.2, tail_s=0.2),
    ]
    Schedule.of(*shared, plan(cpu(20, duration_s=1), name="alone", lead_s=0.2, tail_s=0.2)).write(
        tmp_path / "schedule.json"
    )
    words = [
        sys.executable,
        "-m",
        "twin_harness.cli",
        "run",
        "schedule.json",
        "--parallel",
        "2",
        "--no-report",
        "--json",
    ]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    rows = {
        row.experiment: row for row in load(tmp_path / "data" / "latest").folder.read_annotations()
    }
    assert {name: (row.status, row.overlapped) for name, row in rows.items()} == {
        name: ("completed", name != "alone") for name in ("a", "b", "alone")
    }
    assert len({row.worker for row in rows.values()} - {"main"}) == 2

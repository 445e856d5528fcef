"""A real control group with a CPU quota, where this machine lets one be made.

Neighbours outside are none of its figures.
"""

import contextlib
import csv
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def groups(*hierarchies):
    """Make a group of that name in some hierarchies, and remove it once it is empty."""
    made = [
        hierarchy / f"twin-test-{os.getpid()}"
        for hierarchy in dict.fromkeys(path.resolve() for path in hierarchies)
    ]
    try:
        for folder in made:
            folder.mkdir()
        yield made
    finally:
        for folder in filter(Path.exists, made):
            for _ in range(100):
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.02)


@pytest.fixture
def quota():
    """A group that may use half a CPU; its folders."""
    is_v1 = (ROOT / "cpu" / "cpu.cfs_quota_us").exists() or (ROOT / "cpu" / "cpu.shares").exists()
    hierarchies = (ROOT / "cpu", ROOT / "cpuacct") if is_v1 else (ROOT,)
    if not all(os.access(path, os.W_OK) for path in hierarchies):
        pytest.skip("no control group can be made here")
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(groups(*hierarchies))
            (made[0] / ("cpu.cfs_quota_us" if is_v1 else "cpu.max")).write_text(
                "50000" if is_v1 else "50000 100000"
            )
        except OSError as error:
            pytest.skip(f"no control group with a quota can be made here: {error}")
        yield made


@pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="half a CPU is no quota to speak of on one CPU"
)
@pytest.mark.parametrize("source", ["procfs", "psutil"])
def test_neighbours_outside_a_quota_are_not_its_figures(tmp_path, quota, source):
    """While stressors keep every CPU busy, the group's own CPU is what the harness costs.

    Its background is next to nothing.
    """
    out = tmp_path / "metrics.csv"
    command = [
        sys.executable,
        "-m",
        "twin_harness.cli",
        "log",
        "--duration",
        "2",
        "--interval",
        "0.1",
        "--source",
        source,
        "--out",
        str(out),
    ]
    join = "".join(f"echo $$ > {folder}/cgroup.procs; " for folder in quota)
    hogs = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in os.sched_getaffinity(0)
    ]
    try:
        subprocess.run(
            ["/bin/sh", "-c", f'{join}exec "$@"', "sh", *command],
            check=True,
            cwd=tmp_path,
            timeout=60,
            capture_output=True,
        )
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    with out.open() as file:
        rows = list(csv.DictReader(file))
    means = {
        name: statistics.fmean(float(row[name]) for row in rows)
        for name in ("cpu_percent", "cpu_steal_percent", "cpu_background_percent")
    }
    own = means["cpu_percent"] - means["cpu_steal_percent"]
    assert 0.0 <= own < 60.0, means
    assert abs(means["cpu_background_percent"]) < 10.0, means
    assert statistics.fmean(float(row["cpu0_percent"]) for row in rows) > 80.0

"""Load that was not delivered, for real: never green, whatever asked for it."""

import subprocess
import sys

import psutil
import pytest

LEAST_BYTES = 12 * 2**30  # warm huge pages fill at up to 8 GiB/s
PROJECT = """
import os
import subprocess
import sys
import time

import pytest

from twin_harness import memory


def work(seconds):
    # One busy process a CPU, however many there are.
    code = f"import time; end = time.monotonic() + {seconds}\\nwhile time.monotonic() < end: pass"
    words = [sys.executable, "-c", code]
    for process in [subprocess.Popen(words) for _ in os.sched_getaffinity(0)]:
        process.wait()


def test_background(cpu_stress):
    with cpu_stress.background(100, at_most_s=20, lead_s=0.4):
        work(1.5)


@pytest.mark.experiment(memory(40, duration_s=0.6), lead_s=0.4, tail_s=0.2)
def test_marker(recording):
    pass


def test_fixture(mem_stress):
    mem_stress(40, duration_s=0.6, lead_s=0.4, tail_s=0.2)


def test_unjudged(cpu_stress):
    with cpu_stress.background(100, at_most_s=10, lead_s=0.4, tolerance="none"):
        work(0.5)
"""


@pytest.fixture
def project(tmp_path):
    """A project of its own."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(PROJECT)
    return tmp_path


def pytest_on(project, *arguments):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--twin-no-report",
        *arguments,
    ]
    return subprocess.run(
        command, cwd=project, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("mode", [(), ("-n", "2")], ids=["plain", "n2"])
@pytest.mark.skipif(
    psutil.virtual_memory().available < LEAST_BYTES,
    reason="40 % of the memory may be filled within half a second here",
)
def test_a_load_without_room_is_never_green(project, mode):
    """A marker, a fixture and a background load that the machine cannot deliver are undecided.

    What asks for no judgement passes.
    """
    done = pytest_on(project, *mode)
    assert "1 passed, 3 undecided" in done.stdout, done.stdout + done.stderr
    assert "test_background: experiment 'test_background': cpu-0 delivered" in done.stdout
    assert "against a tolerance of 5 %; the machine had no room" in done.stdout
    assert done.stdout.count("no plateau to be judged by") == 2


def test_a_session_may_judge_nothing(project):
    """A session's tolerance of none holds for markers, fixtures and background loads alike."""
    assert "4 passed" in pytest_on(project, "--twin-tolerance=none").stdout


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (("memory", "--level", "40"), "no plateau to be judged by", 1),
        (("disk", "--level", "10"), "one step of 256 KiB is more than the", 1),
        (("disk", "--level", "10", "--tolerance", "none"), "", 0),
    ],
    ids=["memory", "disk", "unjudged"],
)
def test_twin_stress_says_what_was_not_delivered(tmp_path, words, message, code):
    """A load that did not come is a failure of the command, in a sentence."""
    command = [sys.executable, "-m", "twin_harness.cli", "stress", *words, "--duration", "0.6"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr

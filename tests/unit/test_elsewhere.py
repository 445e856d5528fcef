"""On Windows and macOS everything loads, and an experiment is refused in one sentence.

The plugin and the command load, and scenarios are written and collected.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from twin_harness.system import support as system_support

LACKS = {
    "windows": (
        "this system (Windows) has no module fcntl, no os.pipe2, no os.posix_fallocate, no"
        " /proc/self/stat, no /proc/stat"
    ),
    "macos": (
        "this system (Darwin) has no os.pipe2, no os.posix_fallocate, no /proc/self/stat, no"
        " /proc/stat"
    ),
}
TESTS = """
import pytest
from twin_harness import cpu

@pytest.mark.experiment(cpu(20, duration_s=1))
def test_recording(recording): pass

def test_stress(cpu_stress): cpu_stress(20, duration_s=1)

def test_gate(gate): gate.record("latency_ms", 1, better="lower")

def test_logger(psutil_logger): pass

def test_nothing_of_ours(tmp_path): pass
"""
WRITE = """
import sys
from twin_harness import Schedule, cpu, memory, plan, ramp
from twin_harness.cli import main

written = plan(cpu(ramp(0, 50), duration_s=4), memory(5, duration_s=2), name="written")
Schedule.of(written).write("plan.json")
assert Schedule.read("plan.json").experiments[0].name == "written"
assert main(["schedule", "show", "plan.json"]) == 0
for words in (["stress", "cpu", "--level", "20"], ["run", "plan.json"], ["doctor"]):
    assert main(words) == 1, words
"""


RUN_PYTEST = "raise SystemExit(__import__('pytest').main(['-p', 'no:cacheprovider', '-q', '-rA']))"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """What became of both on each system: exit code, stdout, stderr and the folder."""
    made = {}
    for system in LACKS:
        for what, code in (("tests", RUN_PYTEST), ("schedules", WRITE)):
            made[system, what] = tmp_path_factory.mktemp(f"{system}-{what}"), code
        (made[system, "tests"][0] / "test_it.py").write_text(TESTS)
    script = Path(__file__).parents[1] / "support" / "elsewhere.py"
    words = [
        word for (system, _), (folder, code) in made.items() for word in (system, str(folder), code)
    ]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST")
    }
    told = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), *words],
        check=False,
        cwd=made["windows", "tests"][0],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return {key: Done(folder) for key, (folder, _) in made.items()}


class Done:
    """What a process left beside its folder."""

    def __init__(self, folder):
        self.folder = folder
        self.stdout, self.stderr, code = (
            folder.with_name(f"{folder.name}.{name}").read_text(encoding="utf-8")
            for name in ("stdout", "stderr", "code")
        )
        self.returncode = int(code)


@pytest.mark.parametrize("system", LACKS)
def test_suites_run_and_experiments_are_undecided(done, system):
    """A test that uses nothing of ours passes.

    Those that need the machine are UNDECIDED, with what the system lacks.
    """
    suite = done[system, "tests"]
    assert suite.returncode == 0, suite.stdout + suite.stderr
    reason = (
        f"an experiment needs Linux, and {LACKS[system]}; scenarios are written and collected here"
        " (pytest --collect-only) and run on a Linux server"
    )
    for name in ("recording", "stress", "gate", "logger"):
        assert f"test_it.py::test_{name}: {reason}" in suite.stdout
    assert "1 passed" in suite.stdout
    assert "4 undecided" in suite.stdout
    assert not (suite.folder / "data").exists()


@pytest.mark.parametrize("system", LACKS)
def test_scenarios_are_written_and_shown(done, system):
    """Schedules are built, written, read and shown.

    What would load the machine is refused in one sentence, with exit code 1.
    """
    script = done[system, "schedules"]
    assert script.returncode == 0, script.stdout + script.stderr
    assert script.stderr.count(f"needs Linux, and {LACKS[system]}; ") == 3
    assert "Traceback" not in script.stderr


def test_linux_lacks_nothing():
    """Here nothing is missing, so no sentence is said."""
    assert system_support.missing_parts() == []
    assert system_support.lack_of_support("an experiment") == ""

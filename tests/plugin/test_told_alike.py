"""What a worker of pytest-xdist tells is told as by a session without one."""

import json
import re

import pytest

pytestmark = pytest.mark.by_workers
UNDECIDED = """
import pytest
from twin_harness.errors import Undecided

@pytest.fixture
def early():
    raise Undecided("nothing was measured yet")

def test_call():
    raise Undecided("the window holds no samples")

def test_setup(early):
    pass

@pytest.mark.experiment(lead_s=0.2, tail_s=0.2)
def test_column(recording):
    recording.mean("probe_service_ms")

def test_fine():
    pass
"""


def undecided_lines(result):
    """Return the summary's UNDECIDED lines, sorted, and the last line without its time."""
    lines = result.stdout.lines
    begin = next(index for index, line in enumerate(lines) if line.startswith("undecided:"))
    reasons = []
    for line in lines[begin + 1 :]:
        if not line.startswith("  "):
            break
        reasons.append(line)
    return lines[begin], sorted(reasons), re.sub(r" in .*", "", lines[-1].strip("= "))


@pytest.mark.parametrize("more", [[], ["--twin-undecided=fail"]], ids=["ignored", "failing"])
def test_undecided_is_told_alike_plain_and_by_a_worker(project, run, more):
    """Count, reasons, letters, exit code, JUnit and Allure are the same under -n 1 and without."""
    project.makepyfile(UNDECIDED)
    told = {}
    for mode in ("n0", "n1"):
        result = run(
            f"-{mode}",
            "-rs",
            f"--junitxml={mode}.xml",
            f"--alluredir={mode}",
            *more,
        )
        junit = (project.path / f"{mode}.xml").read_text()
        results = [
            json.loads(path.read_text()) for path in (project.path / mode).glob("*-result.json")
        ]
        told[mode] = (
            result.ret,
            undecided_lines(result),
            [
                len(re.findall(tag, junit))
                for tag in ("<skipped", "<failure", "<error", "UNDECIDED: ")
            ],
            sorted((entry["name"], entry["status"]) for entry in results),
        )
    assert told["n0"] == told["n1"]
    assert told["n0"][0] == (1 if more else 0)
    assert told["n0"][1][0] == "undecided: 3"

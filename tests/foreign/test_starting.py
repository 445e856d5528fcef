"""In somebody else's project.

Ten lines work in every way of starting pytest, own fixtures stay theirs, and who uses nothing sees
nothing.
"""

import csv
import json
import os
import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.processes import command_words, pids_with

TOKEN = "TWIN_FOREIGN_TOKEN"
TEN_LINES = """
import pytest
from twin_harness import cpu

@pytest.mark.experiment(cpu(20, duration_s=0.6), lead_s=0.4, tail_s=0.2)
def test_declared(recording):
    assert recording.mean("cpu_percent") > 0

def test_direct(cpu_stress):
    assert cpu_stress(20, duration_s=0.6, lead_s=0.4, tail_s=0.2).max("cpu_delivered_percent") > 0
"""
OWN_FIXTURES = """
import pytest

@pytest.fixture
def machine(): return "lathe"

@pytest.fixture
def variant(machine): return f"blue {machine}"

@pytest.fixture
def gate(variant): return f"gate of a {variant}"
"""
OWN_TEST = """
def test_own(machine, variant, gate):
    assert (machine, variant, gate) == ("lathe", "blue lathe", "gate of a blue lathe")
"""
NOTHING_OF_OURS = """
import os

def ours():
    found = []
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                is_below = os.environ["TWIN_FOREIGN_TOKEN"].encode() in file.read()
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                is_ours = b"-m\\0twin_harness." in file.read()
            if is_below and is_ours:
                found.append(entry)
        except OSError:
            continue
    return found

def test_it(tmp_path):
    assert ours() == []

def test_more():
    assert ours() == []
"""
# Names the board that a session of this project would have, so that what stands on tmpfs can be
# told apart from other sessions'.
NAMES_BOARD = """
import pathlib
import pytest

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    from twin_harness.plugin.state import state_of
    if not hasattr(config, "workerinput"):
        path = pathlib.Path(config.invocation_params.dir, "board.txt")
        path.write_text(state_of(config).seat.board)
"""
# What else is installed beside us here, and takes half of a session's time to load.
OTHERS_AWAY = [
    word
    for name in ("cacheprovider", "hypothesispytest", "typeguard", "pytest_cov")
    for word in ("-p", f"no:{name}")
]
PROGRAM = [str(Path(sys.executable).with_name("pytest"))]
MODULE = [sys.executable, "-m", "pytest"]
MODES = {
    "plain": (PROGRAM, []),
    "n0": (PROGRAM, ["-n0"]),
    "n2": (PROGRAM, ["-n2"]),
    "without-xdist": (PROGRAM, ["-p", "no:xdist"]),
    "without-allure": (PROGRAM, ["-p", "no:allure_pytest"]),
    "module": (MODULE, []),
    "importlib": (PROGRAM, ["--import-mode=importlib"]),
}
# Drawing a report takes longer than all the rest, and the controller draws it: that it does so
# alone is looked at in test_surroundings.
WITH_REPORT = {"n2"}
WHOLE_RUN = {
    "system_metrics_dataset.csv",
    "system_metrics_dataset.parquet",
    "datapackage.json",
    "annotations.csv",
    "schedule.json",
    "machine.json",
    "run.json",
}


@pytest.fixture
def start(project, monkeypatch):
    """Start pytest on the project, as a program or a module, with arguments.

    Every process of it bears a token.
    """
    monkeypatch.setenv(TOKEN, f"foreign-{os.urandom(8).hex()}")

    def start(command, *arguments):
        return project.run(*command, *OTHERS_AWAY, *arguments)

    return start


def session_rows(project):
    """Return run.json and the rows of annotations.csv of the project's newest run."""
    latest = project.path / "data" / "latest"
    with (latest / "annotations.csv").open() as file:
        return json.loads((latest / "run.json").read_text()), list(csv.DictReader(file))


def names_in(project):
    """Return what stands in a project, but for what others write.

    Others are pytester, Python, and libraries in the home folder that pytester puts there.
    """
    return {
        path.name
        for path in project.path.iterdir()
        if path.name not in ("stdout", "stderr", "__pycache__") and not path.name.startswith(".")
    }


def left_processes():
    """Return the processes that bear this test's token, but for this one."""
    words = command_words()
    return [words.get(pid) for pid in pids_with(TOKEN, os.environ[TOKEN]) if pid != os.getpid()]


def check_disjoint(rows):
    """No experiment begins before the one before it has ended."""
    spans = sorted(
        (float(row["start_monotonic_s"]), float(row["end_monotonic_s"]), row["experiment"])
        for row in rows
    )
    for before, after in pairwise(spans):
        assert after[0] >= before[1], f"{before} and {after} overlap"


@pytest.mark.parametrize("mode", MODES)
def test_ten_lines_work_in_every_mode(project, start, mode):
    """A ten-line test records, and writes under its own rootdir, which git ignores.

    The project's own fixtures are its own.
    """
    command, arguments = MODES[mode]
    has_report = mode in WITH_REPORT
    if not has_report:
        project.makeini("[pytest]\ntwin_tolerance = none\ntwin_no_report = true\n")
    project.makeconftest(OWN_FIXTURES)
    project.makepyfile(test_ten_lines=TEN_LINES, test_own=OWN_TEST)
    before = names_in(project)
    result = start(command, *arguments)
    result.assert_outcomes(passed=3)
    state, rows = session_rows(project)
    assert state["status"] == "COMPLETE"
    assert {path.name for path in (project.path / "data" / "latest").iterdir()} == WHOLE_RUN
    assert sorted((row["experiment"], row["event"], row["status"]) for row in rows) == [
        ("test_declared", "cpu-0", "completed"),
        ("test_direct", "cpu-0", "completed"),
    ]
    check_disjoint(rows)
    folders = {"data", "reports"} if has_report else {"data"}
    for folder in folders:
        assert "*" in (project.path / folder / ".gitignore").read_text().splitlines()
    assert names_in(project) - before == folders
    assert left_processes() == []
    lines = ["*= twin harness =*", "COMPLETE: 2 experiments*", "data    data/*"]
    if has_report:
        assert (project.path / "reports" / "latest" / "index.html").exists()
        lines.append("report  reports/*")
    result.stdout.fnmatch_lines(lines)


def without_times(lines):
    """Return an output without what differs from run to run, and without the list of plugins."""
    kept = [line for line in lines if not line.startswith(("plugins:", "created:"))]
    return [re.sub(r"\d+\.\d+s|\[gw\d\]", "", line) for line in kept if line.strip()]


@pytest.mark.parametrize(
    "arguments", [[], ["-n2"], ["-p", "no:xdist"]], ids=["plain", "n2", "without-xdist"]
)
def test_project_that_uses_nothing_sees_nothing(project, start, arguments):
    """Output and files are the same as without the plugin, and no process of ours ever lives."""
    project.makeini("[pytest]\n")  # a key of ours would be unknown without us
    project.makeconftest(NAMES_BOARD)
    project.makepyfile(NOTHING_OF_OURS)
    before = names_in(project)
    result = start(PROGRAM, *arguments)
    result.assert_outcomes(passed=2)
    assert names_in(project) - before == {"board.txt"}
    stem = (project.path / "board.txt").read_text().removesuffix(".board")
    assert [name for name in os.listdir("/dev/shm") if name.startswith(stem)] == []
    assert left_processes() == []
    assert result.stderr.lines == []
    project.makeconftest("")
    bare = start(PROGRAM, "-p", "no:twin_harness.plugin", *arguments)
    assert without_times(result.stdout.lines) == without_times(bare.stdout.lines)


MANY = """
import pytest
from twin_harness import cpu, memory

@pytest.mark.parametrize("number", range(6))
@pytest.mark.experiment(
    cpu(20, duration_s=0.5),
    memory(32 * 2**20, unit="bytes", duration_s=0.4, start_s=0.1),
    lead_s=0.4,
    tail_s=0.1,
)
def test_it(recording, number):
    assert recording.annotation("cpu-0").status == "completed"
"""


def test_two_workers_annotate_every_event_once(project, start):
    """Under -n 2 every planned event stands once in annotations.csv, and none overlap.

    Both workers ran some.
    """
    project.makepyfile(MANY)
    result = start(PROGRAM, "-n2", "--twin-no-report")
    result.assert_outcomes(passed=6)
    state, rows = session_rows(project)
    assert state["status"] == "COMPLETE"
    planned = {(f"test_it[{number}]", event) for number in range(6) for event in ("cpu-0", "mem-0")}
    assert sorted((row["experiment"], row["event"]) for row in rows) == sorted(planned)
    assert {row["worker"] for row in rows} == {"gw0", "gw1"}
    check_disjoint([row for row in rows if row["event"] == "cpu-0"])
    spans = sorted((entry["begin_s"], entry["end_s"]) for entry in state["experiments"])
    assert all(after[0] >= before[1] for before, after in pairwise(spans))
    assert state["logger"]["rows"] > 0
    schedule = json.loads((project.path / "data" / "latest" / "schedule.json").read_text())
    assert sorted(experiment["name"] for experiment in schedule["experiments"]) == sorted(
        {name for name, _ in planned}
    )


# gw0 is slow to leave the plan's lines, so that the other worker's collection is known long before.
SLOW_LINES = """
import time
from twin_harness.plugin import workers

write_lines = workers.write_lines

def write_late(*arguments):
    time.sleep(1.0)
    write_lines(*arguments)

workers.write_lines = write_late
"""


def test_plan_is_told_once_however_slow_a_worker_is(project, start):
    """Under -n 2 the plan is printed once, also where gw0 writes its file late; the file goes."""
    project.makeconftest(NAMES_BOARD + SLOW_LINES)
    project.makepyfile(TEN_LINES)
    result = start(PROGRAM, "-n2", "--twin-no-report")
    result.assert_outcomes(passed=2)
    stem = (project.path / "board.txt").read_text().removesuffix(".board")
    assert [name for name in os.listdir("/dev/shm") if name.startswith(stem)] == []
    assert (
        len(
            [line for line in result.stdout.lines if line.startswith("twin: 1 experiments planned")]
        )
        == 1
    )


KILLED = """
import os
import pytest
from twin_harness import cpu

def test_killed(cpu_stress):
    with cpu_stress.background(20, at_most_s=60):
        os.kill(os.getpid(), 9)

@pytest.mark.parametrize("number", range(3))
@pytest.mark.experiment(cpu(20, duration_s=0.4), lead_s=0.4, tail_s=0.1)
def test_other(recording, number):
    assert recording.annotation("cpu-0").status == "completed"
"""


def test_killed_worker_makes_the_run_partial_and_is_named(project, start):
    """A test whose worker is killed fails and stands in Allure.

    The run is PARTIAL and names worker and experiment; the others ran.
    """
    project.makepyfile(KILLED)
    result = start(PROGRAM, "-n2", "--twin-no-report", "--alluredir=results")
    result.assert_outcomes(passed=3, failed=1)
    state, rows = session_rows(project)
    assert state["status"] == "PARTIAL"
    assert any(
        re.fullmatch(r"experiment 'test_killed' was lost with its worker gw\d", sentence)
        for sentence in state["partial"]
    ), state["partial"]
    assert any(re.match(r"worker gw\d was lost: ", sentence) for sentence in state["partial"]), (
        state["partial"]
    )
    lost = [row for row in rows if row["experiment"] == "test_killed"]
    assert [(row["event"], row["status"]) for row in lost] == [("cpu-0", "failed")]
    assert re.fullmatch(r"its worker gw\d was lost", lost[0]["message"])
    assert sorted(row["experiment"] for row in rows if row["status"] == "completed") == [
        f"test_other[{number}]" for number in range(3)
    ]
    results = [
        json.loads(path.read_text()) for path in (project.path / "results").glob("*-result.json")
    ]
    assert sorted((entry["name"], entry["status"]) for entry in results) == [
        ("test_killed", "broken"),
        *((f"test_other[{number}]", "passed") for number in range(3)),
    ]
    killed = next(entry for entry in results if entry["name"] == "test_killed")
    assert "its worker was lost" in killed["statusDetails"]["message"]
    result.stdout.fnmatch_lines(["PARTIAL: 4 experiments*", "partial*test_killed*"])
    assert left_processes() == []

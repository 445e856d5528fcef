"""Tests that are run again begin anew, and subtests are part of their test.

Whatever is kept of a test is kept once.
"""

import json
import xml.etree.ElementTree as ET
from collections import Counter

import pytest

# What reruns, loops and repetitions have in common: pytest's protocol, again, for the same item.
AGAIN = """
import pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    again = item.get_closest_marker("again")
    if again is None:
        return None
    for left in reversed(range(again.args[0])):
        item._initrequest()
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        is_last = all(report.passed for report in reports) or not left
        for report in reports:
            if report.failed and not is_last:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if is_last:
            return True

def pytest_report_teststatus(report):
    if report.outcome == "rerun":
        return "rerun", "R", "RERUN"
"""
TRIED = """
import pytest
from twin_harness.control.runner import ServerRunner
from twin_harness.errors import ExperimentFailed, Undecided

pytestmark = pytest.mark.{mark}
tries = {{}}

def number(name):
    tries[name] = tries.get(name, 0) + 1
    return tries[name]

@pytest.fixture
def failing_once(monkeypatch):
    run = ServerRunner.run
    def run_or_fail(self, experiment, generator=None):
        recording = run(self, experiment, generator)
        if number("experiment") == 1:
            raise ExperimentFailed("event 'cpu-0': it was made to fail once", recording)
        return recording
    monkeypatch.setattr(ServerRunner, "run", run_or_fail)

@pytest.fixture
def torn_down_badly():
    yield
    assert number("teardown") > 1

@pytest.mark.experiment(lead_s=0.2, tail_s=0.1)
def test_experiment(failing_once, recording):
    assert recording.experiment.name.startswith("test_experiment")

def test_figure(gate):
    gate.record("orders_per_s", 100.0 * number("figure"), unit="1/s", better="higher")
    assert tries["figure"] > 1

def test_teardown(gate, torn_down_badly):
    gate.record("latency_ms", 10.0 + tries.get("teardown", 0), unit="ms", better="lower")

def test_undecided():
    if number("undecided") == 1:
        raise Undecided("there was nothing to decide by, the first time")
"""


def gate_of(project):
    return json.loads((project.path / "data" / "latest" / "gate.json").read_text())["trials"]


def results_in(project, name):
    return [
        json.loads(path.read_text())
        for path in (project.path / "results").glob("*-result.json")
        if name in path.read_text()
    ]


@pytest.mark.parametrize("who", ["a loop", "pytest-rerunfailures"])
@pytest.mark.parametrize("mode", ["-n0", pytest.param("-n1", marks=pytest.mark.by_workers)])
def test_each_try_begins_anew_and_the_last_one_counts(project, run, who, mode):
    """Neither fault nor figures nor verdict of a failed try reach the next.

    The gate has the last try alone, and says so.
    """
    if who == "a loop":
        project.makeconftest(AGAIN)
        mark, more = "again(3)", ["-o", "markers=again(n): try n times"]
    else:
        pytest.importorskip("pytest_rerunfailures")
        mark, more = "flaky(reruns=2)", []
    project.makepyfile(TRIED.format(mark=mark))
    result = run(
        mode,
        "--alluredir=results",
        "--twin-gate-save=base.json",
        "--twin-undecided=fail",
        "--dist=loadfile",
        *more,
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*5 passed, 4 rerun*"]
    )  # a call that passed before its teardown failed is counted as passed
    result.stdout.no_fnmatch_line("undecided:*")
    result.stdout.fnmatch_lines(
        [
            (
                "2 gated tests were run again, and the last try of each counts:"
                " *test_figure*test_teardown*"
            )
        ]
    )
    trials = {trial["test"].rpartition("::")[2]: trial for trial in gate_of(project)}
    assert sorted(trials) == ["test_figure", "test_teardown"]
    assert len(gate_of(project)) == 2
    assert {
        name: (trial["values"], trial["faults"], trial["tries"]) for name, trial in trials.items()
    } == {
        "test_figure": ({"orders_per_s": 200.0}, {}, 2),
        "test_teardown": ({"latency_ms": 11.0}, {}, 2),
    }
    state = json.loads((project.path / "data" / "latest" / "run.json").read_text())
    assert [entry["experiment"] for entry in state["experiments"]] == [
        "test_experiment",
        "test_experiment#2",
    ]
    tried = results_in(project, "test_experiment")
    assert sorted((entry["status"], len(entry["attachments"])) for entry in tried) == [
        ("broken", 4),
        ("passed", 4),
    ]
    assert len({entry["historyId"] for entry in tried}) == 1


SUBTESTED = """
import unittest
import pytest
from twin_harness import load
from twin_harness.errors import ExperimentAborted, Undecided

@pytest.mark.experiment(lead_s=0.2, tail_s=0.1)
def test_recorded(recording, subtests):
    for number in range(3):
        with subtests.test(number=number):
            assert recording

def test_figure(gate, subtests):
    for number in range(3):
        with subtests.test(number=number):
            pass
    gate.record("latency_ms", 3.0, unit="ms", better="lower")

def test_failing(gate, subtests):
    gate.record("failing_ms", 3.0, unit="ms", better="lower")
    with subtests.test("bad"):
        assert 1 == 2

def test_undecided(subtests):
    for number in range(2):
        with subtests.test(number=number):
            raise Undecided("the window holds no samples")

class TestCase(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _take(self, gate):
        self.gate = gate

    def test_case(self):
        for number in range(2):
            with self.subTest(number=number):
                pass
        self.gate.record("case_ms", 3.0, unit="ms", better="lower")
"""
TRIPPED = """
import pytest
from twin_harness.errors import ExperimentAborted

@pytest.mark.parametrize("number", range(5))
def test_tripping(number, subtests):
    with subtests.test("first"):
        raise ExperimentAborted("guard: memory_available 5 % is below 10 %")
    with subtests.test("second"):
        pass
"""
has_subtests = pytest.mark.skipif(
    not hasattr(pytest, "Subtests"), reason="pytest 8.4 has no subtests of its own"
)


@has_subtests
@pytest.mark.parametrize("mode", ["-n0", pytest.param("-n1", marks=pytest.mark.by_workers)])
def test_subtests_are_part_of_their_test(project, run, mode):
    """Whatever is kept of a test with subtests is kept once, and a bad subtest fails it.

    Steps, attachments, metrics, trials and verdicts; a figure may come after subtests.
    """
    project.makepyfile(SUBTESTED)
    result = run(
        mode,
        "--alluredir=results",
        "--junitxml=junit.xml",
        "--twin-gate-save=base.json",
        "--dist=loadfile",
    )
    result.stdout.fnmatch_lines(["undecided: 1", "  *test_undecided: the window holds no samples"])
    assert result.ret == 1
    trials = {
        trial["test"].rpartition("::")[2]: (trial["values"], trial["faults"])
        for trial in gate_of(project)
    }
    assert len(gate_of(project)) == 3
    assert trials == {
        "test_figure": ({"latency_ms": 3.0}, {}),
        "test_case": ({"case_ms": 3.0}, {}),
        "test_failing": ({"failing_ms": 3.0}, {"": "its test failed: assert 1 == 2"}),
    }
    (recorded,) = results_in(project, '"name": "test_recorded"')
    assert len(recorded["attachments"]) == 4
    assert [parameter["name"] for parameter in recorded["parameters"]] == ["host", "seed", "run"]
    assert len(list((project.path / "results").glob("*-perf.json"))) == 1
    statuses = Counter(entry["status"] for entry in results_in(project, "test_"))
    assert statuses == {"passed": 3, "failed": 1, "skipped": 1}
    suite = ET.parse(project.path / "junit.xml").getroot()[0]
    cases = {
        case.get("name"): [child.tag for child in case if child.tag in ("skipped", "failure")]
        for case in suite
    }
    assert cases["test_recorded"] == []
    assert "skipped" in cases["test_undecided"]
    assert "failure" in cases["test_failing"]


@has_subtests
@pytest.mark.parametrize("mode", ["-n0", pytest.param("-n1", marks=pytest.mark.by_workers)])
def test_guard_that_stops_subtests_in_a_row_ends_the_session(project, run, mode):
    """Three experiments that the guard stopped count as three, whatever other subtests did."""
    project.makepyfile(TRIPPED)
    result = run(mode, "--dist=loadfile")
    result.stdout.fnmatch_lines(["*the guard stopped 3 experiments in a row*"])


def test_undecided_teardown_is_told_as_undecided(project, run):
    """An UNDECIDED raised in a teardown has the letter U, and is counted once."""
    project.makepyfile("""
        import pytest
        from twin_harness.errors import Undecided

        @pytest.fixture
        def late():
            yield
            raise Undecided("nothing was measured")

        def test_it(late):
            pass
        """)
    result = run()
    result.stdout.fnmatch_lines(
        ["undecided: 1", "*: nothing was measured", "*1 passed, 1 undecided*"]
    )

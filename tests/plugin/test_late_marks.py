"""Marks that come late: on one parameter, or added to collected items.

Each works, or costs its item and nothing else.
"""

import pytest

CONFTEST = """
import pytest

LATE = {
    "test_late_experiment": pytest.mark.experiment(lead_s=0.2, tail_s=0.1),
    "test_late_gate": pytest.mark.gate("cpu_percent"),
    "test_late_random": pytest.mark.random_schedules(2),
    "test_late_campaign": pytest.mark.campaign(),
    "test_late_bad_experiment": pytest.mark.experiment(lead_s=-5),
    "test_late_bad_gate": pytest.mark.gate("cpu_percent", statistic="nonsense"),
}

def pytest_collection_modifyitems(items):
    for item in items:
        if item.name in LATE:
            item.add_marker(LATE[item.name])
"""
TESTS = """
import pytest

idle = pytest.mark.experiment(lead_s=0.3, tail_s=0.1)

def with_mark(*marks):
    return pytest.mark.parametrize("number", [pytest.param(1, marks=marks)])

@with_mark(idle)
def test_param_experiment(recording, number): assert recording

@with_mark(idle, pytest.mark.gate("cpu_percent"))
def test_param_gate(recording, number): assert recording

@with_mark(idle, pytest.mark.random_schedules(2))
def test_param_random(recording, number): assert recording

@with_mark(idle, pytest.mark.campaign())
def test_param_campaign(recording, number): assert recording

def test_late_experiment(recording): assert recording

@idle
def test_late_gate(recording): assert recording

@idle
def test_late_random(recording): assert recording

@idle
def test_late_campaign(recording): assert recording

def test_late_bad_experiment(recording): assert recording

@idle
def test_late_bad_gate(recording): assert recording

def test_unplanned(recording): assert recording

def test_other(): pass
"""
TOO_LATE = (
    "makes several items of a test, which a mark on one parameter (pytest.param) or one that is"
    " added to a collected item comes too late for; put it on the function, its class or its module"
)
REFUSED = {
    "test_param_random[1]": f"marker random_schedules: {TOO_LATE}",
    "test_param_campaign[1]": f"marker campaign: {TOO_LATE}",
    "test_late_random": f"marker random_schedules: {TOO_LATE}",
    "test_late_campaign": f"marker campaign: {TOO_LATE}",
    "test_late_bad_experiment": (
        "marker experiment: plan(): lead_s: -5 is not valid: input should be greater than or equal"
        " to 0"
    ),
    "test_late_bad_gate": (
        "marker gate: gate('cpu_percent'): expected statistic of median, p95, max, recovery_s,"
        " integral, time_to_threshold_s but got 'nonsense'"
    ),
    "test_unplanned": (
        "requests recording or experiment_plan but plans nothing; expected"
        " @pytest.mark.experiment(cpu(50, duration_s=10)) or random_schedules"
    ),
}


@pytest.mark.parametrize(
    "mode",
    [[], ["-n0"], pytest.param(["-n1"], marks=pytest.mark.by_workers)],
    ids=["plain", "n0", "n1"],
)
def test_late_mark_works_or_costs_its_item(project, run, mode):
    """A mark that plans an item as it is works.

    One that would make several items, or is wrong, fails that item in one sentence.
    """
    project.makeconftest(CONFTEST)
    project.makepyfile(TESTS)
    result = run(*mode, "--twin-campaign=10m")
    result.assert_outcomes(passed=5, errors=7)
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    lines = [line for line in result.stdout.lines if line.startswith("InvalidInput: ")]
    assert sorted(lines) == sorted(f"InvalidInput: {sentence}" for sentence in REFUSED.values())
    result.stdout.fnmatch_lines(["twin: 4 experiments planned, 1.5 s of load and quiet"])


def test_test_that_plans_nothing_is_refused_at_collection_where_nobody_marks(project, run_here):
    """A test that plans nothing stops the session before any load.

    Unless a hook of the project could still mark it.
    """
    project.makepyfile("def test_it(recording): pass")
    result = run_here()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*requests recording or experiment_plan but plans nothing*"])

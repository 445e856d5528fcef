"""The gate in pytest: one item a pair, in every mode; refusals; verdicts and exit codes; resuming.

Baselines.
"""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from twin_harness.gate.baseline import Baseline

PROJECT = """
import random
import pytest

chance = random.Random(20261130)

def noise(): return chance.gauss(1, 0.005)

@pytest.fixture(scope="module")
def database():
    print("database up")
    yield
    print("database down")

@pytest.fixture
def service(variant, database):
    if variant.environ.get("BROKEN"):
        raise RuntimeError("does not start")
    yield float(variant.environ.get("WORK", "100"))

def test_latency(service, gate):
    gate.record("latency_ms", service * noise(), unit="ms", better="lower")

@pytest.mark.gate("requests_per_s", better="higher")
def test_rate(service, gate):
    gate.record("requests_per_s", 1e4 / service * noise(), unit="1/s")

def test_other(): pass
"""
MODES = [(), ("-n0",), pytest.param(("-n2",), marks=pytest.mark.by_workers)]
BASE = "--twin-variant=base:"


@pytest.fixture(autouse=True)
def steady_machine(monkeypatch):
    """What other tests do to this machine meanwhile makes no pair unfit, and disturbs none.

    Which pairs are unfit, and what others are adjusted for, is what tests/unit/test_gate_trials and
    test_gate_covariate look at.
    """
    monkeypatch.setattr("twin_harness.gate.pairs.unfit_pairs", lambda pairs: {})
    for room in ("covariate", "stopping"):
        monkeypatch.setattr(f"twin_harness.gate.{room}.is_disturbed", lambda pairs, name: False)


def gate_of(project):
    """The gate.json of the last run."""
    return json.loads((project.path / "data" / "latest" / "gate.json").read_text())


@pytest.mark.parametrize("mode", MODES, ids=["plain", "n0", "n2"])
def test_a_regression_fails_the_session_and_no_test(project, run, mode):
    """Each pair is one item that passes.

    The verdict is the gate's own, in its section, the exit code, JUnit and gate.json.
    """
    project.makepyfile(PROJECT)
    result = run(
        *mode,
        BASE,
        "--twin-variant=candidate:WORK=120,TOKEN=s3cret",
        "--twin-gate-pairs=10",
        "--junitxml=junit.xml",
        "-k",
        "latency",
    )
    assert result.ret == 1
    assert (
        10 <= result.parseoutcomes()["passed"] <= 13
    )  # pairs that other work of this machine made unfit are run again
    assert set(result.parseoutcomes()) <= {"passed", "deselected"}
    result.stdout.fnmatch_lines(
        ["*= twin gate =*", "REGRESSED: candidate against base, 1 measures: 1 REGRESSED"]
    )
    found = gate_of(project)
    assert [verdict["status"] for verdict in found["verdicts"]] == ["REGRESSED"]
    assert 7 <= found["verdicts"][0]["n"] <= 13
    positions = [
        (trial["variant"], trial["position"])
        for trial in found["trials"]
        if "latency" in trial["test"] and trial["pair"] < 10
    ]
    assert sorted(positions) == sorted(
        [("base", 0), ("base", 1), ("candidate", 0), ("candidate", 1)] * 5
    )
    properties = {
        entry.get("name"): entry.get("value")
        for entry in ET.parse(project.path / "junit.xml").iter("property")
    }
    assert properties["twin_gate"].startswith("REGRESSED: ")
    stored = "".join(
        path.read_text(errors="replace")
        for path in (project.path / "data" / "latest").rglob("*")
        if path.is_file()
    )
    assert "s3cret" not in stored


def test_no_difference_passes_and_stops_early(project, run):
    """An A/A run is over after six pairs, PASSED.

    What is left of the pairs leaves no trace but a reason in Allure, module fixtures are set up
    once.
    """
    project.makepyfile(PROJECT)
    result = run("-s", BASE, "--twin-variant=candidate:", "--alluredir=results")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["PASSED: candidate against base, 2 measures: 2 PASSED"])
    passed = result.parseoutcomes()["passed"]
    assert 12 <= passed <= 30
    assert gate_of(project)["stopped_at"] in (6, 9, None)
    assert (
        result.stdout.str().count("database up") == result.stdout.str().count("database down") == 1
    )
    results = [json.loads(path.read_text()) for path in project.path.glob("results/*-result.json")]
    unneeded = [one for one in results if one["status"] == "skipped"]
    assert len(results) - len(unneeded) == passed
    assert unneeded
    assert all("was not needed" in one["statusDetails"]["message"] for one in unneeded)


def test_a_variant_that_does_not_start_is_given_up_after_three_pairs(project, run):
    """Three errors a test, the verdict UNDECIDED with the reason, and nothing passes."""
    project.makepyfile(PROJECT)
    result = run(BASE, "--twin-variant=candidate:BROKEN=1")
    assert result.ret == 1
    result.assert_outcomes(errors=6, deselected=1)
    assert gate_of(project)["status"] == "UNDECIDED"
    assert "RuntimeError: does not start" in re.sub(
        r"\s+", " ", result.stdout.str().partition("twin gate")[2]
    )


REFUSED = [
    (("--twin-gate-pairs=5",), "--twin-gate-pairs: pairs need two variants"),
    (
        (BASE, "--twin-variant=b:", "--dist=each", "--tx=2*popen"),
        "--twin-variant: expected each pair to run once but got --dist each",
    ),
    (
        (BASE, "--twin-variant=b:", "--twin-gate=x.json"),
        "--twin-variant: pairs are judged by themselves",
    ),
    ((BASE, "--twin-variant=b:", "--twin-repeat=2"), "--twin-variant: pairs are the repetitions"),
    (("--twin-gate=none.json",), "none.json: cannot be read"),
    ((BASE, "--twin-variant=b:", "--twin-gate-resume=none"), "none: is not a folder"),
    (
        (BASE, "--twin-variant=b:", "--twin-gate-pairs=5"),
        "5 pairs can never show a regression over a family of 2 measures",
    ),
    (
        (BASE, "--twin-variant=b:", "--twin-gate-pairs=5", "-n2"),
        "5 pairs can never show a regression over a family of 2 measures",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    REFUSED,
    ids=[sentence[:40] + str(len(arguments)) for arguments, sentence in REFUSED],
)
def test_what_cannot_work_is_refused_before_it_starts(project, run, run_here, arguments, sentence):
    """One sentence, exit code 4, nothing written."""
    project.makepyfile(PROJECT)
    result = run(*arguments) if "-n2" in arguments else run_here(*arguments)
    assert result.ret == 4
    assert sentence in result.stderr.str() + result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()
    assert not (project.path / "data").exists()


WRONG = [
    (
        "def test_a(gate): gate.record('x', 1, better='lower')",
        "test_a is gated but nothing in it requests our fixture variant",
    ),
    (
        "import pytest\n@pytest.mark.gate('cpu_percent')\ndef test_a(gate, variant): pass",
        "nothing in test_a gives 'cpu_percent median'; expected it to request",
    ),
    (
        """
        import pytest
        @pytest.fixture(params=["json", "xml"])
        def variant(request): return request.param
        def test_a(gate, variant): gate.record("x", 1, better="lower")
        """,
        "test_a is gated but nothing in it requests our fixture variant",
    ),
    (
        "import pytest\n@pytest.mark.gate('rps')\ndef test_a(gate, variant): pass",
        "marker gate: gate('rps'): expected better='lower' or better='higher'",
    ),
]


@pytest.mark.parametrize(
    ("text", "sentence"),
    WRONG,
    ids=["no variant", "no recording", "another variant", "no direction"],
)
def test_a_test_that_cannot_be_gated_is_a_collection_error(project, run_here, text, sentence):
    """A marker that asks for what the test does not give is one sentence at collection."""
    project.makepyfile(text)
    result = run_here(BASE, "--twin-variant=candidate:")
    assert result.ret == 2
    assert sentence in result.stdout.str()


def test_a_verdict_that_cannot_be_written_stands(project, run, monkeypatch):
    """A summary file that is not there costs a line, and neither the verdict nor the exit code."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/nonexistent/summary.md")
    project.makepyfile(PROJECT)
    result = run(BASE, "--twin-variant=candidate:WORK=150", "--twin-gate-pairs=8", "-k", "latency")
    status = gate_of(project)["status"]
    assert result.ret == (status == "REGRESSED")
    if status != "REGRESSED":  # others disturbed this machine: the verdict says so
        result.stdout.fnmatch_lines(["UNDECIDED: *", "*environment: only * pairs could be used*"])
    result.stdout.fnmatch_lines(
        [f"{status}: *", "not everything about the gate could be written: *"]
    )


def test_a_service_of_the_session_is_a_scope_mismatch(project, run):
    """A service that is started once for both variants cannot be compared, and pytest says so."""
    project.makepyfile(
        "import pytest\n@pytest.fixture(scope='session')\ndef service(variant): yield 1\ndef"
        " test_a(service, gate): pass"
    )
    result = run(BASE, "--twin-variant=candidate:")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*ScopeMismatch*variant*"])


def test_pairs_that_were_done_are_not_done_again(project, run):
    """A run that was cut short goes on where it ended; of other options it does not."""
    project.makepyfile(PROJECT)
    arguments = (BASE, "--twin-variant=candidate:WORK=150", "--twin-gate-pairs=10")
    first = run(*arguments, "-k", "latency and (pair-0 or pair-1 or pair-2)")
    assert first.parseoutcomes()["passed"] >= 3
    assert gate_of(project)["status"] == "UNDECIDED"
    done = {trial["pair"] for trial in gate_of(project)["trials"]}
    resumed = run(*arguments, "--twin-gate-resume=data/latest")
    assert resumed.ret == 1
    assert 20 - len(done) <= resumed.parseoutcomes()["passed"] <= 26 - len(done)
    assert all(
        sum(
            trial["pair"] == pair and "latency" in trial["test"]
            for trial in gate_of(project)["trials"]
        )
        == 2
        for pair in done
    )
    assert gate_of(project)["status"] == "REGRESSED"
    complete = run(*arguments, "--twin-gate-resume=data/latest")
    assert complete.ret == 1
    complete.stdout.fnmatch_lines(["nothing was left to run: this is the verdict of *"])
    project.makepyfile(test_stranger=PROJECT)
    stranger = run(*arguments, "test_stranger.py", "--twin-gate-resume=data/latest")
    assert stranger.ret == 4
    assert "which is not collected here; name the same tests" in stranger.stderr.str()
    other = run(
        BASE,
        "--twin-variant=candidate:WORK=151",
        "--twin-gate-pairs=10",
        "--twin-gate-resume=data/latest",
    )
    assert other.ret == 4
    assert "ran with other variants" in other.stderr.str()


def test_a_baseline_is_collected_judges_and_is_moved(project, run):
    """Sessions are added, judged from the eighth on.

    A worse one is not added, and accepted it is the new level.
    """
    project.makepyfile(
        PROJECT.replace(
            'variant.environ.get("WORK", "100")', '__import__("os").environ.get("WORK", "100")'
        )
    )
    result = run("--twin-gate-save=baseline.json", "-k", "latency")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["added to *baseline.json: session 1, 1 measures, 7 more until it can judge"]
    )
    path = project.path / "baseline.json"
    one = Baseline.read(path)
    for number in range(7):
        values = {
            name: value * (1 + 0.002 * number) for name, value in one.sessions[0].values.items()
        }
        one = one.with_session(
            replace(one.sessions[0], run=f"run-{number}", values=values), one.measures
        )
    one.write(path)
    same = run("--twin-gate=baseline.json", "-k", "latency")
    assert same.ret == 0
    same.stdout.fnmatch_lines(["*: * against baseline of 8 sessions*"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORK", "200")
        worse = run("--twin-gate=baseline.json", "-k", "latency")
    assert worse.ret == 1
    worse.stdout.fnmatch_lines(["REGRESSED: *"])
    assert project.run("twin", "gate", "compare", "baseline.json", "data/latest").ret == 1
    accepted = project.run(
        "twin", "gate", "accept", "baseline.json", "data/latest", "--why", "twice the work"
    )
    assert accepted.ret == 0
    shown = project.run("twin", "gate", "show", "baseline.json")
    shown.stdout.fnmatch_lines(
        ["9 sessions of machine *, level 1", "*accepted: level 1 from run * on: twice the work"]
    )
    again = project.run("twin", "gate", "accept", "baseline.json", "data/latest")
    assert again.ret == 2
    assert "is in the baseline already" in again.stderr.str()

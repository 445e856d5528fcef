"""A run through the plugin.

Files, outcomes, UNDECIDED, one-sentence failures, Allure, and projects that use none of it.
"""

import csv
import json
import re
import subprocess
import sys
from datetime import datetime

import pytest

HEAD = (
    "import pytest\nfrom twin_harness import cpu, memory, plan\nfrom twin_harness.errors import"
    " Undecided\n"
)
IDLE = (
    HEAD + "@pytest.mark.experiment(lead_s=0.3, tail_s=0.3)\ndef test_idle(recording):\n    assert"
    " recording.max('cpu_delivered_percent') == 0\n"
)
FILES = {
    "system_metrics_dataset.csv",
    "annotations.csv",
    "schedule.json",
    "machine.json",
    "run.json",
    "datapackage.json",
    "system_metrics_dataset.parquet",
}
HEAVY = [
    "numpy",
    "pandas",
    "matplotlib",
    "seaborn",
    "scipy",
    "sklearn",
    "pyarrow",
    "pandera",
    "pydantic",
    "psutil",
    "hypothesis",
    "jinja2",
    "rich",
    "allure",
]


def test_run_leaves_its_files(project, run):
    """A run leaves its files, all whole, and nothing that it worked with."""
    project.makepyfile(IDLE)
    result = run()
    result.assert_outcomes(passed=1)
    folder = project.path / "data" / "latest"
    assert {path.name for path in folder.iterdir()} == FILES
    state = json.loads((folder / "run.json").read_text())
    assert state["status"] == "COMPLETE"
    assert state["logger"]["missed_samples"] == 0
    rows = list(csv.DictReader((folder / "system_metrics_dataset.csv").read_text().splitlines()))
    assert len(rows) >= 5
    assert {row["experiment"] for row in rows} <= {"test_idle", ""}
    assert folder.stat().st_mode & 0o777 == 0o700
    result.stdout.fnmatch_lines(
        ["*= twin harness =*", "COMPLETE: 1 experiments*", "data    data/*"]
    )


def test_project_that_uses_nothing_sees_nothing(project, run):
    """A project without our fixtures gets no folder, no line and no process of ours."""
    project.makepyfile("def test_it(): pass\n")
    result = project.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    assert "twin:" not in result.stdout.str()
    assert "twin harness =" not in result.stdout.str()
    assert not (project.path / "data").exists()


def test_loading_the_plugin_imports_nothing_heavy():
    """Importing the plugin loads none of the heavy libraries."""
    code = (
        "import pytest, sys\nbefore = set(sys.modules)\nimport twin_harness.plugin\nprint([m for m"
        f" in {HEAVY!r} if m in set(sys.modules) - before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_own_fixtures_of_a_project_win(project, run):
    """Fixtures of a project called machine, experiment_plan, gate or variant harm nobody."""
    own = "\n".join(
        f"@pytest.fixture\ndef {name}(): return '{name}'\n"
        for name in ("machine", "experiment_plan", "experiment", "gate", "variant", "annotations")
    )
    project.makepyfile(
        IDLE
        + own
        + "def test_own(machine, gate, experiment_plan): assert (machine, gate, experiment_plan) =="
        " ('machine', 'gate', 'experiment_plan')\n"
    )
    run().assert_outcomes(passed=2)


UNDECIDED = (
    HEAD + "def test_u(): raise Undecided('the window holds no samples')\ndef test_ok(): pass\n"
)


@pytest.mark.parametrize("place", ["call", "setup"])
def test_undecided_is_a_letter_and_a_reason(project, run, place):
    """UNDECIDED is shown as U, counted, explained in the summary, and skipped in JUnit."""
    fixture = (
        "@pytest.fixture\ndef it(): raise Undecided('the window holds no samples')\ndef test_u(it):"
        " pass\ndef test_ok(): pass\n"
    )
    project.makepyfile(UNDECIDED if place == "call" else HEAD + fixture)
    result = run("--junitxml=junit.xml")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*test_*.py U.*",
            "undecided: 1",
            "*test_u: the window holds no samples",
            "*1 passed, 1 undecided*",
        ]
    )
    text = (project.path / "junit.xml").read_text()
    assert "<skipped" in text
    assert "UNDECIDED: the window holds no samples" in text


def test_undecided_can_fail(project, run):
    """--twin-undecided=fail makes UNDECIDED a failure."""
    project.makepyfile(UNDECIDED)
    result = run("--twin-undecided=fail")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "UNDECIDED: the window holds no samples (and --twin-undecided=fail)",
            "*1 failed, 1 passed*",
        ]
    )


def test_refusal_fails_in_the_call_phase_with_a_sentence(project, run):
    """An experiment that the machine cannot carry fails with one sentence; the next one runs."""
    project.makepyfile(
        HEAD + "@pytest.mark.experiment(memory(1e15, duration_s=1, unit='bytes'))\ndef"
        " test_huge(recording): pass\n"
        + "@pytest.mark.experiment(lead_s=0.2, tail_s=0.2)\ndef test_idle(recording): pass\n"
    )
    result = run()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["InvalidInput: test_huge: memory events ask for 953674316 MiB at * expected at most *"]
    )
    assert "Traceback" not in result.stdout.str()
    assert "runner.py" not in result.stdout.str()


def test_wrong_use_of_a_fixture_names_the_argument(project, run):
    """experiment.run() of something else says what was expected and what it got."""
    project.makepyfile("def test_it(experiment): experiment.run(5)\n")
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            (
                "*experiment.run(): expected an Experiment made by plan() but got experiment=5"
                " (type=int)*"
            )
        ]
    )


def test_marks_and_phases_are_annotated(project, run):
    """annotations.mark and annotations.phase write rows of stressor mark, in experiments or not."""
    project.makepyfile(
        "def test_it(annotations):\n    annotations.mark('deploy', version='1.2')\n    with"
        " annotations.phase('warm-up'): pass\n"
    )
    run().assert_outcomes(passed=1)
    rows = list(
        csv.DictReader(
            (project.path / "data" / "latest" / "annotations.csv").read_text().splitlines()
        )
    )
    assert [(row["event"], row["stressor"]) for row in rows] == [
        ("deploy", "mark"),
        ("warm-up", "mark"),
    ]
    assert json.loads(rows[0]["parameters"]) == {"version": "1.2"}


def test_allure_gets_steps_and_timeline(project, run):
    """Each event is an Allure step with its annotation's times; the timeline is a PNG."""
    project.makepyfile(
        HEAD + "@pytest.mark.experiment(cpu(20, duration_s=1), lead_s=0.4, tail_s=0.2)\ndef"
        " test_it(recording): pass\n"
    )
    run("--alluredir=results").assert_outcomes(passed=1)
    results = [
        json.loads(path.read_text()) for path in (project.path / "results").glob("*-result.json")
    ]
    (step,) = [step for step in results[0]["steps"] if not step["name"].startswith("waiting")]
    assert results[0]["start"] <= step["start"]
    assert re.fullmatch(r"cpu-0: constant (19\.9|20\.0|20\.1) %, delivered .*", step["name"])
    with (project.path / "data" / "latest" / "annotations.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert [step["start"], step["stop"]] == [
        int(datetime.fromisoformat(row[name]).timestamp() * 1000)
        for name in ("start_time", "end_time")
    ]
    (attachment,) = [entry for entry in results[0]["attachments"] if entry["type"] == "image/png"]
    assert (project.path / "results" / attachment["source"]).read_bytes().startswith(b"\x89PNG")


def test_without_allure_and_xdist_everything_works(project, run):
    """The plugin needs neither allure-pytest nor xdist to be loaded."""
    project.makepyfile(IDLE)
    run("-p", "no:allure_pytest", "-p", "no:xdist").assert_outcomes(passed=1)


# The guard would refuse these beforehand: with its check gone they start, and are stopped at once.
TRIPS = """
import pytest
from twin_harness import cpu
from twin_harness.control import preflight

@pytest.fixture(autouse=True, scope="module")
def unchecked():  # until the module ends: the process goes on
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preflight, "check", lambda *_, **__: [])
        yield

@pytest.mark.parametrize("turn", range(16))
@pytest.mark.experiment(cpu(10, duration_s=2), lead_s=0.2, tail_s=0)
def test_it(recording, turn):
    pass
"""


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.by_workers)])
def test_three_trips_in_a_row_end_the_session(project, run, workers):
    """Each trip fails its test in its call phase with one sentence.

    The third ends the session, which says why and is ABORTED.
    """
    project.makepyfile(TRIPS)
    result = run(workers, "--twin-guard=memory_available=99.9%")
    assert result.ret == 2
    text = result.stdout.str()
    assert text.count("ExperimentAborted: experiment") >= 3
    assert "the guard stopped 3 experiments in a row" in text
    assert result.parseoutcomes()["failed"] < 16
    assert '"status": "ABORTED"' in (project.path / "data" / "latest" / "run.json").read_text()

"""A session in somebody's own surroundings.

His matplotlib, his Allure results folder, hosts that have a new name each time.
"""

import hashlib
import json

import pytest

ONE = """
import pytest

@pytest.mark.experiment(lead_s=0.2, tail_s=0.1)
def test_it(recording):
    assert recording
"""
LOST = """
import os
import pytest

class TestLost:
    @pytest.mark.parametrize("value", ["a::b"])
    def test_killed(self, value, annotations):
        os.kill(os.getpid(), 9)
"""
UNDRAWABLE = """
from matplotlib.figure import Figure

def savefig(*arguments, **keywords):
    raise RuntimeError("the font cache is broken\\nand a log of it")

Figure.savefig = savefig
"""


def state_of(project):
    return json.loads((project.path / "data" / "latest" / "run.json").read_text())


def results_in(project):
    return [
        json.loads(path.read_text()) for path in (project.path / "results").glob("*-result.json")
    ]


def test_session_draws_whatever_matplotlib_is_set_to(project, run, monkeypatch):
    """LaTeX in matplotlibrc and Jupyter's backend change neither report nor attachments.

    Nor do they change the session.
    """
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    (project.path / "matplotlibrc").write_text("text.usetex: True\n")
    project.makepyfile(ONE)
    result = run("--alluredir=results", report=True)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("note *")
    assert (project.path / "reports" / "latest" / "index.html").exists()
    (entry,) = results_in(project)
    assert [attachment["name"] for attachment in entry["attachments"]] == [
        f"{what} of test_it" for what in ("timeline", "samples", "plan", "annotations")
    ]


@pytest.mark.parametrize("mode", ["-n0", "-n1"])
def test_session_whose_figures_cannot_be_drawn_goes_on(project, run_apart, mode):
    """What drawing raises is a note and a sentence.

    The other tests run, the data is whole, and run.json says COMPLETE and why.
    """
    project.makeconftest(UNDRAWABLE)
    project.makepyfile(f"{ONE}\ndef test_other(): pass\n")
    result = run_apart(mode, "--alluredir=results")
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    result.stderr.fnmatch_lines(
        [
            (
                "twin: not all of test_it is in Allure: RuntimeError: the font cache is broken and"
                " a log of it"
            )
        ]
    )
    state = state_of(project)
    assert state["status"] == "COMPLETE"
    (note,) = [note for note in state["notes"] if note.startswith("no report of this run (")]
    assert "RuntimeError: the font cache is broken and a log of it;" in note
    assert "`twin report data/" in note
    result.stdout.fnmatch_lines(
        ["note    no report of this run (the report of *RuntimeError: the font cache is broken*"]
    )


def test_history_follows_a_test_to_another_host(project, run):
    """Host, seed, run and part of the machine are shown, and kept out of the history's id.

    A lost test has the id of its class and name.
    """
    project.makepyfile(test_one=ONE, test_lost=LOST)
    run("-n1", "--alluredir=results")
    found = {entry["name"]: entry for entry in results_in(project)}
    one, lost = found["test_it"], found["test_killed[a::b]"]
    assert {parameter["name"]: parameter.get("excluded") for parameter in one["parameters"]} == {
        "host": True,
        "seed": True,
        "run": True,
    }
    assert one["historyId"] == hashlib.md5(b"test_one#test_it", usedforsecurity=False).hexdigest()
    assert lost["fullName"] == "test_lost.TestLost#test_killed"
    assert (
        lost["testCaseId"]
        == hashlib.md5(b"test_lost.TestLost#test_killed", usedforsecurity=False).hexdigest()
    )


def test_files_in_the_results_folder_are_added_to(project, run):
    """The user's own files win on their keys and stay whole; a damaged one is left and said.

    Only collecting cleans nothing.
    """
    results = project.path / "results"
    results.mkdir()
    (results / "environment.properties").write_text("host=the lab\n")
    (results / "categories.json").write_text("[")
    (results / "executor.json").write_text('{"name": "Bamboo"}')
    project.makepyfile(ONE)
    run("--collect-only", "--alluredir=results", "--clean-alluredir")
    result = run("--alluredir=results")
    result.assert_outcomes(passed=1)
    lines = (results / "environment.properties").read_text().splitlines()
    assert lines[0] == "host=the lab"
    assert f"run={(project.path / 'data' / 'latest').resolve().name}" in lines
    assert (results / "categories.json").read_text() == "["
    assert (results / "executor.json").read_text() == '{"name": "Bamboo"}'
    result.stdout.fnmatch_lines(
        [
            (
                "note    results/categories.json is not valid JSON (*); it is left as it is, and"
                " nothing of ours is added: repair it, or remove it"
            )
        ]
    )

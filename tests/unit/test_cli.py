"""The command without load.

What is refused, what is printed, and that each command offers only what it heeds.
"""

import json
import shutil
from pathlib import Path

import pytest

from twin_harness.cli import main
from twin_harness.cli.settings import CHECK, LOAD, SENSOR
from twin_harness.session.options import OPTIONS

REFUSED = {
    "overhead --rounds 5": "overhead: expected --rounds of 6 or more (fewer have no 95 % interval)",
    "log --duration 0": "log: --duration: expected seconds above 0 but got 0.0",
    "log --duration 0.05": "log: --duration: expected at least one --interval (0.1 s) but got 0.05",
    "log --interval fast": "--interval: expected a number from 0.01 to 3600 but got 'fast'",
    "stress cpu": "stress: expected --level or --shape but got neither",
    "stress cpu --level 20 --unit bytes": (
        "stress: --unit: expected percent for cpu but got 'bytes'"
    ),
    "stress cpu --shape {": "is not JSON",
    "schedule random --shapes blob": (
        "expected shapes out of constant, ramp, steps, sine, square, spikes, leak but got"
        " shapes=('blob',)"
    ),
    "schedule random --min-events 9": "max_events=3 is out of range",
    "schedule random --min-events 3 --min-event-s 8 --no-overlap": (
        "min_events=3 of min_event_s=8 s do not fit in max_duration_s=8 s"
    ),
    "schedule grid --cpu-percent x": (
        "schedule grid: --cpu-percent: expected numbers such as 20,50,80 but got 'x'"
    ),
    "schedule show nowhere.json": "nowhere.json",
    "report nowhere": "is not a folder",
}


@pytest.mark.parametrize("line", REFUSED)
def test_wrong_use_is_one_sentence(line, capsys, tmp_path, monkeypatch):
    """Exit code 2, one line on stderr with what was expected, nothing on stdout or written."""
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.count("\n") == 1
    assert REFUSED[line] in written.err
    assert not list(tmp_path.iterdir())


def test_offered_settings_are_options():
    """What the commands offer are names of the one table of options."""
    assert {*SENSOR, *LOAD, *CHECK} <= {option.name for option in OPTIONS}


def test_random_schedule_heeds_every_bound(capsys):
    """Bounds of the command line reach the plan and stand in its generator.

    The same seed gives the same bytes.
    """
    line = (
        "schedule random -n 2 --seed 5 --shapes square,leak --stressors cpu --min-events 2"
        " --no-overlap --min-cpu-percent 30 --lead-s 0.5"
    )
    assert main(line.split()) == 0
    first = capsys.readouterr().out
    assert main(line.split()) == 0
    assert capsys.readouterr().out == first
    plan = json.loads(first)
    assert plan["generator"]["arguments"]["shapes"] == ["square", "leak"]
    assert plan["generator"]["arguments"]["overlap"] is False
    kinds = {
        event["shape"]["kind"]
        for experiment in plan["experiments"]
        for event in experiment["events"]
    }
    assert kinds <= {"square", "leak"}
    assert {experiment["lead_s"] for experiment in plan["experiments"]} == {0.5}


def test_check_says_peaks_and_room(capsys, tmp_path):
    """Peaks of each experiment stand beside what this machine has, for people and for machines."""
    path = str(tmp_path / "s.json")
    assert main(["schedule", "random", "-n", "2", "--stressors", "cpu", "-o", path]) == 0
    assert main(["schedule", "check", path]) == 0
    text = capsys.readouterr().out
    assert "cpu peak" in text
    assert "this machine can run it" in text
    assert main(["schedule", "check", path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["needs"]) == 2
    assert 0 < found["needs"][0]["cpu_peak_percent"] <= 80
    assert found["has"]["memory_bytes"] > 0


def test_schedule_is_not_written_over(capsys, tmp_path):
    """A file that is there stays as it is."""
    path = tmp_path / "s.json"
    path.write_text("mine")
    assert main(["schedule", "random", "-o", str(path)]) == 2
    assert "expected a file that does not exist" in capsys.readouterr().err
    assert path.read_text() == "mine"


def test_replay_names_the_unknown_resource(capsys, tmp_path):
    """A wrong resource in --columns is named."""
    (tmp_path / "x.csv").write_text("time,a\n1,2\n2,3\n")
    assert main(["schedule", "replay", str(tmp_path / "x.csv"), "--columns", "gpu=a"]) == 2
    assert "'gpu'" in capsys.readouterr().err


SAMPLE = Path(__file__).parents[2] / "data" / "sample"
has_sample = pytest.mark.skipif(
    not SAMPLE.exists(), reason="the sample stands in the repository, not in the package"
)


@has_sample
def test_runs_are_listed(capsys, tmp_path):
    """Each run with status, experiments, events and machine.

    A folder without runs says what to do.
    """
    assert main(["runs", "--data-dir", str(SAMPLE)]) == 0
    text = capsys.readouterr().out
    assert "20261124T232459Z-44f5cd  COMPLETE" in text
    assert " 1,814 " in text
    assert main(["runs", "--data-dir", str(SAMPLE), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["experiments"], row["events"], row["host"]) == (16, 23, "vm")
    assert main(["runs", "--data-dir", str(tmp_path)]) == 0
    assert "no runs in" in capsys.readouterr().out


@has_sample
def test_validate_says_every_fault_and_fails(capsys, tmp_path):
    """Exit code 0 without a fault, 1 with one, named with place, value and what cleaning does."""
    run = tmp_path / "20261124T232459Z-44f5cd"
    shutil.copytree(SAMPLE / run.name, run)
    assert main(["validate", str(run)]) == 0
    assert "no fault found" in capsys.readouterr().out
    dataset = run / "system_metrics_dataset.csv"
    dataset.write_bytes(dataset.read_bytes()[:-40])
    assert main(["validate", str(run)]) == 1
    assert capsys.readouterr().out.startswith("torn line  ×1, first at the end of the file: ")
    assert main(["validate", str(run), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["kind"] == "torn line"


@has_sample
def test_merge_writes_one_dataset(capsys, tmp_path):
    """Runs become one dataset; the same folder is not written twice."""
    words = ["merge", str(SAMPLE / "20261124T232459Z-44f5cd"), "--out", str(tmp_path / "all")]
    assert main(words) == 0
    assert "1,814 rows of 1 runs" in capsys.readouterr().out
    assert main(words) == 2
    assert "expected a folder that does not exist" in capsys.readouterr().err


def make_program(folder, version):
    """A program called allure that says its version and notes how it was called."""
    program = folder / "bin" / "allure"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/calls\n[ "$1" = --version ] && echo {version}\nexit 0\n'
    )
    program.chmod(0o755)
    return str(program.parent)


@pytest.mark.parametrize(("version", "code"), [("3.18.0", 0), ("2.30.0", 1), (None, 1)])
def test_allure_is_called_or_said_how_to_get(version, code, tmp_path, monkeypatch, capsys):
    """Allure 3 renders with the history's settings.

    Without it, or with version 2, a sentence says how to get it.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", make_program(tmp_path, version) if version else str(tmp_path))
    (tmp_path / "res").mkdir()
    (tmp_path / "res" / "x-result.json").write_text("{}")
    (tmp_path / "allurerc.json").write_text("{}")
    assert main(["allure", "--results", "res", "--out", "out", "--no-open"]) == code
    written = capsys.readouterr()
    if code == 0:
        assert (
            "generate --config allurerc.json --output out res" in (tmp_path / "calls").read_text()
        )
        assert written.out == "out/index.html\n"
    else:
        assert "npm install --global allure" in written.err


def test_allure_without_results_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["allure"]) == 2
    assert "run pytest with --alluredir=reports/allure-results first" in capsys.readouterr().err

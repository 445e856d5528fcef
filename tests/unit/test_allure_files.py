"""What stands beside Allure's results.

Environment, categories, executor, attachments within 1 MiB, metrics.
"""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from tests.support.runs import annotate, make_folder, planned
from twin_harness.cli import main
from twin_harness.gate.declaration import declare
from twin_harness.gate.judging import Evidence, judge_pairs
from twin_harness.gate.profile_files import profile_name, profile_text
from twin_harness.gate.verdict import Judgement
from twin_harness.plugin.allure_files import MOST_BYTES, samples_csv, write_gate, write_metrics
from twin_harness.plugin.allure_session import CATEGORIES, environment, executor
from twin_harness.plugin.properties_file import escaped
from twin_harness.runs.recording import Recording
from twin_harness.schedule.builders import cpu, plan

MESSAGES = {
    "undecided": (
        "twin_harness.errors.Undecided: column 'power_watts' of 'x' cannot be judged: it is empty"
    ),
    "stopped by the guard": (
        "ExperimentAborted: experiment 'x' aborted: cpu-0: guard: memory_available fell to 5 MiB,"
        " below the floor of 9 MiB"
    ),
    "load not delivered as asked": (
        "experiment 'x': cpu-0 delivered 30 percent where 50 was asked for, an error of -40 %"
        " against a tolerance of 5 %"
    ),
    "infrastructure": "its worker was lost: worker 'gw1' crashed while running 'test_x'",
}


def window(rows):
    """A recording of so many rows of a hundred columns."""
    experiment = plan(cpu(50, duration_s=10), lead_s=1, tail_s=1)
    row = annotate(
        experiment,
        "cpu-0",
        start_time="2026-01-02T00:00:00.000000Z",
        end_time="2026-01-02T00:00:10.000000Z",
        delivered_error_percent=0.5,
    )
    at_s = np.arange(rows) / 10
    columns = {
        f"column_{number}": np.random.default_rng(number).normal(size=rows) for number in range(100)
    }
    frame = {
        "monotonic_s": 1000 + at_s,
        "dt_s": 0.1,
        "cpu_percent": 30.0,
        "memory_percent": 20.0,
        "probe_wakeup_ms": 0.5,
        **columns,
    }
    samples = pd.DataFrame(frame, index=pd.Index(at_s, name="t_s"))
    return Recording.of_rows(planned(experiment), (row,), samples)


@pytest.mark.parametrize("rows", [50, 1900, 30_000])
def test_samples_stay_within_1_mib(rows):
    """Every row where there are few, means where there are many.

    Never more than Allure holds well.
    """
    data = samples_csv(window(rows))
    assert len(data) <= MOST_BYTES
    lines = data.decode().splitlines()
    assert len(lines) - 1 == rows if rows == 50 else 1 < len(lines) <= 2001
    assert "cpu_percent" in lines[0]


@pytest.mark.parametrize("name", MESSAGES)
def test_categories_know_our_messages(name):
    """Each kind of bad end is in its category, by the message that our exceptions have."""
    found = [
        entry["name"] for entry in CATEGORIES if re.fullmatch(entry["messageRegex"], MESSAGES[name])
    ]
    assert found[0] == name


def test_metrics_are_numbers_with_times(tmp_path):
    """Each figure has id, key and value, and the time of the experiment.

    What is not measured is left out.
    """
    write_metrics(str(tmp_path), "abc", window(100))
    (path,) = tmp_path.glob("abc-*-perf.json")
    entries = {entry["id"]: entry for entry in json.loads(path.read_text())}
    assert entries["experiment cpu_percent mean"]["value"] == pytest.approx(30.0)
    assert entries["experiment cpu-0 delivered error percent"]["value"] == pytest.approx(0.5)
    assert not any("pressure" in name for name in entries)
    assert all(entry["stop"] - entry["start"] == 10_000 for entry in entries.values())


@pytest.mark.parametrize("version", ["2.15", "2.16"])
def test_the_gate_says_where(version, tmp_path):
    """Verdict and flame graphs are global attachments, where allure-pytest knows such."""
    attached = {}
    listener = SimpleNamespace()
    if version == "2.16":
        listener.global_attach_data = lambda body, name, *_: attached.update({name: body})
    config = SimpleNamespace(
        option=SimpleNamespace(allure_report_dir=str(tmp_path)),
        pluginmanager=SimpleNamespace(get_plugin=lambda _: listener),
    )
    evidence = Evidence(declare("test_<a>", "ms", better="lower"), (4.0,) * 12, (4.0,) * 12)
    place = {"function": "work", "base_percent": 1.0, "candidate_percent": 9.0, "p": 0.001}
    judgement = Judgement(
        judge_pairs([evidence]), "paired", places={"test_<a>": ({**place, "pairs": 12},)}
    )
    for side, count in enumerate((1, 9)):
        text = profile_text("test_<a>", f"main;work {count}\nmain {100 - count}\n")
        (tmp_path / profile_name("test_<a>", 0, side)).write_text(text)
    write_gate(config, judgement, tmp_path)
    assert len(list(tmp_path.glob("gate-*-perf.json"))) == 1
    if version == "2.15":
        assert not attached
        return
    assert set(attached) == {"twin gate: verdict", "twin gate: where test_<a> spends more"}
    picture = ET.fromstring(attached["twin gate: where test_<a> spends more"])
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert "| work | 1.0 | 9.0 |" in attached["twin gate: verdict"]


def test_environment_is_one_line_each(tmp_path):
    """Hostile names break no line of a .properties file."""
    folder = make_folder(tmp_path)
    folder.write_machine(
        {"host": "a=b:c\nd", "cpu_capacity": 2.0, "cpu_model": "x", "memory_limit_bytes": 2**30}
    )
    facts = environment(folder)
    assert facts["machine"] == "2.0 CPUs, x, 1.0 GiB"
    assert escaped(facts["host"]) == "a\\=b\\:c d"


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        (
            {
                "GITHUB_ACTIONS": "true",
                "GITHUB_RUN_NUMBER": "7",
                "GITHUB_SERVER_URL": "https://g",
                "GITHUB_REPOSITORY": "a/b",
                "GITHUB_RUN_ID": "9",
            },
            "GitHub Actions",
        ),
        ({"GITLAB_CI": "true", "CI_JOB_NAME": "load", "CI_PIPELINE_IID": "3"}, "GitLab CI"),
        ({"JENKINS_URL": "http://j", "BUILD_NUMBER": "x"}, "Jenkins"),
        ({}, None),
    ],
)
def test_executor_is_who_ran_it(variables, name):
    """CI variables tell the executor; without them there is none."""
    found = executor(variables)
    assert found.get("name") == name
    if name == "GitHub Actions":
        assert (found["buildUrl"], found["buildOrder"]) == ("https://g/a/b/actions/runs/9", 7)


def test_settings_of_allure_3_have_the_same_categories():
    """Allure 2 reads categories from the results, Allure 3 from its settings: one list."""
    path = Path(__file__).parents[2] / "allurerc.json"
    if not path.exists():
        pytest.skip("the settings stand in the repository, not in the package")
    assert json.loads(path.read_text())["categories"] == [dict(entry) for entry in CATEGORIES]


FAKE_ALLURE = """#!/bin/sh
if [ "$1" = --version ]; then echo 3.18.0; exit; fi
while [ "$1" != --output ]; do shift; done
if [ -e "$2" ]; then exit 0; fi
mkdir -p "$2/widgets" && date +%N > "$2/index.html"
"""


def test_a_report_that_is_there_is_made_anew(tmp_path, monkeypatch, capsys):
    """Allure leaves an existing report alone and ends well.

    The command removes it first, and a folder of anything else never.
    """
    program = tmp_path / "bin" / "allure"
    program.parent.mkdir()
    program.write_text(FAKE_ALLURE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "1-result.json").write_text("{}")
    made = []
    for _ in range(2):
        assert main(["allure", "--no-open", "--results", "results", "--out", "report"]) == 0
        made.append((tmp_path / "report" / "index.html").read_text())
    assert made[0] != made[1]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    assert main(["allure", "--no-open", "--results", "results", "--out", "mine"]) == 2
    assert "expected a new folder, or one that holds an Allure report" in capsys.readouterr().err
    assert (tmp_path / "mine" / "notes.txt").exists()

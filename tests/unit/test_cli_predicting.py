"""``twin fit``, ``predict``, ``score`` and ``schedule suggest``: on the run that is committed."""

import contextlib
import json
from pathlib import Path

import pytest

from twin_harness.cli import main
from twin_harness.schedule.builders import cpu, memory, plan
from twin_harness.schedule.model import Schedule

SAMPLE = next((Path(__file__).parent.parent.parent / "data" / "sample").glob("*Z-*"))
PLANS = Schedule.of(
    plan(cpu(60, duration_s=10), name="busy"), plan(memory(50, duration_s=10), name="beyond")
)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    with (folder / "fit.txt").open("w") as file, contextlib.redirect_stdout(file):
        assert main(["fit", str(SAMPLE), "-o", str(folder / "twin.json")]) == 0
    PLANS.write(folder / "plans.json")
    return folder


def test_fit_says_what_it_found_and_what_it_could_not(fitted):
    """`twin fit` prints each parameter with unit and error, and those not identifiable by name.

    It also says that the bands are not calibrated.
    """
    text = (fitted / "fit.txt").read_text()
    assert (
        "fitted to 16 runs of 16 plans, not calibrated: bands need runs of 30 or more different"
        " plans" in text
    )
    assert "background_cpu" in text
    assert "percent ±" in text
    assert "not identifiable from these runs: " in text


def test_predict_shows_trajectories_and_overload(fitted, capsys):
    """A plateau shows, extrapolation is named; a condition has probability, time and resource."""
    words = [
        "predict",
        str(fitted / "plans.json"),
        "--model",
        str(fitted / "twin.json"),
        "--overload",
        "cpu_percent > 50 for 3 s",
        "--overload",
        "probe_wakeup_ms p95 > 20",
    ]
    assert main([*words, "--figure", str(fitted / "predicted.png")]) == 0
    text = capsys.readouterr().out
    assert "busy: 12 s" in text
    assert (
        "cpu_percent > 50 for 3 s: probability 100 % [98, 100] (200 simulated trajectories),"
        " after 3 s" in text
    )
    assert "cpu binds" in text
    assert "probe_wakeup_ms p95 > 20: UNDECIDED, nobody knows whether the twin foretells" in text
    assert "extrapolating: memory_bytes up to" in text
    assert (fitted / "predicted-0.png").read_bytes()[:4] == b"\x89PNG"
    assert main([*words, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data[0]["overload"][0]["binding"] == "cpu"
    assert data[0]["overload"][1]["probability"] is None
    assert "none were kept apart" in data[0]["overload"][1]["undecided"]
    assert max(data[0]["predicted"]["cpu_percent"]) > 55


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["fit", "nowhere", "-o", "x.json"],
            "nowhere: is not a folder; expected the folder of a run",
        ),
        (
            ["predict", "{plans}", "--model", "nowhere.json"],
            "expected a model that twin fit has made",
        ),
        (["predict", "nowhere.json", "--model", "{model}"], "nowhere.json: cannot be read"),
        (
            ["predict", "{plans}", "--model", "{model}", "--overload", "cpu"],
            "overload: expected <column>",
        ),
        (
            ["predict", "{plans}", "--model", "{plans}"],
            "this is a schedule; expected a model that twin fit has made",
        ),
        (["score", "{model}", "{sample}"], "is of a plan that the model was fitted to"),
        (["score", "{model}", "{sample}", "--split", "S9"], "S9"),
        (
            ["schedule", "suggest", "--model", "{model}", "-n", "0"],
            "expected -n from 1 to 500 but got 0",
        ),
        (
            ["schedule", "suggest", "--model", "{model}", "--within", "soon"],
            "--within: expected e.g. 20m or 1h but got 'soon'",
        ),
        (
            ["schedule", "suggest", "--model", "{model}", "--until", "none"],
            "--until: expected a share such as 50%, between 0 and 100, but got 'none'",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(fitted, capsys, words, told):
    """Exit 2 (a split that cannot be made is told, and the rest goes on), and what to do next."""
    names = {
        "{plans}": str(fitted / "plans.json"),
        "{model}": str(fitted / "twin.json"),
        "{sample}": str(SAMPLE),
    }
    code = main([names.get(word, word) for word in words])
    assert code == (0 if "S9" in words else 2)
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("quick_boosting")
def test_score_judges_the_design_by_splits(fitted, capsys):
    """Each split has a fit of its own, its counts, and the best simple predictor beside it."""
    assert main(["score", str(fitted / "twin.json"), str(SAMPLE), "--split", "S3"]) == 0
    text = capsys.readouterr().out
    assert (
        "S3 combinations: trained on one resource at a time, tested on several: 4 runs, fitted"
        " to 12" in text
    )
    assert "best baseline" in text
    assert "UNDECIDED, expected ten that do and ten that do not" in text


def test_suggest_names_experiments_as_a_schedule(fitted, capsys):
    """A schedule that twin run takes, and how much is expected to be left open after each."""
    assert (
        main(
            [
                "schedule",
                "suggest",
                "--model",
                str(fitted / "twin.json"),
                "-n",
                "2",
                "-o",
                str(fitted / "next.json"),
            ]
        )
        == 0
    )
    assert "% of today's variance is expected to be left" in capsys.readouterr().err
    assert len(Schedule.read(fitted / "next.json").experiments) == 2


def test_suggestions_end_where_the_time_does(fitted, capsys):
    """Three minutes have room for four short plans; what they leave beyond the goal is said."""
    words = ["schedule", "suggest", "--model", str(fitted / "twin.json"), "--within", "3m"]
    assert main([*words, "--until", "1%", "-o", str(fitted / "soon.json")]) == 0
    plans = Schedule.read(fitted / "soon.json").experiments
    assert 3 <= len(plans) <= 4
    assert sum(one.duration_s + one.settle_s for one in plans) <= 180
    assert "these leave more than the 1% that --until asks for" in capsys.readouterr().err

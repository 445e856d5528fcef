"""Baselines: what they keep, when they judge, what they refuse, and how their level moves."""

import json

import numpy as np
import pytest

from twin_harness.errors import InvalidInput
from twin_harness.gate import trend
from twin_harness.gate.baseline import Baseline
from twin_harness.gate.baseline_verdict import add_session, judge_run
from twin_harness.gate.declaration import declare
from twin_harness.gate.session_figures import SessionFigures

MEASURE = declare("test_a", "latency_ms", better="lower", unit="ms")
NAME = MEASURE.name


def session(number, value, fingerprint="f", schedule="s", **more):
    """A session that measured one value."""
    return SessionFigures(
        f"run-{number}",
        f"2026-01-{1 + number % 28:02d}T00:00:00Z",
        fingerprint,
        {"psutil": "7"},
        {NAME: value},
        {NAME: 3},
        {"test_a": schedule},
        **more,
    )


def baseline(count=10, spread=0.005, level=100.0):
    """A baseline of quiet sessions."""
    found = Baseline("f")
    for number, noise in enumerate(np.random.default_rng(1).normal(0, spread, count)):
        found = found.with_session(session(number, level * float(np.exp(noise))), [MEASURE])
    return found


@pytest.mark.parametrize(
    ("value", "status"),
    [(100.0, "PASSED"), (90.0, "PASSED"), (110.0, "REGRESSED"), (102.8, "UNDECIDED")],
)
def test_one_new_session_is_judged_by_the_spread_between_sessions(value, status):
    """Surely worse by the threshold regresses, surely not passes, and between is open."""
    assert judge_run(baseline(), session(99, value), [MEASURE]).status == status


def test_a_session_of_the_same_machine_by_another_fingerprint_is_judged_and_kept():
    """A baseline of before a fingerprint changed goes on, and takes the new one.

    Other names are kept in no file.
    """
    new = session(99, 100.0, fingerprint="new", known_as=("f",))
    assert judge_run(baseline(), new, [MEASURE]).status == "PASSED"
    after = baseline().with_session(new, [MEASURE])
    assert after.fingerprint == "new"
    assert "known_as" not in after.sessions[-1].to_json()
    with pytest.raises(InvalidInput, match="is of machine f, the baseline of new"):
        after.with_session(session(98, 100.0), [MEASURE])


def test_seven_sessions_judge_nothing():
    """Below eight sessions every measure is UNDECIDED, and the sentence says how many there are."""
    judgement = judge_run(baseline(7), session(99, 300.0), [MEASURE])
    assert judgement.status == "UNDECIDED"
    assert "has 7 sessions of it; expected 8 or more" in judgement.verdicts[0].reason


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (session(99, 100.0, fingerprint="g"), "the run is of machine g, the baseline of f"),
        (session(99, 100.0, schedule="other"), "another schedule hash"),
        (
            SessionFigures(
                "run-99", "2026-02-01T00:00:00Z", "f", faults={NAME: "latency_ms is nan"}
            ),
            "latency_ms is nan",
        ),
    ],
    ids=["machine", "schedule", "no value"],
)
def test_what_is_not_the_same_is_never_compared(new, reason):
    """Another machine, another experiment, no figure: UNDECIDED, with the reason."""
    judgement = judge_run(baseline(), new, [MEASURE])
    assert judgement.status == "UNDECIDED"
    assert reason in judgement.verdicts[0].reason


def test_a_measure_that_the_baseline_lacks_is_undecided():
    """What was declared since then waits for sessions.

    What is declared no longer is missed, too.
    """
    new = declare("test_a", "rps", better="higher")
    judgement = judge_run(baseline(), session(99, 100.0), [MEASURE, new])
    assert [verdict.status for verdict in judgement.verdicts] == ["PASSED", "UNDECIDED"]
    gone = judge_run(baseline(), SessionFigures("run-99", "", "f", schedules={"test_a": "s"}), [])
    assert gone.status == "UNDECIDED"


def test_constant_sessions_judge_nothing():
    """A figure that never varied has no spread to judge by."""
    judgement = judge_run(baseline(10, 0.0), session(99, 100.0), [MEASURE])
    assert judgement.status == "UNDECIDED"
    assert "same value" in judgement.verdicts[0].reason


def test_other_versions_are_doubts():
    """A library that changed is said, and stops nothing."""
    new = session(99, 100.0)
    new.versions["psutil"] = "8"
    judgement = judge_run(baseline(), new, [MEASURE])
    assert judgement.status == "PASSED"
    assert judgement.doubts == ("psutil is 8, was 7 in the baseline's last session",)


def test_a_file_is_read_as_it_was_written(tmp_path):
    """Round trip, and every way to damage the file is one sentence."""
    path = tmp_path / "baseline.json"
    baseline().write(path)
    assert Baseline.read(path) == baseline()
    data = json.loads(path.read_text())
    data["sessions"][0]["values"][NAME] *= 2
    for text, sentence in (
        (json.dumps(data), "was edited or damaged"),
        ("{", "JSON .*; expected the file that pytest --twin-gate-save wrote"),
        ('{"format": 1, "format": 2}', "key 'format' .* twice"),
        ('{"fingerprint": 1e999}', "finite"),
        ("[]", "format is None"),
        (
            '{"format": "twin-baseline/2"}',
            "format is 'twin-baseline/2'; expected 'twin-baseline/1'",
        ),
        ("[" * 100_000, "nested too deeply"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidInput, match=sentence):
            Baseline.read(path)
    with pytest.raises(InvalidInput, match=r"cannot be read .* make one with pytest --twin-gate-s"):
        Baseline.read(tmp_path / "none.json")
    with pytest.raises(InvalidInput, match=r"cannot be read .* expected the file that pytest"):
        Baseline.read(tmp_path)


def test_sessions_are_added_once_and_from_one_machine():
    """The same run twice, or a run of another machine, is refused."""
    for bad, sentence in (
        (session(3, 100.0), "in the baseline already"),
        (session(99, 100.0, fingerprint="g"), "is of machine g"),
    ):
        with pytest.raises(InvalidInput, match=sentence):
            baseline().with_session(bad, [MEASURE])


def test_the_level_moves_by_accept_alone():
    """A session that is surely worse or better is not saved.

    Accepted, it begins a new level with the old spread.
    """
    for value in (150.0, 60.0):
        with pytest.raises(InvalidInput, match="twin gate accept"):
            add_session(baseline(), session(99, value), [MEASURE], "b.json")
    moved = baseline().with_session(
        session(99, 150.0), [MEASURE], note="new codec", is_new_level=True
    )
    assert moved.level == 1
    assert judge_run(moved, session(100, 150.5), [MEASURE]).status == "PASSED"
    assert judge_run(moved, session(100, 170.0), [MEASURE]).status == "REGRESSED"
    assert moved.notes == ("new codec",)


def test_while_it_is_collected_everything_is_kept():
    """Before eight sessions there is nothing to judge by: a far value is a session like others."""
    after, lines = add_session(baseline(3), session(99, 150.0), [MEASURE], "b.json")
    assert len(after.sessions) == 4
    assert lines == ["added to b.json: session 4, 1 measures, 4 more until it can judge"]


def test_trend_finds_a_step_and_nothing_else():
    """A step of ten spreads is found at its session.

    A quiet series has no change point in 200 tries.
    """
    quiet = baseline(20)
    step = quiet
    for number in range(20, 30):
        step = step.with_session(session(number, 105.0 + 0.1 * (number % 3)), [MEASURE])
    points = trend.change_points(step)
    assert [(point.index, point.run) for point in points] == [(20, "run-20")]
    assert points[0].after / points[0].before == pytest.approx(1.05, abs=0.01)
    rng = np.random.default_rng(1)
    assert sum(bool(trend.segment(rng.normal(0, 1, 30))) for _ in range(200)) <= 1


def test_trend_tests_every_place_by_welch():
    """The p-values are scipy's, whatever the sides' lengths and spreads."""
    from scipy.stats import ttest_ind

    values = np.random.default_rng(2).normal(0, 1, 12) + np.repeat([0.0, 2.0], 6)
    places = [4, 6, 8]
    assert trend._welch(values, places) == pytest.approx(
        [ttest_ind(values[:at], values[at:], equal_var=False).pvalue for at in places]
    )


def test_history_is_a_table_with_a_row_a_session():
    """apache-otava's CSV: a time it parses, attributes, one column a measure."""
    heading, *rows = trend.history_csv(baseline()).splitlines()
    assert heading == "time,run,level,test_a__latency_ms"
    assert len(rows) == 10
    assert rows[0].startswith("2026-01-01 00:00:00 +0000,run-0,0,100")
    assert (
        json.loads(trend.otava_yaml(baseline(), "h.csv"))["tests"]["twin"]["metrics"][
            "test_a__latency_ms"
        ]["direction"]
        == -1
    )


def test_todays_declaration_counts_and_another_direction_is_no_comparison():
    """A threshold that was narrowed since is the narrow one.

    A figure that should be high now cannot be compared.
    """
    wide = declare("test_a", "latency_ms", better="lower", unit="ms", threshold="50%")
    found = Baseline("f")
    for number, noise in enumerate(np.random.default_rng(1).normal(0, 0.005, 10)):
        found = found.with_session(session(number, 100.0 * float(np.exp(noise))), [wide])
    assert judge_run(found, session(99, 130.0), [MEASURE]).status == "REGRESSED"
    turned = declare("test_a", "latency_ms", better="higher", unit="ms")
    judgement = judge_run(found, session(99, 50.0), [turned])
    assert judgement.status == "UNDECIDED"
    assert "another scale, in another direction" in judgement.verdicts[0].reason


def test_a_new_level_of_some_measures_leaves_the_others_theirs():
    """A session that measured one of two is accepted: the other is judged at its own last level."""
    other = declare("test_b", "latency_ms", better="lower", unit="ms")
    found = Baseline("f")
    for number, noise in enumerate(np.random.default_rng(1).normal(0, 0.005, 10)):
        value = 100.0 * float(np.exp(noise))
        both = session(number, value)
        both.values[other.name], both.schedules["test_b"] = value, "s"
        found = found.with_session(both, [MEASURE, other])
    moved = found.with_session(session(99, 150.0), [MEASURE], is_new_level=True)
    new = session(100, 150.0)
    new.values[other.name], new.schedules["test_b"] = 100.0, "s"
    assert judge_run(moved, new, [MEASURE, other]).status == "PASSED"
    assert [measure.test for measure in moved.without("test_b").measures] == ["test_a"]
    with pytest.raises(InvalidInput, match="no measure of the baseline has 'nothing'"):
        moved.without("nothing")

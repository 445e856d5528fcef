"""Experiments on the twin, and the training campaign, as pytest runs them."""

import json
import sys
from pathlib import Path

import pytest

from twin_harness.predict.gathering import gather
from twin_harness.runs.run import load

SCENARIO = """
    import pytest
    from twin_harness import cpu, memory, ramp

    @pytest.mark.experiment(cpu(50, duration_s=8), tolerance="5%")
    def test_plateau(recording):
        plateau = recording.during("cpu-0", skip_s=1)
        assert plateau.mean("cpu_delivered_percent") == pytest.approx(50, abs=1)
        assert plateau.mean("cpu_percent") > 50

    @pytest.mark.experiment(memory(ramp(0, 5), duration_s=10))
    def test_memory(recording):
        assert recording.max("memory_delivered_bytes") > 1e9

    @pytest.mark.experiment(cpu(20, duration_s=4))
    def test_swap(recording):
        assert recording.mean("swap_percent") < 1

    @pytest.mark.experiment(memory(5, duration_s=4, pattern="stir"))
    def test_stirred(recording):
        assert recording.max("memory_percent") < 50

    def test_background(cpu_stress):
        with cpu_stress.background(30, at_most_s=5) as load:
            pass
        assert load.recording

    def test_service(variant):
        assert variant

    def test_stress(cpu_stress, machine):
        assert machine.cpu_capacity == 2
        delivered = cpu_stress(30, duration_s=3).during("cpu-0").mean("cpu_delivered_percent")
        assert delivered == pytest.approx(30, abs=1)
"""


@pytest.fixture
def model(model_file):
    return model_file


@pytest.mark.parametrize(
    "workers", [[], ["-n0"], pytest.param(["-n1"], marks=pytest.mark.by_workers)]
)
def test_scenarios_run_on_the_twin(pytester, model, workers):
    """What the model predicts is judged, what it does not know is UNDECIDED with the reason.

    Files are those of any run.
    """
    pytester.makepyfile(SCENARIO)
    result = pytester.runpytest_inprocess(
        "--twin-on=twin", f"--twin-model={model}", "--twin-no-report", *workers
    )
    text = result.stdout.str()
    assert "3 passed" in text
    assert "undecided: 4" in text
    assert "swap_percent" in text
    assert "memory that is stirred" in text
    assert "a load beside what the test does itself needs the real machine" in text
    assert "a service under test needs the real machine" in text
    assert result.ret == 0
    run = load(pytester.path / "data" / "latest")
    assert run.status == "COMPLETE"
    assert len(run.recordings) == 4
    assert list(run.samples["monotonic_s"]) == sorted(run.samples["monotonic_s"])
    assert {row.status for recording in run.recordings for row in recording.rows} == {"completed"}
    assert json.loads((run.path / "machine.json").read_text())["predicted_by"] == str(model)
    assert gather([run]) == []


def test_a_run_on_the_twin_has_a_report(pytester, model):
    """The EDA report of what never was is rendered like any other."""
    pytester.makepyfile(SCENARIO)
    pytester.runpytest_inprocess(
        "--twin-on=twin", f"--twin-model={model}", "-k", "plateau or memory"
    )
    assert (
        "No machine ran: a twin predicted every value of this run"
        in (pytester.path / "reports" / "latest" / "index.html").read_text()
    )
    assert (
        "predicted by its twin"
        in pytester.run(Path(sys.executable).with_name("twin"), "runs").stdout.str()
    )


def test_what_lies_beyond_the_twin_is_undecided(pytester, model):
    """A verdict on what it was never fitted to would be a guess, whichever way it went."""
    pytester.makepyfile("""
        import pytest
        from twin_harness import disk

        @pytest.mark.experiment(disk(9e9, duration_s=3))
        def test_beyond(recording):
            assert recording.max("disk_write_bytes_per_s") < 1
    """)
    result = pytester.runpytest_inprocess(
        "--twin-on=twin", f"--twin-model={model}", "--twin-no-report"
    )
    assert "undecided: 1" in result.stdout.str()
    assert (
        "lies beyond what the twin was fitted to: write_bytes_per_s up to 9e+09"
        in result.stdout.str()
    )
    assert result.ret == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--twin-on=twin"],
            "expected a fitted model but there is no --twin-model; make one with: twin fit",
        ),
        (["--twin-on=both"], "expected a fitted model but there is no --twin-model"),
        (["--twin-on=twin", "--twin-model=none.json"], "there is no file 'none.json'"),
        (["--twin-on=mars"], "expected one of server, twin, both but got 'mars'"),
        (["--twin-campaign=2h"], "expected one of 10m, 1h, 4h, or adaptive: and minutes or hours"),
    ],
)
def test_wrong_options_are_a_usage_error(pytester, arguments, told):
    """Exit 4, one sentence with what to do."""
    pytester.makepyfile(SCENARIO)
    result = pytester.runpytest_inprocess(*arguments)
    assert result.ret == 4
    assert told in result.stderr.str()


def test_a_damaged_model_is_a_usage_error(pytester, model):
    """The field is named before anything is collected."""
    data = json.loads(model.read_text())
    data["parameters"]["fill_cpu"] = 1e9
    Path("damaged.json").write_text(json.dumps(data))
    pytester.makepyfile(SCENARIO)
    result = pytester.runpytest_inprocess("--twin-on=twin", "--twin-model=damaged.json")
    assert result.ret == 4
    assert "parameters.fill_cpu: 1e+09 is outside of" in result.stderr.str()


def test_the_gate_needs_the_real_machine(pytester, model):
    """Pairs on a model would compare it with itself."""
    pytester.makepyfile(SCENARIO)
    result = pytester.runpytest_inprocess(
        "--twin-on=twin", f"--twin-model={model}", "--twin-variant", "a:", "--twin-variant", "b:"
    )
    assert result.ret == 4
    assert "--twin-variant: needs the real machine but got --twin-on=twin" in result.stderr.str()


CAMPAIGN = """
    import pytest

    @pytest.mark.campaign(max_memory_percent=10, max_disk_bytes_per_s=20_000_000)
    def test_campaign(recording):
        assert recording.rows or not recording.experiment.events
"""


def test_a_campaign_makes_an_item_of_each_run_under_its_own_name(pytester, model):
    """Names tell the role; what the twin made up counts as recorded nowhere."""
    pytester.makepyfile(CAMPAIGN)
    options = ["--twin-campaign=10m", "--twin-on=twin", f"--twin-model={model}", "--twin-no-report"]
    first = pytester.runpytest_inprocess(*options, "-k", "train")
    first.assert_outcomes(passed=6, deselected=4)
    assert load(pytester.path / "data" / "latest").recordings[1].name == "train 01 cpu staircase"
    again = pytester.runpytest_inprocess("--twin-campaign=10m", "--collect-only", "-q")
    assert "test_campaign[train 00 rest]" in again.stdout.str()
    assert "10 experiments planned" in again.stdout.str()


def test_an_adaptive_campaign_chooses_when_the_turn_comes(pytester, model):
    """Without six runs of this machine to choose by, the next plans are drawn, and that is said."""
    pytester.makepyfile(CAMPAIGN)
    options = ["--twin-campaign=adaptive:20m", f"--twin-model={model}", "--twin-no-report"]
    result = pytester.runpytest_inprocess(
        *options, "--twin-on=twin", "-k", "rest or 001 or 002 or 003 or 004"
    )
    result.assert_outcomes(passed=5, deselected=22)
    runs = load(pytester.path / "data" / "latest").recordings
    names = [one.name.split(" ") for one in runs]
    assert names[0] == ["train", "00", "rest"]
    assert [(name[0], name[2]) for name in names[1:]] == [
        ("adaptive", f"{number:03d}") for number in range(1, 5)
    ]
    plans = [one.experiment for one in runs[1:]]
    assert all(one.events for one in plans)
    assert len({one.hash() for one in plans}) == 4
    with_workers = pytester.runpytest_inprocess(*options, "-n2")
    assert with_workers.ret == 4
    assert "expected one process for adaptive:20m" in with_workers.stderr.str()


def test_without_the_option_a_campaign_collects_nothing(pytester):
    """Whoever runs all tests does not load the machine for an hour."""
    pytester.makepyfile(CAMPAIGN)
    result = pytester.runpytest_inprocess("--collect-only")
    assert "train" not in result.stdout.str()
    assert result.ret == 0


def test_a_marker_of_that_name_of_a_project_s_own_is_left_alone(pytester):
    """Whoever marks tests of a campaign of his own is not asked for recordings."""
    pytester.makepyfile("""
        import pytest

        @pytest.mark.campaign("spring")
        def test_mine():
            pass
    """)
    pytester.runpytest_inprocess("--twin-campaign=10m").assert_outcomes(passed=1)


def test_a_test_asks_the_model_itself(pytester, model):
    """The fixture twin_model hands over the fitted twin; without one the test is UNDECIDED."""
    pytester.makepyfile("""
        from twin_harness import cpu, plan

        def test_ahead(twin_model):
            prediction = twin_model.predict(plan(cpu(60, duration_s=10)))
            assert prediction.overload("cpu_percent > 50 for 3 s").probability > 0.9
    """)
    pytester.runpytest_inprocess(f"--twin-model={model}").assert_outcomes(passed=1)
    without = pytester.runpytest_inprocess()
    assert "twin_model: there is no model; name one with --twin-model FILE" in without.stdout.str()

"""The fit finds the machine that is the model, and says what it cannot identify.

It refuses what no model can be fitted to.
"""

import dataclasses

import numpy as np
import pytest

from tests.support.simulated_machine import (
    CAPACITY,
    FINGERPRINT,
    TRUTH,
    campaign,
    observed,
    true_parameters,
    without,
)
from twin_harness.errors import InvalidInput
from twin_harness.predict.evaluate import evaluate
from twin_harness.predict.fit import fit
from twin_harness.predict.gathering import check_fit
from twin_harness.predict.model_file import read_model
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import NAMES
from twin_harness.predict.split_evaluation import evaluate_splits
from twin_harness.predict.twin import Twin
from twin_harness.schedule.builders import cpu, disk, memory, plan
from twin_harness.shapes.shape import constant


@pytest.fixture
def runs(campaign_runs):
    return campaign_runs


@pytest.fixture
def twin(campaign_twin):
    return campaign_twin


def test_the_fit_finds_the_machine(twin):
    """Rates, bandwidth and background come out within a few percent of what made the data."""
    found = dict(zip(NAMES, twin.model_.parameters, strict=True))
    for name, value in TRUTH.items():
        assert found[name] == pytest.approx(value, rel=0.1), name


def test_held_out_runs_are_predicted_as_well_as_noise_permits(twin, runs, monkeypatch):
    """On unseen plans a model of the right form errs by the noise, and beats every baseline."""
    # With a third of its trees boosting is the best baseline where it is with all of them.
    monkeypatch.setattr("twin_harness.predict.autoregressive._ROUNDS", 40)
    training, test = (
        [one for one in runs if (one.role == "test") == is_test] for is_test in (False, True)
    )
    found = evaluate(twin.model_, training, test)
    for column in ("cpu_percent", "memory_percent", "disk_write_bytes_per_s"):
        ours, best = found.score_of(column), found.best_baseline(column)
        assert ours.rmse < best.rmse, column
        assert found.score_of(column).nrmse < 0.2, column
        low = min(three[column][1] for three in found.skills.values())
        assert low > 0, column


def test_bands_hold_what_they_promise(twin, runs):
    """Ninety percent bands hold about ninety percent of the seconds of runs that nobody has seen.

    Twenty runs to calibrate by make them cautious.
    """
    test = observed(campaign("4h", seed=5, max_disk_bytes_per_s=350_000_000)[60:110], seed=9)
    found = {one.column: one for one in evaluate(twin.model_, [], test).coverage}
    for column in ("cpu_percent", "memory_percent", "pressure_io_percent"):
        assert 0.86 <= found[column].pointwise <= 0.99, column
        assert found[column].simultaneous >= 0.75, column


def test_a_model_survives_its_file(twin, tmp_path):
    """What was written and read predicts the same."""
    twin.save(tmp_path / "twin.json")
    again = Twin.load(tmp_path / "twin.json")
    experiment = plan(cpu(constant(60), duration_s=20))
    ours, theirs = twin.predict(experiment), again.predict(experiment)
    assert theirs.centre == pytest.approx(ours.centre, rel=1e-6)
    assert theirs.high == pytest.approx(ours.high, rel=1e-4, nan_ok=True)
    assert read_model(tmp_path / "twin.json").training.runs == twin.file_.training.runs


def test_parameters_that_are_not_identifiable_are_named():
    """Without disk load nobody knows the device, and the fit says so."""
    experiments = [
        one for one in campaign("4h") if all(event.stressor == "cpu" for event in one.events)
    ][:8]
    found = fit(observed(experiments), CAPACITY, starts=1)
    assert {"write_bandwidth", "read_bandwidth", "fill_fresh"} <= set(found.unidentified)
    assert "background_cpu" not in found.unidentified


def test_a_column_that_was_never_measured_does_no_harm():
    """A kernel without pressure leaves its columns empty; the rest is fitted all the same."""
    runs = [
        without(without(one, "pressure_cpu_percent"), "pressure_io_percent")
        for one in observed(campaign("1h")[:12])
    ]
    found = Twin(starts=1).fit_observations(runs)
    assert "io_wait_direct" in found.file_.unidentified
    assert found.model_.parameters[NAMES.index("background_cpu")] == pytest.approx(
        TRUTH["background_cpu"], rel=0.2
    )


def test_an_aborted_run_counts_as_far_as_it_went():
    """What came after the guard stopped it is unknown, and the fit is not led astray."""
    runs = observed(campaign("1h")[:12])
    cut = [
        dataclasses.replace(
            one,
            values=np.where(np.arange(one.demand.seconds) < 20, one.values, np.nan),
            ended_early=True,
        )
        for one in runs
    ]
    found = fit(cut, CAPACITY, starts=1)
    assert found.parameters[NAMES.index("background_cpu")] == pytest.approx(
        TRUTH["background_cpu"], rel=0.2
    )


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        (lambda: observed(campaign("10m")[:3]), "fit: 3 runs of 3 different plans are too few"),
        (
            lambda: observed([campaign("10m")[1]] * 8),
            "fit: 8 runs of 1 different plans are too few",
        ),
        (
            lambda: observed([plan(lead_s=10 + k, name=f"rest {k}") for k in range(6)]),
            "none of the 6 runs loads the machine",
        ),
        (list, "fit: 0 runs"),
    ],
)
def test_what_no_model_can_be_fitted_to_is_refused(runs, told):
    """Too few, too similar, of two machines, without load: one sentence that says what to do."""
    with pytest.raises(InvalidInput, match=told):
        check_fit(runs())


def test_runs_of_two_machines_are_refused():
    """Also where only the runs kept for calibration are of another one."""
    ours, theirs = observed(campaign("10m")), observed(campaign("10m"), fingerprint="f" * 16)
    mixed = [
        *[one for one in ours if one.role == "train"],
        *[one for one in theirs if one.role == "calibrate"],
    ]
    for runs in ([*ours, *theirs], mixed):
        with pytest.raises(
            InvalidInput, match=r"of 2 machines, 0123456789abcdef \([0-9]+ runs\), ffffffffffffffff"
        ):
            Twin(starts=1).fit_observations(runs)


@pytest.mark.usefixtures("quick_boosting")
def test_splits_are_judged_each_with_its_own_fit(runs):
    """Every split that the runs allow is scored, and the one that they do not is told."""
    found, missing = evaluate_splits(
        [one for one in runs if one.role != "calibrate"][::2], ["S3", "S6"], starts=1
    )
    assert [one.split for one in found] == ["S3"]
    assert found[0].score_of("cpu_percent").nrmse < 0.2
    assert "split S6" in missing[0]
    assert "record more" in missing[0]


def test_overload_is_told_with_its_time_and_what_binds(twin):
    """Memory asked up to 60 percent crosses 50 when it is filled so far, and memory binds."""
    prediction = twin.predict(campaign("4h")[7])
    call = prediction.overload("memory_percent > 50 for 2 s")
    fill_s = 0.43 * CAPACITY.memory_bytes / TRUTH["fill_fresh"]
    assert call.probability > 0.95
    assert call.time_s == pytest.approx(fill_s + 2, abs=3)
    assert call.low_s <= call.time_s <= call.high_s
    assert call.binding in ("memory", "cpu")
    assert prediction.overload("memory_percent > 99").probability == 0


def test_a_plan_beyond_the_domain_says_so(twin):
    """An unseen level, an unmodelled stressor and a new combination are named."""
    assert twin.predict(plan(cpu(50, duration_s=5))).extrapolating == ()
    stirred = plan(memory(5, duration_s=5, pattern="stir"))
    assert twin.predict(stirred).extrapolating == ("memory that is stirred is not modelled",)
    assert (
        "sync_bytes_per_s up to 2e+09"
        in twin.predict(plan(disk(2e9, duration_s=5, direct=False))).extrapolating[0]
    )
    few = Twin(starts=1).fit_observations(
        observed([one for one in campaign("4h")[:60] if len(one.events) == 1][:10])
    )
    both = next(
        one
        for one in campaign("4h")
        if {event.stressor for event in one.events} == {"cpu", "memory"}
    )
    assert any("together" in reason for reason in few.predict(both).extrapolating)


def test_the_fingerprint_stands_in_the_model(twin):
    """Whose machine it is of."""
    assert twin.file_.fingerprint == FINGERPRINT
    assert set(twin.file_.parameters) == set(NAMES)
    assert set(twin.file_.calibration.pointwise) == set(COLUMNS)
    assert true_parameters().shape == (len(NAMES),)

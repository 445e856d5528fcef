"""Splits and baselines: nothing leaks, and every predictor goes the same way."""

import dataclasses

import numpy as np
import pytest

from tests.support.simulated_machine import CAPACITY, campaign, observed
from twin_harness.errors import InvalidInput
from twin_harness.predict.baselines import all_baselines
from twin_harness.predict.observation import COLUMNS, padded
from twin_harness.predict.scores import floor_of, score, skill, square_errors
from twin_harness.predict.splits import SPLITS, divide


@pytest.fixture(scope="module")
def runs():
    return observed(campaign("4h"))


@pytest.mark.parametrize("name", [name for name in SPLITS if name not in ("S1", "S6")])
def test_no_plan_stands_on_both_sides(runs, name):
    """Replicates of a plan are all trained on or all tested."""
    split = divide(name, runs)
    assert not {one.plan for one in split.train} & {one.plan for one in split.test}
    assert len(split.train) >= 10
    assert len(split.test) >= 10


def test_the_replicate_split_tests_what_was_trained_on_and_nothing_else(runs):
    """The noise floor is measured on other runs of the same plans."""
    split = divide("S1", runs)
    assert {one.plan for one in split.test} <= {one.plan for one in split.train}
    assert not {one.name for one in split.test} & {one.name for one in split.train}


def test_splits_hold_what_they_are_named_for(runs):
    """Singles against combinations, steps against smooth shapes, low against high."""
    combined, shaped, high = divide("S3", runs), divide("S5", runs), divide("S4", runs)
    assert all(len(one.stressors) <= 1 for one in combined.train)
    assert all(len(one.stressors) > 1 for one in combined.test)
    assert all(one.shapes & {"ramp", "sine", "spikes"} for one in shaped.test)
    assert not any(one.shapes & {"ramp", "sine", "spikes"} for one in shaped.train)
    assert max(one.demand.channel("cpu_percent").max() for one in high.train) <= 70


def test_another_day_is_by_date(runs):
    """What began on a later day is the test."""
    later = [
        dataclasses.replace(one, began="2026-11-02 00:00:00+00:00")
        for one in observed(campaign("10m", seed=9))
    ]
    split = divide("S6", [*runs[:40], *later])
    assert {one.began[:10] for one in split.test} == {"2026-11-02"}


def test_a_split_that_the_runs_do_not_allow_is_refused(runs):
    """The sentence has the numbers on both sides and what to do."""
    with pytest.raises(
        InvalidInput,
        match=(
            r"split S6 .*: 10 runs to train and 0 to test among 10; expected 3 of each, record more"
        ),
    ):
        divide("S6", runs[:10])
    with pytest.raises(InvalidInput, match="expected one of S1, S2"):
        divide("S9", runs)


@pytest.mark.usefixtures("quick_boosting")
def test_every_baseline_predicts_every_column_of_every_run(runs):
    """Finite values on every second, whatever the lengths; none sees the run that it predicts."""
    train, test = runs[:40], runs[60:70]
    cold = np.full((len(test), len(COLUMNS)), np.nan)
    for baseline in all_baselines():
        found = baseline.fit(train, CAPACITY).predict([one.demand for one in test], cold)
        assert found.shape == padded(test).shape, baseline.name
        assert np.isfinite(found).all(), baseline.name


@pytest.mark.usefixtures("quick_boosting")
def test_baselines_get_right_what_they_are_right_about(runs):
    """The nearest plan of a training run is itself; superposition knows a plateau of CPU load.

    The mean has no bias on its own runs.
    """
    train = runs[:60]
    cold = np.full((len(train), len(COLUMNS)), np.nan)
    scores = {
        one.name: {
            part.column: part
            for part in score(
                one.name,
                one.fit(train, CAPACITY).predict([r.demand for r in train], cold),
                train,
                {},
            )
        }
        for one in all_baselines()
    }
    assert scores["nearest plan"]["cpu_percent"].nrmse < 0.1
    assert scores["superposition"]["cpu_percent"].nrmse < 0.5
    assert scores["mean"]["cpu_percent"].bias == pytest.approx(0, abs=1e-6)
    assert (
        scores["clipped superposition"]["cpu_percent"].rmse
        <= scores["superposition"]["cpu_percent"].rmse + 1e-9
    )


def test_the_floor_is_the_noise_of_replicates(runs):
    """Two runs of one plan differ by √2 of the noise; over √2 it is the noise."""
    floor, pairs = floor_of(runs, "cpu_percent")
    assert pairs == 6 * 3 + 10
    assert floor == pytest.approx(1.0, rel=0.1)
    assert np.isnan(floor_of(runs[:3], "cpu_percent")[0])


def test_skill_compares_errors_and_has_an_interval():
    """Half the error is a skill of a half; equal errors are none; runs are resampled."""
    generator = np.random.default_rng(1)
    theirs = generator.uniform(0.5, 1.5, 40)
    middle, low, high = skill(theirs / 4, theirs)
    assert middle == pytest.approx(0.5)
    assert low == pytest.approx(0.5)
    assert high == pytest.approx(0.5)
    ours = generator.uniform(0.2, 1.2, 40)
    middle, low, high = skill(ours, theirs)
    assert low < middle < high


def test_the_disk_is_judged_by_means_over_five_seconds():
    """An error of timing within five seconds is none."""
    measured = np.array([[0, 0, 10, 0, 0, 0, 0, 0, 0, 0.0]])
    shifted = np.roll(measured, 1, axis=1)
    assert square_errors(shifted, measured, "disk_write_bytes_per_s")[0] == 0
    assert square_errors(shifted, measured, "cpu_percent")[0] == 20

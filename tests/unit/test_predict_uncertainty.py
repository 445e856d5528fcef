"""Bands, drift and suggestions: what is claimed of them holds where the answer is known."""

import dataclasses

import numpy as np
import pytest

from tests.support.simulated_machine import CAPACITY, campaign, observed, true_parameters
from twin_harness.predict.calibration import calibrate, ratios_of
from twin_harness.predict.drift import mean_errors, watch
from twin_harness.predict.evaluate import evaluate
from twin_harness.predict.free_run import FreeRun
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import NAMES
from twin_harness.predict.problem import Problem
from twin_harness.predict.spread import Spread
from twin_harness.predict.suggest import Enough, suggest
from twin_harness.predict.twin import Twin
from twin_harness.predict.uncertainty import _noise_of, _resampled
from twin_harness.schedule.builders import cpu, plan


@pytest.fixture
def twin(campaign_twin):
    return campaign_twin


def errors_of(runs, seed=0, seconds=50):
    return np.random.default_rng(seed).normal(size=(runs, len(COLUMNS), seconds))


@pytest.mark.parametrize(
    ("runs", "is_known"), [(0, False), (8, False), (9, True), (19, True), (50, True)]
)
def test_nine_runs_are_enough_to_calibrate_and_eight_are_not(runs, is_known):
    """One run that is all outside, added to nine, is a tenth.

    With eight the band would have to be infinite.
    """
    found = calibrate(np.abs(errors_of(runs)))
    assert np.isfinite(found.pointwise).all() == is_known
    assert np.isfinite(found.simultaneous).all() == is_known
    assert found.runs == runs


def test_the_pointwise_rule_takes_the_least_multiplier_that_holds():
    """Nineteen runs of one second each.

    With the one that is added, two of twenty may lie outside, so one may: the second largest
    counts.
    """
    errors = np.arange(1.0, 20.0)[:, np.newaxis, np.newaxis] * np.ones((1, len(COLUMNS), 1))
    found = calibrate(errors)
    assert found.pointwise == pytest.approx(18.0)
    assert found.simultaneous == pytest.approx(18.0)


def test_a_column_that_is_always_right_has_a_band_all_the_same():
    """A device that nobody reads from is predicted exactly.

    Its multiplier is tiny, not 0, which no model file takes.
    """
    found = calibrate(np.zeros((20, len(COLUMNS), 10)))
    assert (found.pointwise > 0).all()


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_bands_cover_new_runs_whatever_the_spread_that_was_predicted(scale):
    """Calibrated on fifty runs, bands hold nine tenths of a thousand others.

    Of their seconds, and of them as a whole.
    """
    known, new = errors_of(50, 1), errors_of(1000, 2)
    found = calibrate(np.abs(known) / scale)
    assert (np.abs(new) <= found.pointwise[:, np.newaxis] * scale).mean() == pytest.approx(
        0.9, abs=0.02
    )
    assert (np.abs(new) <= found.simultaneous[:, np.newaxis] * scale).all(
        axis=2
    ).mean() == pytest.approx(0.9, abs=0.06)


def spread_made_of(noise, regime):
    """Return the spread of runs predicted as 0 that came as noise, the same in every column.

    Of shape (runs, seconds).
    """
    every = np.ones(len(COLUMNS))
    still, moving, unit = _noise_of(-noise, np.zeros(noise.shape), regime)
    errors = np.repeat(-unit[:, np.newaxis], len(COLUMNS), axis=1)
    return Spread(np.zeros((2, len(NAMES))), np.outer(still, every), moving * every, errors, regime)


def test_a_band_reaches_further_where_errors_do():
    """Noise that is skewed under load and even at rest.

    The band is too, seconds at rest are narrower, and nine tenths of each lie inside.
    """
    generator = np.random.default_rng(0)
    regime = np.zeros((40, 60), dtype=int)
    regime[:, 30:] = 1
    noise = np.where(
        regime == 1, generator.exponential(4.0, (40, 60)), generator.normal(0.0, 0.5, (40, 60))
    )
    spread = spread_made_of(noise, regime)
    centre = np.zeros((40, len(COLUMNS), 60))
    free = FreeRun(centre, np.zeros((40, 2, len(COLUMNS), 60)), regime)
    below, above = spread.reach(free)
    assert above[0, 0, 0] == pytest.approx(0.82, abs=0.1)
    assert above[0, 0, -1] == pytest.approx(4.0 * np.log(20.0), rel=0.15)
    assert below[0, 0, -1] < 0.2 * above[0, 0, -1]
    ratios = ratios_of(
        np.broadcast_to(noise[:, np.newaxis], centre.shape), centre, spread.reach(free)
    )
    assert (ratios <= 1).mean() == pytest.approx(0.93, abs=0.04)


def test_members_go_as_runs_went():
    """One run in four has all the bursts.

    Three quarters of the members have none, and none has a few.
    """
    noise = np.zeros((40, 50))
    noise[::4, ::5] = 30.0
    spread = spread_made_of(
        noise + np.random.default_rng(0).normal(0.0, 0.1, noise.shape), np.ones((40, 50), dtype=int)
    )
    free = FreeRun(
        np.zeros((1, len(COLUMNS), 50)),
        np.zeros((1, 2, len(COLUMNS), 50)),
        np.ones((1, 50), dtype=int),
    )
    bursts = (spread.members(free)[:, 0] > 15).sum(axis=1)
    assert set(bursts.tolist()) == {0, 10}
    assert (bursts == 0).mean() == pytest.approx(0.75, abs=0.02)


def test_two_seconds_of_a_regime_are_no_pattern_that_a_plan_repeats():
    """A run that was full for two seconds, one of them far off, goes on with the runs after it."""
    generator = np.random.default_rng(0)
    regime = np.zeros((6, 50), dtype=int)
    regime[0, 20:22] = 2
    regime[1:, 10:40] = 2
    noise = generator.normal(0.0, 0.2, (6, 50))
    noise[0, 20] = -23.0
    free = FreeRun(
        np.full((1, len(COLUMNS), 60), 99.0),
        np.full((1, 2, len(COLUMNS), 60), 99.0),
        np.full((1, 60), 2),
    )
    members = spread_made_of(noise, regime).members(free)[:, 0]
    assert (members < 90).sum(axis=1).max() <= 3
    assert (
        ((members > 90)[:, :-2] & (members > 90)[:, 1:-1] & (members > 90)[:, 2:]).any(axis=1).all()
    )


def test_members_of_a_regime_that_was_never_recorded_take_their_errors_from_the_others():
    """Nothing is known of it, and nothing is claimed to be exact."""
    spread = spread_made_of(
        np.random.default_rng(0).normal(0.0, 2.0, (30, 50)), np.zeros((30, 50), dtype=int)
    )
    free = FreeRun(
        np.zeros((1, len(COLUMNS), 20)), np.zeros((1, 2, len(COLUMNS), 20)), np.full((1, 20), 2)
    )
    assert spread.members(free).std() == pytest.approx(2.0, rel=0.1)


def test_resampled_parameters_scatter_about_the_optimum(twin, campaign_runs):
    """They are plausible.

    Near the optimum where the data tells much, and as wide as their error says.
    """
    runs = [one for one in campaign_runs if one.role == "train"]
    problem = Problem(runs, CAPACITY, twin.fit_.scales)
    sets = _resampled(problem, twin.fit_, np.random.default_rng(0))
    for name in ("background_cpu", "fill_fresh"):
        index = NAMES.index(name)
        values = np.log(sets[:, index]) if name != "background_cpu" else sets[:, index]
        assert 0.3 * twin.fit_.errors[index] < values.std() < 3.0 * twin.fit_.errors[index], name
    assert len({tuple(row) for row in sets}) == len(sets)


def test_what_everybody_else_writes_is_identified_on_a_campaign(twin):
    """Its unit is small beside others', which says nothing of how well it is known."""
    assert "disk_background" not in twin.file_.unidentified
    assert "memory_idle" not in twin.file_.unidentified
    assert "write_bandwidth" not in twin.file_.unidentified


def test_batches_predict_what_each_predicts_alone(twin):
    """A short plan beside a long one has the same band."""
    plans = [plan(cpu(80, duration_s=10), lead_s=1, tail_s=0), *campaign("10m")[:3]]
    for alone, together in zip(
        [twin.predict(one) for one in plans], twin.predict_many(plans), strict=True
    ):
        assert together.centre == pytest.approx(alone.centre)
        assert together.high == pytest.approx(alone.high, nan_ok=True)


def test_an_unchanged_machine_does_not_drift(twin):
    """New runs of new plans of the same machine raise no alarm."""
    assert (
        watch(
            twin.model_,
            observed(campaign("4h", seed=7, max_disk_bytes_per_s=350_000_000)[60:110], seed=3),
        )
        == []
    )


def test_a_neighbour_that_takes_half_a_cpu_is_found(twin):
    """25 points more of CPU time: sure within a few runs, of the right column and size."""
    runs = observed(
        campaign("4h", seed=7)[60:70], seed=4, parameters=true_parameters(background_cpu=26.5)
    )
    found = {drift.column: drift for drift in watch(twin.model_, runs)}
    assert found["cpu_percent"].runs <= 4
    assert found["cpu_percent"].shift == pytest.approx(22, abs=8)
    assert "cpu_percent has drifted from its predictions" in found["cpu_percent"].sentence


def test_one_plan_run_again_and_again_adds_nothing_up(twin):
    """The model's own error on a plan is no drift, however often it is run."""
    one = campaign("4h", seed=7)[65]
    again = [
        dataclasses.replace(run, began=f"2026-11-0{1 + n // 5} 00:00:0{n % 5}+00:00")
        for n, run in enumerate(observed([one] * 20, seed=5))
    ]
    assert watch(twin.model_, again) == []


def test_mean_errors_are_measured_less_predicted(twin):
    """More than was predicted is above 0."""
    runs = observed(campaign("10m")[:3], parameters=true_parameters(background_cpu=11.5))
    assert mean_errors(twin.model_, runs)[:, COLUMNS.index("cpu_percent")] == pytest.approx(
        10, abs=1.5
    )


def test_suggestions_are_about_what_is_not_known():
    """Memory and disk are suggested to a twin that has seen CPU load alone.

    Every step leaves less open.
    """
    runs = observed(
        [one for one in campaign("4h") if all(event.stressor == "cpu" for event in one.events)][:10]
    )
    twin = Twin(starts=1).fit_observations(runs)
    candidates = campaign("4h", seed=3)[:40]
    chosen = suggest(twin.model_, candidates, campaign("4h")[60:80], Enough(4))
    used = {event.stressor for one in chosen for event in one.experiment.events}
    left = [one.left for one in chosen]
    assert {"memory", "disk"} <= used
    assert left == sorted(left, reverse=True)
    assert left[-1] < left[0] < 1


def test_after_many_runs_one_more_tells_little(twin):
    """A twin of a whole campaign is not promised that one more usual run halves the rest."""
    found = suggest(
        twin.model_,
        campaign("4h", seed=3, max_disk_bytes_per_s=350_000_000)[60:70],
        campaign("4h", max_disk_bytes_per_s=350_000_000)[60:80],
        Enough(1),
    )
    assert 0.5 < found[0].left < 1.0


@pytest.mark.usefixtures("quick_boosting")
def test_columns_that_a_machine_does_not_measure_are_told_of_nowhere():
    """A kernel without pressure: no prediction, no score, no band and no traceback."""
    runs = [
        dataclasses.replace(one, values=one.values.copy()) for one in observed(campaign("1h")[::3])
    ]
    for one in runs:
        one.values[COLUMNS.index("pressure_io_percent")] = np.nan
    twin = Twin(starts=1).fit_observations(runs)
    assert "pressure_io_percent" not in twin.model_.domain.measured
    assert np.isnan(twin.predict(campaign("1h")[5]).column("pressure_io_percent")).all()
    found = evaluate(twin.model_, runs[:13], runs[13:])
    assert found.score_of("pressure_io_percent") is None
    assert found.best_baseline("cpu_percent") is not None

"""Bands by the stage of a plan: which stage a second is in, and how far errors reach in each."""

import dataclasses
import functools

import numpy as np
import pytest

from tests.support.simulated_machine import CAPACITY, campaign, observed, true_parameters
from twin_harness.errors import Undecided
from twin_harness.predict.conditions import Start
from twin_harness.predict.demand import demand_of
from twin_harness.predict.foretold import unforetold
from twin_harness.predict.local_reach import LocalReach, Surroundings, calibrate_locally
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.stages import HELD, STAGES, missing_of, stages_of
from twin_harness.predict.twin import Twin
from twin_harness.predict.what_ifs import predict_plans
from twin_harness.schedule.builders import cpu, disk, memory, plan

FILLING = STAGES.index("memory filling")
CPU, MEMORY = COLUMNS.index("cpu_percent"), COLUMNS.index("memory_percent")


def of(*events, lead_s=3, **start):
    """Return the words for each second of a plan on the simulated machine, and what is missing."""
    demands = [demand_of(plan(*events, lead_s=lead_s, tail_s=8), CAPACITY)]
    free = model_of().free_run(demands, Start.of(**start) if start else None)
    return [STAGES[number] for number in stages_of(free, demands)[0]], missing_of(free)[0]


@functools.cache
def model_of():
    """Return a model of the simulated machine; its bands are not looked at."""
    twin = Twin(starts=1).fit_observations(observed(campaign("10m")))
    return dataclasses.replace(twin.model_, parameters=true_parameters())


def test_a_plan_shows_its_stages():
    """Rest, the jump of a load, the load itself, and what memory leaves behind."""
    words, _ = of(cpu(60, duration_s=10))
    assert words[:2] == ["rest", "rest"]
    assert words[2] == words[3] == "cpu moving"
    assert words[6:10] == ["load"] * 4
    assert words[-1] == "rest"
    words, missing = of(memory(40, duration_s=30))
    filling = [number for number, word in enumerate(words) if word.endswith("memory filling")]
    assert filling[0] == 3
    assert (missing[filling[:3]] > 5).all()
    assert missing[25] < 0.5
    assert "memory moved" in words
    assert words[-1] == "rest after memory"
    assert of(disk(50_000_000, duration_s=10))[0][7] == "disk"


@pytest.mark.parametrize("memory_percent", [1.0, 7.0, 40.0])
def test_what_is_missing_is_told_by_the_plan_not_by_what_others_hold(memory_percent):
    """A warm start, or others' memory, shifts the level and leaves the stages as they are."""
    words, missing = of(memory(20, duration_s=20))
    shifted = of(memory(20, duration_s=20), load1=0.1, memory_percent=memory_percent)
    assert shifted[0] == words
    assert shifted[1] == pytest.approx(missing)


def made_up(runs, seed, seconds=60):
    """Return errors of runs, the ensemble's reach, and their surroundings.

    Errors are small at rest, and skewed while memory is filled.
    """
    generator = np.random.default_rng(seed)
    numbers = np.zeros((runs, seconds), dtype=int)
    numbers[:, 10:20], numbers[:, 20:40] = HELD, FILLING
    errors = 0.1 * generator.normal(size=(runs, len(COLUMNS), seconds))
    late = np.where(generator.random((runs, 1)) < 0.3, 10.0, 0.5)
    late = late * generator.random((runs, seconds))
    errors[:, MEMORY] += np.where(numbers == FILLING, late, 0.0)
    errors[:, CPU] *= 10.0
    reach = np.ones((2, *errors.shape))
    between = np.full_like(reach, 0.05)
    missing = np.where(numbers == FILLING, 30.0, 0.0)
    return errors, reach, Surroundings(reach, between, numbers, missing)


def outside(calibration, around):
    """Return surroundings with the band of the ensemble that a calibration gives."""
    band = calibration.pointwise[:, np.newaxis] * np.ones_like(around.between)
    return dataclasses.replace(around, ensemble=band)


def test_bands_are_narrow_where_little_is_open_and_hold_what_they_promise():
    """Against new runs nine tenths of the seconds, at half the width of one band for all."""
    calibration, local = calibrate_locally(*made_up(40, 1))
    errors, _, around = made_up(400, 2)
    band = local.band(outside(calibration, around))[:, :, MEMORY]
    own = errors[:, MEMORY]
    inside = (-band[0] <= own) & (own <= band[1])
    assert 0.87 <= inside.mean() <= 0.96
    for number in (0, HELD, FILLING):
        assert inside[around.stages == number].mean() > 0.85
    rest = around.stages == 0
    assert band.sum(axis=0)[rest].mean() < 0.2 * band.sum(axis=0)[~rest].mean()


def test_a_band_grows_with_the_ensemble_and_ends_where_memory_does():
    """Others that are busier than ever widen it; no more is filled than is asked for."""
    calibration, local = calibrate_locally(*made_up(40, 1))
    around = outside(calibration, made_up(1, 3)[2])
    usual = local.band(around)
    busier = local.band(dataclasses.replace(around, between=around.between + 4.0))
    assert (busier[:, :, MEMORY] > usual[:, :, MEMORY] + 0.5).all()
    nearly = np.full((1, 60), 0.6)
    ending = local.band(dataclasses.replace(around, missing_percent=nearly))
    most = 0.6 + local.multipliers[MEMORY] * local.sides[1, MEMORY, HELD]
    assert (ending[1, 0, MEMORY] <= most + 1e-9).all()
    assert usual[1, 0, MEMORY].max() > most


def test_a_ratio_is_the_multiplier_at_which_an_error_just_lies_within():
    """Also where a band ends because memory does."""
    errors, reach, around = made_up(40, 5)
    _, local = calibrate_locally(errors, reach, around)
    ratios = local.ratios(errors, around)[:, MEMORY]
    for multiplier in (0.3, 1.0, 4.0):
        scaled = dataclasses.replace(local, multipliers=np.full(len(COLUMNS), multiplier))
        band = scaled.band(around)[:, :, MEMORY]
        inside = (-band[0] <= errors[:, MEMORY]) & (errors[:, MEMORY] <= band[1])
        assert (inside == (ratios <= multiplier)).mean() > 0.999


def test_a_stage_of_which_little_was_recorded_keeps_the_ensembles_band():
    """Fifty seconds in two runs tell nothing of the next run's errors."""
    errors, reach, around = made_up(40, 6)
    numbers = np.where(np.arange(40)[:, np.newaxis] < 4, around.stages, 0)
    rare = dataclasses.replace(around, stages=numbers)
    calibration, local = calibrate_locally(errors, reach, rare)
    assert np.isnan(local.sides[:, MEMORY, FILLING]).all()
    band = local.band(outside(calibration, rare))[:, :4, MEMORY]
    filling = numbers[:4] == FILLING
    multiplier = calibration.pointwise[MEMORY]
    least = multiplier * min(1.0, local.multipliers[MEMORY])
    assert np.isnan(local.sides[0, MEMORY]).all() or (band[:, filling] >= 0.9 * least).all()


def test_few_runs_keep_the_band_of_the_ensemble():
    """Nine tenths of each stage cannot be told from a handful of runs."""
    calibration, local = calibrate_locally(*made_up(19, 1))
    assert local is None
    assert np.isfinite(calibration.pointwise).all()


def test_columns_that_gain_nothing_keep_it_too():
    """An ensemble that is as sharp as the errors is left alone."""
    errors, _, around = made_up(40, 4)
    sharp = np.stack([np.abs(errors) + 1e-6, np.abs(errors) + 1e-6])
    _, local = calibrate_locally(errors, sharp, around)
    assert np.isnan(local.sides).all()
    given = dataclasses.replace(around, ensemble=sharp)
    assert local.band(given) == pytest.approx(sharp)


def test_a_model_file_keeps_them(campaign_twin, tmp_path):
    """The same bands from the file; a list of another length is refused by name."""
    path = tmp_path / "twin.json"
    campaign_twin.save(path)
    local, again = campaign_twin.model_.local, Twin.load(path).model_.local
    assert isinstance(local, LocalReach)
    is_local = ~np.isnan(local.sides[0, :, 0])
    assert is_local.any()
    assert again.sides == pytest.approx(local.sides, nan_ok=True)
    assert again.usual[:, is_local] == pytest.approx(local.usual[:, is_local])


def test_beyond_what_was_recorded_no_band_is_narrower_than_the_ensembles(campaign_twin):
    """Stages were learnt within the domain; and no joint band is narrower than that of seconds."""
    model = campaign_twin.model_
    bold = plan(memory(95, duration_s=40), lead_s=3, tail_s=8)
    demands = [demand_of(bold, model.capacity)]
    free = model.free_run(demands)
    point, joint = model.bands(free, demands)
    plain, _ = dataclasses.replace(model, local=None).bands(free, demands)
    assert campaign_twin.predict(bold).extrapolating
    assert (point >= plain - 1e-12).all()
    assert (joint >= point - 1e-12).all()


def test_peaks_that_are_not_foretold_are_named():
    """By trajectories, against the mean of the other runs; what was not measured is not named."""
    generator = np.random.default_rng(7)
    levels = 5.0 * np.arange(30)[:, np.newaxis, np.newaxis]
    truth = generator.normal(size=(30, len(COLUMNS), 50)) + levels
    members = truth[:, np.newaxis] + generator.normal(size=(30, 8, len(COLUMNS), 50))
    members[:, :, -1] = 70.0 + generator.normal(size=(30, 8, 50))
    truth[:, CPU] = np.nan
    assert unforetold(list(truth), list(members)) == (COLUMNS[-1],)


def test_an_overload_of_what_is_not_foretold_is_undecided(campaign_twin):
    """Never a wrong certainty: with the reason, also where no run was kept apart to tell."""
    quiet = plan(cpu(20, duration_s=10), lead_s=3, tail_s=3)
    condition = "probe_wakeup_ms p95 > 20 for 5 s"
    for names, told in (
        (("probe_wakeup_ms",), "does not foretell how high probe_wakeup_ms gets: by the runs"),
        (None, "of the 20 runs that it takes to tell 20 were kept apart, or an older version"),
    ):
        model = dataclasses.replace(campaign_twin.model_, unforetold=names)
        (prediction,) = predict_plans(model, [quiet])
        with pytest.raises(Undecided, match=told):
            prediction.overload(condition)
        assert prediction.overload("cpu_percent > 90").probability == 0
        with pytest.raises(Undecided, match="looks at 60 s on end, but the plan has 16 s"):
            prediction.overload("cpu_percent > 10 for 60 s")
    known = dataclasses.replace(campaign_twin.model_, unforetold=())
    assert predict_plans(known, [quiet])[0].overload(condition).probability <= 1

"""Bands by the stage of a plan: which stage a second is in, and how far errors reach in each."""

import dataclasses

import numpy as np
import pytest

from tests.support.simulated_machine import CAPACITY, true_parameters
from twin_harness.errors import Undecided
from twin_harness.predict.demand import demand_of, stacked
from twin_harness.predict.free_run import FreeRun, noise_regimes
from twin_harness.predict.local_reach import LocalReach, calibrate_locally, unforetold
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.scale import on_error_scale
from twin_harness.predict.simulate import simulate
from twin_harness.predict.stages import STAGES, Stages, stages_of
from twin_harness.predict.twin import Twin
from twin_harness.predict.what_ifs import predict_plans
from twin_harness.schedule.builders import cpu, disk, memory, plan

CPU, MEMORY = COLUMNS.index("cpu_percent"), COLUMNS.index("memory_percent")


def of(*events, **facts):
    """Return the words for each second of a plan on the simulated machine."""
    demands = [demand_of(plan(*events, lead_s=3, tail_s=8, **facts), CAPACITY)]
    parameters = true_parameters()
    columns = simulate(parameters[np.newaxis], stacked(demands), CAPACITY)
    values = on_error_scale(columns)
    free = FreeRun(values[:, 0], values, noise_regimes(columns))
    found = stages_of(free, demands, CAPACITY, parameters)
    return [STAGES[number] for number in found.numbers[0]], found.missing_percent[0]


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


def made_up(runs, seed, seconds=60):
    """Return errors of runs: small at rest, skewed while memory is filled; and their stages."""
    generator = np.random.default_rng(seed)
    numbers = np.zeros((runs, seconds), dtype=int)
    numbers[:, 20:40] = STAGES.index("memory filling")
    filling = numbers > 0
    errors = 0.1 * generator.normal(size=(runs, len(COLUMNS), seconds))
    late = np.where(generator.random((runs, 1)) < 0.3, 10.0, 0.5) * generator.random(
        (runs, seconds)
    )
    errors[:, MEMORY] += np.where(filling, late, 0.0)
    errors[:, CPU] *= 10.0
    stages = Stages(numbers, np.where(filling, 30.0, 0.0))
    ensemble = np.ones((2, *errors.shape))
    return errors, ensemble, np.full_like(ensemble, 0.05), stages


def test_bands_are_narrow_where_little_is_open_and_hold_what_they_promise():
    """Against new runs nine tenths of the seconds, at half the width of one band for all."""
    calibration, local = calibrate_locally(*made_up(40, 1))
    errors, ensemble, between, stages = made_up(400, 2)
    reach = local.reach(ensemble, between, stages)
    band = calibration.pointwise[MEMORY] * reach[:, :, MEMORY]
    own = errors[:, MEMORY]
    inside = (-band[0] <= own) & (own <= band[1])
    assert 0.87 <= inside.mean() <= 0.96
    for number in (0, STAGES.index("memory filling")):
        assert inside[stages.numbers == number].mean() > 0.85
    rest = stages.numbers == 0
    assert band.sum(axis=0)[rest].mean() < 0.2 * band.sum(axis=0)[~rest].mean()


def test_a_band_grows_with_the_ensemble_and_ends_where_memory_does():
    """Others that are busier than ever widen it; no more is filled than is asked for."""
    _, local = calibrate_locally(*made_up(40, 1))
    _, ensemble, between, stages = made_up(1, 3)
    usual = local.reach(ensemble, between, stages)
    busier = local.reach(ensemble, between + 4.0, stages)
    assert (busier[:, :, MEMORY] > usual[:, :, MEMORY] + 0.5).all()
    nearly = dataclasses.replace(stages, missing_percent=np.full((1, 60), 0.6))
    ending = local.reach(ensemble, between, nearly)
    assert (ending[1, 0, MEMORY] <= 0.6 + local.sides[1, MEMORY, STAGES.index("load")]).all()


def test_few_runs_keep_the_band_of_the_ensemble():
    """Nine tenths of each stage cannot be told from a handful of runs."""
    calibration, local = calibrate_locally(*made_up(19, 1))
    assert local is None
    assert np.isfinite(calibration.pointwise).all()


def test_columns_that_gain_nothing_keep_it_too():
    """An ensemble that is as sharp as the errors is left alone."""
    errors, _, between, stages = made_up(40, 4)
    sharp = np.stack([np.abs(errors) + 1e-6, np.abs(errors) + 1e-6])
    _, local = calibrate_locally(errors, sharp, between, stages)
    assert np.isnan(local.sides).all()
    assert local.reach(sharp, between, stages) == pytest.approx(sharp)


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


def test_beyond_what_was_recorded_no_band_is_narrower_than_the_ensemble(campaign_twin):
    """Stages were learnt within the domain."""
    model = campaign_twin.model_
    bold = plan(memory(95, duration_s=40), lead_s=3, tail_s=8)
    demands = [demand_of(bold, model.capacity)]
    free = model.free_run(demands)
    reach, ensemble = model.reaches(free, demands)
    assert campaign_twin.predict(bold).extrapolating
    assert (reach >= ensemble - 1e-12).all()


def test_peaks_that_are_not_foretold_are_named():
    """A column whose peaks come from elsewhere; one without any measurement is not."""
    generator = np.random.default_rng(7)
    truth = generator.normal(size=(30, len(COLUMNS), 50)) + 5.0 * np.arange(30)[:, None, None]
    centre = truth + 0.1 * generator.normal(size=truth.shape)
    centre[:, -1] = 400.0
    truth[:, CPU] = np.nan
    assert unforetold(truth, centre) == (COLUMNS[-1],)


def test_an_overload_of_what_is_not_foretold_is_undecided(campaign_twin):
    """Never a wrong certainty: with the reason, also where no run was kept apart to tell."""
    quiet = plan(cpu(20, duration_s=10), lead_s=3, tail_s=3)
    condition = "probe_wakeup_ms p95 > 20 for 5 s"
    for names, told in (
        (("probe_wakeup_ms",), "does not foretell how high probe_wakeup_ms gets: in the"),
        (None, "no run was kept apart to tell"),
    ):
        model = dataclasses.replace(campaign_twin.model_, unforetold=names)
        (prediction,) = predict_plans(model, [quiet])
        with pytest.raises(Undecided, match=told):
            prediction.overload(condition)
        assert prediction.overload("cpu_percent > 90").probability == 0
    known = dataclasses.replace(campaign_twin.model_, unforetold=())
    assert predict_plans(known, [quiet])[0].overload(condition).probability <= 1

"""What others used: how busy they were, what the model says given it, and the second machine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.simulated_machine import CAPACITY, true_parameters
from twin_harness import load
from twin_harness.cli.fit import _busy_lines
from twin_harness.cli.score_table import score_lines
from twin_harness.predict.conditions import Others
from twin_harness.predict.demand import demand_of, stacked
from twin_harness.predict.evaluate import evaluate
from twin_harness.predict.gathering import gather
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.others import Busyness, busyness_of, cpu_by_others, rest_of
from twin_harness.predict.parameters import NAMES
from twin_harness.predict.simulate import simulate
from twin_harness.predict.twin import Twin
from twin_harness.schedule.builders import cpu, plan

SECOND = Path(__file__).parents[2] / "data" / "sample" / "second-machine"
# Its first folder is to fit, its second to judge by.


def with_others(observation, values, name="a"):
    return replace(observation, others_cpu_percent=np.array(values), name=name)


def test_how_busy_others_were_is_of_the_seconds_that_were_measured(campaign_runs):
    """Mean, 95th percentile and the busiest run, by an independent sum; unknown where empty."""
    first, second, third = (replace(one, others_cpu_percent=None) for one in campaign_runs[:3])
    assert busyness_of([first, second]) is None
    assert busyness_of([with_others(first, [np.nan, np.nan])]) is None
    quiet, busy = [1.0, 3.0, np.nan], [10.0, 20.0]
    found = busyness_of([with_others(first, quiet), with_others(second, busy, "b"), third])
    assert (found.mean, found.seconds) == (8.5, 4)
    assert found.high == pytest.approx(18.5)
    assert (found.busiest, found.busiest_mean) == ("b", 15.0)
    assert "others used 8.5 % of the CPUs on average" in str(found)


def test_what_others_used_is_unknown_where_it_is_not_measured(campaign_runs):
    """NaN there and beyond the end of a run; None where no run knows."""
    runs = [replace(one, others_cpu_percent=None) for one in campaign_runs[:2]]
    assert cpu_by_others(runs) is None
    assert np.isnan(rest_of(runs[0]))
    seconds = runs[0].demand.seconds
    values = np.full(seconds, 7.0)
    values[3] = np.nan
    found = cpu_by_others([with_others(runs[0], values), runs[1]])
    assert found.shape == (2, max(one.demand.seconds for one in runs))
    assert np.isnan(found[0, 3])
    assert np.nansum(found[0, :seconds]) == pytest.approx(7.0 * (seconds - 1))
    assert np.isnan(found[1]).all()


def test_on_a_full_machine_others_want_what_they_use_at_rest(campaign_runs):
    """Less than that is what a full machine left them; more than that is more."""
    run = campaign_runs[0]
    seconds = run.demand.seconds
    measured = np.full(seconds, 4.0)
    measured[:3] = 1.0, 1.0, 9.0
    values = run.values.copy()
    cpu = values[COLUMNS.index("cpu_percent")]
    cpu[:] = 50.0
    cpu[[0, 2]] = 100.0
    one = replace(run, values=values, others_cpu_percent=measured)
    assert rest_of(one) == pytest.approx(4.0)
    assert cpu_by_others([one])[0, :4] == pytest.approx([4.0, 1.0, 9.0, 4.0])


def test_others_take_what_the_machine_has_left():
    """Their CPU time adds up to 100 percent at most, and what a load gets shrinks by the rest."""
    levels = stacked([demand_of(plan(cpu(60, duration_s=20), lead_s=2, tail_s=2), CAPACITY)])
    parameters = true_parameters()[np.newaxis]
    quiet = simulate(parameters, levels, CAPACITY)
    rest = parameters[0, NAMES.index("background_cpu")]

    def beside(others_percent):
        others = Others.of_cpu(np.full((1, levels.shape[2]), others_percent))
        return simulate(parameters, levels, CAPACITY, others=others)

    for known in (beside(np.nan), beside(rest)):
        for name, values in quiet.items():
            assert known[name] == pytest.approx(values), name
    some = beside(rest + 10.0)
    gained = (some["cpu_percent"] - quiet["cpu_percent"])[0, 0]
    assert gained == pytest.approx(np.full(levels.shape[2], 10.0))
    assert np.all(some["load1"] >= quiet["load1"])
    full = beside(70.0)
    assert full["cpu_percent"].max() == 100.0
    assert full["cpu_delivered_percent"][0, 0, 10] < 40.0
    assert full["pressure_cpu_percent"][0, 0, 10] > quiet["pressure_cpu_percent"][0, 0, 10]


@pytest.fixture(scope="module")
def second():
    """The second machine's twin of six minutes, and what it says of ten plans drawn by hand."""
    training, test = (
        gather([load(folder)]) for folder in sorted(SECOND.iterdir()) if folder.is_dir()
    )
    twin = Twin(starts=1).fit_observations(training)
    with pytest.MonkeyPatch.context() as patch:  # most of the time would be of boosting's trees
        patch.setattr("twin_harness.predict.autoregressive._ROUNDS", 4)
        return training, evaluate(twin.model_, training, test)


def test_the_second_machine_is_predicted_where_others_are_known(second):
    """Blind it is no better than a simple predictor; told what others used, it is."""
    training, found = second
    blind = found.score_of("cpu_percent")
    told = found.score_of("cpu_percent", is_given=True)
    assert told.rmse < 0.5 * blind.rmse
    assert told.rmse < found.best_baseline("cpu_percent", is_given=True).rmse
    assert told.rmse < 6.0
    assert busyness_of(training).mean > 1.0


def test_the_figures_of_each_column_stand_by_name(second):
    """What the JSON of ``twin score`` begins with; null for what is not known."""
    found = second[1].columns()
    cpu = found["cpu_percent"]
    assert list(cpu) == [
        "rmse",
        "rmse_given_background",
        "nrmse",
        "floor",
        "coverage_90",
        "width_ratio",
    ]
    assert cpu["rmse_given_background"] < 0.5 * cpu["rmse"]
    assert cpu["coverage_90"] is None  # of six runs none is kept apart
    assert found["memory_percent"]["rmse_given_background"] is None


def test_score_says_which_part_of_an_error_is_others(second):
    """One sentence, with the same told to the simple predictors."""
    lines = score_lines(second[1])
    (line,) = [one for one in lines if "told what they used in each second" in one]
    assert "told the same" in line
    assert "% of its squared error was others' load" in line
    silent = replace(second[1], others=None, given=[])
    assert any("their part of the error is unknown" in one for one in score_lines(silent))


def test_fit_says_how_busy_the_runs_were():
    """As it was measured, or that it was not."""
    (line,) = _busy_lines(Busyness(15.0, 30.0, 60, "a", 15.0))
    assert line.startswith("while these runs were recorded others used 15.0 %")
    assert "was not measured" in _busy_lines(None)[0]

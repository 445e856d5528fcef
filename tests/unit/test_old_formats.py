"""Files of every format version that was ever written are still read, and mean what they meant.

A file here is never made anew: a new version of a format gets a file of its own beside it.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from twin_harness import Schedule, Twin, cpu, load, plan
from twin_harness.gate.baseline import Baseline
from twin_harness.gate.baseline_verdict import judge_run
from twin_harness.gate.verdict import PASSED, REGRESSED
from twin_harness.predict.gathering import gather

BASELINE_1 = Path(__file__).parent / "formats" / "twin-baseline-1.json"
SAMPLES = Path(__file__).parents[2] / "data" / "sample"
RUN_1 = SAMPLES / "20261124T232459Z-44f5cd"
CAMPAIGN_1 = SAMPLES / "campaign" / "20261125T222051Z-8ec952"
MODEL_2 = SAMPLES / "campaign" / "twin.json"

in_repository = pytest.mark.skipif(
    not SAMPLES.exists(), reason="the samples stand in the repository, not in the package"
)


def format_of(path):
    return json.loads(path.read_text())["format"]


@in_repository
def test_a_run_folder_of_version_1_is_loaded():
    """Its experiments, statuses and figures are those that were recorded."""
    assert format_of(RUN_1 / "run.json") == "twin-run/1"
    assert format_of(RUN_1 / "machine.json") == "twin-machine/1"
    run = load(RUN_1)
    assert (run.status, len(run.recordings), len(run.samples)) == ("COMPLETE", 16, 1814)
    assert {row.status for recording in run.recordings for row in recording.rows} == {"completed"}
    assert run.samples["cpu_percent"].mean() == pytest.approx(22.554549614, rel=1e-9)


@in_repository
def test_a_run_folder_of_version_1_without_csv_can_be_fitted_to():
    """The rows of a packed run are those of its Parquet file, and each run is an observation."""
    run = load(CAMPAIGN_1)
    assert len(gather([run])) == len(run.recordings) > 0


@in_repository
def test_a_schedule_of_version_1_is_read_and_hashed_alike():
    """Experiments are known by their hash, which no version may change."""
    path = RUN_1 / "schedule.json"
    assert format_of(path) == "twin-schedule/1"
    schedule = Schedule.read(path)
    assert len(schedule.experiments) == 16
    assert schedule.experiments[0].hash() == (
        "1c98498f385e9c9df2d6872a45c052338f6b816dfe66370fb73f5751722146c1"
    )


@in_repository
def test_a_model_of_version_2_is_read_and_predicts_alike():
    """Half of the CPUs for ten seconds come out as on the day that it was fitted."""
    assert format_of(MODEL_2) == "twin-model/2"
    prediction = Twin.load(MODEL_2).predict(plan(cpu(50, duration_s=10), lead_s=1, tail_s=1))
    values = prediction.column("cpu_percent")
    assert values.mean() == pytest.approx(44.36278848796139, rel=1e-6)
    assert values[5] == pytest.approx(52.3361471951148, rel=1e-6)


def test_a_baseline_of_version_1_is_read_and_judges_alike():
    """Its checksum holds; a session like its own passes, one that is 20 percent slower does not."""
    assert format_of(BASELINE_1) == "twin-baseline/1"
    baseline = Baseline.read(BASELINE_1)
    assert len(baseline.sessions) == 9
    last = baseline.sessions[-1]
    for factor, status in ((1.0, PASSED), (1.2, REGRESSED)):
        values = {name: value * factor for name, value in last.values.items()}
        session = replace(last, run="20261201T120000Z-0000ff", values=values)
        judgement = judge_run(baseline, session, baseline.measures)
        assert [verdict.status for verdict in judgement.verdicts] == [status]

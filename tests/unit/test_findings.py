"""What a report finds in made-up rows.

Dynamics, lags, knees, levels, regimes, and a day's rows as 1 s means.
"""

import math

import numpy as np
import pandas as pd
import pytest

from tests.support.runs import NAMES, ZERO_S, annotate, csv_row, make_folder, planned, write_dataset
from twin_harness.metrics import by_name
from twin_harness.report import dataset_rows, evidence
from twin_harness.report.facts import EventFacts
from twin_harness.report.sections.dynamics import dynamics_of
from twin_harness.report.sections.lags import lagged
from twin_harness.report.sections.neighbours import busiest
from twin_harness.report.sections.saturation import Knee, knee_of, steps_of
from twin_harness.report.sections.summary import section as summary
from twin_harness.runs.recording import Recording
from twin_harness.runs.run import Run
from twin_harness.schedule.builders import cpu, memory, plan


def course(level_of, machine_of, *, more=()):
    """An event of 50 % CPU from 0 to 10 s, in rows of 0.1 s from -1 to 14 s."""
    experiment = plan(cpu(50, duration_s=10), *more, lead_s=1, tail_s=4)
    at_s = np.round(np.arange(-0.9, 14.05, 0.1), 6)
    columns = {
        "cpu_delivered_percent": [level_of(t) for t in at_s],
        "cpu_percent": [machine_of(t) for t in at_s],
        "dt_s": 0.1,
    }
    samples = pd.DataFrame(columns, index=pd.Index(at_s, name="t_s"))
    rows = (annotate(experiment, "cpu-0"),)
    window = Recording.of_rows(planned(experiment), rows, samples)
    return EventFacts(window, experiment.event("cpu-0"), window.rows[0])


def test_rise_overshoot_and_recovery_are_measured():
    """A ramp of 1 s to 50, a peak of 55, and a machine that needs 2 s to be idle again."""

    def level(t):
        if t <= 0 or t > 10:
            return 0.0
        return 55.0 if abs(t - 3) < 0.01 else min(50.0, 50.0 * t)

    found = dynamics_of(course(level, lambda t: 3.0 if t <= 0 or t > 12 else 53.0))
    assert found.rise_s == pytest.approx(0.8, abs=0.11)
    assert found.overshoot_percent == pytest.approx(10.0)
    assert found.recovery_s == pytest.approx(2.1, abs=0.11)


def test_recovery_is_not_told_where_other_load_follows():
    """What a later event does to the CPU would be taken for this one's."""
    level = lambda t: 50.0 if 0 < t <= 10 else 0.0  # noqa: E731
    assert (
        dynamics_of(course(level, level, more=(memory(5, start_s=8, duration_s=5),))).recovery_s
        is None
    )
    assert dynamics_of(course(level, lambda t: 50.0 if t > 0 else 0.0)).recovery_s is None


@pytest.mark.parametrize("lag", [0, 3, 9])
def test_lag_of_an_answer_is_found(lag):
    """Noise that comes again so many seconds later has its largest correlation there."""
    cause = np.random.default_rng(1).normal(size=400)
    curve = lagged(cause, np.roll(cause, lag), 12)
    assert int(np.nanargmax(curve)) == lag
    assert np.isnan(lagged(cause, np.ones(400), 12)).all()


def rows_of(latency_of):
    use = np.tile(np.arange(2.5, 100, 5), 20)
    return pd.DataFrame(
        {"cpu_percent": use, "probe_wakeup_ms": [latency_of(value) for value in use]}
    )


def test_knee_is_where_latency_takes_off():
    """Flat up to 70 %, steep after it: the knee is there.

    A straight line and a flat one have none.
    """
    knee = knee_of(
        steps_of(rows_of(lambda use: 1.0 if use < 70 else 1.0 + (use - 70) * 2), "probe_wakeup_ms")
    )
    assert knee.cpu_percent == pytest.approx(70, abs=5.1)
    assert knee_of(steps_of(rows_of(lambda use: use / 10), "probe_wakeup_ms")) == Knee()
    assert knee_of(steps_of(rows_of(lambda _: 1.0), "probe_wakeup_ms")) == Knee()


def test_busiest_processes_are_named():
    assert (
        busiest([{"name": "cc1", "pid": 3, "cpu_s": 2.5}, {"name": "apt", "pid": 4, "cpu_s": 0.5}])
        == "cc1 2.50 s, apt 0.500 s"
    )
    assert busiest(None) == ""


def test_rows_of_a_long_run_are_shown_as_means(tmp_path, monkeypatch):
    """Beyond the most rows the report rests on 1 s means.

    The same means, the same span, missed samples added up.
    """
    folder = make_folder(tmp_path)
    folder.write_state({"status": "COMPLETE", "settings": {"interval_s": 0.1}})
    values = {
        name: 1.0 for name in NAMES if by_name(name).unit and name not in ("time", "monotonic_s")
    }
    changes = [
        {"load5": float(step % 10), "missed_samples": float(step % 50 == 3)} for step in range(600)
    ]
    write_dataset(
        folder,
        [csv_row(ZERO_S + step / 10, **(values | change)) for step, change in enumerate(changes)],
    )
    whole = evidence.gather_evidence(Run(folder))
    monkeypatch.setattr(dataset_rows, "MOST_ROWS", 100)
    thin = evidence.gather_evidence(Run(folder))
    assert (whole.window_s, thin.window_s) == (0.0, 1.0)
    assert len(thin.samples) == pytest.approx(60, abs=1)
    assert thin.span_s == pytest.approx(whole.span_s, abs=1.0)
    assert thin.interval_s == whole.interval_s == 0.1
    assert thin.samples["missed_samples"].sum() == whole.samples["missed_samples"].sum()
    assert thin.samples["load5"].mean() == pytest.approx(4.5, abs=0.1)
    assert math.isclose(thin.samples["cpu_percent"].mean(), 1.0)
    assert "600 samples" in str(summary(thin))

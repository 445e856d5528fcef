"""The machine left alone: the noise floor, and what looking at it costs."""

import pytest


@pytest.mark.experiment(lead_s=4, tail_s=4)
def test_idle_machine_shows_no_load_of_ours(recording, limits):
    """Nothing is delivered where nothing is asked for, and the harness stays below its budget."""
    assert recording.max("cpu_delivered_percent") == 0
    assert recording.max("memory_delivered_bytes") == 0
    assert recording.max("disk_delivered_bytes_per_s") == 0
    assert recording.mean("harness_cpu_percent") < limits.harness_cpu_percent


@pytest.mark.experiment(lead_s=3, tail_s=3)
def test_logger_samples_on_its_grid(recording, telemetry):
    """The logger takes every sample of its grid, and a row costs it milliseconds at the most."""
    assert recording.max("missed_samples") == 0
    assert recording.samples["dt_s"].mean() == pytest.approx(telemetry.interval_s, rel=0.05)
    assert recording.quantile("sample_cost_us", 0.5) < 5000

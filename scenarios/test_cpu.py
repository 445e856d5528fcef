"""CPU load: what is asked for arrives, and the machine shows it."""

import pytest

from twin_harness import cpu, ramp, sine, steps


def level_at(percent):
    """Return a parameter that plans a plateau of so many percent."""
    return pytest.param(
        percent,
        marks=pytest.mark.experiment(cpu(percent, duration_s=6), tolerance="2.5%"),
        id=f"{percent} percent",
    )


@pytest.mark.parametrize("percent", [level_at(20), level_at(50), level_at(80)])
def test_cpu_plateau_is_what_was_asked(recording, limits, percent):
    """A plateau is delivered within 2 points on every CPU, and the machine is that busy."""
    plateau = recording.during("cpu-0", skip_s=1)
    assert plateau.mean("cpu_delivered_percent") == pytest.approx(percent, abs=limits.cpu_points)
    assert (
        plateau.mean("cpu_percent") >= percent - 2 * limits.cpu_points
    )  # /proc/stat samples at 10 ms ticks


@pytest.mark.experiment(cpu(steps([20, 60, 40]), duration_s=12), tolerance="2.5%")
def test_cpu_follows_a_staircase(recording, limits):
    """Each step of a staircase is delivered within 2 points, 0.7 s after it began."""
    for number, level in enumerate([20, 60, 40]):
        step = recording.samples.loc[number * 4 + 0.7 : number * 4 + 3.9]
        assert step["cpu_delivered_percent"].mean() == pytest.approx(level, abs=limits.cpu_points)


@pytest.mark.experiment(
    cpu(ramp(10, 70), duration_s=6),
    cpu(sine(30, 20, period_s=4), start_s=7, duration_s=8),
    tolerance="2.5%",
)
def test_cpu_follows_ramp_and_wave(recording, limits):
    """A ramp and a wave are followed.

    Every second of them has the mean that was planned, within 4 points.
    """
    for event in ("cpu-0", "cpu-1"):
        samples = recording.during(event).samples
        for start_s in range(int(samples.index[0]) + 1, int(samples.index[-1])):
            second = samples.loc[start_s : start_s + 1]
            assert second["cpu_delivered_percent"].mean() == pytest.approx(
                second["cpu_requested_percent"].mean(), abs=2 * limits.cpu_points
            )


def test_busy_neighbour_is_seen(busy_neighbour, annotations, limits):
    """A load that runs while a block does ends with it, and is recorded like a planned one."""
    with busy_neighbour() as load, annotations.phase("neighbour at work"):
        _wait(4)
    load.recording.require_room("cpu-0")
    work = load.recording.during("cpu-0", skip_s=1)
    assert work.mean("cpu_delivered_percent") == pytest.approx(30, abs=limits.cpu_points)
    assert load.recording.annotation("cpu-0").status == "completed"
    assert "neighbour at work" in list(load.recording.annotations["event"])


def _wait(seconds_s):
    """Stand for the work that a real test would do meanwhile."""
    import time

    time.sleep(seconds_s)

"""The grey box in free run: physical whatever it is asked, and right where the answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.simulated_machine import CAPACITY, campaign, true_parameters
from twin_harness.predict.conditions import Start
from twin_harness.predict.demand import CHANNELS, demand_of, stacked
from twin_harness.predict.kernel import LOAD_DECAYS, LOAD_PERIOD_S, average, keep_of
from twin_harness.predict.memory_use import follow_memory
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import (
    HIGH,
    LOW,
    NAMES,
    PARAMETERS,
    START,
    from_fit_scale,
    to_fit_scale,
)
from twin_harness.predict.planned_levels import areas, levels
from twin_harness.predict.scale import LOG_COLUMNS
from twin_harness.predict.simulate import simulate
from twin_harness.schedule.builders import cpu, disk, memory, plan
from twin_harness.shapes.shape import constant, leak, ramp, sine, spikes, square, steps, trace

SHARES = st.lists(st.floats(0, 1), min_size=len(NAMES), max_size=len(NAMES))


def run(experiment, **changes):
    columns = simulate(
        true_parameters(**changes)[np.newaxis], stacked([demand_of(experiment, CAPACITY)]), CAPACITY
    )
    return {name: values[0, 0] for name, values in columns.items()}


@given(
    shares=SHARES,
    cpu_level=st.floats(0, 100),
    bytes_=st.floats(0, 1e14),
    rate=st.floats(0, 1e14),
    seed=st.integers(0, 100),
)
@settings(deadline=None, max_examples=200)
def test_no_run_leaves_what_is_physical(shares, cpu_level, bytes_, rate, seed):
    """Whatever the parameters within their bounds and whatever is asked for.

    Every value is finite, percents lie within 0 and 100, nothing is negative.
    """
    parameters = from_fit_scale(
        to_fit_scale(LOW) + np.array(shares) * (to_fit_scale(HIGH) - to_fit_scale(LOW))
    )
    levels = np.zeros((1, len(CHANNELS), 40))
    where = np.random.default_rng(seed).random((len(CHANNELS), 40)) < 0.5
    for index, name in enumerate(CHANNELS):
        size = (
            cpu_level
            if name.startswith("cpu")
            else bytes_
            if name.startswith("memory")
            else 1.0
            if name.startswith("host")
            else rate
        )
        levels[0, index] = size * where[index]
    columns = simulate(
        parameters[np.newaxis], levels, CAPACITY, Start.of(load1=3.0, memory_percent=50.0)
    )
    for name, values in columns.items():
        assert np.isfinite(values).all(), name
        assert values.min() >= 0, name
        if name.endswith("_percent") and name not in ("cpu_side_percent", "cpu_delivered_percent"):
            assert values.max() <= 100 + 1e-9, name
    assert columns["memory_delivered_bytes"].max() <= CAPACITY.memory_bytes * (1 + 1e-9)


def test_every_column_of_an_observation_is_simulated():
    """What is measured and judged is what the model says something about."""
    assert set(COLUMNS) <= set(run(plan(cpu(50, duration_s=3))))


def test_cpu_load_is_background_and_what_was_asked():
    """A plateau of 40 percent shows as 40 and what everybody else takes."""
    found = run(plan(cpu(40, duration_s=10), lead_s=2, tail_s=2))
    parameters = dict(zip(NAMES, true_parameters(), strict=True))
    assert found["cpu_percent"][5] == pytest.approx(
        40 + parameters["background_cpu"] + parameters["harness_cpu"]
    )
    assert found["cpu_delivered_percent"][5] == pytest.approx(40)


def test_more_than_the_machine_has_is_not_delivered():
    """At 100 percent asked, the others' share is missing from the delivered, the machine full."""
    found = run(plan(cpu(100, duration_s=10), lead_s=2, tail_s=2), background_cpu=10.0)
    assert found["cpu_percent"][5] == 100
    assert found["cpu_delivered_percent"][5] == pytest.approx(
        100 - 10 - START[NAMES.index("harness_cpu")]
    )


def test_memory_fills_as_fast_as_fresh_pages_come_and_no_faster():
    """Six GB at 0.6 GB/s take ten seconds; resident memory is a straight line until then."""
    found = run(plan(memory(6e9, unit="bytes", duration_s=20), lead_s=2, tail_s=3), warm_idle=1e6)
    assert found["memory_delivered_bytes"][2:12] == pytest.approx(
        6e8 * (np.arange(10) + 0.5), rel=0.01
    )
    assert found["memory_delivered_bytes"][14] == pytest.approx(6e9)
    assert found["memory_delivered_bytes"][-1] == 0


def test_memory_that_was_used_a_moment_ago_fills_faster():
    """The second of two equal steps is filled from what the first gave back."""
    found = run(
        plan(memory(steps([10, 0, 10]), duration_s=60), lead_s=1, tail_s=1),
        warm_for=600.0,
        fresh_first=1e6,
    )
    first, second = (
        int(np.argmax(found["memory_delivered_bytes"][begin:] > 2.5e9)) for begin in (1, 41)
    )
    assert second < first


def test_memory_that_was_freed_before_the_run_fills_faster_until_it_is_given_back():
    """Ten GB that the run before held until twelve seconds ago.

    What stays for two seconds is gone, what stays for ten minutes is nearly all there.
    """
    experiment = plan(memory(6e9, unit="bytes", duration_s=20), lead_s=2, tail_s=3)
    held = np.concatenate([np.full((1, 30), 1e10), np.zeros((1, 12))], axis=1)
    start = Start(np.array([np.nan]), np.array([np.nan]), held)
    filled_s = []
    for stays_s in (2.0, 600.0):
        parameters = true_parameters(warm_for=stays_s, warm_idle=1e6, fresh_first=1e6)[np.newaxis]
        found = simulate(parameters, stacked([demand_of(experiment, CAPACITY)]), CAPACITY, start)[
            "memory_delivered_bytes"
        ][0, 0]
        filled_s.append(int(np.argmax(found >= 5.99e9)) - 2)
    assert filled_s[0] == pytest.approx(10, abs=1)
    assert filled_s[1] == pytest.approx(2, abs=1)


def test_a_free_run_begins_with_the_load_that_runs_found_unless_it_is_told_another():
    """The state before the first second is a parameter, not what the machine would settle at."""
    demand = demand_of(plan(lead_s=1, tail_s=2), CAPACITY)
    cold = simulate(true_parameters(load_start=0.8)[np.newaxis], stacked([demand]), CAPACITY)[
        "load1"
    ][0, 0]
    told = simulate(
        true_parameters(load_start=0.8)[np.newaxis],
        stacked([demand]),
        CAPACITY,
        Start.of(2.0, 10.0),
    )["load1"][0, 0]
    assert cold[0] == pytest.approx(0.8, abs=0.03)
    assert told[0] == pytest.approx(2.0, abs=0.05)


def test_a_wake_up_waits_where_load_pauses_and_not_where_it_never_does():
    """Load that has caught up on its time makes others wait for its slice.

    Load without a pause has nothing to catch up on.
    """
    some, full = (
        run(plan(cpu(level, duration_s=10), lead_s=1, tail_s=1), background_cpu=0.0)[
            "probe_wakeup_ms"
        ][5]
        for level in (60, 100)
    )
    rest = run(plan(lead_s=5, tail_s=5))["probe_wakeup_ms"][3]
    assert some > 2 * rest
    assert full < some


def test_filling_memory_costs_cpu_time_and_pressure_beside_load():
    """A gigabyte a second of filling keeps one CPU busy, and CPU load beside it has to wait.

    That is half of this machine.
    """
    alone = run(plan(memory(6e9, unit="bytes", duration_s=20), lead_s=2, tail_s=3), warm_idle=1e6)
    beside = run(
        plan(memory(6e9, unit="bytes", duration_s=20), cpu(60, duration_s=20), lead_s=2, tail_s=3),
        warm_idle=1e6,
    )
    assert alone["cpu_side_percent"][5] == pytest.approx(50, rel=0.05)
    assert beside["pressure_cpu_percent"][5] > alone["pressure_cpu_percent"][5] + 10


def test_a_device_gives_its_bandwidth_and_io_waits():
    """Asked for ten times its bandwidth, the device gives it once, and somebody always waits."""
    found = run(plan(disk(4e9, duration_s=10), lead_s=2, tail_s=2))
    assert found["disk_write_bytes_per_s"][5] == pytest.approx(4e8, rel=0.01)
    assert found["pressure_io_percent"][5] == pytest.approx(80, abs=1)


def test_what_a_second_asks_for_is_the_mean_over_it_and_memory_has_its_end():
    """A ramp from 0 to 100 in ten seconds is 5, 15, 25 … on average."""
    found = demand_of(plan(cpu(ramp(0, 100), duration_s=10), lead_s=0, tail_s=0), CAPACITY)
    assert found.channel("cpu_percent") == pytest.approx(np.arange(5, 100, 10))
    assert demand_of(
        plan(memory(constant(50), duration_s=2), lead_s=1, tail_s=1), CAPACITY
    ).channel("memory_end_bytes") == pytest.approx([0, 12 * 2**30, 12 * 2**30, 0])


def test_members_and_plans_are_independent():
    """Many plans and parameter sets at once give what each gives alone."""
    plans = [demand_of(experiment, CAPACITY) for experiment in campaign("10m")[:4]]
    sets = np.stack(
        [
            true_parameters(),
            true_parameters(fill_fresh=1e8, background_cpu=9.0),
            true_parameters(background_cpu=5.0),
        ]
    )
    together = simulate(sets, stacked(plans), CAPACITY)
    for number, demand in enumerate(plans):
        for member in range(len(sets)):
            alone = simulate(sets[member][np.newaxis], stacked([demand]), CAPACITY)
            for name in COLUMNS:
                assert together[name][number, member, : demand.seconds] == pytest.approx(
                    alone[name][0, 0]
                )


def test_load_follows_the_kernels_recursion():
    """Averages are those of kernel/sched/loadavg.c in fixed point, to its rounding.

    For a task that runs for two minutes.
    """
    expected, active, fixed = [], 1 << 11, 0
    for _ in range(24):
        fixed = (fixed * 1884 + active * (2048 - 1884) + (2047 if active >= fixed else 0)) // 2048
        expected.append(fixed / 2048)
    found = average(
        np.ones(24), np.zeros(()), keep_of(LOAD_DECAYS["load1"], LOAD_PERIOD_S, LOAD_PERIOD_S)
    )
    assert found == pytest.approx(expected, abs=0.01)
    seconds = average(np.ones(120), np.zeros(()), keep_of(LOAD_DECAYS["load1"], LOAD_PERIOD_S))
    assert seconds[-1] == pytest.approx(found[-1], abs=0.005)


def test_parameters_are_described():
    """Each has a unit, a meaning, and a start within its bounds; scales are above 0."""
    for parameter in PARAMETERS:
        assert parameter.unit
        assert parameter.meaning
        assert parameter.low <= parameter.start <= parameter.high
        assert parameter.low > 0 or not parameter.is_log
    assert from_fit_scale(to_fit_scale(START)) == pytest.approx(START)


@pytest.mark.parametrize(
    "shape",
    [
        constant(30.0),
        ramp(5.0, 80.0),
        steps([10.0, 70.0, 40.0]),
        sine(40.0, 20.0, 7.0, 0.3),
        leak(2.0, 1.5),
        square(10.0, 60.0, 5.0),
        square(60.0, 10.0, 3.0, 0.25),
        spikes(5.0, 70.0, 1.5, 17.0, 42),
        spikes(5.0, -3.0, 4.0, 30.0, 7),
        trace([(2.0, 10.0), (5.5, 60.0), (9.0, 20.0)], interpolation="previous"),
        trace([(0.0, 10.0), (6.0, 60.0)]),
    ],
    ids=lambda shape: shape.kind,
)
def test_a_shape_by_array_is_the_shape_moment_by_moment(shape):
    """Areas and levels of all moments at once, to the last digits of each alone."""
    at_s = np.array([0.0, 0.4, 2.0, 3.3, 5.5, 8.9, 9.0, 11.999, 12.0])
    found, expected = areas(shape, at_s, 12.0), [shape.area(float(one), 12.0) for one in at_s]
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)
    found, expected = levels(shape, at_s, 12.0), [shape.level(float(one), 12.0) for one in at_s]
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_seconds_that_are_held_are_passed_over_at_once():
    """Memory beside a plan that moves in every second is followed second by second: the same."""
    held = plan(memory(20, duration_s=9), memory(12, start_s=30, duration_s=15), tail_s=20)
    moving = plan(memory(ramp(1, 40), duration_s=64), tail_s=1)
    parameters = np.stack([true_parameters(), true_parameters(fill_fresh=2e8, warm_for=9.0)])
    demands = [demand_of(one, CAPACITY) for one in (held, moving)]
    beside = follow_memory(parameters, stacked(demands), CAPACITY)
    alone = follow_memory(parameters, stacked(demands[:1]), CAPACITY)
    seconds = demands[0].seconds
    for name, values in alone.items():
        assert beside[name][:1, :, :seconds] == pytest.approx(values, rel=1e-12, abs=1e-9)


def test_memory_that_is_followed_beforehand_changes_nothing(campaign_runs):
    """Nor do latencies as logarithms, but for the logarithm."""
    parameters = np.stack([true_parameters(), true_parameters(fill_fresh=2e8)])
    rows = stacked([one.demand for one in campaign_runs[:6]])
    plain = simulate(parameters, rows, CAPACITY)
    memory = follow_memory(parameters, rows, CAPACITY)
    again = simulate(parameters, rows, CAPACITY, memory=memory, has_logs=True)
    for name, values in plain.items():
        other = np.exp(again[name]) if name in LOG_COLUMNS else again[name]
        assert other == pytest.approx(values, rel=1e-12), name

"""Random plans: within their bounds, on a grid, and the same for one seed everywhere."""

import dataclasses
import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_harness.control import make_schedule
from twin_harness.errors import InvalidInput
from twin_harness.schedule.model import Schedule
from twin_harness.strategies import PROFILE, SHAPES, Bounds, experiments, schedules

BOUNDS = ", ".join(field.name for field in dataclasses.fields(Bounds))


@st.composite
def any_bounds(draw):
    min_event_s = draw(st.integers(1, 30)) / 10
    min_events = draw(st.integers(1, 3))
    least_cpu = draw(st.none() | st.integers(1, 100))
    return Bounds(
        stressors=tuple(
            draw(
                st.lists(
                    st.sampled_from(["cpu", "memory", "disk"]), min_size=1, max_size=3, unique=True
                )
            )
        ),
        shapes=tuple(draw(st.lists(st.sampled_from(SHAPES), min_size=1, unique=True))),
        min_events=min_events,
        max_events=min_events + draw(st.integers(0, 3)),
        overlap=draw(st.booleans()),
        max_duration_s=round(min_events * min_event_s + draw(st.integers(0, 100)) / 10, 1),
        min_event_s=min_event_s,
        max_event_s=draw(
            st.none() | st.integers(0, 50).map(lambda tenths: round(min_event_s + tenths / 10, 1))
        ),
        min_cpu_percent=least_cpu,
        max_cpu_percent=draw(st.integers(least_cpu or 1, 100)),
        max_memory_percent=draw(st.integers(1, 100)),
        max_disk_bytes_per_s=draw(st.integers(1_000_000, 10**9)),
    )


@given(st.data())
def test_experiments_stay_within_their_bounds(data):
    """Resources, number, lengths and levels of events are within the bounds.

    Events of one resource do not overlap.
    """
    bounds = data.draw(any_bounds())
    experiment = data.draw(experiments(bounds))
    highest = {
        "cpu": bounds.max_cpu_percent,
        "memory": bounds.max_memory_percent,
        "disk": bounds.max_disk_bytes_per_s,
    }
    assert bounds.min_events <= len(experiment.events) <= bounds.max_events
    for event in experiment.events:
        assert event.stressor in bounds.stressors
        assert (
            bounds.min_event_s - 0.05
            <= event.duration_s
            <= (bounds.max_event_s or bounds.max_duration_s) + 0.05
        )
        assert event.shape.kind in bounds.shapes or (
            event.shape.kind == "constant" and "steps" in bounds.shapes
        )
        assert event.end_s <= bounds.max_duration_s + 0.05
        assert (event.start_s * 10, event.duration_s * 10) == pytest.approx(
            (round(event.start_s * 10), round(event.duration_s * 10))
        )
        low, high = event.shape.extremes(event.duration_s)
        assert low >= -1e-9
        assert high <= highest[event.stressor] * (1 + 1e-9)
        if (
            event.stressor == "cpu" and bounds.min_cpu_percent and event.shape.kind != "spikes"
        ):  # spikes may come later than the event ends
            assert high >= bounds.min_cpu_percent - 0.011 * bounds.max_cpu_percent
    if not bounds.overlap:
        inorder = sorted(experiment.events, key=lambda event: event.start_s)
        assert all(first.end_s <= second.start_s + 1e-9 for first, second in pairwise(inorder))
    for stressor in bounds.stressors:
        own = sorted(
            (event for event in experiment.events if event.stressor == stressor),
            key=lambda event: event.start_s,
        )
        assert all(first.end_s <= second.start_s + 1e-9 for first, second in pairwise(own))


@given(schedules())
def test_drawn_schedules_are_schedules(schedule):
    """What is drawn can be written down and read again."""
    assert Schedule.from_json(schedule.to_json()) == schedule


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (
            {"colour": 1},
            f"random schedules: 'colour' is not a bound; expected one of {BOUNDS}",
        ),
        (
            {"stressors": ("gpu",)},
            (
                "random schedules: expected stressors out of cpu, memory, disk but got"
                " stressors=('gpu',)"
            ),
        ),
        (
            {"stressors": ()},
            "random schedules: expected stressors out of cpu, memory, disk but got stressors=()",
        ),
        ({"max_events": 0}, "random schedules: max_events=0 is out of range; expected "),
        ({"max_events": 2.5}, "random schedules: max_events=2.5 is out of range; expected "),
        ({"min_event_s": 9}, "random schedules: min_event_s=9 is out of range; expected "),
        (
            {"max_cpu_percent": 101},
            "random schedules: max_cpu_percent=101 is out of range; expected ",
        ),
        (
            {"max_memory_percent": math.nan},
            "random schedules: max_memory_percent=nan is out of range; expected ",
        ),
        ({"lead_s": -1}, "random schedules: lead_s=-1 is out of range; expected "),
    ],
)
def test_bad_bounds_are_refused_in_one_sentence(bounds, message):
    """The message names the bound and its value."""
    with pytest.raises(InvalidInput) as caught:
        Bounds.of(**bounds)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "bounds",
    [
        {"min_event_s": 0.04},
        {"lead_s": math.nan},
        {"tail_s": math.inf},
        {"max_duration_s": math.inf},
        {"max_duration_s": 1e7, "min_event_s": 1e6},
        {"max_disk_bytes_per_s": math.inf},
    ],
    ids=str,
)
def test_bounds_that_are_accepted_can_be_drawn_from(bounds):
    """Bounds are refused, or make experiments."""
    try:
        drawn = make_schedule.draw_experiments(20, 0, **bounds)
    except InvalidInput:
        return
    assert len(drawn) == 20


# -- schedules by seed -----------------------------------------------------------------------------


def test_a_seed_makes_the_same_experiments():
    """One seed gives equal experiments, another seed others.

    None of them is the trivial first example alone.
    """
    first, second = (make_schedule.draw_experiments(5, 7) for _ in range(2))
    assert first == second
    assert first != make_schedule.draw_experiments(5, 8)
    assert len({experiment.hash() for experiment in first}) == 5
    assert [experiment.name for experiment in first] == [f"random-{index}" for index in range(5)]


def test_a_longer_draw_begins_with_the_shorter():
    """More experiments of a seed do not change the first ones."""
    assert make_schedule.draw_experiments(6, 3)[:2] == make_schedule.draw_experiments(2, 3)


def test_drawing_leaves_the_caller_s_random_numbers_alone():
    """The state of ``random`` is the same before and after."""
    import random

    before = random.getstate()
    make_schedule.draw_experiments(2, 1)
    assert random.getstate() == before


@pytest.mark.parametrize("n", [0, -1, 10_001, 1.0, True, "3"])
def test_a_bad_number_of_experiments_is_refused(n):
    """The message names the number and its type."""
    with pytest.raises(InvalidInput) as caught:
        make_schedule.draw_experiments(n, 0)
    assert (
        str(caught.value)
        == f"random schedules: expected n from 1 to 10000 but got n={n!r} (type={type(n).__name__})"
    )


def test_narrow_bounds_repeat_what_there_is():
    """When there are fewer different experiments than asked for, the number is still right."""
    drawn = make_schedule.draw_experiments(
        8,
        0,
        stressors=("memory",),
        max_events=1,
        max_memory_percent=1,
        max_duration_s=2,
        min_event_s=2,
    )
    assert len(drawn) == 8


def test_a_random_schedule_tells_how_it_was_made():
    """Generator, arguments and seed stand in the file."""
    schedule = make_schedule.random(2, 5, max_cpu_percent=30)
    assert (schedule.seed, schedule.generator["name"], schedule.generator["arguments"]) == (
        5,
        "random",
        {"n": 2, "max_cpu_percent": 30},
    )


def test_a_grid_is_every_combination():
    """Two levels of two resources are four experiments; a level of 0 leaves its resource out."""
    schedule = make_schedule.grid(cpu_percent=(0, 50), memory_percent=(0, 10), duration_s=5)
    assert [experiment.name for experiment in schedule.experiments] == [
        "cpu 0 memory 0",
        "cpu 0 memory 10",
        "cpu 50 memory 0",
        "cpu 50 memory 10",
    ]
    assert [
        [event.stressor for event in experiment.events] for experiment in schedule.experiments
    ] == [[], ["memory"], ["cpu"], ["cpu", "memory"]]
    assert {experiment.duration_s for experiment in schedule.experiments} == {7.0}


def test_a_grid_of_disk_levels_is_made():
    """Rates of many megabytes make experiments like any other levels."""
    schedule = make_schedule.grid(disk_bytes_per_s=(10e6, 20e6))
    assert [experiment.events[0].mean() for experiment in schedule.experiments] == [10e6, 20e6]
    assert len({experiment.name for experiment in schedule.experiments}) == 2


def test_levels_that_are_close_have_their_own_names():
    """Experiments of one schedule are told apart by name."""
    schedule = make_schedule.grid(disk_bytes_per_s=(123456, 123456.4))
    assert len({experiment.name for experiment in schedule.experiments}) == 2


def test_a_grid_of_nothing_is_refused():
    """The message names the arguments."""
    with pytest.raises(InvalidInput) as caught:
        make_schedule.grid()
    assert (
        str(caught.value)
        == "grid: no levels given; expected at least one of cpu_percent, memory_percent,"
        " disk_bytes_per_s"
    )


def test_profile_for_models_is_there_by_name():
    """A project loads it by name, or puts it on a test; a what-if has no deadline."""
    assert settings.get_profile("twin") is PROFILE
    assert PROFILE.deadline is None


def test_old_seeds_draw_the_old_experiments():
    """What a seed draws by default is a promise to those who wrote it down."""
    first, second = make_schedule.draw_experiments(2, 3)
    assert [
        (event.stressor, event.start_s, event.duration_s, event.shape.kind)
        for event in first.events
    ] == [
        ("memory", 4.8, 2.3, "constant"),
        ("cpu", 4.5, 2.9, "sine"),
    ]
    assert [event.shape.kind for event in second.events] == ["sine", "sine"]

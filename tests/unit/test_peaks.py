"""How high a plan goes: whatever the shapes, no instant lies above the peak.

Some instant reaches it.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawn import DURATIONS_S, any_shape, grid
from twin_harness.schedule import lines as lines_module
from twin_harness.schedule import peaks
from twin_harness.schedule.builders import cpu, disk
from twin_harness.schedule.lines import lines_of
from twin_harness.schedule.peaks import highest, peak
from twin_harness.shapes import shape as shapes
from twin_harness.shapes.shape import constant, leak, ramp, sine, spikes, square, steps, trace
from twin_harness.shapes.spikes import draw, draws

WEEK_S = 604_800


@st.composite
def loads(draw):
    """One to four events that may overlap, each with a factor."""
    count = draw(st.integers(1, 4))
    return [
        (
            disk(draw(any_shape()), start_s=draw(grid(0, 30)), duration_s=draw(DURATIONS_S)),
            draw(st.sampled_from([1.0, 0.5, 3.0])),
        )
        for _ in range(count)
    ]


def total(placed, instant_s):
    return sum(factor * event.level(instant_s - event.start_s) for event, factor in placed)


def instants_of(placed):
    """A dense grid, and both sides of every start, end, jump and bend."""
    found = set(np.linspace(0, 90, 4001))
    for event, _ in placed:
        edges = {0.0, event.duration_s, *event.shape.discontinuities(event.duration_s)}
        edges |= {t_s * event.shape.time_scale for t_s, _ in getattr(event.shape, "points", ())}
        for edge_s in edges:
            found |= {event.start_s + edge_s + side_s for side_s in (-1e-7, 0.0, 1e-7)}
    return found


@given(loads())
def test_no_instant_is_above_the_peak_and_some_instant_reaches_it(placed):
    """Looked at in ten thousand places, a sum of any shapes is nowhere above its peak.

    Where the peak is said to be, it is.
    """
    level, at_s = peak(placed)
    # Within the nanosecond in which instants are one, events that follow each other overlap by
    # rounding: not looked at.
    edges = {round(edge_s, 9) for event, _ in placed for edge_s in (event.start_s, event.end_s)}
    looked_at = [
        instant_s
        for instant_s in instants_of(placed)
        if all(abs(instant_s - edge_s) > 1e-9 for edge_s in edges)
    ]
    assert (
        max((total(placed, instant_s) for instant_s in looked_at), default=0.0)
        <= level * (1 + 1e-7) + 1e-6
    )
    assert max(total(placed, at_s + side_s) for side_s in (-2e-9, 0.0, 2e-9)) == pytest.approx(
        level, rel=1e-5, abs=1e-4
    )


@given(any_shape(), DURATIONS_S)
def test_lines_are_the_shape(shape, duration_s):
    """Every shape is its lines, within them and at both of their ends.

    A sine to a polygon's error.
    """
    lines = lines_of(shape, duration_s)
    assert (lines.at_s[0], lines.at_s[-1]) == (0.0, duration_s)
    error = 0.01 * getattr(shape, "amplitude", 0.0) + 1e-6
    for at_s, end_s, first, last in zip(
        lines.at_s[:-1], lines.at_s[1:], lines.first, lines.last, strict=True
    ):
        if end_s - at_s > 1e-6:
            for share in (0.25, 0.75):
                assert shape.level(at_s + share * (end_s - at_s), duration_s) == pytest.approx(
                    first + share * (last - first), abs=error
                )


@pytest.mark.parametrize("kind", shapes.SHAPES)
def test_every_kind_of_shape_has_lines(kind):
    """A shape that is added to the package is taken for its extremes at the least.

    Never for nothing.
    """
    made = {
        "constant": constant(40),
        "ramp": ramp(0, 40),
        "steps": steps([5, 40, 10]),
        "sine": sine(30, 10, 3),
        "square": square(5, 40, 3),
        "spikes": spikes(10, 30, 0.1, 30),
        "leak": leak(0, 4),
        "trace": trace([(0, 10), (5, 40), (5.001, 10)]),
    }
    assert highest(cpu(made[kind], duration_s=10)) == pytest.approx(40.0)


@pytest.mark.parametrize("index", [0, 1, 999, 1499])
def test_one_second_in_many_is_met(index):
    """One point of a trace is the peak wherever it stands."""
    points = [
        (float(k), 97.0 if k == index else 20.0 + k % 3) for k in range(1500)
    ]  # a jump at each row, as recordings have it
    event = cpu(trace(points, interpolation="previous"), start_s=3, duration_s=1500)
    assert peak([(event, 1.0)]) == (97.0, 3.0 + index)


def test_what_lies_beyond_the_end_is_not_asked_for():
    """A peak after the event's end, or a wave that does not get there, is none."""
    assert highest(cpu(trace([(0, 10), (20, 90)]), duration_s=10)) == pytest.approx(50.0)
    assert highest(cpu(sine(50, 40, 40), duration_s=5)) == pytest.approx(
        50 + 40 * np.sin(2 * np.pi / 8)
    )
    assert highest(cpu(square(5, 60, 10, 0.5), duration_s=5)) == 60.0
    assert highest(cpu(square(60, 5, 10, 0.5), duration_s=5)) == 5.0
    assert highest(cpu(spikes(5, 60, 1, 6, 3), duration_s=0.01)) == 5.0


def test_events_that_follow_each_other_do_not_overlap_by_rounding():
    """0.1 s + 0.2 s is a little more than 0.3 s for a computer.

    Two squares that alternate never meet.
    """
    assert peak(
        [(cpu(80, start_s=0.1, duration_s=0.2), 1.0), (cpu(70, start_s=0.3, duration_s=1), 1.0)]
    ) == (80.0, 0.1)
    apart = [
        (cpu(square(0, 60, 0.2), start_s=start_s, duration_s=600), 1.0) for start_s in (0.0, 0.1)
    ]
    assert peak(apart)[0] == 60.0


def test_waves_are_added_up_between_their_turns():
    """Two sines a third of a period apart are highest where neither is."""
    level, at_s = peak(
        [
            (cpu(sine(20, 20, 10), duration_s=100), 1.0),
            (cpu(sine(20, 20, 10, 1 / 3), duration_s=100), 1.0),
        ]
    )
    assert level == pytest.approx(60.0, rel=1e-8)
    assert at_s % 10 == pytest.approx(10 / 12, abs=1e-3)


@pytest.mark.parametrize(
    "shape",
    [spikes(10, 40, 0.001, 60, 5), square(10, 50, 1, 0.001), sine(30, 20, 3600)],
    ids=lambda shape: shape.kind,
)
def test_a_week_is_seen_to_its_end(shape):
    """Six hundred thousand spikes, edges or waves, and a short load in the last minute."""
    level, at_s = peak(
        [(cpu(shape, duration_s=WEEK_S), 1.0), (cpu(30, start_s=WEEK_S - 60, duration_s=30), 1.0)]
    )
    assert level == pytest.approx(
        80.0 if shape.kind != "sine" else 30 + 30 + 20 * np.sin(2 * np.pi * 3570 / 3600), abs=1e-3
    )
    assert WEEK_S - 60 <= at_s <= WEEK_S - 30


@pytest.mark.parametrize(
    "shape",
    [spikes(10, 40, 1e-6, 1e7, 5), square(10, 50, 1e-6), sine(30, 20, 1e-6)],
    ids=lambda shape: shape.kind,
)
def test_what_is_too_fine_to_go_through_counts_as_its_highest(shape):
    """Billions of edges take no memory and no time, and the peak is not below the truth."""
    assert highest(cpu(shape, duration_s=WEEK_S)) == pytest.approx(50.0)


@given(loads(), st.integers(1, 6), st.integers(1, 40))
def test_a_plan_beyond_the_limits_is_never_taken_for_less(placed, most, work):
    """However little may be gone through, the peak is the truth or above it.

    Not above all highest levels together.
    """
    exact = peak(placed)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "MOST_LINES", most)
        patch.setattr(peaks, "MOST_LINES", most)
        patch.setattr(peaks, "MOST_OF_ALL", 2 * most)
        patch.setattr(peaks, "MOST_WORK", work)
        bounded = peak(placed)[0]
    assert (
        exact * (1 - 1e-8) - 1e-8
        <= bounded
        <= sum(factor * event.shape.extremes(event.duration_s)[1] for event, factor in placed)
        * (1 + 1e-9)
        + 1e-9
    )


def test_spikes_are_drawn_alike_one_by_one_and_all_at_once():
    """The check before a run sees the spikes that the stressor will make."""
    for seed in (0, 7, 2**63 - 1):
        assert draws(seed, 200).tolist() == [draw(seed, index) for index in range(200)]

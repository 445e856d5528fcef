"""The load shapes: level, integral, extremes and jumps agree with each other for every shape."""

import json
import math
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.support.drawn import DURATIONS_S, any_shape, grid
from twin_harness.shapes import shape as shapes
from twin_harness.shapes.formulas import Constant, Leak, Ramp, Sine, Square, Steps
from twin_harness.shapes.spikes import Spikes
from twin_harness.shapes.trace import Trace

NODES, WEIGHTS = np.polynomial.legendre.leggauss(6)


def kinks_s(shape, duration_s):
    """Instants between which a shape is smooth enough for a Gauss rule.

    Its jumps, bends, and quarters of its period.
    """
    instants = {0.0, duration_s, *shape.discontinuities(duration_s)}
    if isinstance(shape, Trace):
        instants |= {t_s * shape.time_scale for t_s, _ in shape.points}
    if isinstance(shape, Sine):
        instants |= set(np.arange(0, duration_s, shape.period_s / 4))
    return sorted(t for t in instants if 0 <= t <= duration_s)


def integral(shape, t_s, duration_s):
    """The area from the level alone."""
    total = 0.0
    for start_s, end_s in pairwise([*(k for k in kinks_s(shape, duration_s) if k < t_s), t_s]):
        half_s = (end_s - start_s) / 2
        total += half_s * sum(
            w * shape.level(start_s + half_s * (1 + x), duration_s)
            for x, w in zip(NODES, WEIGHTS, strict=True)
        )
    return total


# -- properties of all -----------------------------------------------------------------------------


@given(any_shape(), DURATIONS_S, st.floats(0, 1))
def test_the_level_lies_within_the_extremes(shape, duration_s, share):
    """At no moment of the event is the level outside what ``extremes`` says."""
    low, high = shape.extremes(duration_s)
    assert low - 1e-9 <= shape.level(share * duration_s, duration_s) <= high + 1e-9


@given(any_shape(), DURATIONS_S, st.floats(0, 1))
def test_the_area_is_the_integral_of_the_level(shape, duration_s, share):
    """The area up to any moment equals a numeric integral of the level."""
    t_s = share * duration_s
    assert shape.area(t_s, duration_s) == pytest.approx(
        integral(shape, t_s, duration_s), rel=1e-9, abs=1e-6
    )


@given(any_shape(), DURATIONS_S)
def test_the_area_begins_at_nothing(shape, duration_s):
    """No time, no area."""
    assert shape.area(0.0, duration_s) == pytest.approx(0.0, abs=1e-12)


@given(any_shape(), DURATIONS_S, st.floats(0, 1), st.floats(0, 1))
def test_the_mean_of_any_piece_lies_within_the_extremes(shape, duration_s, one, other):
    """The mean between two samples, the logger's question, is a level the shape can have."""
    start_s, end_s = sorted((one * duration_s, other * duration_s))
    assume(end_s - start_s > 1e-3)
    mean = (shape.area(end_s, duration_s) - shape.area(start_s, duration_s)) / (end_s - start_s)
    low, high = shape.extremes(duration_s)
    assert low - 1e-6 <= mean <= high + 1e-6


@given(any_shape())
def test_a_shape_survives_json(shape):
    """Plain JSON text and back gives an equal shape, ``kind`` first."""
    data = shapes.to_json(shape)
    assert next(iter(data)) == "kind"
    assert shapes.from_json(json.loads(json.dumps(data))) == shape


@given(any_shape())
def test_the_json_has_the_kind_s_parameters(shape):
    """The keys are those that ``parameter_names`` tells, under their JSON names."""
    assert set(shapes.to_json(shape)) <= {"kind", *shapes.parameter_names(shape.kind)}


@given(any_shape(), DURATIONS_S)
@example(Trace(((0.0, 0.0), (1.0, 5.0)), None, "previous", 1.0, 0.0), 10.0)
def test_discontinuities_are_real_jumps(shape, duration_s):
    """At each discontinuity the level before and after differ; they rise within the event."""
    jumps_s = shape.discontinuities(duration_s)
    assert list(jumps_s) == sorted(set(jumps_s))
    for t_s in jumps_s:
        assert 0 < t_s < duration_s
        assert abs(shape.level(t_s + 1e-7, duration_s) - shape.level(t_s - 1e-7, duration_s)) > (
            0 if isinstance(shape, Trace) else 1e-3
        )


@given(any_shape(), DURATIONS_S, st.floats(0, 1))
def test_nothing_else_jumps(shape, duration_s, share):
    """Away from the instants told the level moves no further than its steepest slope allows."""
    t_s = share * duration_s
    assume(all(abs(t_s - jump_s) > 2e-6 for jump_s in shape.discontinuities(duration_s)))
    assert abs(shape.level(t_s + 1e-6, duration_s) - shape.level(t_s, duration_s)) < 0.02


@given(any_shape())
def test_without_a_duration_time_is_a_fraction_of_the_event(shape):
    """The default duration is one, so that a shape can be drawn before its event is known."""
    assert shape.level(0.5) == shape.level(0.5, 1.0)
    assert shape.area(0.5) == shape.area(0.5, 1.0)
    assert shape.extremes() == shape.extremes(1.0)
    assert shape.discontinuities() == shape.discontinuities(1.0)


@pytest.mark.parametrize("kind", shapes.SHAPES)
def test_shapes_are_frozen_and_hashable(kind):
    """A shape can stand in a set, and nobody changes one that is planned."""
    shape = {
        "constant": Constant(1), "ramp": Ramp(0, 1), "steps": Steps((1, 2)),
        "sine": Sine(5, 1, 2), "square": Square(0, 1, 2), "spikes": Spikes(0, 1, 1, 6),
        "leak": Leak(0, 1), "trace": Trace(((0, 1),)),
    }[kind]  # fmt: skip
    assert shape.kind == kind
    assert len({shape, shape}) == 1
    with pytest.raises(AttributeError):
        setattr(shape, fields(shape)[0].name, 5)


# -- each by itself --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "duration_s", "levels"),
    [
        (Constant(40), 20, {0: 40, 20: 40}),
        (Ramp(0, 80), 10, {0: 0, 2.5: 20, 10: 80}),
        (Ramp(80, 0), 10, {0: 80, 2.5: 60, 10: 0}),
        (Steps((20, 50, 80)), 9, {0: 20, 2.99: 20, 3: 50, 6: 80, 9: 80}),
        (Sine(50, 30, 4), 8, {0: 50, 1: 80, 2: 50, 3: 20, 5: 80}),
        (Sine(50, 30, 4, 0.25), 8, {0: 80, 1: 50, 2: 20}),
        (Square(10, 60, 4, 0.25), 8, {0: 60, 0.99: 60, 1: 10, 3.99: 10, 4: 60}),
        (Leak(10, 2), 5, {0: 10, 2: 14, 5: 20}),
        (Trace(((1, 10), (3, 30))), 5, {0: 10, 1: 10, 2: 20, 3: 30, 5: 30}),
        (Trace(((1, 10), (3, 30)), None, "previous"), 5, {0: 10, 2: 10, 2.99: 10, 3: 30}),
        (Trace(((0, 10), (10, 20)), None, "linear", 0.1, 2.0), 1, {0: 20, 0.5: 30, 1: 40, 9: 40}),
        (Trace(((5, 7),)), 10, {0: 7, 5: 7, 10: 7}),
    ],
)
def test_a_shape_has_the_levels_of_its_definition(shape, duration_s, levels):
    """Levels by hand, at starts, edges and ends."""
    assert {t_s: shape.level(t_s, duration_s) for t_s in levels} == pytest.approx(levels)


@pytest.mark.parametrize(
    ("shape", "duration_s", "jumps_s"),
    [
        (Constant(40), 20, ()),
        (Ramp(0, 80), 20, ()),
        (Sine(5, 1, 2), 20, ()),
        (Leak(5, 1), 20, ()),
        (Steps((20, 50, 50, 80)), 8, (2, 6)),
        (Steps((5,)), 8, ()),
        (Square(0, 5, 4, 0.25), 9, (1, 4, 5, 8)),
        (Square(0, 5, 4, 0.25), 1, ()),
        (Trace(((0, 1), (2, 3), (4, 3), (6, 5)), None, "previous"), 7, (2, 6)),
        (Trace(((0, 1), (2, 3)), None, "linear"), 7, ()),
        (Trace(((0, 1), (2, 3), (9, 4)), None, "previous", 0.5), 4, (1,)),
    ],
)
def test_a_shape_jumps_where_its_definition_does(shape, duration_s, jumps_s):
    """Jumps by hand: equal neighbours do not jump, and start and end of the event are none."""
    assert shape.discontinuities(duration_s) == pytest.approx(jumps_s)


@pytest.mark.parametrize(
    "shape",
    [
        Square(5, 5, 2),
        Square(0, 5, 2, 0.0),
        Square(0, 5, 2, 1.0),
        Spikes(5, 0, 1, 20),
        Spikes(5, 20, 3, 20),
    ],
    ids=["equal levels", "duty 0", "duty 1", "no height", "as wide as its cell"],
)
def test_a_shape_that_never_jumps_tells_no_jumps(shape):
    """A degenerate square or spike train is a constant, so it has no discontinuities."""
    assert {shape.level(t / 16, 12) for t in range(12 * 16)} == {shape.level(0, 12)}
    assert shape.discontinuities(12) == ()


@pytest.mark.parametrize(
    "shape",
    [
        Square(0, 1, 0.001),
        Spikes(0, 1, 0.0001, 60_000),
        Steps((0, 1) * 10_000),
        Trace(tuple((k / 1000, k % 2) for k in range(30_000)), None, "previous"),
    ],
)
def test_the_jumps_told_are_bounded(shape):
    """However often a shape jumps, at most 10,000 instants are told, the earliest."""
    jumps_s = shape.discontinuities(30.0)
    assert 9_998 <= len(jumps_s) <= shapes.MOST_DISCONTINUITIES
    assert list(jumps_s) == sorted(jumps_s)


@given(grid(0.1, 50), st.integers(1, 40))
def test_every_step_is_held_equally_long(duration_s, count):
    """The middle of the k-th hold has the k-th level, and nothing is left over at the end."""
    shape = Steps(tuple(range(count)))
    hold_s = duration_s / count
    assert [shape.level((k + 0.5) * hold_s, duration_s) for k in range(count)] == list(range(count))
    assert shape.level(math.nextafter(duration_s, 0), duration_s) == count - 1


def test_a_long_square_keeps_its_edges():
    """A week into an event the edges still stand where they belong, to a microsecond."""
    shape = Square(0, 1, 0.7, 0.5)
    start_s = 0.7 * 860_000
    assert shape.level(start_s + 1e-6, 604_800) == 1
    assert shape.level(start_s + 0.35 + 1e-6, 604_800) == 0
    assert shape.area(start_s, 604_800) == pytest.approx(start_s / 2, rel=1e-9)


@pytest.mark.parametrize(
    ("built", "shape"),
    [
        (shapes.constant(5), Constant(5)),
        (shapes.ramp(0, 8), Ramp(0, 8)),
        (shapes.steps([1, 2]), Steps((1, 2))),
        (shapes.sine(5, 1, 2), Sine(5, 1, 2, 0.0)),
        (shapes.square(0, 1, 2), Square(0, 1, 2, 0.5)),
        (shapes.spikes(0, 1, 1, 6), Spikes(0, 1, 1, 6, 0)),
        (shapes.leak(0, 1), Leak(0, 1)),
        (shapes.trace([[0, 1], [2, 3]]), Trace(((0, 1), (2, 3)))),
        (
            shapes.trace(file="load.csv", interpolation="previous"),
            Trace((), "load.csv", "previous"),
        ),
    ],
)
def test_builders_make_the_shape(built, shape):
    """Each builder has the format's parameters and defaults."""
    assert built == shape


def test_json_names_are_those_of_the_format():
    """``from`` and ``level`` are written without the underscore that Python needs."""
    assert shapes.to_json(Ramp(0, 30)) == {"kind": "ramp", "from": 0, "to": 30}
    assert shapes.to_json(Constant(5)) == {"kind": "constant", "level": 5}
    assert shapes.parameter_names("trace") == (
        "points",
        "file",
        "interpolation",
        "time_scale",
        "level_scale",
    )


def test_json_leaves_out_what_is_not_there():
    """A trace by points names no file, one by file no points."""
    assert shapes.to_json(shapes.trace(file="a.csv")) == {
        "kind": "trace",
        "file": "a.csv",
        "interpolation": "linear",
        "time_scale": 1.0,
        "level_scale": 1.0,
    }
    assert shapes.to_json(shapes.trace([(0, 1)]))["points"] == [[0, 1]]

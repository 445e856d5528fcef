"""Hypothesis strategies of these tests.

Shapes and events on decimal grids, and how finely a shape must be looked at.
"""

from functools import cache

from hypothesis import strategies as st

from twin_harness.shapes import shape as shapes


def grid(lowest, highest, step=0.1):
    """Numbers on a decimal grid, ends included: floats as people write them."""
    return st.integers(round(lowest / step), round(highest / step)).map(
        lambda count: round(count * step, 9)
    )


# Each is made once: a strategy is checked anew wherever a new one is drawn from, which costs more
# than the drawing.
LEVELS = grid(0, 100)
PERIODS_S = grid(0.5, 30)
SHARES = grid(0.1, 0.9)
TWO_LEVELS = st.lists(LEVELS, min_size=2, max_size=2, unique=True)
CELLS_S, BASES, HEIGHTS, SEEDS = (
    grid(0.5, 20),
    grid(0, 90),
    grid(0.1, 10),
    st.integers(0, 2**63 - 1),
)
TIMES_S = st.sets(grid(0, 50), min_size=1, max_size=8)
INTERPOLATIONS = st.sampled_from(["linear", "previous"])
TIME_SCALES, LEVEL_SCALES = grid(0.1, 3), grid(0, 1)


@st.composite
def squares(draw):
    low, high = draw(TWO_LEVELS)
    return shapes.Square(low, high, draw(PERIODS_S), draw(SHARES))


@st.composite
def spike_trains(draw):
    cell_s = draw(CELLS_S)
    base = draw(BASES)
    return shapes.Spikes(
        base,
        draw(HEIGHTS),
        cell_s * draw(SHARES),
        60.0 / cell_s,
        draw(SEEDS),
    )


@st.composite
def traces(draw):
    times_s = sorted(draw(TIMES_S))
    points = tuple((t_s, draw(LEVELS)) for t_s in times_s)
    return shapes.Trace(
        points,
        None,
        draw(INTERPOLATIONS),
        draw(TIME_SCALES),
        draw(LEVEL_SCALES),
    )


def sines():
    return st.builds(
        lambda amplitude, room, period_s, phase: shapes.Sine(
            amplitude + room, amplitude, period_s, phase
        ),
        grid(0, 30),
        grid(0, 40),
        PERIODS_S,
        grid(0, 1),
    )


@cache
def any_shape():
    """Shapes whose levels are from 0 to 100 during any event of up to 60 s."""
    return st.one_of(
        st.builds(shapes.Constant, LEVELS),
        st.builds(shapes.Ramp, LEVELS, LEVELS),
        st.builds(
            lambda levels: shapes.Steps(tuple(levels)), st.lists(LEVELS, min_size=1, max_size=12)
        ),
        sines(),
        squares(),
        spike_trains(),
        st.builds(shapes.Leak, grid(0, 40), grid(0, 1, 0.01)),
        traces(),
    )


DURATIONS_S = grid(0.1, 60)

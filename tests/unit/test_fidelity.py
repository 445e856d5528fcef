"""Requested against delivered, on series made up so that every figure is known exactly."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_harness import disk, memory
from twin_harness.runs.delivery import compare
from twin_harness.runs.fidelity import Fidelity, measure
from twin_harness.runs.records import AnnotationRow
from twin_harness.runs.settling import tolerance, window_s

MIB = 1024**2


def series(requested, delivered, *, interval_s=0.1, resource="cpu", duration_s=None, jumps_s=()):
    """Measure two lists of equally spaced rows; the first ends one interval after the start."""
    count = len(requested)
    ends_s = interval_s * np.arange(1, count + 1)
    return measure(
        resource,
        ends_s,
        np.full(count, interval_s),
        np.array(requested, dtype=float),
        np.array(delivered, dtype=float),
        count * interval_s if duration_s is None else duration_s,
        jumps_s,
    )


def test_a_perfect_load_has_no_error():
    """Delivered equal to requested is settled from the start."""
    assert series([50] * 20, [50] * 20, interval_s=0.125) == Fidelity(
        50.0, 50.0, 0.0, 0.0, 0.0, 0.0, 0.0, 20
    )


def test_bias_and_error_are_of_the_means():
    """Two points too much of 50 are a bias of 2 and an error of 4 percent, however spread."""
    found = series([50] * 4, [50, 52, 54, 52])
    assert (
        found.bias,
        found.error_percent,
        found.requested_mean,
        found.delivered_mean,
    ) == pytest.approx((2.0, 4.0, 50.0, 52.0))


def test_rmse_is_row_by_row():
    """Errors that cancel out in the mean stand in the root mean square."""
    found = series([50] * 4, [47, 53, 46, 54])
    assert (found.bias, found.rmse) == pytest.approx((0.0, np.sqrt((9 + 9 + 16 + 16) / 4)))


def test_rows_are_weighed_by_their_time():
    """A row that stands for three times as long counts three times."""
    found = measure(
        "cpu",
        np.array([1.0, 4.0]),
        np.array([1.0, 3.0]),
        np.array([50.0, 50.0]),
        np.array([46.0, 54.0]),
        4.0,
    )
    assert (found.bias, found.rmse) == pytest.approx((2.0, 4.0))


def test_without_a_request_there_is_no_error_in_percent():
    """A percent of nothing is None, and the bias is still told."""
    found = series([0] * 10, [1] * 10)
    assert (found.bias, found.error_percent, found.requested_mean) == (1.0, None, 0.0)


def test_less_than_requested_is_a_negative_bias():
    """Bias and error are delivered less requested."""
    found = series([50] * 10, [40] * 10)
    assert (found.bias, found.error_percent, found.overshoot) == pytest.approx((-10.0, -20.0, 0.0))


# -- settling --------------------------------------------------------------------------------------


def test_a_load_settles_when_its_last_bad_window_is_over():
    """With 0.1 s rows, the first ten of them wrong, the first right window begins after them."""
    found = series([50] * 30, [0] * 10 + [50] * 20)
    assert found.settled_s == pytest.approx(1.0)


def test_a_window_may_hold_a_small_error():
    """One row 4 points off is 0.8 in a mean of five rows and within 1 point.

    6 points are 1.2 and outside.
    """
    assert series([50] * 30, [50] * 10 + [54] + [50] * 19).settled_s == 0.0
    assert series([50] * 30, [50] * 10 + [56] + [50] * 19).settled_s == pytest.approx(1.1)


def test_a_load_that_ends_wrong_never_settled():
    """An error in the last window is never."""
    assert series([50] * 30, [50] * 27 + [0] * 3).settled_s is None


def test_an_event_shorter_than_a_window_never_settled():
    """Four rows of 0.1 s hold no mean of 0.5 s."""
    found = series([50] * 4, [50] * 4)
    assert (found.settled_s, found.rows, found.bias) == (None, 4, 0.0)


def test_an_event_of_exactly_one_window_can_settle():
    """Five rows of 0.1 s are one window."""
    assert series([50] * 5, [50] * 5).settled_s == 0.0


@pytest.mark.parametrize(
    ("resource", "requested", "within", "outside"),
    [
        ("cpu", 50.0, 0.99, 1.01),
        ("cpu", 1.0, 0.99, 1.01),
        ("memory", 4096 * MIB, 40 * MIB, 42 * MIB),
        ("memory", 100 * MIB, 16 * MIB, 17 * MIB),
        ("disk", 20e6, 0.99e6, 1.01e6),
    ],
)
def test_each_resource_has_its_tolerance(resource, requested, within, outside):
    """1 point of cpu, 1 percent or 16 MiB of memory, 5 percent of disk."""
    assert series([requested] * 30, [requested + within] * 30, resource=resource).settled_s == 0.0
    assert series([requested] * 30, [requested + outside] * 30, resource=resource).settled_s is None
    assert series([requested] * 30, [requested - outside] * 30, resource=resource).settled_s is None
    assert within < tolerance(resource, np.array([requested]))[0] * 1.0000001 < outside


def test_disk_is_judged_by_means_of_a_second():
    """Half a second too much and half a second too little cancel out for disk and not for cpu."""
    assert (window_s("cpu"), window_s("memory"), window_s("disk")) == (0.5, 0.5, 1.0)
    requested = [20e6] * 40
    delivered = ([25e6] * 5 + [15e6] * 5) * 4
    assert series(requested, delivered, resource="disk").settled_s == 0.0


def test_windows_are_whole_rows_of_any_length():
    """With rows of 2 s every row is its own window."""
    found = series([50] * 5, [0, 50, 50, 50, 50], interval_s=2.0)
    assert (found.settled_s, found.rows) == (pytest.approx(2.0), 5)


# -- overshoot -------------------------------------------------------------------------------------


def test_overshoot_is_the_worst_window():
    """Five rows 10 points too high are an overshoot of 10, one such row of 2."""
    assert series([50] * 30, [50] * 5 + [60] * 5 + [50] * 20).overshoot == pytest.approx(10.0)
    assert series([50] * 30, [50] * 5 + [60] + [50] * 24).overshoot == pytest.approx(2.0)


def test_too_little_is_no_overshoot():
    """Overshoot is never negative."""
    assert series([50] * 30, [40] * 30).overshoot == 0.0


# -- jumps -----------------------------------------------------------------------------------------


def test_half_a_second_after_a_jump_does_not_count():
    """A load that lags 0.4 s behind a step is settled throughout.

    Windows that begin within 0.5 s after the jump are left out.
    """
    requested = [20] * 20 + [60] * 20
    delivered = [20] * 24 + [60] * 16
    assert series(requested, delivered, jumps_s=(2.0,)).settled_s == 0.0
    assert series(requested, delivered, jumps_s=(2.0,)).overshoot == 0.0
    assert series(requested, delivered).settled_s == pytest.approx(2.4)


def test_a_lag_beyond_half_a_second_counts():
    """0.7 s behind a step settles 0.7 s after it: the windows from 0.5 s on are judged."""
    requested = [20] * 20 + [60] * 20
    delivered = [20] * 27 + [60] * 13
    assert series(requested, delivered, jumps_s=(2.0,)).settled_s == pytest.approx(2.7)


def test_a_window_that_holds_a_jump_does_not_count():
    """A wrong row just before a jump is in windows that reach over it or end before it.

    Only the latter are judged.
    """
    requested = [20] * 20 + [60] * 20
    delivered = [20] * 19 + [40] + [60] * 20
    assert series(requested, delivered, jumps_s=(2.0,)).settled_s == pytest.approx(2.5)


def test_a_shape_that_jumps_all_the_time_cannot_settle():
    """When every window is left out nothing is known.

    None, and no overshoot, while bias and rmse still are.
    """
    found = series([50] * 20, [60] * 20, jumps_s=tuple(k * 0.4 for k in range(1, 5)))
    assert (found.settled_s, found.overshoot, found.bias) == (None, 0.0, pytest.approx(10.0))


# -- which rows ------------------------------------------------------------------------------------


def test_only_whole_rows_within_the_event_count():
    """Rows that begin before the start or end after the end are left out."""
    ends_s = np.array([0.05, 0.15, 0.25, 0.35, 0.45])
    found = measure(
        "cpu",
        ends_s,
        np.full(5, 0.1),
        np.full(5, 50.0),
        np.array([0.0, 50.0, 50.0, 50.0, 0.0]),
        0.4,
    )
    assert (found.rows, found.bias) == (3, 0.0)


def test_rows_on_the_edges_count():
    """Rows from exactly the start and to exactly the end are within, rounding included."""
    ends_s = np.array([1.0 - 5e-7, 2.0 + 5e-7])
    assert (
        measure("cpu", ends_s, np.array([1.0, 1.0]), np.full(2, 5.0), np.full(2, 5.0), 2.0).rows
        == 2
    )


def test_rows_without_a_value_are_left_out():
    """An empty cell on either side drops its row alone."""
    found = series([50, np.nan, 50, 50], [50, 50, np.nan, 54])
    assert (found.rows, found.bias) == (2, 2.0)


@pytest.mark.parametrize("delivered", [[], [np.nan] * 3])
def test_without_rows_there_is_no_figure(delivered):
    """An event that no row lies in gives None."""
    assert series([50] * len(delivered), delivered) is None


def test_an_event_between_two_rows_gives_none():
    """An event shorter than a row holds no whole row."""
    assert (
        measure("cpu", np.array([0.5, 1.5]), np.ones(2), np.full(2, 5.0), np.full(2, 5.0), 0.3)
        is None
    )


def test_a_row_of_no_length_is_no_row():
    """The first row of a dataset stands for no time: alone it gives None, and else nothing."""
    assert (
        measure("cpu", np.array([0.5]), np.array([0.0]), np.array([50.0]), np.array([50.0]), 1.0)
        is None
    )
    with_first = measure(
        "cpu",
        np.array([0.0, 1.0]),
        np.array([0.0, 1.0]),
        np.full(2, 50.0),
        np.array([9.0, 50.0]),
        1.0,
    )
    assert (with_first.rows, with_first.bias) == (1, 0.0)


def test_memory_is_the_mean_of_both_ends_of_a_row():
    """Resident bytes are read at a row's end, and compared with the mean over the row."""
    filled = np.arange(0, 11) * 100.0 * MIB
    found = measure(
        "memory",
        np.arange(0, 11) * 1.0,
        np.full(11, 1.0),
        np.concatenate([[0.0], (filled[1:] + filled[:-1]) / 2]),
        filled,
        10.0,
    )
    assert (found.rows, found.bias, found.rmse) == (10, 0.0, 0.0)


@given(
    st.lists(
        st.tuples(st.integers(1, 10), st.integers(0, 100), st.integers(0, 100)),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from(["cpu", "disk"]),
)
def test_the_figures_agree_with_each_other(drawn, resource):
    """For any rows: rmse is at least the bias, and delivered is requested plus bias.

    Settled lies within the event.
    """
    lengths_s, requested, delivered = (
        np.array(column, dtype=float) for column in zip(*drawn, strict=True)
    )
    lengths_s /= 10
    ends_s = np.cumsum(lengths_s)
    found = measure(resource, ends_s, lengths_s, requested, delivered, float(ends_s[-1]))
    assert found.rows == len(drawn)
    assert found.requested_mean == pytest.approx(
        float((requested * lengths_s).sum() / lengths_s.sum())
    )
    assert found.delivered_mean == pytest.approx(
        float((delivered * lengths_s).sum() / lengths_s.sum())
    )
    assert found.rmse >= abs(found.bias) - 1e-9
    assert found.overshoot >= 0
    assert found.settled_s is None or 0 <= found.settled_s <= ends_s[-1]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=5, max_size=40))
def test_from_settled_on_every_window_is_within(drawn):
    """Settling is what the format says.

    The earliest window start from which all windows are within the tolerance.
    """
    requested, delivered = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    found = series(requested, delivered)
    errors = [abs(np.mean((delivered - requested)[k : k + 5])) for k in range(len(requested) - 4)]
    expected = next(
        (k for k in range(len(errors)) if all(error <= 1.0 + 1e-9 for error in errors[k:])), None
    )
    near_the_edge = any(abs(error - 1.0) < 1e-9 for error in errors)
    assert near_the_edge or (found.settled_s is None) == (expected is None)
    assert near_the_edge or expected is None or found.settled_s == pytest.approx(expected / 10)


def test_memory_of_an_event_that_begins_within_a_row_is_counted_from_what_was_held():
    """The row that straddles the start gives the level before the first whole row.

    Not that level and a share of the plan.
    """
    event = memory(1000, duration_s=2.0, unit="bytes", id="m")
    ends_s = np.arange(0.01, 2.1, 0.1)  # the first row began nine tenths before the event
    held = np.minimum(1000.0, 1000.0 * ends_s)
    requested = np.where(ends_s < 0.1, 100.0, 1000.0)
    frame = pd.DataFrame(
        {"dt_s": 0.1, "memory_requested_bytes": requested, "memory_delivered_bytes": held},
        index=ends_s,
    )
    row = AnnotationRow(
        "r", "x", "m", "memory", "constant", "bytes", 0.0, 2.0, actual_start_s=0.0, actual_end_s=2.0
    )
    found = compare(event, 1.0, frame, row)
    whole = ends_s[1:][ends_s[1:] <= 2.0]
    true = np.mean(
        [np.minimum(1000.0, 1000.0 * np.linspace(end_s - 0.1, end_s, 50)).mean() for end_s in whole]
    )
    assert found.delivered_mean == pytest.approx(true, abs=2.0)


def test_nothing_delivered_is_told_as_nothing():
    """No rounding of terms that cancel is left as a figure, alone or beside another load."""
    event = disk(4e6, duration_s=3)
    for requested in (4e6, 4e6 + 1 / 3, 13e6):
        times = np.arange(1, 31) / 10
        frame = pd.DataFrame(
            {
                "dt_s": 0.1,
                "disk_requested_bytes_per_s": requested,
                "disk_delivered_bytes_per_s": 0.0,
            },
            index=times,
        )
        row = AnnotationRow("t", "e", "disk-0", "disk", actual_start_s=0.0, actual_end_s=3.0)
        assert compare(event, 1.0, frame, row).delivered_mean == 0.0

"""Overload conditions: a small grammar, parsed and never evaluated."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_harness.errors import InvalidInput, Undecided
from twin_harness.predict.overload import Overload


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("memory_percent > 80", "memory_percent > 80 for 1 s"),
        ("memory_percent>80 for 5 s", "memory_percent > 80 for 5 s"),
        ("pressure_cpu_percent > 20 for 5 s", "pressure_cpu_percent > 20 for 5 s"),
        ("probe_wakeup_ms p95 > 20", "probe_wakeup_ms p95 > 20 for 5 s"),
        ("memory_available_bytes < 1e9 for 2.5 s", "memory_available_bytes < 1e+09 for 3 s"),
        ("  cpu_percent mean > 90.5 for 10s ", "cpu_percent mean > 90.5 for 10 s"),
    ],
)
def test_a_condition_is_read(text, told):
    """Statistic and time have defaults: each second alone, a statistic over five seconds."""
    assert str(Overload.parse(text)) == told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "memory_percent",
        "memory_percent > ",
        "> 80",
        "memory_percent = 80",
        "memory_percent > 80 or cpu_percent > 90",
        "__import__('os')",
        "a" * 300,
    ],
)
def test_what_is_none_is_refused_with_an_example(text):
    """The sentence names what was given and shows how it goes."""
    with pytest.raises(InvalidInput, match="overload: expected <column>"):
        Overload.parse(text)


def test_a_column_that_does_not_exist_is_refused():
    """The columns that the twin predicts stand in the sentence."""
    with pytest.raises(
        InvalidInput,
        match="'memory_percnt' is not a column of the dataset; the twin predicts cpu_percent",
    ):
        Overload.parse("memory_percnt > 80")


def test_a_column_that_is_not_predicted_is_undecided():
    """A column of the dataset that no model is for can be asked about, and the answer is.

    Can't tell.
    """
    with pytest.raises(Undecided, match="does not predict swap_percent"):
        Overload.parse("swap_percent > 1").index()


@pytest.mark.parametrize("seconds", ["0.5", "0", "100000"])
def test_times_beyond_reason_are_refused(seconds):
    """A second is the step of the model, a day is long enough."""
    with pytest.raises(InvalidInput, match="expected from 1 to 86400 s"):
        Overload.parse(f"cpu_percent > 1 for {seconds} s")


def test_the_time_is_the_end_of_the_first_window_that_holds():
    """Two seconds above on end, at 4 and 5: the time is the end of the second one."""
    values = np.array([[0, 9, 0, 0, 9, 9, 9.0], [0, 0, 0, 0, 0, 0, 9.0]])
    found = Overload.parse("cpu_percent > 5 for 2 s").first(values)
    assert found[0] == 6
    assert np.isnan(found[1])


def test_a_statistic_is_over_a_sliding_window():
    """The mean of three seconds first exceeds 4 when the window ends at the fourth."""
    assert Overload.parse("cpu_percent mean > 4 for 3 s").first(np.array([0, 0, 6, 9.0]))[()] == 4
    assert Overload.parse("cpu_percent p95 < 1 for 3 s").first(np.array([9, 0, 0, 0.0]))[()] == 4


def test_a_run_that_is_too_short_meets_no_condition():
    """Three seconds cannot hold something for five."""
    assert np.isnan(Overload.parse("cpu_percent > 0 for 5 s").first(np.ones(3)))


@given(
    values=st.lists(st.floats(0, 100), min_size=1, max_size=30),
    limit=st.integers(0, 100),
    seconds=st.integers(1, 8),
)
def test_the_first_window_is_found_as_by_looking_at_each(values, limit, seconds):
    """What arrays give is what a loop over the seconds gives."""
    found = Overload.parse(f"cpu_percent > {limit} for {seconds} s").first(np.array(values))
    expected = next(
        (
            end
            for end in range(seconds, len(values) + 1)
            if all(value > limit for value in values[end - seconds : end])
        ),
        None,
    )
    assert np.isnan(found) if expected is None else found == expected


@given(st.text(max_size=250))
def test_any_text_is_read_or_refused(text):
    """Nothing that is typed ends in anything but a condition or one sentence."""
    with contextlib.suppress(InvalidInput):
        assert Overload.parse(text).seconds >= 1

"""Numbers with their unit, for people: one spelling everywhere."""

import pytest

from twin_harness.quantity import count, duration, event_quantity, quantity


@pytest.mark.parametrize(
    ("seconds_s", "text"),
    [
        (0.0, "0.0 s"),
        (9.46, "9.5 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min 0 s"),
        (183.0, "3 min 3 s"),
        (3_599.6, "1 h 0 min"),
        (7_500.0, "2 h 5 min"),
    ],
)
def test_a_duration(seconds_s, text):
    """Tenths of a second below a minute, never 60 s, minutes in full below an hour."""
    assert duration(seconds_s) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (40.0, "percent", "40.0 %"),
        (20e6, "bytes_per_s", "19.1 MiB/s"),
        (8 * 2.0**30, "bytes", "8.00 GiB"),
        (120.0, "operations_per_s", "120 /s"),
        (3.0, "orders", "3.00 orders"),
        (None, "percent", "–"),
    ],
)
def test_a_level_of_an_event(value, unit, text):
    """In the units of events, those of a project's own stressor as they are."""
    assert event_quantity(value, unit) == text


def test_labels_and_plain_numbers_have_no_unit():
    """The registry's ``1``, ``UTC`` and empty unit add nothing."""
    assert [quantity(2.0, unit) for unit in ("1", "", "UTC")] == ["2.00"] * 3


def test_counts_agree_with_their_noun():
    """One run, two runs."""
    assert [count(number, "run") for number in (0, 1, 2_000)] == ["0 runs", "1 run", "2,000 runs"]

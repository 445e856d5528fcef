"""Verdicts: what is said of numbers, and what is never said."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_harness.errors import InvalidInput, Undecided
from twin_harness.gate.declaration import declare
from twin_harness.gate.judging import Evidence, judge_pairs, may_stop
from twin_harness.gate.verdict import PASSED, REGRESSED, UNDECIDED

LATENCY = declare("t", "latency_ms", better="lower")
RATE = declare("t", "requests_per_s", better="higher")
ERRORS = declare("t", "errors", better="lower", floor=2)
N = 12


def pairs(measure, change, spread=0.01, count=N, seed=1, base=100.0):
    """Evidence of a figure that changes by a factor (1.1 is + 10 %)."""
    rng = np.random.default_rng(seed)
    before = base * np.exp(rng.normal(0, spread / 2**0.5, count))
    return Evidence(
        measure, tuple(before), tuple(change * base * np.exp(rng.normal(0, spread / 2**0.5, count)))
    )


@pytest.mark.parametrize(
    ("measure", "change", "word"),
    [
        (LATENCY, 1.10, REGRESSED),
        (LATENCY, 1.00, PASSED),
        (LATENCY, 0.90, "IMPROVED"),
        (RATE, 0.90, REGRESSED),
        (RATE, 1.00, PASSED),
        (RATE, 1.10, "IMPROVED"),
    ],
)
def test_direction_belongs_to_the_measure(measure, change, word):
    """Worse is up for what should be low and down for what should be high.

    Better is told, and gates nothing.
    """
    (verdict,) = judge_pairs([pairs(measure, change)])
    assert verdict.word == word
    assert verdict.measure.shown(verdict.effect) == pytest.approx(100 * (change - 1), abs=1.5)


def test_surely_worse_by_less_than_the_threshold_is_no_regression():
    """One percent for sure is PASSED: its bound lies below three."""
    (verdict,) = judge_pairs([pairs(LATENCY, 1.01, 0.002)])
    assert verdict.status == PASSED
    assert verdict.p < 0.01


def test_noise_is_undecided_and_says_what_it_could_have_seen():
    """Pairs that scatter by 20 % decide nothing, and the sentence says which change they would."""
    (verdict,) = judge_pairs([pairs(LATENCY, 1.0, 0.2)])
    assert verdict.status == UNDECIDED
    assert verdict.visible > 0.1
    assert "scatters too much" in verdict.sentence
    assert "visible from +" in verdict.sentence


def test_the_family_is_what_was_declared():
    """A measure without any value counts in the correction: the others need more evidence."""
    alone = judge_pairs([pairs(LATENCY, 1.1)])[0].p
    beside = judge_pairs([pairs(LATENCY, 1.1), Evidence(RATE, fault="its service did not start")])
    assert beside[0].p == pytest.approx(2 * alone)
    assert beside[1].status == UNDECIDED
    assert "did not start" in beside[1].sentence


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -1.0])
def test_a_value_that_is_none_is_never_passed(value):
    """NaN, infinity, zero and less on a ratio scale are UNDECIDED, with the value named."""
    good = pairs(LATENCY, 1.0)
    (verdict,) = judge_pairs([Evidence(LATENCY, good.base, (*good.candidate[:-1], value))])
    assert verdict.status == UNDECIDED
    assert repr(value) in verdict.sentence


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_constant_is_never_passed(value):
    """A figure that is the same in every pair measures nothing."""
    (verdict,) = judge_pairs([Evidence(ERRORS, (value,) * N, (value,) * N)])
    assert verdict.status == UNDECIDED
    assert "same in every pair" in verdict.reason


def test_differences_are_judged_in_their_unit():
    """On a difference scale zeros are fine, and the threshold is an amount."""
    rng = np.random.default_rng(1)
    base = rng.integers(0, 2, N).astype(float)
    (worse,) = judge_pairs([Evidence(ERRORS, tuple(base), tuple(base + 5 + rng.normal(0, 0.1, N)))])
    (same,) = judge_pairs([Evidence(ERRORS, tuple(base), tuple(base + rng.normal(0, 0.1, N)))])
    assert (worse.status, same.status) == (REGRESSED, PASSED)


def test_too_few_fit_pairs_are_undecided():
    """What lacks pairs of the same environment is UNDECIDED, whatever the numbers say."""
    good = pairs(LATENCY, 1.5)
    (verdict,) = judge_pairs(
        [
            Evidence(
                LATENCY, good.base, good.candidate, lack="environment: only 5 pairs could be used"
            )
        ]
    )
    assert verdict.status == UNDECIDED
    assert "environment" in verdict.sentence


def test_stopping_early_takes_all_measures_to_pass_and_never_says_regressed():
    """Futility: every bound below threshold stops; one that is open, worse or missing does not."""
    assert may_stop([pairs(LATENCY, 1.0, 0.005, 6), pairs(RATE, 1.0, 0.005, 6)])
    assert not may_stop([pairs(LATENCY, 1.0, 0.005, 6), pairs(RATE, 0.5, 0.005, 6)])
    assert not may_stop([pairs(LATENCY, 1.0, 0.005, 6), Evidence(RATE, fault="none")])
    assert not may_stop([])


@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=True, allow_infinity=True),
            st.floats(allow_nan=True, allow_infinity=True),
        ),
        max_size=10,
    )
)
def test_anything_has_a_verdict_and_a_sentence(numbers):
    """Whatever is measured, there is a verdict that phrases itself, and plain data of it."""
    for measure in (LATENCY, ERRORS):
        (verdict,) = judge_pairs(
            [
                Evidence(
                    measure,
                    tuple(base for base, _ in numbers),
                    tuple(candidate for _, candidate in numbers),
                )
            ]
        )
        assert verdict.status in verdict.sentence or verdict.word in verdict.sentence
        assert "nan" not in str(verdict.to_json()["effect"])
        if len(numbers) < 5:  # 2^−4 is above 5 %
            assert verdict.status != PASSED


WRONG = [
    (
        {"metric": "cpu_percnt", "statistic": "p95"},
        "'cpu_percnt' is no column of the dataset (expected e.g. cpu_percent",
    ),
    (
        {"metric": "cpu_percent", "statistic": "mean"},
        (
            "expected statistic of median, p95, max, recovery_s, integral, time_to_threshold_s but"
            " got 'mean'"
        ),
    ),
    ({"metric": "rps"}, "expected better='lower' or better='higher' but got better=None"),
    ({"metric": "memory_cached_bytes"}, "expected better='lower' or better='higher'"),
    (
        {"metric": "cpu_steal_percent"},
        "expected floor=, the least change that matters, in points, but got floor=None",
    ),
    (
        {"metric": "cpu_percent", "floor": 2},
        "it is judged by ratios; expected threshold='3%' and no floor, but got floor=2",
    ),
    (
        {"metric": "cpu_percent", "threshold": 3},
        "expected threshold as a percent between 0 and 100 such as '3%' but got threshold=3",
    ),
    ({"metric": "cpu_percent", "threshold": "0%"}, "expected threshold as a percent"),
    ({"metric": "experiment"}, "is a label or a clock"),
    (
        {
            "metric": "memory_percent",
            "statistic": "time_to_threshold_s",
            "better": "higher",
            "floor": 1,
        },
        "needs trips=",
    ),
    (
        {"metric": "a\nb", "better": "lower"},
        "expected the name of a column or of a recorded value but got metric='a\\nb'",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "sentence"), WRONG, ids=[sentence[:40] for _, sentence in WRONG]
)
def test_a_wrong_declaration_is_one_sentence(arguments, sentence):
    """An impossible measure is refused with the argument's name, its value and the expected one."""
    with pytest.raises(InvalidInput) as caught:
        declare("t", **arguments)
    assert sentence in str(caught.value)


def test_effects_of_ratios_ask_for_numbers_above_zero():
    """The fault names which figure it was."""
    with pytest.raises(
        Undecided, match=r"latency_ms of candidate is 0\.0; expected a number above 0"
    ):
        LATENCY.effect(1.0, 0.0)

"""The gate's statistics.

Exact where they say so, and equal to a reference or to simulation elsewhere.
"""

import itertools
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_harness.gate import statistics

EFFECTS = st.lists(st.floats(-1, 1).map(lambda value: round(value, 3)), min_size=1, max_size=8)


def brute_p(effects):
    """The share of all ways to flip signs whose sum is at least the observed one."""
    sums = [
        sum(sign * value for sign, value in zip(signs, effects, strict=True))
        for signs in itertools.product((1, -1), repeat=len(effects))
    ]
    return sum(total >= sum(effects) - 1e-12 for total in sums) / len(sums)


@given(EFFECTS)
def test_sign_flip_is_exact(effects):
    """The p-value is the share of sign flips at least as large, ties and zeros included."""
    assert statistics.sign_flip_p(effects) == pytest.approx(brute_p(effects))


@given(EFFECTS, st.sampled_from([0.5, 0.75, 0.9]))
def test_bound_is_where_the_test_turns(effects, confidence):
    """The test refuses a shift beyond its upper bound at that confidence, and none before it."""
    bound = statistics.upper_bound(effects, confidence)
    if bound == inf:
        assert 2 ** -len(effects) > 1 - confidence - 1e-12
        return
    for shift, is_refused in ((bound + 0.01, True), (bound - 0.01, False)):
        p = statistics.sign_flip_p([shift - value for value in effects])
        assert (p <= 1 - confidence + 1e-12) == is_refused


@given(EFFECTS)
def test_lower_bound_mirrors_the_upper_one(effects):
    """Bounds change places and signs with the effects."""
    assert statistics.lower_bound(effects, 0.75) == -statistics.upper_bound(
        [-value for value in effects], 0.75
    )


def test_false_alarms_are_as_rare_as_promised():
    """Of 2,000 experiments without effect no more than the level are called.

    At any level that n pairs can have.
    """
    noise = np.random.default_rng(1).standard_t(3, (2000, 8))
    p = np.array([statistics.sign_flip_p(row) for row in noise])
    for level in (1 / 256, 0.01, 0.05, 0.25):
        assert (p <= level).mean() <= level + 3 * (level / len(p)) ** 0.5


def test_many_pairs_are_drawn_and_still_valid():
    """Beyond 16 pairs ways are drawn by a fixed seed.

    The p-value is the same each time and near the normal one.
    """
    effects = np.random.default_rng(2).normal(0.1, 1.0, 30)
    z = effects.sum() / np.sqrt((effects**2).sum())
    assert statistics.sign_flip_p(effects) == statistics.sign_flip_p(effects)
    from scipy.stats import norm

    assert statistics.sign_flip_p(effects) == pytest.approx(norm.sf(z), abs=0.02)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_values_keep_their_order(p_values):
    """Adjusting never makes a p-value smaller, never turns two around, and is never above 1."""
    for adjust in (statistics.holm, statistics.benjamini_hochberg):
        adjusted = adjust(p_values)
        assert all(
            raw <= value + 1e-15 and value <= 1
            for raw, value in zip(p_values, adjusted, strict=True)
        )
        assert [value for _, value in sorted(zip(p_values, adjusted, strict=True))] == sorted(
            adjusted
        )


def test_adjusted_p_values_are_those_of_the_references():
    """Holm's own example by hand, Benjamini and Hochberg's by scipy."""
    from scipy.stats import false_discovery_control

    p_values = [0.01, 0.04, 0.03, 0.005]
    assert statistics.holm(p_values) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.benjamini_hochberg(p_values) == pytest.approx(
        list(false_discovery_control(p_values))
    )


@pytest.mark.parametrize(("family", "pairs"), [(1, 7), (2, 8), (20, 11), (40, 12), (41, 13)])
def test_pairs_needed(family, pairs):
    """2^−pairs is at most 0.01 over the family, and one pair fewer would be too many."""
    assert statistics.pairs_needed(family, 0.01) == pairs


@pytest.mark.parametrize(
    ("spread", "pairs", "family"), [(0.02, 12, 20), (0.03, 12, 4), (0.01, 9, 1)]
)
def test_smallest_visible_effect_is_the_empirical_one(spread, pairs, family):
    """An effect of the size that is printed is called in about 80 % of simulated experiments."""
    threshold, alpha = 0.03, 0.01 / family
    visible = statistics.smallest_visible(spread, pairs, alpha, threshold)
    noise = np.random.default_rng(5).normal(visible, spread, (400, pairs))
    called = [statistics.sign_flip_p(row) <= alpha and row.mean() >= threshold for row in noise]
    assert np.mean(called) == pytest.approx(0.8, abs=0.07)


def test_too_few_pairs_see_nothing():
    """Where no p-value could be small enough, no effect is visible."""
    assert statistics.smallest_visible(0.01, 5, 0.01 / 20, 0.03) == inf


@pytest.mark.parametrize(("sessions", "spreads"), [(5, 9.4), (10, 5.0), (20, 4.0)])
def test_one_new_session_sees_from(sessions, spreads):
    """The effect that is called over a family of 20 is the design note's.

    In spreads between sessions.
    """
    predicted = statistics.Predicted(0.0, 1.0, sessions, sessions - 1)
    assert predicted.p_value(spreads + 0.06) < 0.01 / 20 < predicted.p_value(spreads - 0.06)


def test_spread_is_pooled_within_levels():
    """A level that was accepted is no spread.

    It is taken within levels, the centre is that of the last one.
    """
    rng = np.random.default_rng(3)
    before, after = rng.normal(0, 0.01, 10), rng.normal(0.5, 0.01, 3)
    predicted = statistics.predict_session([before, after])
    assert predicted.centre == pytest.approx(after.mean())
    assert predicted.spread < 0.02
    assert (predicted.sessions, predicted.degrees) == (3, 11)
    assert statistics.predict_session([[1.0]]) is None


def test_new_sessions_are_called_as_rarely_as_promised():
    """A session without effect is called at the test's level, whatever their number."""
    rng = np.random.default_rng(4)
    called = 0
    for _ in range(2000):
        *sessions, new = rng.normal(0, 1, 9)
        predicted = statistics.predict_session([sessions])
        called += predicted.p_value(new - predicted.centre) <= 0.05
    assert called / 2000 == pytest.approx(0.05, abs=0.015)

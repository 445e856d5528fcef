"""Percentiles with intervals that assume no distribution."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from twin_harness.errors import InvalidInput
from twin_harness.gate.percentiles import figures_needed, percentile


@pytest.mark.parametrize("percent", [1, 50, 95, 99])
@pytest.mark.parametrize("count", [10, 100, 368, 5000, 100_000])
def test_the_interval_is_that_of_the_binomial_distribution(percent, count):
    """The ranks are the smallest that hold 95 %, by scipy's distribution; an open end is open."""
    found = percentile(range(1, count + 1), percent)
    low, high = binom.ppf([0.025, 0.975], count, percent / 100)
    assert found.low == pytest.approx(low if low > 0 else -inf, abs=1)
    assert found.high == pytest.approx(high + 1 if high < count else inf, abs=1)
    assert found.value == max(1, np.ceil(percent / 100 * count))


@given(st.floats(0.5, 99.5))
def test_so_many_figures_close_the_interval(percent):
    """With one fewer it is open on the side that is short of them."""
    needed = figures_needed(percent)
    enough, fewer = percentile(range(needed), percent), percentile(range(needed - 1), percent)
    assert np.isfinite([enough.low, enough.high]).all()
    assert not np.isfinite([fewer.low, fewer.high]).all()


def test_it_covers_as_often_as_it_says():
    """Of 400 samples of a skewed distribution the interval of p90 misses few."""
    rng = np.random.default_rng(4)
    truth = -np.log(0.1)
    found = [percentile(rng.exponential(1.0, 200), 90) for _ in range(400)]
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.93


@pytest.mark.parametrize(("figures", "percent"), [([], 50), ([1.0], 0), ([1.0], 100)])
def test_what_has_no_percentile(figures, percent):
    """One sentence."""
    with pytest.raises(InvalidInput, match=r"^percentile"):
        percentile(figures, percent)

"""Spikes: their number is exact, and their moments are the same on every machine."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawn import spike_trains
from twin_harness.shapes.spikes import Spikes

draw = sys.modules[Spikes.__module__].draw


@given(spike_trains(), st.integers(1, 20))
def test_the_number_of_spikes_is_exact(shape, cells):
    """Any whole number of cells holds exactly that many spikes, whatever the seed."""
    duration_s = cells * shape.cell_s
    assert shape.area(duration_s, duration_s) == pytest.approx(
        shape.base * duration_s + shape.height * shape.width_s * cells, rel=1e-9
    )


def test_a_seed_makes_the_same_spikes_on_every_machine():
    """The moments come from seed and index alone, by SplitMix64: these figures hold for ever."""
    edges_s = Spikes(0, 50, 1, 10, 7).discontinuities(18)
    assert edges_s == pytest.approx(
        (
            2.400747725553,
            3.400747725553,
            8.51574722000722,
            9.51574722000722,
            15.957058352677373,
            16.95705835267737,
        )
    )
    assert edges_s == Spikes(10, 20, 1, 10, 7).discontinuities(18)
    assert edges_s != Spikes(0, 50, 1, 10, 8).discontinuities(18)


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6))
def test_a_draw_is_a_fraction(seed, index):
    """A draw lies in [0, 1) for every seed that a schedule admits."""
    assert 0.0 <= draw(seed, index) < 1.0


def test_draws_are_spread():
    """Ten thousand draws of neighbouring indices and seeds fill ten equal bins evenly."""
    for draws in ([draw(3, k) for k in range(10_000)], [draw(k, 3) for k in range(10_000)]):
        counts, _ = np.histogram(draws, 10, (0, 1))
        assert counts.min() > 850
        assert counts.max() < 1150

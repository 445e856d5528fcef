"""The error scale and derivatives on the fitting scale."""

import numpy as np
import pytest

from twin_harness.predict.jacobian import jacobian
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import HIGH, NAMES, START, to_fit_scale
from twin_harness.predict.scale import LOG_COLUMNS, in_units, on_error_scale


def test_values_on_the_error_scale_come_back_in_units():
    """Latencies by way of their logarithm, everything else as it is."""
    columns = {name: np.full((1, 2, 3), 7.0) for name in COLUMNS}
    scaled = on_error_scale(columns)
    assert scaled.shape == (1, 2, len(COLUMNS), 3)
    assert scaled[0, 0, COLUMNS.index(LOG_COLUMNS[0]), 0] == pytest.approx(np.log(7.0))
    assert in_units(scaled) == pytest.approx(7.0)


def test_units_are_physical_whatever_the_band_says():
    """Percentages lie within 0 and 100, rates above 0, latencies are finite."""
    high, low = (in_units(np.full((len(COLUMNS), 1), value)) for value in (1e6, -1e6))
    assert high[COLUMNS.index("cpu_percent"), 0] == 100.0
    assert high[COLUMNS.index("load1"), 0] == 1e6
    assert np.isfinite(high).all()
    assert (low >= 0.0).all()


def test_what_is_unknown_stays_unknown():
    """A band that was not calibrated is NaN in every unit."""
    assert np.isnan(in_units(np.full((len(COLUMNS), 2), np.nan))).all()


def test_derivatives_are_by_parameters_on_the_fitting_scale():
    """A parameter that is fitted by its logarithm has its value as its derivative."""
    slopes = jacobian(lambda sets: sets, to_fit_scale(START))
    index, other = NAMES.index("fill_fresh"), NAMES.index("background_cpu")
    assert slopes.shape == (len(NAMES), len(NAMES))
    assert slopes[index, index] == pytest.approx(START[index], rel=5e-3)
    assert slopes[other, other] == pytest.approx(1.0)
    assert slopes[index, other] == 0.0


def test_derivatives_at_the_upper_bound_look_inward():
    """No step leaves the bounds, and none is 0."""
    slopes = jacobian(lambda sets: sets, to_fit_scale(HIGH))
    assert (np.diagonal(slopes) > 0).all()

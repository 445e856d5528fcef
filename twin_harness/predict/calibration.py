"""Bands that hold what they promise: calibrated on runs that the fit has not seen.

Conformal and by run, the exchangeable unit, on errors as shares of the band's two sides (as
conformalised quantile regression does, Romano et al., 2019): pointwise by conformal risk control
(Angelopoulos et al., 2022, the share of seconds outside of a run as risk), simultaneously by the
split-conformal quantile of each run's worst second (Vovk et al., 2005).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

COVERAGE = 0.9
_OUTSIDE = 0.1  # 1 − COVERAGE, which floating point makes 0.09999999999999998
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Calibration:
    """Multipliers of the spread's reach, from runs that the fit has not seen.

    Attributes:
        pointwise: (columns,) of the band that holds 90 percent of all seconds; NaN where there were
            too few runs.
        simultaneous: (columns,) of the band that holds all seconds of 90 percent of runs.
        runs: how many there were.
    """

    pointwise: np.ndarray
    simultaneous: np.ndarray
    runs: int


def uncalibrated(columns: int) -> Calibration:
    """Return the calibration of a model without calibration runs: no band is known."""
    unknown = np.full(columns, np.nan)
    return Calibration(unknown, unknown, 0)


def ratios_of(measured: np.ndarray, centre: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Return residuals as shares of the band's reach on that side.

    Args:
        measured: (…, seconds), NaN where nothing was measured, which stays NaN.
        centre: (…, seconds) what was predicted.
        reach: (2, …, seconds) as ``Spread.reach`` returns it.
    """
    residuals = measured - centre
    ratios: np.ndarray = np.where(residuals < 0, -residuals / reach[0], residuals / reach[1])
    return ratios


def calibrate(ratios: np.ndarray) -> Calibration:
    """Return multipliers from the ``ratios_of`` runs kept apart, (runs, columns, seconds)."""
    runs = len(ratios)
    return Calibration(
        np.array([_pointwise(ratios[:, index]) for index in range(ratios.shape[1])]),
        np.array([_simultaneous(ratios[:, index]) for index in range(ratios.shape[1])]),
        runs,
    )


def _pointwise(ratios: np.ndarray) -> float:
    """Return the least multiplier that leaves at most 10 percent of seconds outside.

    The mean over runs, with one more run that is all outside.
    """
    known = [np.sort(run[~np.isnan(run)]) for run in ratios]
    known = [run for run in known if len(run)]
    if (len(known) + 1) * _OUTSIDE < 1.0 - _ROUNDING:
        return float("nan")
    candidates = np.unique(np.concatenate(known))
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        outside = sum(
            1.0 - np.searchsorted(run, candidates[middle], side="right") / len(run) for run in known
        )
        if outside + 1.0 <= _OUTSIDE * (len(known) + 1) + _ROUNDING:
            high = middle
        else:
            low = middle + 1
    return max(float(candidates[low]), _ROUNDING)


def _simultaneous(ratios: np.ndarray) -> float:
    worst = np.array([np.nanmax(run) for run in ratios if not np.isnan(run).all()])
    rank = int(np.ceil((len(worst) + 1) * COVERAGE - _ROUNDING))
    if 0 < rank <= len(worst):
        return max(float(np.sort(worst)[rank - 1]), _ROUNDING)
    return float("nan")

"""Whether peaks are foretold: what the runs that were kept apart say of each column's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.observation import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

FORETOLD_FROM = 0.25  # of the variance of peaks between runs
_PEAK, _LEAST = 0.95, 1e-12


def peaks_of(values: np.ndarray) -> np.ndarray:
    """Return the 95th percentile of the seconds of each column, (…, columns); NaN of none."""
    known = ~np.isnan(values).all(axis=-1)
    peaks = np.full(values.shape[:-1], np.nan)
    peaks[known] = np.nanquantile(values[known], _PEAK, axis=-1)
    return peaks


def unforetold(measured: Sequence[np.ndarray], members: Sequence[np.ndarray]) -> tuple[str, ...]:
    """Return the columns of whose peaks the trajectories explain less than a quarter.

    Of the variance of runs' 95th percentiles, against the mean of the other runs.

    Args:
        measured: of each run (columns, seconds) on the error scale, NaN where nothing was measured.
        members: of each run its trajectories, (members, columns, seconds), on the error scale.
    """
    peaks = np.stack([peaks_of(run) for run in measured])
    ours = np.stack([np.median(peaks_of(run), axis=0) for run in members])
    names = []
    for index, name in enumerate(COLUMNS):
        known = ~np.isnan(peaks[:, index]) & ~np.isnan(ours[:, index])
        count = int(known.sum())
        if count < 2:
            continue
        own = peaks[known, index]
        alone = own.var() * (count / (count - 1.0)) ** 2  # each run by the mean of the others
        error = float(((own - ours[known, index]) ** 2).mean())
        if error > (1.0 - FORETOLD_FROM) * alone + _LEAST:
            names.append(name)
    return tuple(names)

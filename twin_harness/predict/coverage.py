"""Coverage of the bands and sharpness of the ensemble over runs that the model has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.predict.calibration import ratios_of
from twin_harness.predict.observation import COLUMNS, padded
from twin_harness.predict.scale import in_units, to_error_scale
from twin_harness.predict.scores import replicate_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.fitted_model import FittedModel
    from twin_harness.predict.free_run import FreeRun
    from twin_harness.predict.observation import Observation

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Coverage:
    """How often a band held; each run weighs the same.

    Attributes:
        column: which.
        pointwise: share of seconds inside; NaN without a calibrated band.
        simultaneous: share of runs that lie inside as a whole; NaN without a calibrated band.
        low: lower end of the interval (95 %) of the simultaneous share, exact binomial.
        high: its upper end.
        width: mean of the pointwise band in the column's unit.
        replicate_width: what a perfect model's would be, from replicates.
        crps: mean continuous ranked probability score in the column's unit; of latencies of their
            logarithm.
        runs: how many.
    """

    column: str
    pointwise: float
    simultaneous: float
    low: float
    high: float
    width: float
    replicate_width: float
    crps: float
    runs: int

    @property
    def width_ratio(self) -> float:
        """The band's width over that of replicates; NaN where either is unknown."""
        if not self.replicate_width > 0.0:
            return float("nan")
        return self.width / self.replicate_width

    def to_json(self) -> dict[str, Any]:
        """Return plain data; what is not known is null."""
        data: dict[str, Any] = dict(vars(self))
        for key, value in data.items():
            if isinstance(value, float) and np.isnan(value):
                data[key] = None
        return data


def coverage_of(
    model: FittedModel,
    test: Sequence[Observation],
    free: FreeRun,
    members: Sequence[np.ndarray],
    floors_from: Sequence[Observation] = (),
) -> list[Coverage]:
    """Return the coverage of each column that was measured.

    Args:
        model: the fitted model.
        test: runs that it has not seen.
        free: their free runs.
        members: of each run its simulated trajectories, (members, columns, seconds), in units.
        floors_from: runs whose replicates give ``replicate_width``; the test's own unless given.
    """
    measured = padded(test)
    point, joint = model.bands(free, [observation.demand for observation in test])
    widths = in_units(free.centre + point[1]) - in_units(free.centre - point[0])
    # Replicates of a plan are not independent runs.
    plans = len({observation.plan for observation in test})
    scored = []
    for index, column in enumerate(COLUMNS):
        truth = to_error_scale(column, measured[:, index])
        known = ~np.isnan(truth)
        if not known.any():
            continue
        seconds, runs = (
            ratios_of(truth, free.centre[:, index], band[:, :, index]) for band in (point, joint)
        )
        share = _pointwise_share(seconds)
        whole, low, high = _simultaneous_share(runs, plans)
        crps = [
            _crps(to_error_scale(column, run[:, index]), row[: run.shape[2]])
            for run, row in zip(members, truth, strict=True)
        ]
        scored.append(
            Coverage(
                column=column,
                pointwise=share,
                simultaneous=whole,
                low=low,
                high=high,
                width=_mean_of_runs(np.where(known, widths[:, index], np.nan)),
                replicate_width=replicate_width(floors_from or test, column),
                crps=float(np.nanmean(crps)),
                runs=int(known.any(axis=1).sum()),
            )
        )
    return scored


def _pointwise_share(ratios: np.ndarray) -> float:
    """Return the mean over runs of the share of seconds inside the band; NaN without one."""
    counts = (~np.isnan(ratios)).sum(axis=1)
    if not counts.any():
        return float("nan")
    inside = (ratios <= 1.0).sum(axis=1)
    return float(np.mean(inside[counts > 0] / counts[counts > 0]))


def _simultaneous_share(ratios: np.ndarray, plans: int) -> tuple[float, float, float]:
    """Return the share of runs that lie inside as a whole, with its interval; NaN if unknown.

    The interval counts as many independent runs as there are plans.
    """
    from scipy.stats import binomtest

    known = ratios[~np.isnan(ratios).all(axis=1)]
    if not len(known):
        return float("nan"), float("nan"), float("nan")
    share = float(np.mean(np.nanmax(known, axis=1) <= 1.0))
    count = min(plans, len(known))
    interval = binomtest(round(share * count), count).proportion_ci(_CONFIDENCE)
    return share, float(interval.low), float(interval.high)


def _crps(members: np.ndarray, truth: np.ndarray) -> float:
    """Return the continuous ranked probability score, E|X − y| − E|X − X′| / 2, its run's mean.

    Gneiting & Raftery (2007), eq. 21.

    Args:
        members: (members, seconds) of an ensemble.
        truth: (seconds,), NaN where nothing was measured.
    """
    count = len(members)
    weights = (2.0 * np.arange(1, count + 1) - count - 1.0) / count**2
    # Half the mean distance of two members.
    spread = (weights[:, np.newaxis] * np.sort(members, axis=0)).sum(axis=0)
    values = np.abs(members - truth).mean(axis=0) - spread
    if np.isnan(values).all():
        return float("nan")
    return float(np.nanmean(values))


def _mean_of_runs(values: np.ndarray) -> float:
    """Return the mean over runs of each run's mean, (runs, seconds), of what is known."""
    counts = (~np.isnan(values)).sum(axis=1)
    if not counts.any():
        return float("nan")
    return float(np.mean(np.nansum(values[counts > 0], axis=1) / counts[counts > 0]))

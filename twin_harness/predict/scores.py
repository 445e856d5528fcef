"""Scores of predictions by column: errors beside the noise floor, and skill over a baseline.

Runs weigh equally.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.predict.observation import COLUMNS, padded
from twin_harness.predict.scale import LOG_COLUMNS, to_error_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.observation import Observation

_SMOOTHED_S = {"disk_write_bytes_per_s": 5, "disk_read_bytes_per_s": 5}
_RESAMPLES = 1_000
_FLAT = 1e-6


@dataclass(frozen=True)
class ColumnScore:
    """One column of one predictor over the runs of a split.

    Attributes:
        column: which.
        predictor: whose.
        runs: how many were judged.
        seconds: how many of them.
        rmse: root mean square error in the column's unit.
        bias: mean of predicted less measured, in the column's unit.
        nrmse: rmse over the standard deviation of the column in the test; NaN where it is flat.
        floor: the rmse that a perfect model would reach, from replicates; NaN without any.
        to_floor: rmse over it.
        log_ratio: of latencies, the median over runs of |log(predicted p95 / measured p95)|; NaN
            for others.
        log_ratio_floor: what a perfect model would reach, from replicates.
        total_percent: of the disk, by how much the bytes of all runs are off; NaN for others.
    """

    column: str
    predictor: str
    runs: int
    seconds: int
    rmse: float
    bias: float
    nrmse: float
    floor: float
    to_floor: float
    log_ratio: float
    log_ratio_floor: float
    total_percent: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data; what is not known is null."""
        return {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in asdict(self).items()
        }


def smoothed(values: np.ndarray, column: str) -> np.ndarray:
    """Return values (…, seconds) as they are judged: of the disk means over five seconds."""
    width = _SMOOTHED_S.get(column, 1)
    count = values.shape[-1] // width
    if width == 1 or count == 0:
        return values
    means: np.ndarray = (
        values[..., : count * width].reshape(*values.shape[:-1], count, width).mean(axis=-1)
    )
    return means


def square_errors(predicted: np.ndarray, measured: np.ndarray, column: str) -> np.ndarray:
    """Return the mean square error of each run, (runs,), NaN for runs of which nothing is known.

    Args:
        predicted: shape (runs, seconds), in the column's unit.
        measured: shape (runs, seconds), the same; NaN where it is not known.
        column: which one; the disk's is judged by means over five seconds.
    """
    errors = smoothed(predicted, column) - smoothed(measured, column)
    counts = (~np.isnan(errors)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: np.ndarray = np.where(counts > 0, np.nansum(errors**2, axis=1) / counts, np.nan)
    return means


def floor_of(observations: Sequence[Observation], column: str) -> tuple[float, int]:
    """Return the noise floor (the RMSE of replicates over √2), and how many pairs it is of."""
    values, pairs = padded(observations)[:, COLUMNS.index(column)], _pairs(observations)
    if not pairs:
        return float("nan"), 0
    errors = np.array(
        [square_errors(values[i : i + 1], values[j : j + 1], column)[0] for i, j in pairs]
    )
    known = errors[~np.isnan(errors)]
    if not len(known):
        return float("nan"), 0
    return float(np.sqrt(known.mean() / 2.0)), len(known)


def _pairs(observations: Sequence[Observation]) -> list[tuple[int, int]]:
    """Return which runs are replicates of which."""
    plans = [one.plan for one in observations]
    return [
        (i, j) for i in range(len(plans)) for j in range(i + 1, len(plans)) if plans[i] == plans[j]
    ]


def tail_floor_of(observations: Sequence[Observation], column: str) -> float:
    """Return how far a perfect model's 95th percentile would be off by its logarithm.

    The median over pairs of replicates over √2.
    """
    tails = np.full(len(observations), np.nan)
    for number, observation in enumerate(observations):
        values = observation.column(column)
        if not np.isnan(values).all():
            tails[number] = np.log(max(float(np.nanquantile(values, 0.95)), 1e-4))
    distances = [abs(tails[i] - tails[j]) for i, j in _pairs(observations)]
    known = [distance for distance in distances if not np.isnan(distance)]
    if known:
        return float(np.median(known) / np.sqrt(2.0))
    return float("nan")


def replicate_width(observations: Sequence[Observation], column: str) -> float:
    """Return the width of a band with 90 percent of seconds around a perfect prediction.

    In the column's unit, from replicates.
    """
    gaps = [
        np.abs(observations[i].column(column)[:n] - observations[j].column(column)[:n])
        for i, j, n in _overlaps(observations)
    ]
    if gaps:
        known = np.concatenate([gap[~np.isnan(gap)] for gap in gaps])
    else:
        known = np.zeros(0)
    if len(known):
        return float(2.0 * np.quantile(known, 0.9) / np.sqrt(2.0))
    return float("nan")


def _overlaps(observations: Sequence[Observation]) -> list[tuple[int, int, int]]:
    return [
        (i, j, min(observations[i].demand.seconds, observations[j].demand.seconds))
        for i, j in _pairs(observations)
    ]


def tails_of(members: Sequence[np.ndarray]) -> np.ndarray:
    """Return the predicted 95th percentile of each run, (runs, columns): the members' median.

    Args:
        members: of each run its simulated trajectories, (members, columns, seconds).
    """
    return np.array([np.median(np.quantile(run, 0.95, axis=2), axis=0) for run in members])


def score(
    predictor: str,
    predicted: np.ndarray,
    observations: Sequence[Observation],
    floors: dict[str, float],
    tails: np.ndarray | None = None,
    floors_from: Sequence[Observation] = (),
) -> list[ColumnScore]:
    """Score predictions (runs, columns, seconds) of runs.

    Args:
        predictor: whose.
        predicted: the centre, in units.
        observations: what was measured.
        floors: of each column.
        tails: (runs, columns) the predicted 95th percentile of each run; that of the centre unless
            given.
        floors_from: runs whose replicates give how far two 95th percentiles of one plan differ;
            these unless given.
    """
    measured = padded(observations)
    scores = []
    for index, column in enumerate(COLUMNS):
        truth, guess = measured[:, index], predicted[:, index, : measured.shape[2]]
        known = ~np.isnan(truth)
        if not known.any():
            continue
        squares = square_errors(guess, truth, column)
        errors = np.where(known, guess - truth, np.nan)
        rmse = float(np.sqrt(np.nanmean(squares)))
        floor = floors.get(column, float("nan"))
        log_ratio = log_ratio_floor = total_percent = float("nan")
        if column in LOG_COLUMNS:
            log_ratio = _log_ratio(guess, truth, None if tails is None else tails[:, index])
            log_ratio_floor = tail_floor_of(floors_from or observations, column)
        if column.startswith("disk_") and np.nansum(truth) > 0:
            total_percent = 100.0 * float(np.nansum(errors) / np.nansum(truth))
        scores.append(
            ColumnScore(
                column=column,
                predictor=predictor,
                runs=int((~np.isnan(squares)).sum()),
                seconds=int(known.sum()),
                rmse=rmse,
                bias=float(np.nanmean(np.nanmean(errors, axis=1))),
                nrmse=_ratio(rmse, float(np.nanstd(smoothed(truth, column))), _FLAT),
                floor=floor,
                to_floor=_ratio(rmse, floor),
                log_ratio=log_ratio,
                log_ratio_floor=log_ratio_floor,
                total_percent=total_percent,
            )
        )
    return scores


def _ratio(value: float, divisor: float, least: float = 0.0) -> float:
    """Return a ratio; NaN unless the divisor is above ``least``."""
    if divisor > least:
        return value / divisor
    return float("nan")


def _log_ratio(guess: np.ndarray, truth: np.ndarray, tails: np.ndarray | None) -> float:
    if tails is None:
        tails = np.nanquantile(np.where(np.isnan(truth), np.nan, guess), 0.95, axis=1)
    measured = np.nanquantile(truth, 0.95, axis=1)
    column = LOG_COLUMNS[0]
    distances = np.abs(to_error_scale(column, tails) - to_error_scale(column, measured))
    return float(np.nanmedian(distances))


def skill(
    model: np.ndarray, baseline: np.ndarray, plans: Sequence[str] = (), seed: int = 0
) -> tuple[float, float, float]:
    """Return 1 − RMSE / RMSE of the baseline, with a 95 % interval from resampling plans.

    Replicates of a plan are not independent runs.

    Args:
        model: (runs,) mean square errors, as ``square_errors`` returns them.
        baseline: the same of what it is compared with.
        plans: (runs,) the plan of each; every run is one of its own unless given.
        seed: of the resampling.
    """
    known = ~np.isnan(model) & ~np.isnan(baseline)
    ours, theirs = model[known], baseline[known]
    if not len(ours) or theirs.mean() <= 0:
        return float("nan"), float("nan"), float("nan")
    if len(plans):
        names = np.array(plans)[known]
    else:
        names = np.arange(len(ours))
    _, cluster = np.unique(names, return_inverse=True)
    sums = [np.bincount(cluster, weights=values) for values in (ours, theirs)]
    drawn = np.random.default_rng(seed).integers(0, len(sums[0]), (_RESAMPLES, len(sums[0])))
    with np.errstate(invalid="ignore", divide="ignore"):
        resampled = 1.0 - np.sqrt(sums[0][drawn].sum(axis=1) / sums[1][drawn].sum(axis=1))
    low, high = np.nanquantile(resampled, (0.025, 0.975))
    return float(1.0 - np.sqrt(ours.mean() / theirs.mean())), float(low), float(high)

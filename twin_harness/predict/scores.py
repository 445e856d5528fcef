"""How good predictions of held-out runs are.

Errors beside the noise floor and the baselines, coverage of bands. Runs weigh equally.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.predict.fit import LOG_COLUMNS, scored
from twin_harness.predict.observation import COLUMNS, padded

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
        column, predictor: which. runs, seconds: how many were judged.
        rmse, bias: in the column's unit. nrmse: rmse over the standard deviation of the column in
            the test; NaN where it is flat.
        floor: what a perfect model would reach, from replicates; NaN without any. to_floor: rmse
            over it.
        log_ratio: of latencies, the median over runs of |log(predicted p95 / measured p95)|; NaN
            for others. log_ratio_floor: what a perfect model would reach, from replicates.
        total_percent: of the disk, by how much the bytes of all runs are off.
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
    """Return values (…, seconds) as they are judged.

    Of the disk means over five seconds, others as they are.
    """
    width = _SMOOTHED_S.get(column, 1)
    count = values.shape[-1] // width
    if width == 1 or count == 0:
        return values
    means: np.ndarray = (
        values[..., : count * width].reshape(*values.shape[:-1], count, width).mean(axis=-1)
    )
    return means


def square_errors(predicted: np.ndarray, measured: np.ndarray, column: str) -> np.ndarray:
    """Return the mean square error of each run, (runs,), NaN for runs of which nothing is known."""
    errors = smoothed(predicted, column) - smoothed(measured, column)
    counts = (~np.isnan(errors)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = np.where(counts > 0, np.nansum(errors**2, axis=1) / counts, np.nan)
    return found


def floor_of(observations: Sequence[Observation], column: str) -> tuple[float, int]:
    """Return what a perfect model would reach, and over how many pairs of replicates.

    Their RMSE over √2.
    """
    values, pairs = padded(observations)[:, COLUMNS.index(column)], _pairs(observations)
    if not pairs:
        return float("nan"), 0
    errors = np.array(
        [square_errors(values[i : i + 1], values[j : j + 1], column)[0] for i, j in pairs]
    )
    known = errors[~np.isnan(errors)]
    return float(np.sqrt(known.mean() / 2.0)) if len(known) else float("nan"), len(known)


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
    tails = np.array(
        [
            (
                np.log(max(float(np.nanquantile(one.column(column), 0.95)), 1e-4))
                if _is_known(one, column)
                else np.nan
            )
            for one in observations
        ]
    )
    found = [abs(tails[i] - tails[j]) for i, j in _pairs(observations)]
    known = [value for value in found if not np.isnan(value)]
    if known:
        return float(np.median(known) / np.sqrt(2.0))
    return float("nan")


def replicate_width(observations: Sequence[Observation], column: str) -> float:
    """Return how wide a band that holds 90 percent of seconds would be around a perfect prediction, in the column's unit, from replicates."""
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


def _is_known(one: Observation, column: str) -> bool:
    return not np.isnan(one.column(column)).all()


def tails_of(members: Sequence[np.ndarray]) -> np.ndarray:
    """Return the 95th percentile of each run, (runs, columns), given ways in which each may go, (members, columns, seconds): the median over them."""
    return np.array([np.median(np.quantile(ways, 0.95, axis=2), axis=0) for ways in members])


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
        predicted: the centre.
        observations: what came.
        floors: of each column.
        tails: (runs, columns) the 95th percentile that is foretold of each run; that of the centre
            unless given.
        floors_from: runs whose replicates tell how far two 95th percentiles of one plan differ;
            these unless given.
    """
    measured = padded(observations)
    found = []
    for index, column in enumerate(COLUMNS):
        truth, guess = measured[:, index], predicted[:, index, : measured.shape[2]]
        squares = square_errors(guess, truth, column)
        known = ~np.isnan(truth)
        if not known.any():
            continue
        rmse = float(np.sqrt(np.nanmean(squares)))
        spread = float(np.nanstd(smoothed(truth, column)))
        errors = np.where(known, guess - truth, np.nan)
        floor = floors.get(column, float("nan"))
        found.append(
            ColumnScore(
                column,
                predictor,
                int((~np.isnan(squares)).sum()),
                int(known.sum()),
                rmse,
                float(np.nanmean(np.nanmean(errors, axis=1))),
                rmse / spread if spread > _FLAT else float("nan"),
                floor,
                rmse / floor if floor > 0 else float("nan"),
                (
                    _log_ratio(guess, truth, None if tails is None else tails[:, index])
                    if column in LOG_COLUMNS
                    else float("nan")
                ),
                (
                    tail_floor_of(floors_from or observations, column)
                    if column in LOG_COLUMNS
                    else float("nan")
                ),
                (
                    100.0 * float(np.nansum(errors) / np.nansum(truth))
                    if column.startswith("disk_") and np.nansum(truth) > 0
                    else float("nan")
                ),
            )
        )
    return found


def _log_ratio(guess: np.ndarray, truth: np.ndarray, tails: np.ndarray | None) -> float:
    if tails is None:
        told = np.nanquantile(np.where(np.isnan(truth), np.nan, guess), 0.95, axis=1)
    else:
        told = tails
    came = np.nanquantile(truth, 0.95, axis=1)
    return float(np.nanmedian(np.abs(scored(LOG_COLUMNS[0], told) - scored(LOG_COLUMNS[0], came))))


def skill(
    model: np.ndarray, baseline: np.ndarray, plans: Sequence[str] = (), seed: int = 0
) -> tuple[float, float, float]:
    """Return 1 − RMSE / RMSE of the baseline, with a 95 % interval from resampling plans.

    Replicates of one are no independent runs.

    Args:
        model: (runs,) mean square errors, as ``square_errors`` gives them.
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

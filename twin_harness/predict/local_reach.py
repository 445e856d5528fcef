"""How far errors reach in each stage of a plan: bands that are narrow where little is open.

Mondrian conformal prediction (Vovk et al., 2003): the taxonomy is the plan's stage. In each stage
the shortest interval that holds nine tenths of the errors, which are skewed where memory is filled;
wider where the ensemble is wider than it usually is in that stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.calibration import COVERAGE, Calibration, calibrate, ratios_of
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.stages import HELD, STAGES

if TYPE_CHECKING:
    from twin_harness.predict.stages import Stages

FEWEST_RUNS = 20
_FEWEST_SECONDS = 60  # of a stage; of fewer the errors of all stages are taken
_TAILS = np.linspace(0.0, 1.0 - COVERAGE, 21)[1:-1]
_LEAST_SHARE, _LEAST = 0.02, 1e-9  # of all errors' deviation: no side is narrower
_PEAK = 0.95
_MEMORY = COLUMNS.index("memory_percent")


@dataclass(frozen=True)
class LocalReach:
    """The reach of errors by stage.

    Attributes:
        sides: (2, columns, stages) how far below and above the centre; NaN for a column whose band
            is the ensemble's.
        usual: (2, columns, stages) how far the ensemble reaches in nine of ten seconds.
    """

    sides: np.ndarray
    usual: np.ndarray

    def reach(self, ensemble: np.ndarray, between: np.ndarray, stages: Stages) -> np.ndarray:
        """Return how far below and above the centre 90 percent of seconds lie.

        Args:
            ensemble: (2, plans, columns, seconds) what stands for a column without sides.
            between: (2, plans, columns, seconds) how far the ensemble's members are.
            stages: of the plans.
        """
        reach = ensemble.copy()
        for column in np.flatnonzero(~np.isnan(self.sides[0, :, 0])):
            sides = self.sides[:, column, stages.numbers]
            if column == _MEMORY:  # no more is filled than is asked for
                most = stages.missing_percent + self.sides[1, column, HELD]
                sides[1] = np.minimum(sides[1], most)
            beyond = between[:, :, column] ** 2 - self.usual[:, column, stages.numbers] ** 2
            reach[:, :, column] = np.sqrt(sides**2 + np.maximum(beyond, 0.0))
        return reach


def calibrate_locally(
    errors: np.ndarray, ensemble: np.ndarray, between: np.ndarray, stages: Stages
) -> tuple[Calibration, LocalReach | None]:
    """Return multipliers, and the reach by stage where it makes the bands of a column narrower.

    What a run's errors are divided by is learnt from the other runs, so that a multiplier is not
    flattered by them.

    Args:
        errors: (runs, columns, seconds) of runs that the fit has not seen, on the error scale, NaN
            where nothing was measured.
        ensemble: (2, runs, columns, seconds) as ``Spread.reach`` returns it.
        between: (2, runs, columns, seconds) how far the ensemble's members are.
        stages: of the runs.
    """
    zero = np.zeros_like(errors)
    plain = calibrate(ratios_of(errors, zero, ensemble))
    runs = np.arange(len(errors))
    if len(errors) < FEWEST_RUNS:
        return plain, None
    local = _learn(errors, between, stages.numbers)
    reaches = local.reach(ensemble, between, stages)
    ratios = np.empty_like(errors)
    for run in runs:
        others = runs != run
        learnt = _learn(errors[others], between[:, others], stages.numbers[others])
        own = slice(run, run + 1)
        reach = learnt.reach(ensemble[:, own], between[:, own], stages.select(own))
        ratios[own] = ratios_of(errors[own], zero[own], reach)
    narrow = calibrate(ratios)
    known = ~np.isnan(errors)
    is_narrower = _widths(narrow.pointwise, reaches, known) < _widths(
        plain.pointwise, ensemble, known
    )
    sides = np.where(is_narrower[:, np.newaxis], local.sides, np.nan)
    pointwise = np.where(is_narrower, narrow.pointwise, plain.pointwise)
    return (
        Calibration(pointwise, plain.simultaneous, plain.runs),
        LocalReach(sides, local.usual),
    )


def unforetold(truth: np.ndarray, centre: np.ndarray) -> tuple[str, ...]:
    """Return the columns whose peaks are predicted no better than by their mean over runs.

    The peak of a run is the 95th percentile of its seconds. Others cause the peaks of latencies, by
    steal above all, which no plan shows.

    Args:
        truth: (runs, columns, seconds) as measured, on the error scale, NaN where it was not.
        centre: (runs, columns, seconds) as predicted.
    """
    names = []
    for index, name in enumerate(COLUMNS):
        runs = ~np.isnan(truth[:, index]).all(axis=1)
        if not runs.any():
            continue
        measured = truth[runs, index]
        known = np.where(np.isnan(measured), np.nan, centre[runs, index])
        peaks, ours = (np.nanquantile(one, _PEAK, axis=1) for one in (measured, known))
        if ((peaks - ours) ** 2).mean() > peaks.var() + _LEAST:
            names.append(name)
    return tuple(names)


def _learn(errors: np.ndarray, between: np.ndarray, numbers: np.ndarray) -> LocalReach:
    """Return the reach by stage of some runs' errors; arguments as of ``calibrate_locally``.

    Args:
        errors: of the runs.
        between: of the runs.
        numbers: (runs, seconds) the stage of each second.
    """
    shape = (2, len(COLUMNS), len(STAGES))
    sides, usual = np.full(shape, np.nan), np.zeros(shape)
    for column in range(len(COLUMNS)):
        own = errors[:, column]
        is_known = ~np.isnan(own)
        if not is_known.any():
            continue
        least = _LEAST_SHARE * float(own[is_known].std()) + _LEAST
        for stage in range(len(STAGES)):
            is_meant = is_known & (numbers == stage)
            if is_meant.sum() < _FEWEST_SECONDS:
                is_meant = is_known
            sides[:, column, stage] = np.maximum(_shortest(own[is_meant]), least)
            usual[:, column, stage] = np.quantile(
                between[:, :, column][:, is_meant], COVERAGE, axis=1
            )
    return LocalReach(sides, usual)


def _shortest(errors: np.ndarray) -> np.ndarray:
    """Return how far below and above 0 the shortest interval of nine tenths reaches, (2,)."""
    low, high = np.quantile(errors, (_TAILS, _TAILS + COVERAGE))
    sides = np.stack([np.maximum(-low, 0.0), np.maximum(high, 0.0)])
    shortest: np.ndarray = sides[:, sides.sum(axis=0).argmin()]
    return shortest


def _widths(multipliers: np.ndarray, reach: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the mean width of each column's band, (columns,); infinite without a band."""
    widths = np.where(known, reach.sum(axis=0), 0.0).sum(axis=(0, 2))
    counts = np.maximum(known.sum(axis=(0, 2)), 1)
    means: np.ndarray = np.nan_to_num(multipliers * widths / counts, nan=np.inf)
    return means

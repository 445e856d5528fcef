"""How far errors reach in each stage of a plan: bands that are narrow where little is open.

The errors are scaled by the stage of the plan (normalised conformal prediction, Papadopoulos et
al., 2008): in each the shortest interval that holds nine tenths of them, for they are skewed where
memory is filled; wider where the ensemble is wider than it usually is in that stage. One multiplier
of a column makes it hold, over all stages together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.calibration import COVERAGE, Calibration, calibrate, ratios_of
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.stages import HELD, STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

FEWEST_RUNS = 20
_FEWEST_SECONDS, _FEWEST_IN_STAGE = 60, 5  # of a stage, and the runs that they come from
_TAILS = np.linspace(0.0, 1.0 - COVERAGE, 21)[1:-1]
_LEAST_SHARE, _LEAST = 0.02, 1e-9  # of all errors' deviation: no side is narrower
_MEMORY = COLUMNS.index("memory_percent")


@dataclass(frozen=True)
class Surroundings:
    """What the reach of errors is told by, of some runs or plans.

    Attributes:
        ensemble: (2, plans, columns, seconds) the ensemble's band of seconds, with its multipliers.
        between: (2, plans, columns, seconds) how far the ensemble's members are.
        stages: (plans, seconds) which of ``STAGES``.
        missing_percent: (plans, seconds) memory that is asked for and not filled yet.
    """

    ensemble: np.ndarray
    between: np.ndarray
    stages: np.ndarray
    missing_percent: np.ndarray

    def select(self, chosen: np.ndarray) -> Surroundings:
        """Return those of the chosen ones, by number or mask."""
        return Surroundings(
            self.ensemble[:, chosen],
            self.between[:, chosen],
            self.stages[chosen],
            self.missing_percent[chosen],
        )


@dataclass(frozen=True)
class LocalReach:
    """The reach of errors by stage.

    Attributes:
        sides: (2, columns, stages) how far below and above the centre; NaN where the ensemble's
            band stands: for stages of which little was recorded, and columns that gain nothing.
        usual: (2, columns, stages) how far the ensemble reaches in nine of ten seconds.
        multipliers: (columns,) of the sides.
    """

    sides: np.ndarray
    usual: np.ndarray
    multipliers: np.ndarray

    def band(self, around: Surroundings) -> np.ndarray:
        """Return how far below and above the centre the band reaches, (2, plans, columns, seconds).

        The sides of the columns without any are the ensemble's.
        """
        band = around.ensemble.copy()
        for column, reach, ends in self._reaches(around):
            multiplier = self.multipliers[column]
            band[:, :, column] = np.minimum(multiplier * reach, ends[0] + multiplier * ends[1])
        return band

    def ratios(self, errors: np.ndarray, around: Surroundings) -> np.ndarray:
        """Return errors as the multipliers at which they would just lie within the band.

        Args:
            errors: (runs, columns, seconds), NaN where nothing was measured.
            around: of the runs.
        """
        ratios = ratios_of(errors, np.zeros_like(errors), around.ensemble)
        for column, reach, ends in self._reaches(around):
            sizes = np.stack([-errors[:, column], errors[:, column]])
            both = np.maximum(sizes / reach, (sizes - ends[0]) / ends[1])
            ratios[:, column] = both.max(axis=0)
        return ratios

    def _reaches(self, around: Surroundings) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Give each column with sides, its reach (2, plans, seconds), and where it ends anyway.

        Memory that is missing can be filled, and no more: it ends there and at the reach of memory
        that is held, (2, 2, plans, seconds).
        """
        for column in np.flatnonzero(~np.isnan(self.sides[0]).all(axis=1)):
            sides = self.sides[:, column][:, around.stages]
            usual = self.usual[:, column][:, around.stages]
            beyond = np.maximum(around.between[:, :, column] ** 2 - usual**2, 0.0)
            is_known = ~np.isnan(sides)
            reach = np.where(is_known, np.sqrt(sides**2 + beyond), around.ensemble[:, :, column])
            ends = np.stack([np.zeros_like(reach), reach])
            held = self.sides[1, column, HELD]
            if column == _MEMORY and not np.isnan(held):
                ends[0, 1] = np.where(is_known[1], around.missing_percent, 0.0)
                ends[1, 1] = np.where(is_known[1], np.sqrt(held**2 + beyond[1]), reach[1])
            yield int(column), reach, ends


def calibrate_locally(
    errors: np.ndarray, reach: np.ndarray, around: Surroundings
) -> tuple[Calibration, LocalReach | None]:
    """Return multipliers of the ensemble's reach, and the reach by stage where it is narrower.

    What a run's errors are divided by is learnt from the other runs, so that a multiplier is not
    flattered by them.

    Args:
        errors: (runs, columns, seconds) of runs that the fit has not seen, on the error scale, NaN
            where nothing was measured.
        reach: (2, runs, columns, seconds) as ``Spread.reach`` returns it.
        around: of the runs; its ``ensemble`` is not looked at.
    """
    plain = calibrate(ratios_of(errors, np.zeros_like(errors), reach))
    if len(errors) < FEWEST_RUNS:
        return plain, None
    ensemble = np.nan_to_num(plain.pointwise, nan=1.0)[:, np.newaxis] * reach
    around = Surroundings(ensemble, around.between, around.stages, around.missing_percent)
    ratios = np.empty_like(errors)
    for run in range(len(errors)):
        others = np.arange(len(errors)) != run
        learnt = _learn(errors[others], around.select(others))
        ratios[~others] = learnt.ratios(errors[~others], around.select(~others))
    local = _learn(errors, around)
    local = LocalReach(local.sides, local.usual, calibrate(ratios).pointwise)
    known = ~np.isnan(errors)
    is_narrower = _widths(local.band(around), known) < _widths(ensemble, known)
    sides = np.where(is_narrower[:, np.newaxis], local.sides, np.nan)
    return plain, LocalReach(sides, local.usual, local.multipliers)


def _learn(errors: np.ndarray, around: Surroundings) -> LocalReach:
    """Return the reach by stage of some runs' errors, with multipliers of 1."""
    shape = (2, len(COLUMNS), len(STAGES))
    sides, usual = np.full(shape, np.nan), np.zeros(shape)
    for column in range(len(COLUMNS)):
        own = errors[:, column]
        is_known = ~np.isnan(own)
        if not is_known.any():
            continue
        least = _LEAST_SHARE * float(own[is_known].std()) + _LEAST
        for stage in range(len(STAGES)):
            is_meant = is_known & (around.stages == stage)
            runs = is_meant.any(axis=1).sum()
            if is_meant.sum() < _FEWEST_SECONDS or runs < _FEWEST_IN_STAGE:
                continue
            sides[:, column, stage] = np.maximum(_shortest(own[is_meant]), least)
            spread = around.between[:, :, column][:, is_meant]
            usual[:, column, stage] = np.quantile(spread, COVERAGE, axis=1)
    return LocalReach(sides, usual, np.ones(len(COLUMNS)))


def _shortest(errors: np.ndarray) -> np.ndarray:
    """Return how far below and above 0 the shortest interval of nine tenths reaches, (2,)."""
    low, high = np.quantile(errors, (_TAILS, _TAILS + COVERAGE))
    sides = np.stack([np.maximum(-low, 0.0), np.maximum(high, 0.0)])
    shortest: np.ndarray = sides[:, sides.sum(axis=0).argmin()]
    return shortest


def _widths(band: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the sum of each column's widths over what is known, (columns,)."""
    widths: np.ndarray = np.where(known, band.sum(axis=0), 0.0).sum(axis=(0, 2))
    return widths

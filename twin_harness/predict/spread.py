"""The spread of a fit: its parameter ensemble and residuals, and the bands they make."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.free_run import REGIMES
from twin_harness.predict.observation import COLUMNS

if TYPE_CHECKING:
    from twin_harness.predict.free_run import FreeRun

MEMBERS = 200
_NORMAL_90 = 1.6448536269514722  # deviations to each side hold 90 percent of a normal distribution
_LEAST_REACH = 0.3  # deviations: no side of a band is narrower
_LEAST_POOL = 20


@dataclass(frozen=True)
class Spread:
    """What a fit leaves open.

    Attributes:
        parameter_sets: (sets, parameters) plausible ones, from a bootstrap over plans.
        still: (regimes, columns) residual standard deviation while the prediction is constant.
        moving: (columns,) additional standard deviation per unit of the prediction's
            second-to-second change.
        errors: (runs, columns, seconds) residuals (measured less predicted) of runs of the fit, in
            these deviations; NaN where nothing was measured.
        regimes: (runs, seconds) which of ``REGIMES`` each second belongs to; -1 beyond the end of a
            run.
    """

    parameter_sets: np.ndarray
    still: np.ndarray
    moving: np.ndarray
    errors: np.ndarray
    regimes: np.ndarray

    @cached_property
    def pools(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The residuals by regime, of all regimes where one has too few.

        For each regime: (seconds, columns) residuals, run after run; where each run with any begins
        in them; and how many it has.
        """
        pools = []
        for number in range(len(REGIMES)):
            chosen = self.regimes == number
            if chosen.sum() < _LEAST_POOL:
                chosen = self.regimes >= 0
            counts = chosen.sum(axis=1)
            begins = np.cumsum(counts) - counts
            pools.append(
                (np.moveaxis(self.errors, 1, 2)[chosen], begins[counts > 0], counts[counts > 0])
            )
        return pools

    @cached_property
    def _residuals(self) -> tuple[np.ndarray, list[int]]:
        """The residuals of all pools, (columns, seconds), and where each pool begins.

        0 where nothing was measured, and in the first row, which is for pools without any.
        """
        parts = [np.zeros((1, len(COLUMNS))), *(np.nan_to_num(pool) for pool, _, _ in self.pools)]
        firsts = np.cumsum([len(part) for part in parts])[:-1]
        return np.ascontiguousarray(np.concatenate(parts).T), [int(first) for first in firsts]

    @cached_property
    def ends(self) -> np.ndarray:
        """Between which deviations 90 percent of the residuals lie, (regimes, columns, 2).

        From 0 in each direction.
        """
        sides = np.stack([_quantiles_90(pool) for pool, _, _ in self.pools])
        ends: np.ndarray = np.maximum(sides * np.array([-1.0, 1.0]), _LEAST_REACH)
        return ends

    def sizes(self, centre: np.ndarray, regime: np.ndarray) -> np.ndarray:
        """Return the residual standard deviation of each second, (plans, columns, seconds).

        Args:
            centre: (plans, columns, seconds) the prediction on the error scale.
            regime: (plans, seconds) the noise regime of each second.
        """
        still = np.moveaxis(self.still[regime], 2, 1)
        moving = self.moving[:, np.newaxis] * second_changes(centre)
        sizes: np.ndarray = np.sqrt(still**2 + moving**2)
        return sizes

    def reach(self, free: FreeRun, between: np.ndarray | None = None) -> np.ndarray:
        """Return how far below and above the centre 90 percent of seconds lie, before calibration.

        (2, plans, columns, seconds), on the error scale.

        Args:
            free: of the plans.
            between: as ``between_sets`` returns it, where it is known already.
        """
        if between is None:
            between = between_sets(free)
        sizes = self.sizes(free.centre, free.regime)
        noise = [np.moveaxis(self.ends[free.regime, :, side], 2, 1) * sizes for side in (0, 1)]
        reach: np.ndarray = np.sqrt(np.stack(noise) ** 2 + between**2)
        return reach

    def members(self, free: FreeRun, count: int = MEMBERS, seed: int = 0) -> np.ndarray:
        """Return simulated trajectories of one plan, (members, columns, seconds).

        Each combines one plausible parameter set with the residuals of one training run, regime by
        regime in their original order, over and over: a block bootstrap with the run as the block.
        What the seconds of a run have in common, and how residuals of one second and column go
        with those of others, is so kept as it was recorded. A run with a few seconds of a regime
        alone goes on with those of the runs after it, for two seconds are no pattern that a whole
        plan repeats. Calibration scales bands, not these.

        Args:
            free: of that plan.
            count: how many.
            seed: of the draws.
        """
        regime = free.regime[0]
        sets = free.ensemble[0][np.arange(count) % free.ensemble.shape[1]]
        if not len(self.regimes):
            return np.array(sets)
        order = np.random.default_rng(seed).permutation(max(count, len(self.regimes)))[:count]
        rows = np.zeros((count, len(regime)), dtype=int)
        residuals, firsts = self._residuals
        for number, (_, begins, counts) in enumerate(self.pools):
            seconds = np.flatnonzero(regime == number)
            if len(seconds) and len(begins):
                donors = order % len(begins)
                lengths = _block_lengths(counts)[donors, np.newaxis]
                at = begins[donors, np.newaxis] + np.arange(len(seconds)) % lengths
                rows[:, seconds] = firsts[number] + at % counts.sum()
        sizes = self.sizes(free.centre, free.regime)[0]
        trajectories = np.array(sets)
        for index, (own, size) in enumerate(zip(residuals, sizes, strict=True)):
            trajectories[:, index] += size * own[rows]
        return trajectories


def _block_lengths(counts: np.ndarray) -> np.ndarray:
    """Return how many residuals belong to the block of each run: its own, or the next ones', too.

    Args:
        counts: (runs,) how many each has.
    """
    passed = np.concatenate([[0], np.cumsum(np.concatenate([counts, counts]))])
    wanted = np.minimum(np.maximum(counts, _LEAST_POOL), counts.sum())
    ends = np.searchsorted(passed, passed[: len(counts)] + wanted)
    lengths: np.ndarray = np.minimum(passed[ends] - passed[: len(counts)], counts.sum())
    return lengths


def between_sets(free: FreeRun) -> np.ndarray:
    """Return how far from the centre 90 percent of the ensemble lie, (2, plans, columns, seconds).

    Few members are taken for a normal distribution. Many differ in what others use, which comes in
    bursts: then as it is.
    """
    if free.ensemble.shape[1] < MEMBERS:
        # about the centre, which is near: nothing is lost where squares are subtracted
        apart = free.ensemble - free.centre[:, np.newaxis]
        squares = np.einsum("pmcs,pmcs->pcs", apart, apart) / apart.shape[1]
        deviation = np.sqrt(np.maximum(squares - apart.mean(axis=1) ** 2, 0.0))
        return _NORMAL_90 * np.stack([deviation, deviation])
    low, high = np.quantile(free.ensemble, (0.05, 0.95), axis=1)
    reach: np.ndarray = np.maximum(np.stack([free.centre - low, high - free.centre]), 0.0)
    return reach


def second_changes(centre: np.ndarray) -> np.ndarray:
    """Return how much values, (…, seconds), change from second to second.

    From the second before or to the next, whichever is more: an error of timing is an error of
    level only where the level moves.
    """
    change = np.abs(np.diff(centre, axis=-1, prepend=centre[..., :1]))
    ahead = np.concatenate([change[..., 1:], change[..., -1:]], axis=-1)
    larger: np.ndarray = np.maximum(change, ahead)
    return larger


def _quantiles_90(pool: np.ndarray) -> np.ndarray:
    """Return between which values 90 percent of each column of (seconds, columns) lie.

    (columns, 2).

    Those of a normal distribution where nothing was measured.
    """
    quantiles = np.tile([-_NORMAL_90, _NORMAL_90], (pool.shape[1], 1))
    for row, values in zip(quantiles, pool.T, strict=True):
        known = values[~np.isnan(values)]
        if known.size:
            row[:] = np.quantile(known, (0.05, 0.95))
    return quantiles

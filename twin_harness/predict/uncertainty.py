"""How far a prediction may be off.

Parameters that the runs leave open, runs that differ, seconds that differ.

The ensemble: parameters by resampling plans (a few reweighted Gauss-Newton steps from the optimum),
and the errors of whole runs of the fit. The size of a second's error differs at rest, under load
and where all CPUs are busy, and grows with how fast the prediction changes: an error of timing is
an error of level only where the level moves. ``calibration`` scales the bands by runs that the fit
has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from twin_harness.predict.fit import REST, at_rest, least_noise, prior, prior_reach, scored
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import HIGH, LOW, NAMES, inward, outward
from twin_harness.predict.simulate import simulate

if TYPE_CHECKING:
    from twin_harness.predict.demand import Capacity
    from twin_harness.predict.fit import Fit, Problem

PARAMETER_SETS, MEMBERS = 25, 200
_NORMAL_90 = float(ndtri(0.95))
_LEAST_REACH = 0.3  # deviations: no side of a band is narrower
REGIMES = (
    "rest",
    "load",
    "full",
)  # errors differ: a machine whose CPUs are all busy has its time stolen, and everybody waits
_LOADED = 0.005  # of a CPU, a device or the time of filling
_FULL_PERCENT = 85.0  # of CPU time
_SHAPED_FROM = 100  # seconds
_LEAST_POOL = 20
_DECIMALS = 4  # of errors in deviations
_MOST_SECONDS = 6_000  # of errors that a model keeps
_NEWTON_STEPS = 5
_DAMPING = 1e-9


@dataclass(frozen=True)
class FreeRun:
    """What the model foretells of some plans, on the scale of ``scored``.

    Attributes:
        centre: (plans, columns, seconds). sets: (plans, sets, columns, seconds) the same under each
            plausible parameter set.
        regime: (plans, seconds) which of ``REGIMES`` each second belongs to.
    """

    centre: np.ndarray
    sets: np.ndarray
    regime: np.ndarray

    def of(self, plan: int, seconds: int | None = None) -> FreeRun:
        """Return one plan as a free run of its own."""
        return FreeRun(
            self.centre[plan : plan + 1, :, :seconds],
            self.sets[plan : plan + 1, :, :, :seconds],
            self.regime[plan : plan + 1, :seconds],
        )


@dataclass(frozen=True)
class Spread:
    """What a fit leaves open.

    Attributes:
        parameters: (sets, parameters) plausible ones.
        still: (regimes, columns) the error's deviation where a prediction stands still. moving:
            (columns,) per unit of its change from second to second.
        errors: (runs, columns, seconds) what came less what was foretold, in these deviations, of
            runs of the fit; NaN where nothing was measured.
        regimes: (runs, seconds) which of ``REGIMES`` each second belongs to; -1 beyond the end of a
            run.
    """

    parameters: np.ndarray
    still: np.ndarray
    moving: np.ndarray
    errors: np.ndarray
    regimes: np.ndarray

    @cached_property
    def pools(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The errors by regime, (seconds, columns), run after run, where each run with any begins in them, and how many it has.

        Of all regimes where one has too few.
        """
        found = []
        for number in range(len(REGIMES)):
            some = self.regimes == number
            if some.sum() < _LEAST_POOL:
                some = self.regimes >= 0
            counts = some.sum(axis=1)
            begins = np.cumsum(counts) - counts
            found.append(
                (np.moveaxis(self.errors, 1, 2)[some], begins[counts > 0], counts[counts > 0])
            )
        return found

    @cached_property
    def ends(self) -> np.ndarray:
        """Between which deviations 90 percent of the errors lie, (regimes, columns, 2), from 0 in each direction."""
        sides = np.stack([_quantiles(pool, (0.05, 0.95)) for pool, _, _ in self.pools])
        found: np.ndarray = np.maximum(sides * np.array([-1.0, 1.0]), _LEAST_REACH)
        return found

    def sizes(self, centre: np.ndarray, regime: np.ndarray) -> np.ndarray:
        """Return the deviation of the noise, (plans, columns, seconds), given each second's regime, (plans, seconds)."""
        still = np.moveaxis(self.still[regime], 2, 1)
        found: np.ndarray = np.sqrt(still**2 + (self.moving[:, np.newaxis] * _change(centre)) ** 2)
        return found

    def reach(self, free: FreeRun) -> np.ndarray:
        """Return how far below and above the centre 90 percent of seconds lie, before calibration, (2, plans, columns, seconds)."""
        sizes, open_ = self.sizes(free.centre, free.regime), _NORMAL_90**2 * free.sets.var(axis=1)
        noise = [np.moveaxis(self.ends[free.regime, :, side], 2, 1) * sizes for side in (0, 1)]
        found: np.ndarray = np.sqrt(np.stack(noise) ** 2 + open_)
        return found

    def members(self, free: FreeRun, count: int = MEMBERS, seed: int = 0) -> np.ndarray:
        """Return (members, columns, seconds) ways in which one plan may go.

        A parameter set, and the errors of a run, regime by regime in their order.

        What the seconds of a run have in common, and how errors of one second and column go with
        those of others, is so as it was recorded (a block bootstrap with the run as the block).
        They are errors of the runs of the fit; calibration scales bands, not these.

        Args:
            free: of that plan.
            count: how many.
            seed: of the draws.
        """
        regime = free.regime[0]
        drawn = np.zeros((count, len(COLUMNS), len(regime)))
        if len(self.regimes):
            order = np.random.default_rng(seed).permutation(max(count, len(self.regimes)))[:count]
            for number, (pool, begins, counts) in enumerate(self.pools):
                seconds = np.flatnonzero(regime == number)
                if len(seconds) and len(pool):
                    donors = order % len(begins)
                    rows = (
                        begins[donors][:, np.newaxis]
                        + np.arange(len(seconds)) % counts[donors][:, np.newaxis]
                    )
                    drawn[:, :, seconds] = np.moveaxis(np.nan_to_num(pool[rows]), 2, 1)
        sizes = self.sizes(free.centre, free.regime)[0]
        found: np.ndarray = free.sets[0][np.arange(count) % free.sets.shape[1]] + sizes * drawn
        return found


def spread_of(
    problem: Problem, cold: Problem, found: Fit, rest: np.ndarray, capacity: Capacity, seed: int = 0
) -> Spread:
    """Return what a fit leaves open, from its own runs.

    Args:
        problem: what was fitted.
        cold: the same runs from the idle state, as they are foretold.
        found: the fit.
        rest: in which state each run found the machine, as ``fit.rest_of`` gives it: at rest it is
            as one of them found it.
        capacity: of the machine.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    sets = np.vstack([found.parameters, _resampled(problem, found, generator)])
    for name, values in zip(REST, rest.T, strict=True):
        if np.isfinite(values).any():
            index = NAMES.index(name)
            sets[:, index] = np.clip(
                generator.choice(values[np.isfinite(values)], len(sets)), LOW[index], HIGH[index]
            )
    resting = at_rest(found.parameters, rest)[np.newaxis]
    columns = simulate(resting, cold.levels, capacity)
    errors, centre = cold.errors(resting)[0], held(on_scale(columns)[:, 0], cold.lengths)
    change, regime = _change(centre), regimes(columns)
    parts = [
        _noise_of(errors[:, index], change[:, index], regime, least_noise(name))
        for index, name in enumerate(COLUMNS)
    ]
    still, moving, unit = (np.array([part[k] for part in parts]) for k in range(3))
    is_run = np.arange(regime.shape[1]) < cold.lengths[:, np.newaxis]
    # A file is to stay small: runs of all parts of a long campaign are kept, evenly.
    kept = np.unique(
        np.linspace(
            0, len(regime) - 1, max(1, min(len(regime), _MOST_SECONDS // regime.shape[1]))
        ).astype(int)
    )
    return Spread(
        sets,
        still.T,
        moving,
        np.round(-unit.swapaxes(0, 1)[kept], _DECIMALS),
        np.where(is_run, regime, -1)[kept],
    )


def regimes(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Return which regime each second belongs to, (plans, seconds), from simulated columns.

    The first member decides.
    """
    found: np.ndarray = np.where(
        columns["cpu_percent"][:, 0] > _FULL_PERCENT,
        2,
        (columns["load_share"][:, 0] > _LOADED).astype(int),
    )
    return found


def held(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return values (plans, …, seconds) with what stands beyond the end of a plan replaced by its last value: nothing jumps there."""
    found = values.copy()
    for row, length in zip(found, lengths, strict=True):
        row[..., length:] = row[..., length - 1 : length]
    return found


def _change(centre: np.ndarray) -> np.ndarray:
    """Return how much values (…, seconds) change from the second before or to the next, whichever is more."""
    change = np.abs(np.diff(centre, axis=-1, prepend=centre[..., :1]))
    ahead = np.concatenate([change[..., 1:], change[..., -1:]], axis=-1)
    found: np.ndarray = np.maximum(change, ahead)
    return found


def _resampled(problem: Problem, found: Fit, generator: np.random.Generator) -> np.ndarray:
    """Return parameter sets, each the optimum of plans drawn with replacement.

    Iteratively reweighted steps on the model as it is at the optimum.
    """
    point = inward(found.parameters)
    low, high = inward(LOW), inward(HIGH)
    ranges = high - low
    slopes = problem.jacobian(point) * ranges
    residuals = problem.residuals(found.parameters[np.newaxis])[0]
    pull, stiffness = prior(point), (ranges / prior_reach()) ** 2
    sets = []
    for _ in range(PARAMETER_SETS - 1):
        counts = np.bincount(
            generator.integers(0, problem.plans, problem.plans), minlength=problem.plans
        )[problem.plan_of]
        moved = np.zeros(len(NAMES))
        for _ in range(_NEWTON_STEPS):
            left = residuals + slopes @ moved
            weighted = slopes * (counts / np.sqrt(1.0 + left**2))[:, np.newaxis]
            bend = weighted.T @ slopes + np.diag(stiffness)
            bend += _DAMPING * max(float(np.trace(bend)), 1.0) * np.eye(len(bend))
            step = -np.linalg.solve(
                bend, weighted.T @ left + stiffness * moved + pull * ranges / prior_reach()
            )
            moved = np.clip(point + ranges * (moved + step), low, high)
            moved = (moved - point) / ranges
        sets.append(outward(point + ranges * moved))
    return np.array(sets)


def _noise_of(
    errors: np.ndarray, change: np.ndarray, regime: np.ndarray, least: float = 1e-9
) -> tuple[np.ndarray, float, np.ndarray]:
    """Return of one column's errors, (runs, seconds), the deviation by regime, ``least`` or more, that per unit of change, and the errors in them."""
    known = ~np.isnan(errors)
    if not known.any():
        return np.full(len(REGIMES), least), 0.0, errors
    squares = np.minimum(errors**2, np.quantile(errors[known] ** 2, 0.995))
    is_still = known & (change <= np.quantile(change[known], 0.5))
    seconds = [known & (regime == number) for number in range(len(REGIMES))]
    still = np.maximum(
        least, [_root_mean(squares, [is_still & some, some, is_still]) for some in seconds]
    )
    base = still[regime]
    moves = known & ~is_still
    excess, fast = (squares - base**2)[moves], change[moves] ** 2
    if fast.sum() > 0:
        moving = float(np.sqrt(max(0.0, (excess * fast).sum() / max((fast**2).sum(), 1e-30))))
    else:
        moving = 0.0
    return still, moving, errors / np.sqrt(base**2 + (moving * change) ** 2)


def _quantiles(pool: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """Return quantiles of each column of (seconds, columns), (columns, levels).

    Those of a normal distribution where nothing was measured.
    """
    found = np.tile(ndtri(np.array(levels)), (pool.shape[1], 1))
    for row, values in zip(found, pool.T, strict=True):
        if (known := ~np.isnan(values)).any():
            row[:] = np.quantile(values[known], levels)
    return found


def _root_mean(squares: np.ndarray, choices: list[np.ndarray]) -> float:
    """Return the root of the mean over the first choice of seconds that has enough of them.

    Over the last otherwise.
    """
    chosen = next((choice for choice in choices if choice.sum() >= _SHAPED_FROM), choices[-1])
    if chosen.any():
        return float(np.sqrt(squares[chosen].mean()))
    return 1e-9


def on_scale(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Return simulated columns as one array (plans, members, columns, seconds) on the scale of ``scored``."""
    return np.stack([scored(name, columns[name]) for name in COLUMNS], axis=2)

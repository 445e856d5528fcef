"""Experiment design: which runs would reduce the variance of usual predictions most.

Bayesian linear design (Chaloner & Verdinelli, 1995, "Bayesian experimental design: a review"),
I-optimal: the parameters' covariance Σ is that of the ensemble; a run adds its Fisher
information F; the loss is the mean variance of predictions over usual plans, trace(W (Σ⁻¹ + F)⁻¹).
Candidates are taken greedily, each time the one whose loss falls fastest with the machine's time:
the largest log ratio of losses for each second that a run of it takes (rest before and after
counted), so that a short plan need not tell as much as a long one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.demand import demand_of, stacked
from twin_harness.predict.jacobian import jacobian
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import HIGH, LOW, NAMES, to_fit_scale
from twin_harness.predict.scale import least_noise, on_error_scale
from twin_harness.predict.simulate import simulate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.demand import Demand
    from twin_harness.predict.fitted_model import FittedModel
    from twin_harness.schedule.model import Experiment

_SPANS = to_fit_scale(HIGH) - to_fit_scale(LOW)
_WIDE = 0.25  # of a parameter's range: the prior standard deviation of one not identified
_BISECTIONS = 40
# Parameter sets beside the centre, over which a run's information is averaged: slopes at one point
# are as wrong as it is.
_POINTS = 6
# Of the information that independent seconds of the right model would bear.
_LEAST_SHARE, _MOST_SHARE = 1e-8, 1.0


@dataclass(frozen=True)
class Suggestion:
    """An experiment to run.

    Attributes:
        experiment: the plan.
        left: the loss that is expected to remain after it and those before it, as a share of
            today's.
        machine_s: the machine's time that it and those before it take, in seconds.
    """

    experiment: Experiment
    left: float
    machine_s: float


@dataclass(frozen=True)
class Enough:
    """Where suggestions end, whichever comes first.

    Attributes:
        count: how many there are at most.
        machine_s: the machine's time that all take at most, in seconds.
        left: the share of today's loss at which nothing more is needed.
    """

    count: int = 1_000
    machine_s: float = float("inf")
    left: float = 0.0


def suggest(
    model: FittedModel,
    candidates: Sequence[Experiment],
    usual: Sequence[Experiment],
    enough: Enough,
) -> list[Suggestion]:
    """Return the experiments to run next, the most informative for its time first.

    Args:
        model: the fitted model.
        candidates: what might be run.
        usual: plans whose predictions are to be precise.
        enough: where to end.
    """
    covariance = _covariance(model)
    points = [model.parameters, *model.spread.parameter_sets[1 : _POINTS + 1]]
    usual_demands, own_demands = (
        [demand_of(experiment, model.capacity) for experiment in plans]
        for plans in (usual, candidates)
    )
    spreads = _column_spreads(model, usual_demands)
    noise = np.maximum(model.spread.still[1], [least_noise(name) for name in COLUMNS])
    # Predictions are judged by their errors in deviations of each column; a run's information is
    # measured in its noise.
    slopes = [_slopes(model, usual_demands, point) for point in points]
    weights = np.mean(
        [_squared(part, np.maximum(spreads, noise)).mean(axis=0) for part in slopes], axis=0
    )
    weights /= max(float(np.trace(weights)), 1e-300)
    ordinary = np.mean([_squared(part, noise).mean(axis=0) for part in slopes], axis=0)
    share = _information_share(covariance, weights, ordinary, model.plans)
    information_of = share * np.mean(
        [_squared(_slopes(model, own_demands, point), noise) for point in points], axis=0
    )
    today = float(np.trace(weights @ covariance))
    chosen: list[Suggestion] = []
    remaining = list(range(len(candidates)))
    left, used_s = 1.0, 0.0
    while len(chosen) < enough.count and left > enough.left:
        remaining = [
            number
            for number in remaining
            if used_s + candidates[number].machine_s <= enough.machine_s
        ]
        if not remaining:
            break
        losses = {
            number: float(np.trace(weights @ _with_information(covariance, information_of[number])))
            for number in remaining
        }
        best = min(
            remaining,
            key=lambda number: (
                np.log(max(losses[number], 1e-300) / (max(today, 1e-300) * left))
                / candidates[number].machine_s
            ),
        )
        remaining.remove(best)
        covariance = _with_information(covariance, information_of[best])
        left = losses[best] / max(today, 1e-300)
        used_s += candidates[best].machine_s
        chosen.append(Suggestion(candidates[best], left, used_s))
    return chosen


def _covariance(model: FittedModel) -> np.ndarray:
    """Return the parameters' covariance, as shares of their ranges.

    One that is not identified is as wide as its bounds.
    """
    sets = to_fit_scale(model.spread.parameter_sets) / _SPANS
    covariance = np.cov(sets.T) + 1e-12 * np.eye(len(NAMES))
    for name in model.unidentified:
        index = NAMES.index(name)
        covariance[index, :] = covariance[:, index] = 0.0
        covariance[index, index] = _WIDE**2
    return covariance


def _information_share(
    covariance: np.ndarray, weights: np.ndarray, ordinary: np.ndarray, plans: int
) -> float:
    """Return which share of its Fisher information a run is really worth.

    Such that the training runs explain today's loss. Seconds of a run are not independent, and no
    model is right: counted as if they were, eight runs would leave nothing open.

    Args:
        covariance: of the parameters today.
        weights: of the loss.
        ordinary: the information of a usual plan.
        plans: how many the model was fitted to.
    """
    wide = _WIDE**2 * np.eye(len(NAMES))
    today = float(np.trace(weights @ covariance))
    low, high = np.log(_LEAST_SHARE), np.log(_MOST_SHARE)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        posterior = _with_information(wide, np.exp(middle) * plans * ordinary)
        if float(np.trace(weights @ posterior)) > today:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2.0))


def _with_information(covariance: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Return (Σ⁻¹ + F)⁻¹ as (I + Σ F)⁻¹ Σ, which needs no inverse of either."""
    size = len(covariance)
    posterior: np.ndarray = np.linalg.solve(np.eye(size) + covariance @ information, covariance)
    symmetric: np.ndarray = (posterior + posterior.T) / 2.0
    return symmetric


def _slopes(model: FittedModel, demands: Sequence[Demand], parameters: np.ndarray) -> np.ndarray:
    """Return how predictions change over each parameter's range.

    (plans, parameters, columns, seconds), on the error scale.

    Args:
        model: the fitted model.
        demands: of the plans.
        parameters: (parameters,) at which the derivatives are taken, in units.
    """
    levels = stacked(demands)

    def predicted(sets: np.ndarray) -> np.ndarray:
        return np.moveaxis(on_error_scale(simulate(sets, levels, model.capacity)), 1, 0)

    derivatives = jacobian(predicted, to_fit_scale(parameters))
    slopes: np.ndarray = np.moveaxis(derivatives, 0, 1) * _SPANS[:, np.newaxis, np.newaxis]
    slopes[:, :, ~np.isin(COLUMNS, model.domain.measured)] = 0.0
    for row, demand in zip(slopes, demands, strict=True):
        row[..., demand.seconds :] = 0.0
    return slopes


def _column_spreads(model: FittedModel, demands: Sequence[Demand]) -> np.ndarray:
    """Return the standard deviation of each column over plans, (columns,), on the error scale."""
    columns = simulate(model.parameters[np.newaxis], stacked(demands), model.capacity)
    spreads: np.ndarray = on_error_scale(columns)[:, 0].std(axis=(0, 2))
    return spreads


def _squared(slopes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return sums of squares and products of scaled slopes, (plans, parameters, parameters)."""
    scaled = slopes / scales[np.newaxis, np.newaxis, :, np.newaxis]
    squared: np.ndarray = np.einsum("picx,pjcx->pij", scaled, scaled, optimize=True)
    return squared

"""Which experiments would tell most.

Those after which predictions of the usual plans are expected to be surest.

Bayesian linear design (Chaloner & Verdinelli, 1995, "Bayesian experimental design: a review"),
I-optimal: what is known of the parameters is the ensemble's covariance Σ; a run adds its Fisher
information F; the loss is the mean variance of predictions over usual plans, trace(W (Σ⁻¹ + F)⁻¹).
Candidates are taken greedily.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.demand import demand_of, stacked
from twin_harness.predict.fit import least_noise
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import HIGH, LOW, NAMES, inward, outward
from twin_harness.predict.simulate import simulate
from twin_harness.predict.uncertainty import on_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.twin import Twin
    from twin_harness.schedule.model import Experiment

_STEP = 1e-4
_SPANS = inward(HIGH) - inward(LOW)
_WIDE = 0.25  # of what a parameter may be: nothing is known of it
_BISECTIONS = 40
# parameter sets beside the centre, over which what a run would tell is averaged: slopes at one
# point are as wrong as it is
_POINTS = 6
_LEAST_SHARE, _MOST_SHARE = (
    1e-8,
    1.0,
)  # of the information that independent seconds of the right model would bear


def suggest(
    twin: Twin, candidates: Sequence[Experiment], usual: Sequence[Experiment], count: int
) -> list[tuple[Experiment, float]]:
    """Return the experiments to run next, the most telling first, each with the loss that is expected to remain after it, as a share of today's.

    Args:
        twin: what is known today.
        candidates: what might be run.
        usual: plans whose predictions are to be sure.
        count: how many to choose.
    """
    known = _covariance(twin)
    points = [twin.parameters_, *twin.spread_.parameters[1 : _POINTS + 1]]
    spreads = _slopes(twin, usual, twin.parameters_)[1]
    noise = np.maximum(twin.spread_.still[1], [least_noise(name) for name in COLUMNS])
    # Predictions are judged by their errors in deviations of each column; what a run tells is
    # measured in its noise.
    found = [_slopes(twin, usual, point)[0] for point in points]
    weights = np.mean(
        [_squared(part, np.maximum(spreads, noise)).mean(axis=0) for part in found], axis=0
    )
    weights /= max(float(np.trace(weights)), 1e-300)
    share = _worth(
        known,
        weights,
        np.mean([_squared(part, noise).mean(axis=0) for part in found], axis=0),
        len(twin.file_.training.plans),
    )
    informations = share * np.mean(
        [_squared(_slopes(twin, candidates, point)[0], noise) for point in points], axis=0
    )
    first = float(np.trace(weights @ known))
    chosen: list[tuple[Experiment, float]] = []
    left = list(range(len(candidates)))
    for _ in range(min(count, len(candidates))):
        losses = [float(np.trace(weights @ _with(known, informations[number]))) for number in left]
        best = left.pop(int(np.argmin(losses)))
        known = _with(known, informations[best])
        chosen.append((candidates[best], float(np.trace(weights @ known)) / max(first, 1e-300)))
    return chosen


def _covariance(twin: Twin) -> np.ndarray:
    """Return what is known of the parameters, as shares of what each may be.

    What the data does not tell is as wide as its bounds.
    """
    found = np.cov((inward(twin.spread_.parameters) / _SPANS).T) + 1e-12 * np.eye(len(NAMES))
    for name in twin.file_.unidentified:
        index = NAMES.index(name)
        found[index, :] = found[:, index] = 0.0
        found[index, index] = _WIDE**2
    return found


def _worth(known: np.ndarray, weights: np.ndarray, ordinary: np.ndarray, plans: int) -> float:
    """Return which share of its information a run is really worth.

    So much that the runs of the fit explain how sure the twin is today.

    Seconds of a run are not independent, and no model is right: counted as if they were, eight runs
    would leave nothing open.
    """
    wide = _WIDE**2 * np.eye(len(NAMES))
    today = float(np.trace(weights @ known))
    low, high = np.log(_LEAST_SHARE), np.log(_MOST_SHARE)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        explained = float(np.trace(weights @ _with(wide, np.exp(middle) * plans * ordinary)))
        if explained > today:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2.0))


def _with(known: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Return (Σ⁻¹ + F)⁻¹ as Σ − Σ (F⁻¹ + Σ)⁻¹ Σ would have it, by a form that needs no inverse of either."""
    size = len(known)
    found: np.ndarray = np.linalg.solve(np.eye(size) + known @ information, known)
    even: np.ndarray = (found + found.T) / 2.0
    return even


def _slopes(
    twin: Twin, experiments: Sequence[Experiment], at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how predictions change by each parameter's range, (plans, parameters, columns, seconds), and how each column varies, (columns,)."""
    demands = [demand_of(experiment, twin.capacity_) for experiment in experiments]
    point = inward(at)
    steps = _STEP * np.maximum(1.0, np.abs(point))
    moved = point + np.diag(np.where(point + steps > inward(HIGH), -steps, steps))
    free = on_scale(simulate(outward(np.vstack([point, moved])), stacked(demands), twin.capacity_))
    taken = np.diagonal(inward(outward(moved))) - point
    slopes = (free[:, 1:] - free[:, :1]) * (_SPANS / np.where(taken == 0, 1.0, taken))[
        np.newaxis, :, np.newaxis, np.newaxis
    ]
    slopes[:, :, [name not in twin.domain_.measured for name in COLUMNS]] = 0.0
    for row, demand in zip(slopes, demands, strict=True):
        row[..., demand.seconds :] = 0.0
    return slopes, free[:, 0].std(axis=(0, 2))


def _squared(slopes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return the sums of squares and products of slopes in scales, (plans, parameters, parameters)."""
    scaled = slopes / scales[np.newaxis, np.newaxis, :, np.newaxis]
    found: np.ndarray = np.einsum("picx,pjcx->pij", scaled, scaled, optimize=True)
    return found

"""The fitting problem: weighted residuals of free runs as a function of the parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.conditions import Others, Start
from twin_harness.predict.demand import stacked
from twin_harness.predict.jacobian import jacobian
from twin_harness.predict.observation import COLUMNS, padded, start_of
from twin_harness.predict.others import cpu_by_others, rest_of
from twin_harness.predict.parameters import HIGH, LOW, NAMES, PARAMETERS, START, to_fit_scale
from twin_harness.predict.scale import to_error_scale
from twin_harness.predict.simulate import simulate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.demand import Capacity
    from twin_harness.predict.observation import Observation

_USUAL_REACH = 2.3  # a scale is within a factor of ten of the usual one, as a rule
_OTHERS = NAMES.index("background_cpu")
_TOLD_WIDTH = 0.01  # percent: what others used at rest was measured, and is not fitted


class Problem:
    """The error of free runs over some observations, as a function of the parameters.

    Args:
        observations: the runs.
        capacity: of their machine.
        scales: (columns,) what an error of one is, on the error scale.
        is_cold: start from the idle state of the parameters, not as each run found the machine.
        is_told: give the model what others used in each second, where that was measured.

    Attributes:
        prior_centre: (parameters,) of the weak prior, on the fitting scale.
        prior_widths: (parameters,) of the same.
        levels: (runs, channels, seconds) what was asked for.
        lengths: (runs,) in seconds.
        plans: how many different plans the runs are of.
        plan_of: (measured values,) the plan of each residual, by number.
        measured: (runs, columns, seconds) on the error scale, NaN where nothing was measured.
        is_known: (runs, columns, seconds) where something was measured.
    """

    def __init__(
        self,
        observations: Sequence[Observation],
        capacity: Capacity,
        scales: np.ndarray,
        *,
        is_cold: bool = False,
        is_told: bool = False,
    ) -> None:
        self.prior_centre = to_fit_scale(START)
        self.prior_widths = np.where(
            [parameter.is_log for parameter in PARAMETERS],
            _USUAL_REACH,
            to_fit_scale(HIGH) - to_fit_scale(LOW),
        )
        others = cpu_by_others(observations) if is_told else None
        self._others = None
        if others is not None:
            self._others = Others.of_cpu(others)
            rest = np.nanmedian([rest_of(one) for one in observations])
            self.prior_centre[_OTHERS] = np.clip(rest, LOW[_OTHERS], HIGH[_OTHERS])
            self.prior_widths[_OTHERS] = _TOLD_WIDTH
        self.levels = stacked([observation.demand for observation in observations])
        self._capacity = capacity
        if is_cold:
            self._start = Start.idle(len(observations))
        else:
            self._start = start_of(observations)
        self.lengths = np.array([observation.demand.seconds for observation in observations])
        plans = list(dict.fromkeys(observation.plan for observation in observations))
        self.plans = len(plans)
        plan_of_run = np.array([plans.index(observation.plan) for observation in observations])
        values = padded(observations)
        self.measured = np.stack(
            [to_error_scale(name, values[:, index]) for index, name in enumerate(COLUMNS)], axis=1
        )
        self.is_known = ~np.isnan(self.measured)
        counts = self.is_known.sum(axis=(1, 2), keepdims=True)
        self.plan_of = np.broadcast_to(plan_of_run[:, np.newaxis, np.newaxis], self.is_known.shape)[
            self.is_known
        ]
        # Runs weigh equally, however long they are.
        self._weights = (
            np.sqrt(counts.mean() / np.maximum(counts, 1)) / scales[np.newaxis, :, np.newaxis]
        )

    def simulate(self, parameters: np.ndarray) -> dict[str, np.ndarray]:
        """Return the free runs in units: columns by name, each (runs, members, seconds)."""
        return simulate(parameters, self.levels, self._capacity, self._start, others=self._others)

    def predicted(self, parameters: np.ndarray) -> np.ndarray:
        """Return the free runs on the error scale, (members, runs, columns, seconds)."""
        columns = self.simulate(parameters)
        parts = [np.moveaxis(to_error_scale(name, columns[name]), 1, 0) for name in COLUMNS]
        return np.stack(parts, axis=2)

    def prior_residuals(self, point: np.ndarray) -> np.ndarray:
        """Return one weak residual per parameter, given a point on the fitting scale."""
        residuals: np.ndarray = (point - self.prior_centre) / self.prior_widths
        return residuals

    def errors(self, parameters: np.ndarray) -> np.ndarray:
        """Return predicted less measured, (members, runs, columns, seconds), on the error scale.

        NaN where nothing was measured.
        """
        errors: np.ndarray = self.predicted(parameters) - self.measured
        return errors

    def residuals(self, parameters: np.ndarray) -> np.ndarray:
        """Return weighted errors of (members, parameters) as (members, measured values)."""
        weighted: np.ndarray = (self.errors(parameters) * self._weights)[:, self.is_known]
        return weighted

    def jacobian(self, point: np.ndarray) -> np.ndarray:
        """Return the residuals' derivatives, (measured values, parameters), at a point.

        Args:
            point: (parameters,) on the fitting scale.
        """
        return jacobian(self.residuals, point).T

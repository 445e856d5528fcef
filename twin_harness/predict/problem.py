"""The fitting problem: weighted residuals of free runs as a function of the parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.conditions import Others, Start
from twin_harness.predict.demand import stacked
from twin_harness.predict.jacobian import jacobian
from twin_harness.predict.observation import COLUMNS, padded, start_of
from twin_harness.predict.others import cpu_by_others, rest_of
from twin_harness.predict.parameters import HIGH, NAMES
from twin_harness.predict.prior import Prior
from twin_harness.predict.scale import to_error_scale
from twin_harness.predict.simulate import simulate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.demand import Capacity
    from twin_harness.predict.observation import Observation

_OTHERS, _WIDTH = "background_cpu", 0.01  # percent: what was measured at rest is not fitted


class Problem:
    """The error of free runs over some observations, as a function of the parameters.

    Args:
        observations: the runs.
        capacity: of their machine.
        scales: (columns,) what an error of one is, on the error scale.
        is_cold: start from the idle state of the parameters, not as each run found the machine.
        is_told: give the model what others used in each second, where that was measured.
        prior: what is believed of the parameters; next to nothing unless given.

    Attributes:
        prior: what is believed of the parameters before any run.
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
        prior: Prior | None = None,
    ) -> None:
        self.prior = prior or Prior.weak()
        others = cpu_by_others(observations) if is_told else None
        self._others = None
        if others is not None:
            self._others = Others.of_cpu(others)
            rest = float(np.nanmedian([rest_of(one) for one in observations]))
            self.prior = self.prior.pinned(_OTHERS, min(rest, HIGH[NAMES.index(_OTHERS)]), _WIDTH)
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

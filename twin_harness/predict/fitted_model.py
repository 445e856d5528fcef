"""The fitted model of one machine: everything that predictions, drift and suggestions need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.demand import stacked
from twin_harness.predict.free_run import FreeRun, hold_last, noise_regimes
from twin_harness.predict.scale import in_units, on_error_scale
from twin_harness.predict.simulate import simulate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.calibration import Calibration
    from twin_harness.predict.demand import Capacity, Demand
    from twin_harness.predict.model_file import DomainPart
    from twin_harness.predict.reference_errors import ReferenceErrors
    from twin_harness.predict.simulate import Start
    from twin_harness.predict.spread import Spread


@dataclass(frozen=True)
class FittedModel:
    """What a fit gave, or a model file holds.

    Attributes:
        fingerprint: of the machine.
        capacity: what 100 percent of it is.
        parameters: (parameters,) in the order of ``NAMES``.
        unidentified: parameters that the training runs do not identify.
        plans: how many different plans it was fitted to.
        spread: the parameter ensemble and the residuals.
        calibration: multipliers of the bands.
        reference_errors: what runs' mean errors usually are, for drift.
        domain: what the training runs asked for.
    """

    fingerprint: str
    capacity: Capacity
    parameters: np.ndarray
    unidentified: tuple[str, ...]
    plans: int
    spread: Spread
    calibration: Calibration
    reference_errors: ReferenceErrors
    domain: DomainPart

    @cached_property
    def parameter_sets(self) -> np.ndarray:
        """The fitted parameters and the ensemble's, (1 + sets, parameters)."""
        return np.vstack([self.parameters, self.spread.parameter_sets])

    def simulate(
        self,
        demands: Sequence[Demand],
        start: Start | None = None,
        others: np.ndarray | None = None,
    ) -> tuple[FreeRun, dict[str, np.ndarray]]:
        """Predict plans under the fitted parameters and the ensemble.

        Args:
            demands: the plans, second by second.
            start: the machine as it is before each of them; idle unless given.
            others: (plans, seconds of the longest) CPU time of others beyond that at rest, percent;
                none unless given.

        Returns:
            The free runs, which hold their last value beyond the end of a plan, and the simulated
                columns in units.
        """
        columns = simulate(
            self.parameter_sets, stacked(demands), self.capacity, start, others=others
        )
        lengths = np.array([demand.seconds for demand in demands])
        values = hold_last(on_error_scale(columns), lengths)
        return FreeRun(values[:, 0], values[:, 1:], noise_regimes(columns)), columns

    def free_run(
        self,
        demands: Sequence[Demand],
        start: Start | None = None,
        others: np.ndarray | None = None,
    ) -> FreeRun:
        """Return the free runs of plans.

        Args:
            demands: the plans, second by second.
            start: as of ``simulate``.
            others: as of ``simulate``.
        """
        return self.simulate(demands, start, others)[0]

    def members(self, free: FreeRun, plan: int = 0) -> np.ndarray:
        """Return simulated trajectories of one plan, (members, columns, seconds), in units."""
        return in_units(self.spread.members(free.select(plan)))

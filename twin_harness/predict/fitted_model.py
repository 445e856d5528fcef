"""The fitted model of one machine: everything that predictions, drift and suggestions need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.conditions import Others
from twin_harness.predict.demand import CHANNELS, stacked
from twin_harness.predict.domain import extrapolations
from twin_harness.predict.foretold import FORETOLD_FROM
from twin_harness.predict.free_run import FreeRun, hold_last, noise_regimes
from twin_harness.predict.local_reach import FEWEST_RUNS, Surroundings
from twin_harness.predict.memory_use import Memory, follow_memory
from twin_harness.predict.parameters import NAMES
from twin_harness.predict.scale import LOG_COLUMNS, in_units, on_error_scale
from twin_harness.predict.simulate import simulate
from twin_harness.predict.spread import between_sets
from twin_harness.predict.stages import missing_of, stages_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.background import Background
    from twin_harness.predict.calibration import Calibration
    from twin_harness.predict.conditions import Start
    from twin_harness.predict.demand import Capacity, Demand
    from twin_harness.predict.local_reach import LocalReach
    from twin_harness.predict.model_file import DomainPart, LineagePart
    from twin_harness.predict.reference_errors import ReferenceErrors
    from twin_harness.predict.spread import Spread
    from twin_harness.predict.starting_time import StartingTime

_AT_ONCE = 8  # plans


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
        background: what others use; None where nobody knows.
        local: how far errors reach in each stage of a plan; None where few runs were kept apart.
        unforetold: columns whose peaks it does not foretell; None where nobody knows.
        lineage: of a model that was transferred, which one it was made from.
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
    background: Background | None = None
    local: LocalReach | None = None
    unforetold: tuple[str, ...] | None = None
    lineage: LineagePart | None = None

    @cached_property
    def parameter_sets(self) -> np.ndarray:
        """The fitted parameters and the ensemble's, (1 + sets, parameters)."""
        return np.vstack([self.parameters, self.spread.parameter_sets])

    def simulate(
        self,
        demands: Sequence[Demand],
        start: Start | None = None,
        others: Others | None = None,
        memory: Memory | None = None,
    ) -> tuple[FreeRun, dict[str, np.ndarray]]:
        """Predict plans under the fitted parameters and the ensemble.

        Args:
            demands: the plans, second by second.
            start: the machine as it is before each of them; idle unless given.
            others: what others use; the fitted parameters come first of its members, then the
                parameter sets in turn.
            memory: as ``follow_memory`` returns it for these plans, where it is known already.

        Returns:
            The free runs, which hold their last value beyond the end of a plan, and the simulated
                columns under the fitted parameters in units, (plans, seconds) each.
        """
        sets = self._sets_beside(others)
        if others is not None:
            others = others.until(max(demand.seconds for demand in demands))
        columns = simulate(
            sets,
            stacked(demands),
            self.capacity,
            start,
            others=others,
            memory=memory,
            has_logs=True,
        )
        lengths = np.array([demand.seconds for demand in demands])
        values = hold_last(on_error_scale(columns, has_logs=True), lengths)
        shape = (len(demands), len(sets), values.shape[-1])
        fitted = {name: np.broadcast_to(one, shape)[:, 0] for name, one in columns.items()}
        for name in LOG_COLUMNS:
            fitted[name] = np.exp(fitted[name])
        missing = self._missing(demands, fitted["memory_delivered_bytes"])
        return FreeRun(values[:, 0], values[:, 1:], noise_regimes(columns), missing), fitted

    def _missing(self, demands: Sequence[Demand], resident: np.ndarray) -> np.ndarray:
        """Return the memory that is asked for and not resident, (plans, seconds), in percent."""
        asked = stacked(demands)[:, CHANNELS.index("memory_end_bytes")]
        missing = np.maximum(np.minimum(asked, self.capacity.memory_bytes) - resident, 0.0)
        overhead = self.parameters[NAMES.index("memory_overhead")]
        percent: np.ndarray = 100.0 * overhead * missing / self.capacity.memory_bytes
        return percent

    def follow_memory(
        self, demands: Sequence[Demand], start: Start | None, others: Others | None
    ) -> Memory:
        """Return the memory of plans, for ``simulate``; arguments as of it.

        Args:
            demands: the plans.
            start: the machine as it is before each of them.
            others: what others use.
        """
        sets = self._sets_beside(others)
        return follow_memory(sets, stacked(demands), self.capacity, start)

    def _sets_beside(self, others: Others | None) -> np.ndarray:
        """Return the parameter sets, one for each of the others' members."""
        sets = self.parameter_sets
        if others is None or others.members == 1:
            return sets
        chosen = 1 + np.arange(others.members - 1) % (len(sets) - 1)
        beside: np.ndarray = sets[np.concatenate([[0], chosen])]
        return beside

    def recorded_others(
        self, demands: Sequence[Demand], at: StartingTime | None = None
    ) -> Others | None:
        """Return draws of what others may use during plans; None where nobody knows.

        Args:
            demands: the plans; each has draws of its own.
            at: when they begin; any time unless given.

        Raises:
            InvalidInput: nothing was recorded at that time of a day.
        """
        if self.background is None:
            return None
        return Others.stacked(
            [
                self.background.draw(demand.seconds, at, seed=number)
                for number, demand in enumerate(demands)
            ]
        )

    def free_run(
        self,
        demands: Sequence[Demand],
        start: Start | None = None,
        others: Others | None = None,
    ) -> FreeRun:
        """Return the free runs of plans, a few at a time where others differ between members.

        Args:
            demands: the plans, second by second.
            start: as of ``simulate``.
            others: as of ``simulate``.
        """
        if others is None or others.members == 1 or start is not None:
            return self.simulate(demands, start, others)[0]
        parts = []
        for first in range(0, len(demands), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            parts.append(self.simulate(demands[part], None, others.select(part))[0])
        return FreeRun.stacked(parts)

    def bands(self, free: FreeRun, demands: Sequence[Demand]) -> tuple[np.ndarray, np.ndarray]:
        """Return how far below and above the centre the bands reach, on the error scale.

        The one that holds 90 percent of seconds and the one that holds all seconds of 90 percent
        of runs, each (2, plans, columns, seconds); NaN where the model was not calibrated. Beyond
        what it was fitted to no band is narrower than the ensemble's.

        Args:
            free: the free runs of the plans.
            demands: the plans.
        """
        between = between_sets(free)
        reach = self.spread.reach(free, between)
        point = self.calibration.pointwise[:, np.newaxis] * reach
        joint = self.calibration.simultaneous[:, np.newaxis] * reach
        if self.local is None:
            return point, joint
        around = Surroundings(point, between, stages_of(free, demands), missing_of(free))
        band = self.local.band(around)
        is_beyond = [bool(extrapolations(demand, self.domain)) for demand in demands]
        band[:, is_beyond] = np.maximum(band[:, is_beyond], point[:, is_beyond])
        return band, np.maximum(joint, band)

    def doubt(self, column: str) -> str:
        """Return why nothing is said of how high a column gets; empty where something is."""
        if column not in self.domain.measured:
            return (
                f"{column} was empty in the runs that the twin was fitted to, so it does not"
                " predict it"
            )
        if self.unforetold is None and column in LOG_COLUMNS:
            kept = self.calibration.runs
            return (
                f"nobody knows whether the twin foretells how high {column} gets: of the"
                f" {FEWEST_RUNS} runs that it takes to tell {kept or 'none'} were kept apart, or an"
                " older version fitted it; fit it to the runs of pytest scenarios/campaign"
                " --twin-campaign 1h"
            )
        if self.unforetold and column in self.unforetold:
            where = "the model that it was made from" if self.lineage else "the runs kept apart"
            return (
                f"the twin does not foretell how high {column} gets: by {where} it explains less"
                f" than {100 * FORETOLD_FROM:.0f} % of how its 95th percentiles differ"
            )
        return ""

    def members(self, free: FreeRun, plan: int = 0) -> np.ndarray:
        """Return simulated trajectories of one plan, (members, columns, seconds), in units."""
        return in_units(self.spread.members(free.select(plan)))

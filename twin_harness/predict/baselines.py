"""The baselines that a twin must beat: eight simple predictors in free run.

All see the plan alone, and what a machine shows before it begins where that is asked for; none sees
a sample of the run that it predicts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from twin_harness.predict.autoregressive import Arx, Boosting
from twin_harness.predict.static_baselines import (
    Mean,
    Nearest,
    Persistence,
    StraightLine,
    Superposition,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from twin_harness.predict.demand import Capacity, Demand
    from twin_harness.predict.observation import Observation


class Predictor(Protocol):
    """Predicts every column of runs from their plans."""

    name: str

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Learn from runs."""
        ...

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Return predictions, (runs, columns, seconds of the longest), in units.

        Args:
            demands: the plans.
            before: (runs, columns) the values before each run, NaN where unknown.
        """
        ...


def all_baselines() -> list[Predictor]:
    """Return the baselines; the eighth, gradient boosting, where scikit-learn is installed."""
    always: list[Predictor] = [
        Mean(),
        Persistence(),
        Nearest(),
        Superposition(),
        Superposition("clipped superposition", is_clipped=True),
        Arx(),
        StraightLine(),
    ]
    if Boosting.is_available():
        return [*always, Boosting()]
    return always

"""The gate fixture's value: it takes what a test measures of its own service."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput
from twin_harness.gate.declaration import declare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.measures import Measure
    from twin_harness.plugin.state import TestState


class GateRecorder:
    """The ``gate`` fixture: takes what a test measures of its own service."""

    def __init__(self, test: TestState, name: str, declared: Sequence[Measure]) -> None:
        self._test = test
        self._name = name
        self._declared = {measure.metric: measure for measure in declared if not measure.statistic}

    def record(
        self,
        name: str,
        value: float,
        *,
        unit: str = "",
        better: str | None = None,
        threshold: str = "3%",
        floor: float | None = None,
    ) -> None:
        """Record a value for the gate, once a test and name.

        A marker ``gate(name, …)`` on the test declares direction and threshold; without one they
        are given here.

        Args:
            name: what people call it, with its unit: ``requests_per_s``.
            value: the figure. One that is no number (NaN) makes the measure UNDECIDED.
            unit: for display.
            better: ``lower`` or ``higher``.
            threshold: the least change that matters, a percent.
            floor: the same in the figure's unit, for figures that can be 0.

        Raises:
            InvalidInput: an argument is not what it has to be, or the name was recorded already.
        """
        if isinstance(value, bool) or not isinstance(value, Real):
            msg = (
                f"gate.record({name!r}): expected a number but got value={value!r}"
                f" (type={type(value).__name__})"
            )
            raise InvalidInput(msg)
        if name in self._test.recorded:
            msg = (
                f"gate.record({name!r}): it was recorded already in this test; record one figure,"
                " such as the median of many"
            )
            raise InvalidInput(msg)
        measure = self._declared.get(name)
        if measure is None:
            measure = declare(self._name, name, None, None, better, threshold, floor, unit)
            if measure.statistic:
                msg = (
                    f"gate.record({name!r}): is a column of the dataset, which the gate measures"
                    f" itself: mark the test gate({name!r})"
                )
                raise InvalidInput(msg)
        self._test.recorded[name] = (replace(measure, unit=unit or measure.unit), float(value))

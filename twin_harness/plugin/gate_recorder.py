"""The gate fixture's value: it takes what a test measures of its own service."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite, nan
from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput
from twin_harness.gate.declaration import declare
from twin_harness.gate.percentiles import figures_needed, percentile
from twin_harness.gate.turns import SLICE_PAIRS
from twin_harness.gate.variant import Variant
from twin_harness.plugin.gate_turns import FEW_SLICES, USUAL_S, Turn, require_number, run_turns

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from twin_harness.gate.measures import Measure
    from twin_harness.gate.percentiles import Percentile
    from twin_harness.plugin.state import TestState


class GateRecorder:
    """The ``gate`` fixture: takes what a test measures of its own service."""

    def __init__(
        self,
        test: TestState,
        name: str,
        declared: Sequence[Measure],
        variants: tuple[Variant, ...] = (Variant(),),
        seed: int = 0,
        *,
        is_judged: bool = True,
        has_profile: bool = False,
    ) -> None:
        self._test = test
        self._name = name
        self._variants = variants
        self._seed = seed
        self._count = SLICE_PAIRS if is_judged else FEW_SLICES
        self._has_profile = has_profile
        self._seconds = max((one.interleave_s for one in declared), default=0.0)
        self._turns: Generator[Turn, None, None] | None = None
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
        require_number("gate.record", name, value)
        if name in self._test.recorded:
            msg = (
                f"gate.record({name!r}): it was recorded already in this test; record one figure,"
                " such as the median of many"
            )
            raise InvalidInput(msg)
        if self._seconds:
            msg = (
                f"gate.record({name!r}): both variants take turns in this test, so a value is of"
                " one of them; expected for turn in gate.turns(): turn.record(…)"
            )
            raise InvalidInput(msg)
        measure = self._measure_of(name, unit=unit, better=better, threshold=threshold, floor=floor)
        self._test.recorded[name] = (measure, float(value))

    def percentiles(
        self,
        name: str,
        figures: Sequence[float],
        percents: Sequence[float] = (50, 95, 99),
        *,
        unit: str = "",
        better: str | None = None,
        threshold: str = "3%",
    ) -> dict[float, Percentile]:
        """Record percentiles of many figures, each as a value of its own: ``latency_ms p99``.

        Where there are too few figures to say up to where a percentile may lie, its measure is
        UNDECIDED.

        Args:
            name: what people call the figures, with their unit: ``latency_ms``.
            figures: one of each operation.
            percents: which percentiles.
            unit: for display.
            better: ``lower`` or ``higher``, unless a marker ``gate("latency_ms p99", …)`` says it.
            threshold: the least change that matters, a percent.

        Returns:
            Each percentile by its percent, with an interval of 95 % that assumes no distribution.

        Raises:
            InvalidInput: an argument is not what it has to be.
        """
        found = {}
        for percent in percents:
            found[percent] = one = percentile(figures, percent)
            value, label = one.value, f"{name} p{percent:g}"
            if not isfinite(one.low) or not isfinite(one.high):
                value = nan
                self._test.faults[label] = (
                    f"{label} of {one.n} figures has no interval; it takes"
                    f" {figures_needed(percent)} of them"
                )
            self.record(label, value, unit=unit, better=better, threshold=threshold)
        return found

    def turns(self) -> Iterator[Turn]:
        """Take turns: a slice of the machine for each variant, in an order that the seed draws.

        ``for turn in gate.turns(): turn.record("latency_ms", …)``: let the service of
        ``turn.variant`` work for ``turn.seconds``, while the other is idle.
        """
        if len(self._variants) > 1 and not self._seconds:
            msg = (
                "gate.turns(): both variants take turns only in an interleaved test; add"
                " interleave='0.2s' to its gate marker, and request variants in place of variant"
            )
            raise InvalidInput(msg)
        self._turns = run_turns(
            self._test,
            self._variants,
            seconds=self._seconds or USUAL_S,
            seed=self._seed,
            name=self._name,
            declare=self._measure_of,
            count=self._count,
            has_profile=self._has_profile,
        )
        return self._turns

    def close(self) -> None:
        """End what a loop over turns has begun, where an error has left it open."""
        if self._turns is not None:
            self._turns.close()

    def _measure_of(
        self, name: str, *, unit: str, better: str | None, threshold: str, floor: float | None
    ) -> Measure:
        """Return the measure that a marker declares, or that the arguments do."""
        measure = self._declared.get(name)
        if measure is None:
            measure = declare(self._name, name, None, None, better, threshold, floor, unit)
            if measure.statistic:
                msg = (
                    f"gate.record({name!r}): is a column of the dataset, which the gate measures"
                    f" itself: mark the test gate({name!r})"
                )
                raise InvalidInput(msg)
        return replace(measure, unit=unit or measure.unit)

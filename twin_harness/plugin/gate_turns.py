"""``gate.turns()``: the loop of an interleaved test, a slice of the machine for each variant."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from statistics import median
from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput, Undecided
from twin_harness.gate.turns import SLICE_PAIRS, Slice, fold, slice_order
from twin_harness.system.clock import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from twin_harness.gate.measures import Measure
    from twin_harness.gate.placement import Placement
    from twin_harness.gate.records import FoldedRecord
    from twin_harness.gate.turn_work import TurnWork
    from twin_harness.gate.variant import Variant
    from twin_harness.plugin.state import TestState

USUAL_S = 0.2
# Slices where nothing is compared or judged: they only show that the test works.
FEW_SLICES = 4


def require_number(call: str, name: str, value: object) -> None:
    """Refuse what is recorded and is no number.

    Args:
        call: what was called.
        name: under which it is recorded.
        value: what was given.

    Raises:
        InvalidInput: it is no number; one sentence.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        msg = (
            f"{call}({name!r}): expected a number but got value={value!r}"
            f" (type={type(value).__name__})"
        )
        raise InvalidInput(msg)


@dataclass(frozen=True)
class Turn:
    """One slice: the variant that works while the other is idle.

    Attributes:
        variant: which one; a key of what the test has started for each.
        seconds: how long it is to work.
    """

    variant: Variant
    seconds: float
    _slice: Slice
    _begin_s: float
    _declare: Callable[..., Measure]
    _test: TestState

    @property
    def is_open(self) -> bool:
        """Whether there is time for another operation: ``while turn.is_open: …``."""
        return monotonic_s() - self._begin_s < self.seconds

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
        """Record a figure of this slice: one of the whole, or one of each operation.

        Where each operation has one, the beginning of the slices is left out until they are flat;
        the median of the rest counts.

        Args:
            name: what people call it, with its unit: ``latency_ms``.
            value: the figure, a number.
            unit: for display.
            better: ``lower`` or ``higher``, unless a marker ``gate(name, …)`` says it.
            threshold: the least change that matters, a percent.
            floor: the same in the figure's unit, for figures that can be 0.

        Raises:
            InvalidInput: an argument is not what it has to be.
        """
        require_number("turn.record", name, value)
        if name not in self._test.turned:
            self._test.turned[name] = self._declare(
                name, unit=unit, better=better, threshold=threshold, floor=floor
            )
        at_s = monotonic_s() - self._begin_s
        self._slice.values.setdefault(name, []).append((at_s, float(value)))


def run_turns(
    test: TestState,
    variants: tuple[Variant, ...],
    *,
    seconds: float,
    seed: int,
    name: str,
    declare: Callable[..., Measure],
    count: int = SLICE_PAIRS,
    has_profile: bool = False,
) -> Generator[Turn, None, None]:
    """Hand out the slices of one pair, each when the one before it has ended.

    Without two variants there is one slice where there would be a pair of them.

    Args:
        test: the test's state; it keeps the slices.
        variants: base and candidate; one where nothing is compared.
        seconds: how long a slice is.
        seed: of the session.
        name: of the test, without what tells its repetitions apart.
        declare: makes a measure of what ``turn.record`` is given.
        count: how many slice pairs.
        has_profile: whether both variants are sampled meanwhile.

    Raises:
        InvalidInput: the test asks for turns a second time.
    """
    if test.slices:
        msg = "gate.turns(): the turns of this test have been taken already; loop over them once"
        raise InvalidInput(msg)
    orders = slice_order(seed, name, max(0, test.pair), count)
    test.slices_planned = count * len(variants)
    tools = None
    if len(variants) > 1:
        from twin_harness.gate.placement import Placement
        from twin_harness.gate.turn_work import TurnWork

        test.work = TurnWork(variants)
        tools = test.work, Placement(seed, name, max(0, test.pair))
    with _profiled(test, variants, has_profile=has_profile):
        for number, is_candidate_first in enumerate(orders):
            chosen = list(enumerate(variants))
            if is_candidate_first:
                chosen.reverse()
            for position, (index, variant) in enumerate(chosen):
                one = Slice(index == 1, number, position == 1, seconds)
                with _watched(tools, one):
                    begin_s = monotonic_s()
                    yield Turn(variant, seconds, one, begin_s, declare, test)
                    one.took_s = monotonic_s() - begin_s
                test.slices.append(one)


@contextmanager
def _watched(tools: tuple[TurnWork, Placement] | None, one: Slice) -> Iterator[None]:
    """Measure who works in a turn, and have it begin where its slice pair does.

    Without two variants there are no tools, and nothing to compare.
    """
    if tools is None:
        yield
        return
    work, placement = tools
    index = int(one.is_candidate)
    work.begin()
    with placement.begin(one.pair, work.tops[index], one.seconds):
        yield
    work.end(index)


@contextmanager
def _profiled(
    test: TestState, variants: tuple[Variant, ...], *, has_profile: bool
) -> Iterator[None]:
    """Sample both variants while a block runs; the test's state keeps their stacks."""
    if not has_profile or len(variants) < 2:
        yield
        return
    from twin_harness.gate.profiling import Profilers

    profilers = Profilers(variants)
    try:
        yield
    finally:
        test.stacks = profilers.end()


def fold_all(
    test: TestState,
) -> tuple[dict[str, float], dict[str, float], dict[str, str], dict[str, FoldedRecord]]:
    """Return the figures of base and candidate, the faults, and how each was folded.

    All by short name.
    """
    base: dict[str, float] = {}
    candidate: dict[str, float] = {}
    faults: dict[str, str] = {}
    folded: dict[str, FoldedRecord] = {}
    if reason := _incomplete(test):
        faults[""] = reason
        return base, candidate, faults, folded
    idle_shares = (0.0, 0.0)
    if test.work is not None:
        if reason := test.work.fault():
            faults[""] = reason
            return base, candidate, faults, folded
        idle_shares = test.work.idle_shares()
    for measure in test.turned.values():
        name = measure.short_name
        try:
            base[name], candidate[name], record = fold(test.slices, measure)
            folded[name] = {**record, "idle_shares": idle_shares}
        except Undecided as error:
            faults[name] = str(error)
    return base, candidate, faults, folded


def fold_one(test: TestState) -> tuple[dict[str, float], dict[str, str]]:
    """Return the figures of a session without variants, and the faults: medians of its slices."""
    values: dict[str, float] = {}
    faults: dict[str, str] = {}
    if reason := _incomplete(test):
        return values, {"": reason}
    for measure in test.turned.values():
        figures = [
            median(figure for _, figure in one.values[measure.metric])
            for one in test.slices
            if one.values.get(measure.metric)
        ]
        values[measure.short_name] = median(figures)
    return values, faults


def _incomplete(test: TestState) -> str:
    """Return why the turns cannot be compared; empty where they can."""
    if not test.slices_planned:
        return "the test took no turns; expected for turn in gate.turns(): turn.record(…)"
    if len(test.slices) < test.slices_planned:
        return (
            f"only {len(test.slices)} of {test.slices_planned} turns were taken; let the loop over"
            " gate.turns() end"
        )
    return ""

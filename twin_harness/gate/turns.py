"""Turns: base and candidate alive at once, working in slices, folded into one pair of figures.

Slices come in pairs of neighbours, in ABBA blocks of which each begins with the variant that is
drawn, so that what drifts and who goes first cancel (G. E. P. Box, W. G. Hunter and J. S. Hunter,
Statistics for Experimenters, 4). A slice pair gives one log ratio (or difference), the mean of
their medians in either order is the pair's effect; the pair stays the unit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, exp, isfinite, log, sqrt
from random import Random
from statistics import median
from typing import TYPE_CHECKING

from twin_harness.errors import Undecided
from twin_harness.gate.records import FoldedRecord
from twin_harness.gate.spread import robust_spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.measures import Measure

SLICE_PAIRS = 20
# A slice's figures are looked at in ten parts, or one by one where they are fewer; what comes
# before the middle may be left out as carried over from the variant that worked before.
_TENTHS = 10
# In so many slices at least.
_FEWEST = 5
# The beginning is off where it differs by more than so many standard errors, and by more than this
# share of the threshold.
_ERRORS, _SHARE = 3.0, 0.25
_MEDIAN_ERROR = 1.2533  # standard error of a median of normal values, to that of their mean


@dataclass
class Slice:
    """One slice: a variant had the machine, the other was idle.

    Attributes:
        is_candidate: which variant worked.
        pair: number of the slice pair.
        is_second: the other variant worked right before.
        seconds: how long it was to be.
        took_s: how long it was.
        values: by name, (seconds since its begin, figure) of each record, in order.
    """

    is_candidate: bool
    pair: int
    is_second: bool
    seconds: float
    took_s: float = 0.0
    values: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def slice_order(seed: int, test: str, pair: int, count: int = SLICE_PAIRS) -> list[bool]:
    """Return for each slice pair of a pair whether the candidate works first, in ABBA blocks.

    Args:
        seed: of the session.
        test: node id of the test, without what tells its repetitions apart.
        pair: number of the pair.
        count: how many slice pairs.
    """
    random = Random(f"{seed} {test} {pair}")  # noqa: S311 - an order, no secret
    order: list[bool] = []
    while len(order) < count:
        first = random.random() < 0.5
        order += [first, not first]
    return order[:count]


def fold(slices: Sequence[Slice], measure: Measure) -> tuple[float, float, FoldedRecord]:
    """Return the base's figure, the candidate's, and how they were made.

    The base's is the median of its slices; the candidate's is that, times the ratio of the slice
    pairs (plus their difference, on a difference scale): half of the median of those in which the
    base worked first and half of the others'.

    Args:
        slices: of one pair, in the order in which they ran.
        measure: a recorded one.

    Raises:
        Undecided: a slice has no figure, or one that cannot be compared.
    """
    name = measure.metric
    empty = [one for one in slices if not one.values.get(name)]
    if empty:
        msg = (
            f"{measure.short_name}: no figure was recorded in {len(empty)} of {len(slices)} slices"
            f" of {slices[0].seconds:g} s; give slices that hold one operation at least, such as"
            f" interleave='{_longer(slices)}'"
        )
        raise Undecided(msg)
    bad = sum(not isfinite(value) for one in slices for _, value in one.values[name])
    if bad:
        msg = f"{measure.short_name}: {bad} figures of the slices are no numbers"
        raise Undecided(msg)
    dropped, is_flat = _carried_over(slices, name, measure)
    by_pair: dict[int, dict[bool, float]] = {}
    for one in slices:
        values = [value for _, value in one.values[name]]
        kept = values[min(len(values) - 1, ceil(dropped * len(values))) :]
        by_pair.setdefault(one.pair, {})[one.is_candidate] = median(kept)
    whole = {pair: both for pair, both in by_pair.items() if len(both) == 2}
    if not whole:
        msg = f"{measure.short_name}: no two slices make a pair; let the loop over gate.turns() end"
        raise Undecided(msg)
    changes = {pair: _change(measure, both[False], both[True]) for pair, both in whole.items()}
    base = median(both[False] for both in whole.values())
    first = {one.pair: one.is_candidate for one in slices if not one.is_second}
    by_order = [
        [change for pair, change in changes.items() if first.get(pair) is is_candidate]
        for is_candidate in (False, True)
    ]
    change, order = median(changes.values()), 0.0
    if all(by_order):
        # The median of each order by itself: in that of all, one disturbed slice pair would let
        # through what the second slice has more.
        base_first, candidate_first = map(median, by_order)
        change = 0.5 * (base_first + candidate_first)
        order = 0.5 * (base_first - candidate_first)
    if measure.scale == "ratio":
        candidate = base * exp(change)
    else:
        candidate = base + change
    mean = sum(changes.values()) / len(changes)
    squares = sum((change - mean) ** 2 for change in changes.values())
    record = FoldedRecord(
        slice_pairs=len(changes),
        sd=sqrt(squares / max(1, len(changes) - 1)),
        order=order,
        dropped_s=dropped * slices[0].seconds,
        is_flat=is_flat,
        idle_shares=(0.0, 0.0),
    )
    return base, candidate, record


def _longer(slices: Sequence[Slice]) -> str:
    """Return a slice length that is worth a try."""
    return f"{min(10.0, max(2.0 * max(one.took_s for one in slices), 5 * slices[0].seconds)):.2g}s"


def _change(measure: Measure, base: float, candidate: float) -> float:
    """Return the candidate's log ratio to the base, or its difference.

    Raises:
        Undecided: a ratio of something that is 0 or less, or no number.
    """
    effect = measure.effect(base, candidate)
    if measure.better == "lower":
        return effect
    return -effect


def _carried_over(slices: Sequence[Slice], name: str, measure: Measure) -> tuple[float, bool]:
    """Return which share of each slice's figures is left out, and whether the rest is flat.

    The same for both variants: whichever needs more says how much. With one figure a slice nothing
    can be said of how it begins.
    """
    parts = min(_TENTHS, int(median(len(one.values[name]) for one in slices)))
    half = parts // 2
    dropped = 0
    for is_candidate in (False, True):
        ours = [one for one in slices if one.is_candidate is is_candidate]
        off = [part for part in range(half) if _is_off(ours, measure, part, parts)]
        if off:
            dropped = max(dropped, off[-1] + 1)
    return dropped / max(1, parts), dropped < max(1, half)


def _is_off(slices: Sequence[Slice], measure: Measure, part: int, parts: int) -> bool:
    """Tell whether a part of a variant's slices differs from their second halves."""
    gaps = []
    for one in slices:
        values = [value for _, value in one.values[measure.metric]]
        count = len(values)
        here = values[part * count // parts : (part + 1) * count // parts]
        rest = values[-(-count // 2) :]
        if not here or not rest:
            continue
        first, usual = median(here), median(rest)
        if measure.scale == "difference":
            gaps.append(first - usual)
        elif first > 0 and usual > 0:
            gaps.append(log(first / usual))
    if len(gaps) < _FEWEST:
        return False
    error = _MEDIAN_ERROR * robust_spread(gaps) / sqrt(len(gaps))
    return abs(median(gaps)) > max(_ERRORS * error, _SHARE * measure.least_effect)

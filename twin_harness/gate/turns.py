"""Turns: base and candidate alive at once, working in slices, folded into one pair of figures.

Slices come in pairs of neighbours, in ABBA blocks of which each begins with the variant that is
drawn, so that what drifts and who goes first cancel (G. E. P. Box, W. G. Hunter and J. S. Hunter,
Statistics for Experimenters, 4). A slice pair gives one log ratio (or difference), their median is
the pair's effect; the pair stays the unit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log, sqrt
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
# A slice is looked at in tenths; what comes before its half may be left out as carried over from
# the variant that worked before.
_TENTHS, _HALF = 10, 5
# So many figures a slice show how it begins; fewer are taken as they are.
_SHOWING = 8
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
        values: by name, (seconds since its begin, figure) of each record.
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

    The base's is the median of its slices; the candidate's is that, times the median ratio of the
    slice pairs (plus their median difference, on a difference scale).

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
    tenths, is_flat = _carried_over(slices, measure)
    by_pair: dict[int, dict[bool, float]] = {}
    for one in slices:
        kept = [value for at_s, value in one.values[name] if _tenth(one, at_s) >= tenths]
        kept = kept or [value for _, value in one.values[name][-1:]]
        by_pair.setdefault(one.pair, {})[one.is_candidate] = median(kept)
    whole = {pair: both for pair, both in by_pair.items() if len(both) == 2}
    if not whole:
        msg = f"{measure.short_name}: no two slices make a pair; let the loop over gate.turns() end"
        raise Undecided(msg)
    changes = {pair: _change(measure, both[False], both[True]) for pair, both in whole.items()}
    base = median(both[False] for both in whole.values())
    change = median(changes.values())
    if measure.scale == "ratio":
        candidate = base * exp(change)
    else:
        candidate = base + change
    first = {one.pair: one.is_candidate for one in slices if not one.is_second}
    by_order = {
        is_candidate: [change for pair, change in changes.items() if first[pair] is is_candidate]
        for is_candidate in (False, True)
    }
    order = 0.0
    if all(by_order.values()):
        order = 0.5 * (median(by_order[False]) - median(by_order[True]))
    mean = sum(changes.values()) / len(changes)
    squares = sum((change - mean) ** 2 for change in changes.values())
    record = FoldedRecord(
        slice_pairs=len(changes),
        sd=sqrt(squares / max(1, len(changes) - 1)),
        order=order,
        dropped_s=tenths / _TENTHS * slices[0].seconds,
        is_flat=is_flat,
    )
    return base, candidate, record


def _longer(slices: Sequence[Slice]) -> str:
    """Return a slice length that is worth a try."""
    return f"{min(10.0, max(2.0 * max(one.took_s for one in slices), 5 * slices[0].seconds)):.2g}s"


def _tenth(one: Slice, at_s: float) -> int:
    return min(_TENTHS - 1, int(_TENTHS * at_s / max(one.seconds, 1e-9)))


def _change(measure: Measure, base: float, candidate: float) -> float:
    """Return the candidate's log ratio to the base, or its difference.

    Raises:
        Undecided: a ratio of something that is 0 or less, or no number.
    """
    effect = measure.effect(base, candidate)
    if measure.better == "lower":
        return effect
    return -effect


def _carried_over(slices: Sequence[Slice], measure: Measure) -> tuple[int, bool]:
    """Return how many tenths of each slice are left out, and whether the rest is flat.

    The same for both variants: whichever needs more says how much.
    """
    name = measure.metric
    if median(len(one.values[name]) for one in slices) < _SHOWING:
        return 0, True
    dropped, is_flat = 0, True
    for is_candidate in (False, True):
        ours = [one for one in slices if one.is_candidate is is_candidate]
        off = [tenth for tenth in range(_HALF) if _is_off(ours, measure, tenth)]
        if off:
            dropped = max(dropped, off[-1] + 1)
            is_flat = is_flat and off[-1] + 1 < _HALF
    return dropped, is_flat


def _is_off(slices: Sequence[Slice], measure: Measure, tenth: int) -> bool:
    """Tell whether a tenth of a variant's slices differs from their second halves."""
    gaps = []
    for one in slices:
        values = one.values[measure.metric]
        here = [value for at_s, value in values if _tenth(one, at_s) == tenth]
        rest = [value for at_s, value in values if _tenth(one, at_s) >= _HALF]
        if not here or not rest:
            continue
        first, usual = median(here), median(rest)
        if measure.scale == "difference":
            gaps.append(first - usual)
        elif first > 0 and usual > 0:
            gaps.append(log(first / usual))
    if len(gaps) < _HALF:
        return False
    error = _MEDIAN_ERROR * robust_spread(gaps) / sqrt(len(gaps))
    return abs(median(gaps)) > max(_ERRORS * error, _SHARE * measure.least_effect)

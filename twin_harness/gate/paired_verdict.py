"""The judgement of a session in paired mode, from all its trials."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twin_harness.gate.judging import Evidence, judge_pairs
from twin_harness.gate.paired import gather_evidence
from twin_harness.gate.pairs import Pairs
from twin_harness.gate.statistics import sign_flip_p
from twin_harness.gate.stopping import find_ending, length_so_far, with_silent
from twin_harness.gate.verdict import REGRESSED, UNDECIDED, Judgement, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.looks import Length
    from twin_harness.gate.measures import Measure
    from twin_harness.gate.trials import Trial

# When a doubt says that it matters who goes first: for sure, and by so much of the threshold.
_ORDER_P, _ORDER_SHARE = 0.01, 0.25


def judge_all(
    trials: Sequence[Trial],
    names: tuple[str, str],
    family: Sequence[Measure],
    *,
    length: Length,
    seed: int,
) -> Judgement:
    """Judge a session in paired mode, from all its trials.

    Args:
        trials: of all tests and variants.
        names: of the variants, base first.
        family: the measures that are judged.
        length: how many pairs there were to be, without spares.
        seed: by which the order of the runs was drawn.
    """
    family = with_silent(trials, family)
    tests = list(dict.fromkeys(measure.test for measure in family))
    ending = find_ending(trials, names, family, length)
    planned = length_so_far(trials, names, tests, length)
    alpha = ending.alpha or length.alpha_at_end(len(family))
    evidence = gather_evidence(trials, names, family, below=ending.pairs)
    if ending.pairs is None:
        evidence = [_if_whole(entry, trials, names, planned) for entry in evidence]
    found = judge_pairs(evidence, alpha=alpha)
    verdicts = tuple(
        replace(one, looks=tuple(ending.looks[one.measure.name]))
        for one in _with_ending(found, ending.pairs, planned)
    )
    pairs_by_test = {test: Pairs.of(trials, test, names) for test in tests}
    unfit = {test: pairs.left_out() for test, pairs in pairs_by_test.items()}
    doubts = [
        doubt for test, reasons in unfit.items() for doubt in _doubts(test, "left out", reasons)
    ]
    doubts += [
        doubt
        for test, pairs in pairs_by_test.items()
        for doubt in _doubts(test, "broke off", pairs.broken)
    ]
    doubts += [
        f"{test}: of pair {', '.join(map(str, sorted(pairs.begun)))} one run is missing"
        for test, pairs in pairs_by_test.items()
        if pairs.begun
    ]
    doubts += [
        doubt
        for measure in family
        for doubt in _order_effects(pairs_by_test[measure.test], measure)
    ]
    doubts += dict.fromkeys(
        f"{entry.measure.test}: {entry.covariate.doubt}"
        for entry in evidence
        if entry.covariate.doubt
    )
    doubts += dict.fromkeys(
        f"{entry.measure.test}: its pairs are adjusted for {entry.covariate.name}, by which others"
        " disturbed the machine: changes are at equal figures of it"
        for entry in evidence
        if entry.covariate.name
    )
    facts = {
        "pairs_planned": planned,
        "pairs_range": [length.least, length.most],
        "pairs_done": {test: len(pairs.by_number) for test, pairs in pairs_by_test.items()},
        "pairs_unfit": {test: len(reasons) for test, reasons in unfit.items()},
        "stopped_at": ending.pairs,
        "seed": seed,
    }
    return Judgement(verdicts, "paired", tuple(doubts), names, facts)


def _if_whole(
    entry: Evidence, trials: Sequence[Trial], names: tuple[str, str], planned: int
) -> Evidence:
    """Return evidence that says so where the session was cut short: that is no planned look.

    Args:
        entry: of one measure.
        trials: of all tests and variants.
        names: of the variants, base first.
        planned: how many pairs there were to be.
    """
    pairs = Pairs.of(trials, entry.measure.test, names)
    tried = {number for number in (*pairs.by_number, *pairs.broken) if number < planned}
    if entry.fault or entry.lack or len(tried) >= planned or len(pairs.begun) + len(tried) == 0:
        return entry
    lack = (
        f"the session was cut short after {len(tried)} of {planned} pairs, which is no planned look"
    )
    return replace(entry, lack=lack)


def _order_effects(pairs: Pairs, measure: Measure) -> list[str]:
    """Return a doubt where whichever variant worked second in a slice pair differs for sure."""
    folded = [base.folded.get(measure.short_name) for base, _ in pairs.by_number.values()]
    orders = [record["order"] for record in folded if record is not None]
    if not orders:
        return []
    size = sum(orders) / len(orders)
    p = 2.0 * min(sign_flip_p(orders), sign_flip_p([-order for order in orders]))
    if p > _ORDER_P or abs(size) < _ORDER_SHARE * measure.least_effect:
        return []
    shown = replace(measure, better="lower")
    return [
        (
            f"{measure.name}: whichever variant works second in a slice pair has"
            f" {shown.shown(size):+.2g} {shown.shown_unit} (p {p:.2g}); the order cancels it,"
            " longer slices would make it smaller"
        )
    ]


def _with_ending(
    verdicts: Sequence[Verdict], stopped_at: int | None, planned: int
) -> Sequence[Verdict]:
    """Return verdicts that say so where another measure's regression left them few pairs."""
    if stopped_at is None or not any(one.status == REGRESSED for one in verdicts):
        return verdicts
    why = f"the session ended after {stopped_at} of {planned} pairs, when another measure regressed"
    return [
        replace(one, reason=f"{why}; {one.reason}") if one.status == UNDECIDED and one.n else one
        for one in verdicts
    ]


def _doubts(test: str, what: str, reasons: dict[int, str]) -> list[str]:
    """Return a sentence for each reason, with the numbers of its pairs."""
    numbers: dict[str, list[int]] = {}
    for number, reason in reasons.items():
        numbers.setdefault(reason, []).append(number)
    doubts = []
    for reason, which in numbers.items():
        noun = "pairs" if len(which) > 1 else "pair"
        doubts.append(f"{test}: {noun} {', '.join(map(str, which))} {what}: {reason}")
    return doubts

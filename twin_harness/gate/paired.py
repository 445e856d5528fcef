"""Paired mode: the evidence of all pairs so far, which are still wanted, and the judgement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.gate.judging import Evidence, judge_pairs, may_stop
from twin_harness.gate.measures import Measure
from twin_harness.gate.pairs import Pairs
from twin_harness.gate.statistics import pairs_needed
from twin_harness.gate.verdict import ALPHA, Judgement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.trials import Trial


LOOKS = (6, 9)

_HOPELESS = 3  # pairs that broke off, where none was whole


def gather_evidence(
    trials: Sequence[Trial],
    names: tuple[str, str],
    family: Sequence[Measure],
    below: int | None = None,
) -> list[Evidence]:
    """Return the evidence of every measure of a family, from the trials so far.

    Args:
        trials: of all tests and variants.
        names: of the variants, base first.
        family: the measures that are judged.
        below: only pairs with smaller numbers count; None is all.
    """
    least = pairs_needed(len(family), ALPHA)
    pairs = {test: Pairs.of(trials, test, names) for test in {measure.test for measure in family}}
    evidence = []
    for measure in family:
        fit, covariate = pairs[measure.test].usable(measure.covariate, below)
        reasons = [base.fault(measure) or candidate.fault(measure) for base, candidate in fit]
        usable = [pair for pair, reason in zip(fit, reasons, strict=True) if not reason]
        faults = [reason for reason in reasons if reason]
        fault, lack = "", ""
        if len({trial.schedule for pair in usable for trial in pair}) > 1:
            fault = "its runs did not have the same experiment, so they cannot be compared"
        elif not usable and faults:
            fault = faults[0]
        elif not usable:
            fault = _why_no_pair(pairs[measure.test])
        elif faults:
            # Which pairs lack the figure may be the candidate's own doing: what is left is no fair
            # sample.
            lack = f"{faults[0]} (in {len(faults)} of {len(fit)} pairs)"
        elif covariate.refusal and measure.covariate != "auto":
            lack = covariate.refusal
        elif not any(trial.environment.is_known for pair in usable for trial in pair):
            lack = (
                "environment: steal, others' work and the probe are unknown in every pair, so"
                " whether the machine was the same is, too"
            )
        elif below is None and len(usable) < least:
            lack = _why_too_few(pairs[measure.test], len(usable), least)
        if fault:
            evidence.append(Evidence(measure, fault=fault))
            continue
        base_values, candidate_values = (
            tuple(pair[side].values[measure.short_name] for pair in usable) for side in (0, 1)
        )
        kept = covariate.of_pairs([not reason for reason in reasons])
        evidence.append(Evidence(measure, base_values, candidate_values, lack=lack, covariate=kept))
    return evidence


def _why_too_few(pairs: Pairs, usable: int, least: int) -> str:
    sentence = f"only {usable} pairs could be used, a verdict needs {least}"
    unfit = pairs.unfit()
    if unfit:
        return f"environment: {sentence}; {len(unfit)} were unfit: {next(iter(unfit.values()))}"
    if pairs.broken:
        return f"{sentence}; {len(pairs.broken)} broke off"
    return sentence


def _why_no_pair(pairs: Pairs) -> str:
    reason = next(iter(pairs.broken.values()), "") or next(iter(pairs.unfit().values()), "")
    if reason:
        return f"no pair could be used: {reason}"
    return "no pair could be used"


def stopped_at(
    trials: Sequence[Trial], names: tuple[str, str], family: Sequence[Measure]
) -> int | None:
    """Return at which of the two looks all measures had passed for sure; None before that.

    Args:
        trials: of all tests and variants.
        names: of the variants, base first.
        family: the measures that are judged.
    """
    for look in LOOKS:
        is_complete = all(
            set(range(look)) <= set(Pairs.of(trials, test, names).by_number)
            for test in {measure.test for measure in family}
        )
        if family and is_complete and may_stop(gather_evidence(trials, names, family, below=look)):
            return look
    return None


def is_wanted(
    trials: Sequence[Trial], names: tuple[str, str], test: str, number: int, planned: int
) -> bool:
    """Tell whether a pair of a test is still to be run; a spare only in place of an unfit one.

    Args:
        trials: of all tests and variants so far.
        names: of the variants, base first.
        test: name of the test.
        number: of the pair.
        planned: how many pairs there are without spares.
    """
    pairs = Pairs.of(trials, test, names)
    if number in pairs.by_number:
        return False
    if not pairs.by_number and len(pairs.broken) >= _HOPELESS:
        return False
    if number < planned:
        return True
    done = [done for done in (*pairs.by_number, *pairs.broken) if done != number]
    spares_used = sum(other >= planned for other in done)
    return pairs.lost > spares_used


def judge_all(
    trials: Sequence[Trial],
    names: tuple[str, str],
    family: Sequence[Measure],
    *,
    planned: int,
    seed: int,
) -> Judgement:
    """Judge a session in paired mode, from all its trials.

    Args:
        trials: of all tests and variants.
        names: of the variants, base first.
        family: the measures that are judged.
        planned: how many pairs there were to be, without spares.
        seed: by which the order of the runs was drawn.
    """
    # A gated test that never gave a figure is not passed over.
    silent = {trial.test for trial in trials} - {measure.test for measure in family}
    family = [*family, *(Measure(test, "any figure") for test in sorted(silent))]
    stop = stopped_at(trials, names, family)
    verdicts = judge_pairs(gather_evidence(trials, names, family, below=stop))
    pairs_by_test = {
        test: Pairs.of(trials, test, names)
        for test in dict.fromkeys(measure.test for measure in family)
    }
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
    facts = {
        "pairs_planned": planned,
        "pairs_done": {test: len(pairs.by_number) for test, pairs in pairs_by_test.items()},
        "pairs_unfit": {test: len(reasons) for test, reasons in unfit.items()},
        "stopped_at": stop,
        "seed": seed,
    }
    return Judgement(verdicts, "paired", tuple(doubts), names, facts)


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

"""Paired mode: the evidence of all pairs so far, and the judgement."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from twin_harness.gate.judging import Evidence
from twin_harness.gate.pairs import Pairs
from twin_harness.gate.statistics import pairs_needed
from twin_harness.gate.verdict import ALPHA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.measures import Measure
    from twin_harness.gate.trials import Trial

# Work that the candidate puts off into the base's turns, as a share of its CPU time.
_PUT_OFF = 0.05


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
    return [_evidence_of(measure, pairs[measure.test], below, least) for measure in family]


def _evidence_of(measure: Measure, pairs: Pairs, below: int | None, least: int) -> Evidence:
    """Return the evidence of one measure; ``least`` is how many pairs a verdict needs."""
    fit, covariate = pairs.usable(measure.covariate, below)
    reasons = [base.fault(measure) or candidate.fault(measure) for base, candidate in fit]
    usable = [pair for pair, reason in zip(fit, reasons, strict=True) if not reason]
    faults = [reason for reason in reasons if reason]
    if len({trial.schedule for pair in usable for trial in pair}) > 1:
        fault = "its runs did not have the same experiment, so they cannot be compared"
        return Evidence(measure, fault=fault)
    if not usable:
        return Evidence(measure, fault=faults[0] if faults else _why_no_pair(pairs))
    lack = ""
    if faults:
        # Which pairs lack the figure may be the candidate's own doing: what is left is no fair
        # sample.
        lack = f"{faults[0]} (in {len(faults)} of {len(fit)} pairs)"
    elif covariate.refusal:
        # Whether it is refused depends on which run was whose, so pairs that others disturbed are
        # not judged without it either: that would not be the test that was promised.
        lack = f"{covariate.refusal}; covariate='none' judges the pairs as they are"
    elif not any(trial.environment.is_known for pair in usable for trial in pair):
        lack = (
            "environment: steal, others' work and the probe are unknown in every pair, so whether"
            " the machine was the same is, too"
        )
    elif reason := _carried_over(measure, usable):
        lack = reason
    elif below is None and len(usable) < least:
        lack = _why_too_few(pairs, len(usable), least)
    base_values, candidate_values = (
        tuple(pair[side].values[measure.short_name] for pair in usable) for side in (0, 1)
    )
    kept = covariate.of_pairs([not reason for reason in reasons])
    return Evidence(measure, base_values, candidate_values, lack=lack, covariate=kept)


def _carried_over(measure: Measure, pairs: Sequence[tuple[Trial, Trial]]) -> str:
    """Return why the slices of interleaved pairs cannot be compared; empty where they can.

    What a variant leaves to the one after it makes the two alike, and would pass a worse one.
    """
    folded = [base.folded.get(measure.short_name) for base, _ in pairs]
    known = [record for record in folded if record is not None]
    put_off = [record["idle_shares"][1] - record["idle_shares"][0] for record in known]
    if put_off and median(put_off) > _PUT_OFF:
        return (
            f"carry-over: the candidate takes {100.0 * median(put_off):.0f} points more of its CPU"
            " time in the base's turns than the base does in the candidate's, so the base pays for"
            " it; give each a run of its own, or longer slices"
        )
    steep = sum(not record["is_flat"] for record in known)
    if 2 * steep <= len(pairs):
        return ""
    return (
        f"carry-over: in {steep} of {len(pairs)} pairs {measure.short_name} is another at the"
        f" beginning of a slice than at its end, up to half of it and beyond; give longer slices"
        f" than interleave='{measure.interleave_s:g}s'"
    )


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

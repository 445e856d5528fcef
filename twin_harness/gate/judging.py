"""Judging a family of measures: by its pairs, or one new session against a baseline.

REGRESSED needs three things at once: a small p-value after Holm over the declared family, an effect
of at least the threshold, and an environment that was fit. PASSED needs the upper bound of the
effect to lie below the threshold. Everything else is UNDECIDED.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isfinite
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.errors import Undecided
from twin_harness.gate import statistics
from twin_harness.gate.adjusted import adjust
from twin_harness.gate.covariate import MOVED_P, Covariate
from twin_harness.gate.verdict import ALPHA, CONFIDENCE, PASSED, REGRESSED, UNDECIDED, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.measures import Measure
    from twin_harness.gate.statistics import Predicted


@dataclass(frozen=True)
class Evidence:
    """What is known of one measure in paired mode.

    Attributes:
        measure: what is judged.
        base: the base's values, one for each fit pair, in the order of the pairs.
        candidate: the candidate's values, likewise.
        fault: why there are no values that could be judged; empty otherwise.
        lack: why there are too few fit pairs for a verdict; empty when there are enough.
        covariate: what the pairs are adjusted for; without a name, nothing.
    """

    measure: Measure
    base: tuple[float, ...] = ()
    candidate: tuple[float, ...] = ()
    fault: str = ""
    lack: str = ""
    covariate: Covariate = field(default_factory=Covariate)


@dataclass(frozen=True)
class _Tested:
    """What the sign-flip test says of the effects of one measure's pairs, adjusted or not.

    Attributes:
        effect: mean, or the intercept beside the covariate.
        spread: standard deviation about it.
        p: of "the effect is at most 0".
        better_p: of "the effect is at least 0".
        lower: one-sided lower bound of the effect.
        upper: one-sided upper bound of the effect.
    """

    effect: float = 0.0
    spread: float = inf
    p: float = 1.0
    better_p: float = 1.0
    lower: float = -inf
    upper: float = inf

    @classmethod
    def of(cls, values: list[float], covariate: Covariate, confidence: float) -> _Tested:
        """Test the effects of pairs in both directions.

        Args:
            values: one a pair, positive is worse.
            covariate: what they are adjusted for.
            confidence: of each bound.
        """
        if not values:
            return cls()
        weights = None
        if covariate.variances:
            weights = 1.0 / np.array(covariate.variances)
        worse, better = (
            adjust([sign * value for value in values], covariate.signed(sign, len(values)), weights)
            for sign in (1.0, -1.0)
        )
        return cls(
            worse.effect,
            worse.spread,
            worse.p,
            better.p,
            -better.upper_bound(confidence),
            worse.upper_bound(confidence),
        )


def judge_pairs(
    evidence: Sequence[Evidence], *, alpha: float = ALPHA, confidence: float = CONFIDENCE
) -> tuple[Verdict, ...]:
    """Judge a family of measures by its pairs.

    Args:
        evidence: one for each declared measure; those without values count in the family, too.
        alpha: chance of any false REGRESSED over the family.
        confidence: of the bound that has to lie below the threshold.
    """
    # Of a measure that cannot be judged there are no effects, and p is 1.
    effects = [_effects(entry) for entry in evidence]
    tested = [
        _Tested.of(values, entry.covariate, confidence)
        for entry, (values, _) in zip(evidence, effects, strict=True)
    ]
    raw = [found.p for found in tested]
    adjusted, improved, warned = (
        statistics.holm(raw),
        statistics.holm([found.better_p for found in tested]),
        statistics.benjamini_hochberg(raw),
    )
    verdicts = []
    for index, entry in enumerate(evidence):
        numbers = {
            "p": adjusted[index],
            "raw_p": raw[index],
            "warning_p": warned[index],
            "improved_p": improved[index],
        }
        fault = effects[index][1]
        verdicts.append(_judge(entry, tested[index], fault, numbers, len(evidence), alpha))
    return tuple(verdicts)


def _effects(evidence: Evidence) -> tuple[list[float], str]:
    """Return the effect of each pair, or none and why."""
    if evidence.fault:
        return [], evidence.fault
    base_values, candidate_values = evidence.base, evidence.candidate
    try:
        values = [
            evidence.measure.effect(base, candidate)
            for base, candidate in zip(base_values, candidate_values, strict=True)
        ]
    except Undecided as error:
        return [], str(error)
    if not values:
        return [], "there are no pairs"
    if len(set(base_values)) == len(set(candidate_values)) == 1 and len(values) > 1:
        reason = (
            f"its value is the same in every pair ({base_values[0]:g} and"
            f" {candidate_values[0]:g}), so it measures nothing that varies"
        )
        return [], reason
    return values, ""


def _judge(
    evidence: Evidence,
    tested: _Tested,
    fault: str,
    numbers: dict[str, float],
    family: int,
    alpha: float,
) -> Verdict:
    measure, least = evidence.measure, evidence.measure.least_effect
    if fault:
        return Verdict(measure, UNDECIDED, fault)
    count = len(evidence.base)
    visible = statistics.smallest_visible(tested.spread, count, alpha / family, least)
    known: dict[str, Any] = {
        **numbers,
        "effect": tested.effect,
        "lower": tested.lower,
        "upper": tested.upper,
        "base": median(evidence.base),
        "candidate": median(evidence.candidate),
        "n": count,
        "spread": tested.spread,
        "visible": visible,
        "covariate": evidence.covariate.name,
    }
    if evidence.lack:
        return Verdict(measure, UNDECIDED, evidence.lack, **known)
    if numbers["p"] <= alpha and tested.effect >= least:
        return Verdict(measure, REGRESSED, **known)
    if tested.upper < least:
        return Verdict(measure, PASSED, **known)
    reason = _why_undecided(tested.effect, least, numbers["p"], alpha, visible)
    return Verdict(measure, UNDECIDED, reason, **known)


def _why_undecided(effect: float, least: float, p: float, alpha: float, visible: float) -> str:
    if not isfinite(visible):
        return "so few cannot show a difference after correction for the family"
    if effect >= least:
        return (
            f"worse by more than the threshold, but not for sure (adjusted p {p:.2g} above"
            f" {alpha:g})"
        )
    if p <= alpha:
        return "worse for sure, but by less than the threshold; the bound does not rule out more"
    return "it scatters too much to rule out the threshold"


def may_stop(evidence: Sequence[Evidence], confidence: float = 0.975) -> bool:
    """Tell whether every measure has passed already, at a stricter confidence.

    It never says REGRESSED.
    """
    for entry in evidence:
        values, fault = _effects(entry)
        if fault or entry.lack:
            return False
        if entry.covariate.name and 2.0 ** (1 - len(values)) > MOVED_P:
            return False  # so few pairs could not show that the candidate moves the covariate
        if not _Tested.of(values, entry.covariate, confidence).upper < entry.measure.least_effect:
            return False
    return bool(evidence)


def judge_session(
    measures: Sequence[Measure],
    effects: Sequence[float],
    predicted: Sequence[Predicted],
    values: Sequence[float],
    *,
    family: int,
    alpha: float = ALPHA,
) -> tuple[Verdict, ...]:
    """Judge one new session against where a baseline expects it.

    Args:
        measures: those of the family that have figures; the other arguments have one entry each.
        effects: of the session against the centre of the baseline, positive is worse.
        predicted: where the baseline expects sessions.
        values: the session's own figures.
        family: how many measures were declared.
        alpha: chance of any false REGRESSED over the family.
    """
    others = [1.0] * (family - len(measures))
    raw = [expected.p_value(effect) for expected, effect in zip(predicted, effects, strict=True)]
    better = [
        expected.p_value(-effect) for expected, effect in zip(predicted, effects, strict=True)
    ]
    adjusted, improved, warned = (
        statistics.holm(raw + others),
        statistics.holm(better + others),
        statistics.benjamini_hochberg(raw + others),
    )
    verdicts = []
    for index, (measure, effect, expected, value) in enumerate(
        zip(measures, effects, predicted, values, strict=True)
    ):
        upper, lower = expected.upper_bound(effect), -expected.upper_bound(-effect)
        visible = expected.smallest_visible(alpha / family, measure.least_effect)
        status, reason = UNDECIDED, ""
        if expected.error <= 0:
            reason = (
                "every session of the baseline has the same value, so it measures nothing that"
                " varies"
            )
        elif adjusted[index] <= alpha and effect >= measure.least_effect:
            status = REGRESSED
        elif upper < measure.least_effect:
            status = PASSED
        else:
            reason = _why_undecided(effect, measure.least_effect, adjusted[index], alpha, visible)
        verdicts.append(
            Verdict(
                measure,
                status,
                reason,
                effect,
                lower,
                upper,
                adjusted[index],
                raw[index],
                warned[index],
                improved[index],
                candidate=value,
                n=expected.sessions,
                spread=expected.spread,
                visible=visible,
            )
        )
    return tuple(verdicts)

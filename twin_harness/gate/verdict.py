"""Verdicts: what is said of a measure, with its numbers, and why.

A judgement is the verdicts of a whole family.

REGRESSED needs three things at once: a small p-value after Holm over the declared family, an effect
of at least the threshold, and an environment that was fit. PASSED needs the upper bound of the
effect to lie below the threshold. Everything else is UNDECIDED.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import inf, isfinite, sqrt
from statistics import median
from typing import TYPE_CHECKING, Any

from twin_harness.errors import Undecided
from twin_harness.gate import statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.measures import Measure
    from twin_harness.gate.statistics import Predicted

ALPHA = 0.01
CONFIDENCE = 0.95
REGRESSED, PASSED, UNDECIDED, IMPROVED = "REGRESSED", "PASSED", "UNDECIDED", "IMPROVED"
_WORST_FIRST = (REGRESSED, UNDECIDED, PASSED)


@dataclass(frozen=True)
class Verdict:
    """What is said of one measure.

    Attributes:
        measure: what was judged. status: REGRESSED, PASSED or UNDECIDED. reason: why it is
            UNDECIDED; empty otherwise.
        effect: mean effect, positive is worse; lower, upper: its one-sided 95 % bounds; all on the
            measure's scale, NaN where unknown.
        p: adjusted over the family; raw_p: before that. warning_p: adjusted by Benjamini and
            Hochberg, for warnings.
        improved_p: the same for the good direction, in a family of its own.
        base, candidate: medians of the figures themselves. n: pairs, or sessions of the baseline.
            spread: SD over them.
        visible: the smallest effect that this run would have called in four of five cases.
    """

    measure: Measure
    status: str
    reason: str = ""
    effect: float = float("nan")
    lower: float = float("nan")
    upper: float = float("nan")
    p: float = 1.0
    raw_p: float = 1.0
    warning_p: float = 1.0
    improved_p: float = 1.0
    base: float = float("nan")
    candidate: float = float("nan")
    n: int = 0
    spread: float = float("nan")
    visible: float = inf

    @property
    def is_improved(self) -> bool:
        """Whether the good direction is as sure as a regression would have to be.

        Reported, never gating.
        """
        return (
            self.status != REGRESSED
            and self.improved_p <= ALPHA
            and -self.effect >= self.measure.least_effect
        )

    @property
    def word(self) -> str:
        """The status, or IMPROVED where it passed and is better for sure."""
        if self.is_improved and self.status == PASSED:
            return IMPROVED
        return self.status

    @property
    def sentence(self) -> str:
        """The verdict in one sentence, with its numbers."""
        measure = self.measure
        if not self.n or not isfinite(self.effect):
            return f"{measure.name}: {self.status}: {self.reason}"
        change = f"{self.change(self.effect)} [{', '.join(sorted_bounds(self))}]"
        threshold = f"threshold {self.change(measure.least_effect)}"
        if self.reason:
            why = f": {self.reason}"
        else:
            why = ""
        return (
            f"{measure.name}: {self.word}, {change}, {threshold}, adjusted p = {self.p:.2g}, n ="
            f" {self.n}, visible from {self.change(self.visible)}{why}"
        )

    def change(self, effect: float) -> str:
        """Return an effect as the change of the figure, with sign and unit."""
        if not isfinite(effect):
            if effect > 0:
                return "none"
            return "?"
        return f"{self.measure.shown(effect):+.3g} {self.measure.shown_unit}".rstrip()

    def to_json(self) -> dict[str, Any]:
        """Return plain data, the changes as people read them beside the effects."""
        data = {
            **asdict(self),
            "measure": self.measure.to_json(),
            "name": self.measure.name,
            "word": self.word,
            "sentence": self.sentence,
        }
        for key in ("effect", "lower", "upper", "visible"):
            if isfinite(getattr(self, key)):
                shown = self.measure.shown(getattr(self, key))
            else:
                shown = None
            data[f"{key}_shown"] = shown
        data["shown_unit"] = self.measure.shown_unit
        return {
            key: None if isinstance(value, float) and not isfinite(value) else value
            for key, value in data.items()
        }


def sorted_bounds(verdict: Verdict) -> list[str]:
    """Return the bounds of the effect as changes, the lower number first."""
    bounds = sorted(
        (verdict.lower, verdict.upper),
        key=lambda bound: verdict.measure.shown(max(-50.0, min(50.0, bound))),
    )
    return [verdict.change(bound) if isfinite(bound) else "open" for bound in bounds]


@dataclass(frozen=True)
class Judgement:
    """The verdicts of one session.

    Attributes:
        verdicts: one a declared measure. mode: paired or baseline. doubts: what else speaks against
            comparing, a sentence each.
        names: of the two variants, or of baseline and run. facts: pairs planned, done, unfit;
            sessions; the seed.
    """

    verdicts: tuple[Verdict, ...]
    mode: str
    doubts: tuple[str, ...] = ()
    names: tuple[str, str] = ("base", "candidate")
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The worst of all: REGRESSED before UNDECIDED before PASSED.

        UNDECIDED where nothing was judged.
        """
        return next(
            (
                status
                for status in _WORST_FIRST
                if any(verdict.status == status for verdict in self.verdicts)
            ),
            UNDECIDED,
        )

    def count(self, status: str) -> int:
        """Return how many verdicts have a status."""
        return sum(verdict.status == status for verdict in self.verdicts)

    @property
    def headline(self) -> str:
        """The verdict of the whole in one sentence."""
        counts = ", ".join(
            f"{self.count(status)} {status}" for status in _WORST_FIRST if self.count(status)
        )
        improved = sum(verdict.is_improved for verdict in self.verdicts)
        against = f"{self.names[1]} against {self.names[0]}"
        if "sees_from_spreads" in self.facts:
            against += (
                f" of {self.facts['sessions']} sessions (one new session sees from"
                f" {self.facts['sees_from_spreads']} spreads between them on)"
            )
        return (
            f"{self.status}: {against}, {len(self.verdicts)} measures:"
            f" {counts or 'none'}{f'; {improved} better for sure' if improved else ''}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data: ``gate.json``."""
        return {
            "format": "twin-gate/1",
            "status": self.status,
            "mode": self.mode,
            "names": list(self.names),
            "alpha": ALPHA,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "doubts": list(self.doubts),
            **self.facts,
        }


@dataclass(frozen=True)
class Evidence:
    """What is known of one measure in paired mode.

    Attributes:
        measure: what is judged. base, candidate: its values, one a fit pair, in the order of the
            pairs.
        fault: why there are no values that could be judged; empty otherwise.
        lack: why there are too few fit pairs for a verdict; empty when there are enough.
    """

    measure: Measure
    base: tuple[float, ...] = ()
    candidate: tuple[float, ...] = ()
    fault: str = ""
    lack: str = ""


def judge_pairs(
    evidence: Sequence[Evidence], *, alpha: float = ALPHA, confidence: float = CONFIDENCE
) -> tuple[Verdict, ...]:
    """Judge a family of measures by its pairs.

    Args:
        evidence: one a declared measure; those without values count in the family, too.
        alpha: chance of any false REGRESSED over the family.
        confidence: of the bound that has to lie below the threshold.
    """
    effects = [_effects(one) for one in evidence]
    raw = [statistics.sign_flip_p(values) if not fault else 1.0 for values, fault in effects]
    better = [
        statistics.sign_flip_p([-value for value in values]) if not fault else 1.0
        for values, fault in effects
    ]
    adjusted, improved, warned = (
        statistics.holm(raw),
        statistics.holm(better),
        statistics.benjamini_hochberg(raw),
    )
    verdicts = []
    for index, one in enumerate(evidence):
        values, fault = effects[index]
        numbers = {
            "p": adjusted[index],
            "raw_p": raw[index],
            "warning_p": warned[index],
            "improved_p": improved[index],
        }
        verdicts.append(_judge(one, values, fault, numbers, len(evidence), alpha, confidence))
    return tuple(verdicts)


def _effects(one: Evidence) -> tuple[list[float], str]:
    if one.fault:
        return [], one.fault
    try:
        values = [
            one.measure.effect(base, candidate)
            for base, candidate in zip(one.base, one.candidate, strict=True)
        ]
    except Undecided as error:
        return [], str(error)
    if not values:
        return [], "there are no pairs"
    if len(set(one.base)) == len(set(one.candidate)) == 1 and len(values) > 1:
        return (
            [],
            (
                f"its value is the same in every pair ({one.base[0]:g} and {one.candidate[0]:g}),"
                " so it measures nothing that varies"
            ),
        )
    return values, ""


def _judge(
    one: Evidence,
    values: list[float],
    fault: str,
    numbers: dict[str, float],
    family: int,
    alpha: float,
    confidence: float,
) -> Verdict:
    measure, least = one.measure, one.measure.least_effect
    if fault:
        return Verdict(measure, UNDECIDED, fault)
    count = len(values)
    effect = sum(values) / count
    if count > 1:
        spread = sqrt(sum((value - effect) ** 2 for value in values) / (count - 1))
    else:
        spread = inf
    upper, lower = (
        statistics.upper_bound(values, confidence),
        statistics.lower_bound(values, confidence),
    )
    visible = statistics.smallest_visible(spread, count, alpha / family, least)
    known: dict[str, Any] = {
        **numbers,
        "effect": effect,
        "lower": lower,
        "upper": upper,
        "base": median(one.base),
        "candidate": median(one.candidate),
        "n": count,
        "spread": spread,
        "visible": visible,
    }
    if one.lack:
        return Verdict(measure, UNDECIDED, one.lack, **known)
    if numbers["p"] <= alpha and effect >= least:
        return Verdict(measure, REGRESSED, **known)
    if upper < least:
        return Verdict(measure, PASSED, **known)
    return Verdict(
        measure, UNDECIDED, _why_undecided(effect, least, numbers["p"], alpha, visible), **known
    )


def _why_undecided(effect: float, least: float, p: float, alpha: float, visible: float) -> str:
    if not isfinite(visible):
        return "so few cannot tell anything apart after correction for the family"
    if effect >= least:
        return (
            f"worse by more than the threshold, but not for sure (adjusted p {p:.2g} above"
            f" {alpha:g})"
        )
    if p <= alpha:
        return "worse for sure, but by less than the threshold; the bound does not rule out more"
    return "it scatters too much to rule out the threshold"


def may_stop(evidence: Sequence[Evidence], confidence: float = 0.975) -> bool:
    """Tell whether every measure has passed already.

    All upper bounds below threshold, at a stricter confidence. Never says REGRESSED.
    """
    for one in evidence:
        values, fault = _effects(one)
        if (
            fault
            or one.lack
            or not statistics.upper_bound(values, confidence) < one.measure.least_effect
        ):
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
    """Judge one new session against where a baseline expects it; one of each argument a measure.

    Args:
        measures: those of the family that have figures.
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

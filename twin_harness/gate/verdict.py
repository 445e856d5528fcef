"""Verdicts: what is said of a measure, with its numbers, and the judgement of a whole family."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twin_harness.gate.measures import Measure
    from twin_harness.gate.records import LookRecord, PlaceRecord

ALPHA = 0.01
CONFIDENCE = 0.95
REGRESSED, PASSED, UNDECIDED, IMPROVED = "REGRESSED", "PASSED", "UNDECIDED", "IMPROVED"
_WORST_FIRST = (REGRESSED, UNDECIDED, PASSED)


@dataclass(frozen=True)
class Verdict:
    """What is said of one measure.

    Attributes:
        measure: what was judged.
        status: REGRESSED, PASSED or UNDECIDED.
        reason: why it is UNDECIDED; empty otherwise.
        effect: mean effect on the measure's scale, positive is worse; NaN where unknown.
        lower: one-sided lower 95 % bound of the effect.
        upper: one-sided upper 95 % bound of the effect.
        p: p-value adjusted over the family by Holm.
        raw_p: p-value before that.
        warning_p: p-value adjusted by Benjamini and Hochberg, for warnings.
        improved_p: as ``p`` for the good direction, in a family of its own.
        base: median of the base's figures.
        candidate: median of the candidate's figures.
        n: pairs, or sessions of the baseline.
        spread: standard deviation of the effect over them.
        visible: the smallest effect that this run would have called in four of five cases.
        covariate: what the pairs were adjusted for; empty where nothing was.
        looks: what was seen at each planned look before the last.
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
    covariate: str = ""
    looks: tuple[LookRecord, ...] = ()

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
        why = ""
        if self.reason:
            why = f": {self.reason}"
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
            "pairs": self.n,
            "sd_log_ratio": None,
        }
        if self.measure.scale == "ratio":
            data["sd_log_ratio"] = self.spread
        for key in ("effect", "lower", "upper", "visible"):
            data[f"{key}_shown"] = None
            if isfinite(getattr(self, key)):
                data[f"{key}_shown"] = self.measure.shown(getattr(self, key))
        data["shown_unit"] = self.measure.shown_unit
        for key, value in data.items():
            if isinstance(value, float) and not isfinite(value):
                data[key] = None  # JSON has no infinity
        return data


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
        verdicts: one for each declared measure.
        mode: paired or baseline.
        doubts: what else speaks against comparing, a sentence each.
        names: of the two variants, or of baseline and run.
        facts: pairs planned, done, unfit; sessions; the seed.
        places: by test, the functions in which the candidate spends more for sure; None where it
            was not asked.
    """

    verdicts: tuple[Verdict, ...]
    mode: str
    doubts: tuple[str, ...] = ()
    names: tuple[str, str] = ("base", "candidate")
    facts: dict[str, Any] = field(default_factory=dict)
    places: dict[str, tuple[PlaceRecord, ...]] | None = None

    @property
    def status(self) -> str:
        """The worst of all statuses; UNDECIDED where nothing was judged."""
        return next((status for status in _WORST_FIRST if self.count(status)), UNDECIDED)

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
        sentence = f"{self.status}: {against}, {len(self.verdicts)} measures: {counts or 'none'}"
        if improved:
            return f"{sentence}; {improved} better for sure"
        return sentence

    def to_json(self) -> dict[str, Any]:
        """Return plain data: ``gate.json``."""
        verdicts = [verdict.to_json() for verdict in self.verdicts]
        if self.places is not None:
            for verdict, data in zip(self.verdicts, verdicts, strict=True):
                data["places"] = list(self.places.get(verdict.measure.test, ()))
        return {
            "format": "twin-gate/1",
            "status": self.status,
            "mode": self.mode,
            "names": list(self.names),
            "alpha": ALPHA,
            "verdicts": verdicts,
            "doubts": list(self.doubts),
            **self.facts,
        }

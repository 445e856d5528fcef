"""What a table shows of a verdict: the order of the rows, the numbers of each, and plain text."""

from __future__ import annotations

import unicodedata
from math import isfinite
from typing import TYPE_CHECKING

from twin_harness.gate.verdict import IMPROVED, PASSED, REGRESSED, UNDECIDED, sorted_bounds

if TYPE_CHECKING:
    from twin_harness.gate.verdict import Judgement, Verdict


_ORDER = {REGRESSED: 0, UNDECIDED: 1, IMPROVED: 2, PASSED: 3}


def numbers(verdict: Verdict) -> list[str]:
    """Return change, bounds, smallest visible change and count as texts."""
    if not isfinite(verdict.effect):
        return ["–", "–", "–", str(verdict.n or "–")]
    bounds = " … ".join(
        bound.removesuffix(f" {verdict.measure.shown_unit}") for bound in sorted_bounds(verdict)
    )
    return [verdict.change(verdict.effect), bounds, _smallest_visible(verdict), str(verdict.n)]


def _smallest_visible(verdict: Verdict) -> str:
    if isfinite(verdict.visible):
        return verdict.change(verdict.visible)
    if verdict.status == PASSED:
        return "–"
    return "none"


def plain(text: str) -> str:
    """Return text for a terminal: no control characters, no direction marks."""
    return "".join(letter if unicodedata.category(letter)[0] != "C" else "�" for letter in text)


def worst_first(judgement: Judgement) -> list[Verdict]:
    """Return the verdicts in the order of a table: the worst first, then by name."""
    return sorted(
        judgement.verdicts, key=lambda verdict: (_ORDER[verdict.word], verdict.measure.name)
    )

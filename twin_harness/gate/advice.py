"""What a judgement leaves to say in words: its doubts, and what to do next."""

from __future__ import annotations

from math import ceil, isfinite
from typing import TYPE_CHECKING, Any

from twin_harness.gate.looks import MOST_PAIRS
from twin_harness.gate.verdict import PASSED, REGRESSED, UNDECIDED

if TYPE_CHECKING:
    from twin_harness.gate.verdict import Judgement


_MOST_WARNINGS = 5

_MOST_DOUBTS = 10

_WARNING_Q = 0.05

_MOST_PLACES = 5


def all_doubts(judgement: Judgement) -> list[str]:
    """Return what differs, and measures called worse if a false share of 5 % were accepted."""
    near = [
        verdict
        for verdict in judgement.verdicts
        if verdict.status != REGRESSED
        and verdict.warning_p <= _WARNING_Q
        and isfinite(verdict.effect)
        and verdict.effect > 0
        and not verdict.is_improved
    ]
    warnings = [
        f"{verdict.measure.name} moved for the worse ({verdict.change(verdict.effect)}, q ="
        f" {verdict.warning_p:.2g}): a warning, no verdict"
        for verdict in sorted(near, key=lambda verdict: verdict.warning_p)[:_MOST_WARNINGS]
    ]
    doubts = [*judgement.doubts, *warnings]
    if len(doubts) > _MOST_DOUBTS:
        return [*doubts[:_MOST_DOUBTS], f"and {len(doubts) - _MOST_DOUBTS} more, in gate.json"]
    return doubts


def place_sentences(judgement: Judgement) -> list[str]:
    """Return a sentence for each function in which the candidate spends more, the largest first."""
    if judgement.places is None:
        return []
    sentences = []
    for test, found in judgement.places.items():
        if not found:
            sentences.append(f"where: {test}: no function's share grew for sure in what regressed")
        sentences += [
            f"where: {test}: {place['function']}: {place['base_percent']:.1f} →"
            f" {place['candidate_percent']:.1f} % of the samples (adjusted p {place['p']:.2g},"
            f" {place['pairs']} pairs)"
            for place in found[:_MOST_PLACES]
        ]
        if len(found) > _MOST_PLACES:
            sentences.append(f"where: {test}: and {len(found) - _MOST_PLACES} more, in gate.json")
    return sentences


def next_command(judgement: Judgement) -> str:
    """Return what to do now."""
    if judgement.status == PASSED:
        return "merge"
    if judgement.mode == "baseline":
        return _after_a_baseline(judgement)
    return _after_pairs(judgement)


def _after_a_baseline(judgement: Judgement) -> str:
    name = judgement.facts.get("baseline") or "BASELINE.json"
    run = judgement.facts.get("run") or "data/latest"
    if judgement.status == REGRESSED:
        return (
            f"find the change; if it is meant, `twin gate accept {name} {run}` moves the baseline"
        )
    return f"`twin gate show {name}` shows what more sessions would let it see"


def _has_range(facts: dict[str, Any]) -> bool:
    least, most = facts.get("pairs_range", (0, 0))
    return bool(most > least)


def _pairs_needed(judgement: Judgement) -> int:
    """Return how many pairs would show the thresholds of the measures that are undecided.

    What can be seen shrinks as the square root of the pairs grows.
    """
    return max(
        (
            ceil(verdict.n * (verdict.visible / verdict.measure.least_effect) ** 2)
            for verdict in judgement.verdicts
            if verdict.status == UNDECIDED and isfinite(verdict.visible)
        ),
        default=0,
    )


def _after_pairs(judgement: Judgement) -> str:
    facts = judgement.facts
    if judgement.status == REGRESSED:
        where = ""
        if any(judgement.places.values() if judgement.places else ()):
            where = "`where` above names the functions that took more; "
        elif judgement.places is None and any(
            verdict.measure.interleave_s for verdict in judgement.verdicts
        ):
            where = "--twin-gate-profile (with py-spy or perf) names the functions that take more; "
        elif facts.get("has_report"):
            where = "the EDA report shows them; "
        return (
            f"look at what changed for the measures above; {where}the same pairs again would not"
            " make it go away"
        )
    if judgement.verdicts and not any(verdict.n for verdict in judgement.verdicts):
        return "mend the tests that are named above; nothing could be compared"
    planned, done = int(facts.get("pairs_planned", 12)), facts.get("pairs_done", {}).values()
    if facts.get("run") and not facts.get("stopped_at") and min(done, default=0) < planned:
        return f"go on where it ended: the same command with --twin-gate-resume {facts['run']}"
    needed = _pairs_needed(judgement)
    if needed > MOST_PAIRS:
        return (
            "a quieter machine, or runs or slices that are longer: it scatters so much that about"
            f" {needed} pairs would be needed; `visible` says what this run could have seen"
        )
    more = str(max(min(MOST_PAIRS, 2 * planned), needed))
    is_disturbed = any(verdict.covariate for verdict in judgement.verdicts)
    if (is_disturbed or any(facts.get("pairs_unfit", {}).values())) and not _has_range(facts):
        more = f"{planned}..{more}"
    return (
        f"a quieter machine, or more pairs: --twin-gate-pairs {more}; `visible` says what this run"
        " could have seen"
    )

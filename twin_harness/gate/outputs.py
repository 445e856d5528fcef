"""A judgement as Markdown, JUnit properties, workflow commands and files of benchmark trackers.

An output takes a judgement and returns text or data; who asked for it writes it. Names are escaped
for the format that they go into.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import TYPE_CHECKING, Any

from twin_harness.gate.advice import all_doubts, next_command
from twin_harness.gate.cells import numbers, plain, worst_first
from twin_harness.gate.verdict import IMPROVED, PASSED, REGRESSED, UNDECIDED

if TYPE_CHECKING:
    from twin_harness.gate.verdict import Judgement

MOST_ERRORS = 10
_SIGNS = {REGRESSED: "✗", UNDECIDED: "?", PASSED: "✓", IMPROVED: "✓"}


def markdown(judgement: Judgement) -> str:
    """Return a summary as GitHub shows it: verdict, table, doubts, next step."""
    rows = worst_first(judgement)
    lines = [f"## Twin gate: {_escaped(judgement.headline)}", ""]
    lines += [
        "| | measure | verdict | base | candidate | change | 95 % bounds | visible from | n |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for verdict in rows:
        change, bounds, visible, count = numbers(verdict)
        figures = [
            f"{value:.4g} {_escaped(verdict.measure.unit)}".rstrip() if isfinite(value) else "–"
            for value in (verdict.base, verdict.candidate)
        ]
        word = verdict.word
        if verdict.status == REGRESSED:
            word = f"**{word}**"
        cells = [_SIGNS[verdict.word], _escaped(verdict.measure.name), word]
        lines.append(f"| {' | '.join([*cells, *figures, change, bounds, visible, count])} |")
    if any(isfinite(verdict.effect) for verdict in rows):
        lines += ["", "Base and candidate are medians over the pairs, the change their mean."]
    lines.append("")
    lines += [
        f"- undecided: {_escaped(verdict.measure.name)}: {_escaped(verdict.reason)}"
        for verdict in rows
        if verdict.reason
    ]
    lines += _places_table(judgement)
    lines += [f"- doubt: {_escaped(doubt)}" for doubt in all_doubts(judgement)]
    lines += ["", f"Next: {_escaped(next_command(judgement), code=True)}", ""]
    return "\n".join(lines)


def _places_table(judgement: Judgement) -> list[str]:
    """Return the functions that took more, as a table; a line where there are none."""
    if judgement.places is None:
        return []
    rows = [(test, place) for test, found in judgement.places.items() for place in found]
    if not rows:
        return ["Where: no function's share grew for sure in what regressed.", ""]
    return [
        "| where | function | base, % | candidate, % | adjusted p |",
        "|---|---|---:|---:|---:|",
        *(
            f"| {_escaped(test)} | {_escaped(place['function'])} | {place['base_percent']:.1f} |"
            f" {place['candidate_percent']:.1f} | {place['p']:.2g} |"
            for test, place in rows
        ),
        "",
    ]


def _escaped(text: str, *, code: bool = False) -> str:
    """Return text that Markdown and HTML show as it is; spans of code stay if ``code``."""
    if code:
        special = r"([\\*_{}\[\]()#+!|<>~&-])"
        return "`".join(
            part if number % 2 else re.sub(special, r"\\\1", plain(part))
            for number, part in enumerate(text.split("`"))
        )
    special = r"([\\`*_{}\[\]()#+!|<>~&@-])"
    return (
        re.sub(special, r"\\\1", plain(text).replace("\n", " "))
        .replace("\\<", "&lt;")
        .replace("\\>", "&gt;")
        .replace("\\&", "&amp;")
    )


def error_commands(judgement: Judgement) -> list[str]:
    """Return at most ten GitHub workflow commands, escaped as the runner's toolkit does it."""
    worse = [verdict for verdict in judgement.verdicts if verdict.status == REGRESSED]
    lines = [
        "::error title=REGRESSED"
        f" {_property(verdict.measure.short_name)}::{_data(verdict.sentence)}"
        for verdict in worse
    ]
    if len(lines) > MOST_ERRORS:
        lines = [
            *lines[: MOST_ERRORS - 1],
            f"::error title=REGRESSED::and {len(lines) - MOST_ERRORS + 1} more; see the summary",
        ]
    return lines


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def junit_properties(judgement: Judgement) -> list[tuple[str, str]]:
    """Return the properties of a JUnit test suite: the verdict, and a sentence a measure."""
    return [
        ("twin_gate", judgement.headline),
        *(
            (f"twin_gate.{verdict.measure.name}", verdict.sentence)
            for verdict in judgement.verdicts
        ),
    ]


def github_benchmark(judgement: Judgement) -> str:
    """Return the candidate's figures for github-action-benchmark, tool ``customSmallerIsBetter``.

    Those that should be high are inverted as 1/x.
    """
    entries = []
    for verdict in judgement.verdicts:
        if not isfinite(verdict.candidate):
            continue
        value, unit = verdict.candidate, verdict.measure.unit
        if verdict.measure.better != "lower":
            unit = f"1/({unit or '1'})"
            if value:
                value = 1.0 / value
            else:
                value = 0.0
        entries.append(
            {
                "name": verdict.measure.name,
                "unit": unit or "1",
                "value": value,
                "extra": verdict.sentence,
            }
        )
    return json.dumps(entries, indent=1) + "\n"


def bencher(judgement: Judgement) -> str:
    """Return the candidate's figures in Bencher Metric Format: benchmark, measure, value."""
    by_test: dict[str, dict[str, Any]] = {}
    for verdict in judgement.verdicts:
        if isfinite(verdict.candidate):
            key = re.sub(r"[^a-z0-9-]+", "-", verdict.measure.short_name.lower()).strip("-")
            by_test.setdefault(verdict.measure.test, {})[key] = {"value": verdict.candidate}
    return json.dumps(by_test, indent=1) + "\n"


def allure_metrics(judgement: Judgement) -> str:
    """Return the candidate's figures as Allure 3 reads them from a ``*-perf.json``."""
    return json.dumps(
        [
            {
                "id": f"gate {verdict.measure.name}",
                "key": f"gate: {verdict.measure.name}",
                "value": verdict.candidate,
            }
            for verdict in judgement.verdicts
            if isfinite(verdict.candidate)
        ]
    )

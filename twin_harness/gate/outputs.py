"""What is written of a judgement, and for whom.

Terminal, Markdown, JUnit, gate.json, benchmark trackers, workflow commands.

An output takes a judgement and returns text or data; who asked for it writes it. Names are escaped
for the format that they go into.
"""

from __future__ import annotations

import json
import re
import unicodedata
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

from twin_harness.gate.verdict import IMPROVED, PASSED, REGRESSED, UNDECIDED, sorted_bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.verdict import Judgement, Verdict

MOST_ERRORS = 10
_MOST_WARNINGS = 5
_MOST_DOUBTS = 10
_WARNING_Q = 0.05
_ORDER = {REGRESSED: 0, UNDECIDED: 1, IMPROVED: 2, PASSED: 3}
_SIGNS = {REGRESSED: "✗", UNDECIDED: "?", PASSED: "✓", IMPROVED: "✓"}


class GateOutput(Protocol):
    """Something that a judgement is written as."""

    def __call__(self, judgement: Judgement) -> object:
        """Return text, lines or plain data."""
        ...


def terminal_lines(judgement: Judgement, width: int = 80) -> list[str]:
    """Return the terminal section.

    Verdict first, then a table in one unit, then doubts, then the next command; no line is wider
    than ``width``.
    """
    rows = sorted(
        judgement.verdicts, key=lambda verdict: (_ORDER[verdict.word], verdict.measure.name)
    )
    lines = _wrapped(judgement.headline, width)
    if rows:
        lines += ["", *_table(rows, width)]
    told: dict[str, list[str]] = {}
    for verdict in rows:
        if verdict.reason:
            told.setdefault(verdict.reason, []).append(verdict.measure.name)
    if told:
        lines.append("")
    for reason, names in told.items():
        if len(names) > 1:
            more = f" and {len(names) - 1} more"
        else:
            more = ""
        lines += _wrapped(f"undecided: {plain(names[0])}{more}: {plain(reason)}", width)
    lines += [
        line
        for doubt in all_doubts(judgement)
        for line in _wrapped(f"doubt: {plain(doubt)}", width)
    ]
    lines += ["", *_wrapped(f"next: {next_command(judgement)}", width)]
    return lines


def _table(rows: Sequence[Verdict], width: int) -> list[str]:
    shared = _shared([plain(verdict.measure.name) for verdict in rows])
    cells = [
        [plain(verdict.measure.name)[shared:], verdict.word, *_numbers(verdict)] for verdict in rows
    ]
    heading = ["measure", "verdict", "change", "95 % bounds", "visible", "n"]
    widths = [
        max(len(row[column]) for row in [heading, *cells]) for column in range(1, len(heading))
    ]
    room = max(12, width - sum(widths) - 2 * len(widths))
    room = min(room, max(len(row[0]) for row in [heading, *cells]))
    lines = [
        (
            _cut(first, room).ljust(room),
            *(cell.ljust(size) for cell, size in zip(rest, widths, strict=True)),
        )
        for first, *rest in [heading, *cells]
    ]
    return ["  ".join(line).rstrip() for line in lines]


def _shared(names: Sequence[str]) -> int:
    """Return how many characters of the path all names begin with, up to a ``::`` or ``/``.

    They tell nothing apart.
    """
    first, last = min(names, default=""), max(names, default="")
    length = next(
        (
            index
            for index, (one, other) in enumerate(zip(first, last, strict=False))
            if one != other
        ),
        min(len(first), len(last)),
    )
    head = first[:length].partition(": ")[0]
    return max(head.rfind("::") + 2 if "::" in head else 0, head.rfind("/") + 1)


def _numbers(verdict: Verdict) -> list[str]:
    if not isfinite(verdict.effect):
        return ["–", "–", "–", str(verdict.n or "–")]
    bounds = " … ".join(
        bound.removesuffix(f" {verdict.measure.shown_unit}") for bound in sorted_bounds(verdict)
    )
    return [verdict.change(verdict.effect), bounds, _least(verdict), str(verdict.n)]


def _least(verdict: Verdict) -> str:
    if isfinite(verdict.visible):
        return verdict.change(verdict.visible)
    if verdict.status == PASSED:
        return "–"
    return "none"


def all_doubts(judgement: Judgement) -> list[str]:
    """Return the doubts.

    What differs, and measures that would be called worse if a false share of 5 % were accepted.
    """
    near = [
        verdict
        for verdict in judgement.verdicts
        if verdict.status != REGRESSED
        and verdict.warning_p <= _WARNING_Q
        and isfinite(verdict.effect)
        and verdict.effect > 0
        and not verdict.is_improved
    ]
    sure = [
        f"{verdict.measure.name} moved for the worse ({verdict.change(verdict.effect)}, q ="
        f" {verdict.warning_p:.2g}): a warning, no verdict"
        for verdict in sorted(near, key=lambda verdict: verdict.warning_p)[:_MOST_WARNINGS]
    ]
    told = [*judgement.doubts, *sure]
    if len(told) > _MOST_DOUBTS:
        return [*told[:_MOST_DOUBTS], f"and {len(told) - _MOST_DOUBTS} more, in gate.json"]
    return told


def next_command(judgement: Judgement) -> str:
    """Return what to do now."""
    if judgement.status == PASSED:
        return "merge"
    if judgement.mode == "baseline":
        return _after_a_baseline(judgement)
    return _after_pairs(judgement)


def _after_a_baseline(judgement: Judgement) -> str:
    name, run = (
        judgement.facts.get("baseline") or "BASELINE.json",
        judgement.facts.get("run") or "data/latest",
    )
    if judgement.status == REGRESSED:
        return (
            f"find the change; if it is meant, `twin gate accept {name} {run}` moves the baseline"
        )
    return f"`twin gate show {name}` tells what more sessions would let it see"


def _after_pairs(judgement: Judgement) -> str:
    facts = judgement.facts
    if judgement.status == REGRESSED:
        if facts.get("has_report"):
            where = "the EDA report shows them; "
        else:
            where = ""
        return (
            f"look at what changed for the measures above; {where}the same pairs again would not"
            " make it go away"
        )
    if judgement.verdicts and not any(verdict.n for verdict in judgement.verdicts):
        return "mend the tests that are named above; nothing could be compared"
    planned, done = int(facts.get("pairs_planned", 12)), facts.get("pairs_done", {}).values()
    if facts.get("run") and not facts.get("stopped_at") and min(done, default=0) < planned:
        return f"go on where it ended: the same command with --twin-gate-resume {facts['run']}"
    return (
        f"a quieter machine, or more pairs: --twin-gate-pairs {min(64, 2 * planned)}; `visible`"
        " says what this run could have seen"
    )


def plain(text: str) -> str:
    """Return text for a terminal: no control characters, no direction marks."""
    return "".join(letter if unicodedata.category(letter)[0] != "C" else "�" for letter in text)


def _cut(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    return f"…{text[len(text) - width + 1 :]}"


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False) or [""]


def markdown(judgement: Judgement) -> str:
    """Return a summary as GitHub shows it: verdict, table, doubts, next step."""
    rows = sorted(
        judgement.verdicts, key=lambda verdict: (_ORDER[verdict.word], verdict.measure.name)
    )
    lines = [f"## Twin gate: {_escaped(judgement.headline)}", ""]
    lines += [
        "| | measure | verdict | base | candidate | change | 95 % bounds | visible from | n |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for verdict in rows:
        change, bounds, visible, count = _numbers(verdict)
        figures = [
            f"{value:.4g}" if isfinite(value) else "–"
            for value in (verdict.base, verdict.candidate)
        ]
        cells = [
            _SIGNS[verdict.word],
            _escaped(verdict.measure.name),
            f"**{verdict.word}**" if verdict.status == REGRESSED else verdict.word,
        ]
        lines.append(f"| {' | '.join([*cells, *figures, change, bounds, visible, count])} |")
    lines.append("")
    lines += [
        f"- undecided: {_escaped(verdict.measure.name)}: {_escaped(verdict.reason)}"
        for verdict in rows
        if verdict.reason
    ]
    lines += [f"- doubt: {_escaped(doubt)}" for doubt in all_doubts(judgement)]
    lines += ["", f"Next: {_escaped(next_command(judgement), code=True)}", ""]
    return "\n".join(lines)


def _escaped(text: str, *, code: bool = False) -> str:
    """Return text that Markdown and HTML show as it is; spans of code stay if ``code``."""
    if code:
        special = r"([\\*_{}\[\]()#+!|<>~&-])"
    else:
        special = r"([\\`*_{}\[\]()#+!|<>~&@-])"
    if code:
        return "`".join(
            part if number % 2 else re.sub(special, r"\\\1", plain(part))
            for number, part in enumerate(text.split("`"))
        )
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
        is_low = verdict.measure.better == "lower"
        if is_low:
            value = verdict.candidate
        elif verdict.candidate:
            value = 1.0 / verdict.candidate
        else:
            value = 0.0
        if is_low:
            unit = verdict.measure.unit
        else:
            unit = f"1/({verdict.measure.unit or '1'})"
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
    found: dict[str, dict[str, Any]] = {}
    for verdict in judgement.verdicts:
        if isfinite(verdict.candidate):
            key = re.sub(r"[^a-z0-9-]+", "-", verdict.measure.short_name.lower()).strip("-")
            found.setdefault(verdict.measure.test, {})[key] = {"value": verdict.candidate}
    return json.dumps(found, indent=1) + "\n"


def allure_metrics(judgement: Judgement) -> str:
    """Return the candidate's figures as Allure 3 reads them from a ``*-perf.json``."""
    found = [verdict for verdict in judgement.verdicts if isfinite(verdict.candidate)]
    return json.dumps(
        [
            {
                "id": f"gate {verdict.measure.name}",
                "key": f"gate: {verdict.measure.name}",
                "value": verdict.candidate,
            }
            for verdict in found
        ]
    )

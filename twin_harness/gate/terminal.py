"""A judgement for a terminal: the verdict, a table in one unit, doubts, the next command."""

from __future__ import annotations

import textwrap
from itertools import takewhile
from typing import TYPE_CHECKING

from twin_harness.gate.advice import all_doubts, next_command, place_sentences
from twin_harness.gate.cells import numbers, plain, worst_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.verdict import Judgement, Verdict


def terminal_lines(judgement: Judgement, width: int = 80) -> list[str]:
    """Return the terminal section.

    Verdict first, then a table in one unit, then doubts, then the next command; no line is wider
    than ``width``.
    """
    rows = worst_first(judgement)
    lines = _wrapped(judgement.headline, width)
    if rows:
        lines += ["", *_table(rows, width)]
    names_by_reason: dict[str, list[str]] = {}
    for verdict in rows:
        if verdict.reason:
            names_by_reason.setdefault(verdict.reason, []).append(verdict.measure.name)
    if names_by_reason:
        lines.append("")
    for reason, names in names_by_reason.items():
        if len(names) > 1:
            more = f" and {len(names) - 1} more"
        else:
            more = ""
        lines += _wrapped(f"undecided: {plain(names[0])}{more}: {plain(reason)}", width)
    lines += [
        line for sentence in place_sentences(judgement) for line in _wrapped(plain(sentence), width)
    ]
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
        [plain(verdict.measure.name)[shared:], verdict.word, *numbers(verdict)] for verdict in rows
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
    """Return the length of the path that all names begin with, up to a ``::`` or ``/``."""
    first, last = min(names, default=""), max(names, default="")
    same = takewhile(lambda letters: letters[0] == letters[1], zip(first, last, strict=False))
    head = "".join(letter for letter, _ in same).partition(": ")[0]
    end = head.rfind("/") + 1
    if "::" in head:
        end = max(end, head.rfind("::") + 2)
    return end


def _cut(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    return f"…{text[len(text) - width + 1 :]}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False) or [""]

"""A difference flame graph as SVG: the candidate's stacks, coloured by what they gained.

After B. Gregg, The Flame Graph, CACM 59 (2016): a box is a function in its stack, as wide as its
share of the candidate's samples; red took more than in the base, blue less.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_WIDTH, _ROW, _TEXT_PX = 960, 18, 6.6
_LEAST_SHARE = 0.002
_DEEPEST = 40
_FULL_COLOUR = 0.05  # a change by five points of all samples has the full colour


@dataclass
class _Box:
    """A function in its stack."""

    base: float = 0.0
    candidate: float = 0.0
    children: dict[str, _Box] = field(default_factory=dict)


def flame_svg(
    base: Mapping[tuple[str, ...], int], candidate: Mapping[tuple[str, ...], int], title: str
) -> str:
    """Return the picture as inline SVG, all names escaped; empty without samples of both.

    Args:
        base: stacks of the base, outermost function first, with their counts.
        candidate: those of the candidate.
        title: what screen readers say of it.
    """
    totals = sum(base.values()), sum(candidate.values())
    if not all(totals):
        return ""
    root = _Box()
    for stacks, total, name in ((base, totals[0], "base"), (candidate, totals[1], "candidate")):
        for frames, count in Counter(stacks).items():
            box = root
            for frame in ("all", *frames[:_DEEPEST]):
                box = box.children.setdefault(frame, _Box())
                setattr(box, name, getattr(box, name) + count / total)
    drawn: list[str] = []
    depth = _draw(root, 0.0, 0, drawn)
    height = _ROW * depth + 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img"'
        f' aria-label="{_shown(title)}" viewBox="0 0 {_WIDTH} {height}"'
        f' style="width:100%;max-width:{_WIDTH}px" font-family="sans-serif" font-size="11">'
        f"<title>{_shown(title)}</title>{''.join(drawn)}</svg>"
    )


def _draw(box: _Box, left: float, level: int, drawn: list[str]) -> int:
    """Draw what stands on a box, and return how many rows there are."""
    deepest = level
    for name, child in sorted(box.children.items()):
        if child.candidate < _LEAST_SHARE:
            continue
        drawn.append(_rectangle(name, child, left, level))
        deepest = max(deepest, _draw(child, left, level + 1, drawn))
        left += child.candidate
    return deepest


def _rectangle(name: str, box: _Box, left: float, level: int) -> str:
    gained = box.candidate - box.base
    strength = min(1.0, abs(gained) / _FULL_COLOUR)
    pale = round(245 - 130 * strength)
    if gained >= 0:
        colour = f"rgb(245,{pale},{pale})"
    else:
        colour = f"rgb({pale},{pale},245)"
    x, width, y = _WIDTH * left, _WIDTH * box.candidate, _ROW * level + 1
    tip = (
        f"{name}: {100 * box.candidate:.1f} % of the candidate's samples, {100 * box.base:.1f} % of"
        f" the base's"
    )
    letters = int(width / _TEXT_PX) - 1
    label = ""
    if letters > 2:
        label = f'<text x="{x + 3:.1f}" y="{y + 13}">{_shown(_cut(name, letters))}</text>'
    return (
        f'<g><title>{_shown(tip)}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}"'
        f' height="{_ROW - 1}" fill="{colour}" stroke="#fff" stroke-width="0.5"/>{label}</g>'
    )


def _cut(text: str, letters: int) -> str:
    if len(text) <= letters:
        return text
    return f"{text[: letters - 1]}…"


def _shown(text: str) -> str:
    """Return text as XML may hold it."""
    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text))

"""Where a candidate spends more: per function an exact paired test, Holm over the functions.

What is compared is a function's own share of the samples of its variant in one pair: the samples
in which it was at work itself, callees left out.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

from twin_harness.gate.records import PlaceRecord
from twin_harness.gate.statistics import holm, sign_flip_p
from twin_harness.gate.verdict import ALPHA

if TYPE_CHECKING:
    from collections.abc import Sequence

# Stacks, outermost function first, and how often each was seen.
Stacks = Counter[tuple[str, ...]]
# Functions are looked at from such a share of both variants' samples on, and so many at most, those
# whose shares differ most between the variants, in whichever direction.
_LEAST_SHARE, _MOST = 0.01, 8
_ROUNDING = 1e-9
# A process that calls a variant's function for us: what it does besides is neither variant's.
_OURS, _MEASURED = re.compile(r"\(.*\bgate/pinned\.py:[0-9]+\)$", re.ASCII), "measured ("
_COUNT = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True)
class Places:
    """What the samples of some pairs say.

    Attributes:
        found: the functions that took more for sure, those that took most first.
        looked_at: how many functions were looked at.
        pairs: how many pairs had samples of both variants.
        samples: of both variants, over all pairs.
    """

    found: tuple[PlaceRecord, ...]
    looked_at: int
    pairs: int
    samples: int


def parse_stacks(text: str) -> Stacks:
    """Read collapsed stacks: frames joined by ``;``, a space, a count; other lines are skipped."""
    stacks: Stacks = Counter()
    for line in text.splitlines():
        frames, _, count = line.rpartition(" ")
        names = _of_variant(
            [frame for frame in frames.split(";") if not frame.startswith("process ")]
        )
        if names and _COUNT.fullmatch(count):
            stacks[names] += int(count)
    return stacks


def _of_variant(frames: list[str]) -> tuple[str, ...]:
    """Return a stack without the frames of a process of ours; empty where it is ours alone."""
    ours = [number for number, frame in enumerate(frames) if _OURS.search(frame)]
    if ours and not frames[ours[-1]].startswith(_MEASURED):
        return ()
    return tuple(frames[ours[-1] + 1 :] if ours else frames)


def find_places(pairs: Sequence[tuple[Stacks, Stacks]], alpha: float = ALPHA) -> Places:
    """Return the functions in which the candidate was seen more often, for sure.

    Which functions are looked at depends on the samples of both variants together, on the size of
    their differences without its sign, and on how many a test of so many pairs can tell at all:
    swapping the variants of a pair changes none of it, so the test stays exact.

    Args:
        pairs: of each pair the stacks of base and candidate.
        alpha: chance of naming any function of two equal variants.
    """
    both = [(_own(base), _own(candidate)) for base, candidate in pairs if base and candidate]
    if not both:
        return Places((), 0, 0, 0)
    shares = [tuple(_shares(side) for side in pair) for pair in both]
    pooled: dict[str, float] = {}
    for pair in shares:
        for side in pair:
            for name, share in side.items():
                pooled[name] = pooled.get(name, 0.0) + share / (2 * len(shares))
    most = min(_MOST, floor(alpha * 2 ** len(both) * (1.0 + _ROUNDING)))
    changes = {
        name: [candidate.get(name, 0.0) - base.get(name, 0.0) for base, candidate in shares]
        for name, share in pooled.items()
        if share >= _LEAST_SHARE
    }
    names = sorted(changes, key=lambda name: -sum(change**2 for change in changes[name]))[:most]
    adjusted = dict(zip(names, holm([sign_flip_p(changes[name]) for name in names]), strict=True))
    found = [
        PlaceRecord(
            function=name,
            base_percent=100.0 * sum(base.get(name, 0.0) for base, _ in shares) / len(shares),
            candidate_percent=100.0 * sum(side.get(name, 0.0) for _, side in shares) / len(shares),
            p=adjusted[name],
            pairs=len(shares),
        )
        for name in names
        if adjusted[name] <= alpha and sum(changes[name]) > 0
    ]
    found.sort(key=lambda place: place["base_percent"] - place["candidate_percent"])
    samples = sum(side.total() for pair in both for side in pair)
    return Places(tuple(found), len(names), len(both), samples)


def _own(stacks: Stacks) -> Counter[str]:
    """Return how often each function was at work itself."""
    own: Counter[str] = Counter()
    for frames, count in stacks.items():
        own[frames[-1]] += count
    return own


def _shares(own: Counter[str]) -> dict[str, float]:
    total = own.total()
    return {name: count / total for name, count in own.items()}

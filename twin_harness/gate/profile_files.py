"""The samples of interleaved pairs, in the run folder: a file for each pair and variant."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from twin_harness.gate.places import Stacks, find_places, parse_stacks
from twin_harness.gate.profiling import FAULT

if TYPE_CHECKING:
    from pathlib import Path

    from twin_harness.gate.places import Places
    from twin_harness.gate.verdict import Judgement

_TEST = "# test: "
_MOST_BYTES = 16 * 1024**2


@dataclass
class Profile:
    """The samples of one test.

    Attributes:
        pairs: by number, the stacks of base and candidate.
        faults: why there are none of a variant, each reason once.
    """

    pairs: dict[int, list[Stacks]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def places(self, below: int | None = None) -> Places:
        """Return the functions that took more for sure.

        Args:
            below: only pairs with smaller numbers count; None is all.
        """
        return find_places(
            [
                (both[0], both[1])
                for number, both in sorted(self.pairs.items())
                if below is None or number < below
            ]
        )

    def pooled(self) -> tuple[Stacks, Stacks]:
        """Return the stacks of base and candidate over all pairs."""
        base, candidate = Stacks(), Stacks()
        for both in self.pairs.values():
            base.update(both[0])
            candidate.update(both[1])
        return base, candidate


def profile_name(test: str, pair: int, side: int) -> str:
    """Return the name of a file.

    Args:
        test: whose samples they are.
        pair: number of the pair.
        side: 0 is the base, 1 the candidate.
    """
    return f"profile-{hashlib.sha256(test.encode()).hexdigest()[:12]}-{pair}-{side}.txt"


def profile_text(test: str, stacks: str) -> str:
    """Return what a file holds: the test in its first line, then collapsed stacks."""
    return f"{_TEST}{' '.join(test.split())}\n{stacks}"


def read_profiles(folder: Path) -> dict[str, Profile]:
    """Return the samples of each test that a run's folder ``gate`` holds.

    Files that cannot be read, or are too long to be ours, are left out.
    """
    profiles: dict[str, Profile] = {}
    for path in sorted(folder.glob("profile-*-*-*.txt")):
        pair, side = path.stem.split("-")[-2:]
        try:
            if not (pair.isdigit() and side in ("0", "1")) or path.stat().st_size > _MOST_BYTES:
                continue
            head, _, text = path.read_text(encoding="utf-8", errors="replace").partition("\n")
        except OSError:
            continue
        profile = profiles.setdefault(head.removeprefix(_TEST), Profile())
        if text.startswith(FAULT):
            fault = text.removeprefix(FAULT).strip()
            if fault not in profile.faults:
                profile.faults.append(fault)
        both = profile.pairs.setdefault(int(pair), [Stacks(), Stacks()])
        both[int(side)] = parse_stacks(text)
    return profiles


def with_places(judgement: Judgement, folder: Path) -> Judgement:
    """Return a judgement with the functions that took more, and doubts where nothing was seen.

    Args:
        judgement: of the session.
        folder: ``gate`` in its run folder.
    """
    below = judgement.facts.get("stopped_at")
    profiles = read_profiles(folder)
    found = {test: profile.places(below) for test, profile in profiles.items()}
    doubts = [f"{test}: profile: {fault}" for test in profiles for fault in profiles[test].faults]
    doubts += [
        f"{test}: profile: {one.pairs} pairs with {one.samples} samples can name no function"
        for test, one in found.items()
        if not one.looked_at and not profiles[test].faults
    ]
    if not profiles:
        doubts.append(
            "profile: no test took turns, so nothing was sampled; mark it interleave='0.2s'"
        )
    return replace(
        judgement,
        doubts=(*judgement.doubts, *doubts),
        places={test: one.found for test, one in found.items()},
    )

"""The samples of interleaved pairs, in the run folder: a file for each pair and variant."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from twin_harness.gate.places import Stacks, find_places, parse_stacks
from twin_harness.gate.profiling import FAULT
from twin_harness.gate.verdict import REGRESSED

if TYPE_CHECKING:
    from pathlib import Path

    from twin_harness.gate.places import Places
    from twin_harness.gate.verdict import Judgement

_TEST = "# test: "
_NAME = re.compile(r"profile-[0-9a-f]{12}-([0-9]{1,4})-([01])\.txt", re.ASCII)
_MOST_BYTES, _MOST_FILES = 4 * 1024**2, 1000


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

    What is no ordinary file, or bears no name of ours, is left out.
    """
    profiles: dict[str, Profile] = {}
    matches = (_NAME.fullmatch(path.name) for path in folder.glob("profile-*.txt"))
    names = sorted(match.group(0, 1, 2) for match in matches if match)
    for name, pair, side in names[:_MOST_FILES]:
        path = folder / name
        head, _, text = _content(path).partition("\n")
        if not head.startswith(_TEST):
            continue
        profile = profiles.setdefault(head.removeprefix(_TEST), Profile())
        if text.startswith(FAULT):
            fault = text.removeprefix(FAULT).strip()
            if fault not in profile.faults:
                profile.faults.append(fault)
        both = profile.pairs.setdefault(int(pair), [Stacks(), Stacks()])
        both[int(side)] = parse_stacks(text)
    return profiles


def _content(path: Path) -> str:
    """Return the beginning of an ordinary file; nothing of a link, a pipe or what else there is."""
    careful = ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK")  # Windows has none of them
    flags = sum(getattr(os, name, 0) for name in careful)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return ""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return ""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", errors="replace")


def with_places(judgement: Judgement, *folders: Path) -> Judgement:
    """Return a judgement with the functions whose share grew, and doubts where nothing was seen.

    Of a test of which nothing regressed none is named: shares of a whole move together, and a
    function that takes less gives the others more of it.

    Args:
        judgement: of the session.
        folders: ``gate`` in its run folder, after that of the run that it resumes.
    """
    below = judgement.facts.get("stopped_at")
    profiles: dict[str, Profile] = {}
    for folder in folders:
        for test, more in read_profiles(folder).items():
            known = profiles.setdefault(test, Profile())
            known.pairs.update(more.pairs)
            known.faults += [fault for fault in more.faults if fault not in known.faults]
    found = {test: profile.places(below) for test, profile in profiles.items()}
    worse = {one.measure.test for one in judgement.verdicts if one.status == REGRESSED}
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
        places={test: one.found if test in worse else () for test, one in found.items()},
    )

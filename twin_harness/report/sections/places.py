"""Where the candidate spends more: what a profiler saw of both variants in their turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.gate.profile_files import read_profiles
from twin_harness.report.document import Cell, Drawing, Paragraph, Table, number
from twin_harness.report.drawing.flames import flame_svg

if TYPE_CHECKING:
    from pathlib import Path

    from twin_harness.gate.profile_files import Profile
    from twin_harness.report.document import Block

_TEXT = (
    "Both variants were sampled from outside while they took turns. A function is named where its"
    " own share of the samples (what it called left out) grew for sure: an exact test over the"
    " pairs, corrected by Holm over the functions that were looked at."
)


def place_blocks(folder: Path, base: str, candidate: str) -> tuple[Block, ...]:
    """Return a table and a difference flame graph of each test that was profiled; else nothing.

    Args:
        folder: ``gate`` in the run folder.
        base: the base's name.
        candidate: the candidate's name.
    """
    profiles = read_profiles(folder)
    if not profiles:
        return ()
    blocks: list[Block] = [Paragraph(_TEXT)]
    for index, (test, profile) in enumerate(sorted(profiles.items())):
        blocks += _blocks_of(index, test, profile, (base, candidate))
    return tuple(blocks)


def _blocks_of(index: int, test: str, profile: Profile, names: tuple[str, str]) -> list[Block]:
    base, candidate = names
    places = profile.places()
    table = Table(
        f"table-places-{index}",
        f"Functions that took more for sure in {test}",
        ("Function", f"{base}, % of samples", f"{candidate}, % of samples", "Adjusted p", "Pairs"),
        tuple(
            (
                Cell(place["function"]),
                number(f"{place['base_percent']:.1f}"),
                number(f"{place['candidate_percent']:.1f}"),
                number(f"{place['p']:.2g}"),
                number(str(place["pairs"])),
            )
            for place in places.found
        ),
        empty=(
            f"No function of the {places.looked_at} that were looked at took more for sure"
            f" ({places.pairs} pairs, {places.samples} samples)."
        ),
    )
    caption = (
        f"{test}: a box is a function in its stack, as wide as its share of {candidate}'s samples;"
        f" red took more than in {base}, blue less (full colour from 5 points on)."
    )
    svg = flame_svg(*profile.pooled(), f"Difference flame graph of {test}")
    if not svg:
        return [table]
    return [Drawing(f"figure-places-{index}", svg, caption, table.id), table]

"""Where the candidate spends more: what a profiler saw of both variants in their turns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twin_harness.gate.profile_files import read_profiles
from twin_harness.report.document import Cell, Drawing, Paragraph, Table, number
from twin_harness.report.drawing.flames import flame_svg

if TYPE_CHECKING:
    from pathlib import Path

    from twin_harness.gate.places import Places
    from twin_harness.gate.profile_files import Profile
    from twin_harness.report.document import Block

_TEXT = (
    "Both variants were sampled from outside while they took turns. A function is named where its"
    " own share of the samples (what it called left out) grew for sure in a test of which something"
    " regressed: an exact test over the pairs, corrected by Holm over the functions that were"
    " looked at."
)


def place_blocks(folder: Path, data: dict[str, Any]) -> tuple[Block, ...]:
    """Return a table and a difference flame graph of each test that was profiled; else nothing.

    Args:
        folder: ``gate`` in the run folder.
        data: ``gate.json``'s content.
    """
    profiles = read_profiles(folder)
    if not profiles:
        return ()
    blocks: list[Block] = [Paragraph(_TEXT)]
    for index, (test, profile) in enumerate(sorted(profiles.items())):
        verdicts = [one for one in data["verdicts"] if one["measure"]["test"] == test]
        has_regressed = any(one["status"] == "REGRESSED" for one in verdicts)
        places = profile.places(data.get("stopped_at"))
        if not has_regressed:
            places = replace(places, found=())
        base, candidate = (str(name) for name in data["names"])
        blocks += _blocks_of(index, test, (profile, places), (base, candidate))
    return tuple(blocks)


def _blocks_of(
    index: int, test: str, seen: tuple[Profile, Places], names: tuple[str, str]
) -> list[Block]:
    base, candidate = names
    profile, places = seen
    table = Table(
        f"table-places-{index}",
        f"Functions whose share grew for sure in {test}",
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
            f"None of the {places.looked_at} functions that were looked at is named: none grew for"
            f" sure, or nothing regressed ({places.pairs} pairs, {places.samples} samples)."
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

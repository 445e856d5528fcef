"""What ``gate.json`` holds of looks, of folded slices and of places, by name."""

from __future__ import annotations

from typing import TypedDict


class LookRecord(TypedDict):
    """What one measure looked like at a planned look; in ``gate.json``.

    Attributes:
        pairs: how many pairs there were.
        alpha: chance of any false REGRESSED that was spent there, over the family.
        p: its p-value then, adjusted by Holm over the family.
    """

    pairs: int
    alpha: float
    p: float


class FoldedRecord(TypedDict):
    """How the slices of one pair were folded; in ``gate.json``.

    Attributes:
        slice_pairs: how many slice pairs there were.
        sd: standard deviation of their log ratios, or differences.
        order: half of what the second slice of a pair has more than the first, whichever variant
            works in it: log ratio, or difference.
        dropped_s: how much of each slice's beginning was left out.
        is_flat: whether what is left of the slices begins as it goes on.
        idle_shares: which share of its CPU time base and candidate took in the other's turns; 0
            where their processes are not known.
    """

    slice_pairs: int
    sd: float
    order: float
    dropped_s: float
    is_flat: bool
    idle_shares: tuple[float, float]


class PlaceRecord(TypedDict):
    """A function that took more for sure; in ``gate.json``.

    Attributes:
        function: its name, file and first line.
        base_percent: mean share of the base's samples.
        candidate_percent: mean share of the candidate's samples.
        p: adjusted by Holm over the functions.
        pairs: how many pairs it was seen in.
    """

    function: str
    base_percent: float
    candidate_percent: float
    p: float
    pairs: int

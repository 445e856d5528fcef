"""The adaptive campaign: the fixed one's first runs, then short plans that are chosen as it goes.

Which plan is run next depends on what the runs before it have left open, so at first there are
placeholders alone: as many as the time that is given has room for, each to be replaced by one of
the candidates that are drawn here.
"""

from __future__ import annotations

import hashlib
import random as _random
import re
from typing import TYPE_CHECKING

from twin_harness.control.campaign import (
    ADAPTIVE,
    COUNTS,
    LEAD_S,
    ROLES,
    SETTLE_S,
    TAIL_S,
    draw_campaign,
    role_of,
)
from twin_harness.control.campaign_bounds import CampaignBounds
from twin_harness.control.campaign_events import Drawing
from twin_harness.errors import InvalidInput
from twin_harness.schedule.builders import plan
from twin_harness.schedule.tolerance import NO_TOLERANCE

if TYPE_CHECKING:
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment

SPAN_S = 24.0
_CANDIDATES = 60
_MINUTE_S, _HOUR_S = 60.0, 3600.0
_SIZE = re.compile(r"adaptive:([1-9][0-9]{0,2})(m|h)", re.ASCII)
_LONGEST_S = 4 * _HOUR_S


def parse_campaign(text: str) -> str:
    """Return the size of a campaign as it was given, checked: fixed, or ``adaptive:20m``.

    Raises:
        InvalidInput: it is neither, or there is no room for a plan beside the first ones.
    """
    if text in COUNTS:
        return text
    least_s = _first_s() + _each_s()
    match = _SIZE.fullmatch(text)
    if match is None or not least_s <= _seconds(match) <= _LONGEST_S:
        ends = (f"{least_s / _MINUTE_S:.0f}m", f"{_LONGEST_S / _HOUR_S:.0f}h")
        msg = (
            f"campaign: expected one of {', '.join(COUNTS)}, or {ADAPTIVE}: and minutes or hours"
            f" from {ADAPTIVE}:{ends[0]} to {ADAPTIVE}:{ends[1]}, but got {text!r}"
        )
        raise InvalidInput(msg)
    return text


def is_adaptive(size: str) -> bool:
    """Whether a campaign is one whose plans are chosen as it goes."""
    return size.startswith(f"{ADAPTIVE}:")


def is_open(experiment: Experiment) -> bool:
    """Whether an experiment stands for one that is to be chosen."""
    return experiment.name.startswith(f"{ADAPTIVE} ") and not experiment.events


def draw_adaptive(
    size: str, seed: int = 0, bounds: CampaignBounds | None = None
) -> tuple[Experiment, ...]:
    """Return the experiments of an adaptive campaign: its first runs, then placeholders.

    Args:
        size: ``adaptive:20m``; the machine's time, waits for an idle machine included.
        seed: decides levels, holds and shapes.
        bounds: what is asked for at most.

    Raises:
        InvalidInput: the size is not one of an adaptive campaign.
    """
    match = _SIZE.fullmatch(parse_campaign(size))
    if match is None:
        msg = f"campaign: expected {ADAPTIVE}:20m or the like but got size={size!r}"
        raise InvalidInput(msg)
    count = int((_seconds(match) - _first_s()) / _each_s())
    first = _first(seed, bounds)
    # what is chosen has no plan to be told by: its name says of which seed and bounds it is
    tag = hashlib.sha256("".join(one.hash() for one in first).encode()).hexdigest()[:4]
    return (
        *first,
        *(_experiment(f"{ADAPTIVE} {tag} {number:03d}", []) for number in range(1, count + 1)),
    )


def draw_candidates(seed: int = 0, bounds: CampaignBounds | None = None) -> tuple[Experiment, ...]:
    """Return short plans of every kind to choose from, each as long as the others.

    Args:
        seed: decides levels, holds and shapes; the next choice is to be from others.
        bounds: what is asked for at most.
    """
    source = _random.Random(f"candidates {seed}")  # noqa: S311 - reproducible on purpose
    drawing = Drawing(source, bounds or CampaignBounds(), SPAN_S)
    return tuple(
        _experiment(f"candidate {number:02d}", drawing.mixture()) for number in range(_CANDIDATES)
    )


def usual_plans(seed: int = 0, bounds: CampaignBounds | None = None) -> tuple[Experiment, ...]:
    """Return the plans whose predictions a twin is to be good at: random ones of every shape."""
    drawn = draw_campaign("1h", seed + 1, bounds)
    return tuple(one for one in drawn if role_of(one.name) == "calibrate")


def _first(seed: int, bounds: CampaignBounds | None) -> tuple[Experiment, ...]:
    return draw_campaign("10m", seed, bounds)[: COUNTS["10m"][ROLES.index("train")]]


def _first_s() -> float:
    return sum(one.machine_s for one in _first(0, None))


def _each_s() -> float:
    return _experiment(ADAPTIVE, []).machine_s


def _seconds(match: re.Match[str]) -> float:
    return int(match[1]) * (_HOUR_S if match[2] == "h" else _MINUTE_S)


def _experiment(name: str, events: list[Event]) -> Experiment:
    """Return a plan of the candidates' length, also where it has no events yet."""
    last_s = max((event.start_s + event.duration_s for event in events), default=0.0)
    return plan(
        *events,
        name=name,
        lead_s=LEAD_S,
        tail_s=SPAN_S + TAIL_S - last_s,
        settle_s=SETTLE_S,
        tolerance=NO_TOLERANCE,
    )

"""The domain of a model: what it was fitted to, and how a plan extrapolates beyond it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.demand import CHANNELS
from twin_harness.predict.model_file import DomainPart
from twin_harness.predict.observation import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.demand import Demand
    from twin_harness.predict.observation import Observation

_MARGIN = 1.02
_LONGER = 3.0
_RESOURCES = {
    "cpu": ("cpu_percent", "cpu_total_percent"),
    "memory": ("memory_bytes",),
    "disk": ("write_bytes_per_s", "sync_bytes_per_s", "read_bytes_per_s"),
}


def domain_of(observations: Sequence[Observation]) -> DomainPart:
    """Return the domain of some runs.

    The highest level of each channel, what was loaded together, the longest run, and what was
    measured.
    """
    highest = {
        name: max(float(one.demand.channel(name).max()) for one in observations)
        for name in CHANNELS
    }
    together = sorted({tuple(_loaded_together(one.demand)) for one in observations})
    longest_s = float(max(one.demand.seconds for one in observations))
    measured = [
        name
        for name in COLUMNS
        if any(not np.isnan(one.column(name)).all() for one in observations)
    ]
    return DomainPart(
        highest=highest,
        together=[list(names) for names in together],
        longest_s=longest_s,
        measured=measured,
    )


def extrapolations(demand: Demand, domain: DomainPart) -> tuple[str, ...]:
    """Return in which ways a plan extrapolates beyond a domain, a phrase each; none within it."""
    reasons = [f"{what} is not modelled" for what in demand.unmodelled]
    for name in (channel for channels in _RESOURCES.values() for channel in channels):
        level = float(demand.channel(name).max())
        if level > _MARGIN * domain.highest[name]:
            reasons.append(f"{name} up to {level:.3g}, fitted up to {domain.highest[name]:.3g}")
    used = _loaded_together(demand)
    if len(used) > 1 and not any(set(used) <= set(known) for known in domain.together):
        reasons.append(f"{' and '.join(used)} together, never recorded at once")
    if demand.seconds > _LONGER * domain.longest_s:
        reasons.append(f"{demand.seconds} s long, fitted to {domain.longest_s:.0f} s at most")
    return tuple(reasons)


def _loaded_together(demand: Demand) -> list[str]:
    """Return the resources that a plan loads."""
    return [
        name
        for name, channels in _RESOURCES.items()
        if any(demand.channel(channel).max() > 0 for channel in channels)
    ]

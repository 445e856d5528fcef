"""The probe: two minutes of load from which the twin of another machine is made one of this.

Staircases and fills of each resource alone, then pairs: what tells how large, how fast and how
costly a machine's CPUs, memory and disk are. Its levels are fixed, so that two machines are asked
the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.schedule.builders import cpu, disk, memory, plan
from twin_harness.schedule.tolerance import NO_TOLERANCE
from twin_harness.shapes.shape import steps

if TYPE_CHECKING:
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment

_LEAD_S, _TAIL_S = 1.0, 2.0
_MB = 1_000_000


def probe_plan() -> tuple[Experiment, ...]:
    """Return the experiments of the probe, about two minutes one after the other."""
    events: tuple[tuple[str, tuple[Event, ...]], ...] = (
        ("cpu staircase", (cpu(steps([15, 45, 75, 100]), duration_s=12),)),
        ("memory fill", (memory(steps([15, 35]), duration_s=10),)),
        ("memory fill again", (memory(steps([35, 10]), duration_s=10),)),
        ("disk staircase", (disk(steps([30 * _MB, 150 * _MB, 2_000 * _MB]), duration_s=12),)),
        ("cpu holds", (cpu(steps([100, 30, 60]), duration_s=9),)),
        (
            "cpu and memory",
            (cpu(steps([40, 90]), duration_s=10), memory(steps([25, 10]), duration_s=10)),
        ),
        (
            "cpu and disk",
            (
                cpu(steps([80, 30]), duration_s=10),
                disk(steps([60 * _MB, 200 * _MB]), duration_s=10),
            ),
        ),
        (
            "memory and disk",
            (memory(steps([10, 30]), duration_s=10), disk(100 * _MB, duration_s=10)),
        ),
    )
    return tuple(
        plan(
            *loads,
            name=f"probe {name}",
            lead_s=_LEAD_S,
            tail_s=_TAIL_S,
            tolerance=NO_TOLERANCE,
        )
        for name, loads in events
    )

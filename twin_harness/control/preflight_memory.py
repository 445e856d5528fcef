"""Memory events against the machine: what is available, and how fast cold memory fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.control import headroom
from twin_harness.errors import InvalidInput
from twin_harness.schedule.lines import lines_of
from twin_harness.schedule.peaks import peak

if TYPE_CHECKING:
    from twin_harness.control.limits import GuardLimits
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment
    from twin_harness.system.machine import Machine

_ROUNDING = 1e-6
COLD_FILL_BYTES_PER_S = 0.4 * 2**30


def check_memory(
    experiment: Experiment, events: list[Event], machine: Machine, guard: GuardLimits
) -> list[str]:
    """Check that memory events fit, and return a warning for each that may fill too slowly.

    Args:
        experiment: for the messages.
        events: its memory events.
        machine: what they are asked of.
        guard: what must stay available.

    Raises:
        InvalidInput: the events ask for more than is available above the guard's floor.
    """
    if not events:
        return []
    loads = headroom.with_scales(events, machine)
    total, at_s = peak(loads)
    floor = headroom.memory_floor_bytes(guard, machine) / machine.parts
    available = headroom.available_memory_bytes(machine)
    if total + floor > available:
        if machine.partition:
            of_part = f" to part {machine.partition}"
        else:
            of_part = ""
        msg = (
            f"{experiment.name}: memory events ask for {total / 2**20:.0f} MiB at {at_s:g} s;"
            f" expected at most {max(0, available - floor) / 2**20:.0f} MiB, which is the"
            f" {available / 2**20:.0f} MiB available{of_part} less the guard's floor of"
            f" {floor / 2**20:.0f} MiB; lower the level or --twin-guard"
        )
        raise InvalidInput(msg)
    warnings = []
    for event, factor in loads:
        steepest = _too_steep_rise(event, factor)
        if steepest is None:
            continue
        rise_bytes, within_s, from_s = steepest
        when = f" from {from_s:g} s on" if from_s > 0 else ""
        warnings.append(
            f"{experiment.name}: {event.id} asks for {rise_bytes / 2**20:.0f} MiB within"
            f" {within_s:g} s{when}; memory that the hypervisor has not backed yet fills at about"
            f" {COLD_FILL_BYTES_PER_S / 2**20:.0f} MiB/s, so it may settle late or never"
        )
    return warnings


def _too_steep_rise(event: Event, factor: float) -> tuple[float, float, float] | None:
    """Return a rise that cold memory cannot follow: its bytes, its seconds, and from when on.

    None where all can be filled in time. What is held follows the level down at once, and up no
    faster than cold memory fills.
    """
    lines = lines_of(event.shape, event.duration_s)
    at_s = np.column_stack([lines.at_s[:-1], lines.at_s[1:]]).ravel()
    levels = np.column_stack([lines.first, lines.last]).ravel() * factor
    at_s, levels = np.append(0.0, at_s), np.append(0.0, levels)
    # At no moment more than at an earlier one and what can be filled since: the lowest of these
    # bounds is what is held.
    lag = levels - COLD_FILL_BYTES_PER_S * at_s
    lowest = np.minimum.accumulate(lag)
    held = lowest + COLD_FILL_BYTES_PER_S * at_s
    if held.max() >= levels.max() * (1 - _ROUNDING):
        return None
    top = int(np.flatnonzero(levels >= levels.max() * (1 - _ROUNDING))[-1])
    since = int(np.flatnonzero(lag[: top + 1] <= lowest[top])[-1])
    return float(levels.max()), float(at_s[top] - at_s[since]), float(event.start_s + at_s[since])

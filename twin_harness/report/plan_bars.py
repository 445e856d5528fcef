"""A schedule as it is planned, in lines of text for the terminal: nothing is imported to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.quantity import duration, event_quantity, quantity, shortened
from twin_harness.schedule import peaks

if TYPE_CHECKING:
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment, Schedule

_BARS = " ▁▂▃▄▅▆▇█"
_WIDTH = 56


def plan_lines(schedule: Schedule) -> list[str]:
    """Return a schedule as lines of text.

    A bar of levels an event, over the experiment's whole time.
    """
    lines = []
    for experiment in schedule.experiments:
        planned = (
            f"{duration(experiment.duration_s)}, {quantity(experiment.lead_s, 's')} lead,"
            f" {quantity(experiment.tail_s, 's')} tail"
        )
        lines.append(
            f"{experiment.name}: {planned}"
            + (f", tolerance {experiment.tolerance}" if experiment.tolerance else "")
        )
        lines += [_event_line(experiment, event) for event in experiment.events] or [
            "  no load: the idle machine"
        ]
    return lines


def _event_line(experiment: Experiment, event: Event) -> str:
    edges_s = np.linspace(-experiment.lead_s, experiment.span_s + experiment.tail_s, _WIDTH + 1)
    middles_s = (edges_s[1:] + edges_s[:-1]) / 2.0
    is_command, is_on = (
        event.stressor == "command",
        (middles_s >= event.start_s) & (middles_s < event.end_s),
    )
    # The highest level of each cell, however short: what a bar leaves out is what hurts.
    if is_command:
        found = np.where(is_on, 1.0, 0.0)
    else:
        found = peaks.highest_within(event, edges_s)
    if is_command:
        highest = 1.0
    else:
        highest = peaks.highest(event)
    bar = "".join(
        _BARS[min(8, max(1, round(8 * level / highest)))] if level > 0 and highest > 0 else _BARS[0]
        for level in found
    )
    if is_command:
        what = shortened(str(event.options["argv"][0]), 20)
    else:
        what = f"{event.shape.kind}, up to {event_quantity(highest, event.unit)}"
    return f"  {shortened(event.id, 14):<14} |{bar}| {what}"

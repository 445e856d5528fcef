"""A schedule as it is planned: for the terminal, and as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.quantity import duration, quantity
from twin_harness.report.drawing.canvas import (
    INK,
    SMALL_PT,
    TEXT_PT,
    colour_of,
    from_zero,
    new_figure,
    plain,
    png,
    shortened,
    style,
)
from twin_harness.report.drawing.matplotlib_settings import with_default_settings
from twin_harness.schedule import peaks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment, Schedule

MOST_DRAWN = 12
_BARS = " ▁▂▃▄▅▆▇█"
_WIDTH = 56
_POINTS = 800
_ROW_IN, _WIDTH_IN, _MARGIN_IN = 1.5, 10.0, 0.75
_AXIS_UNIT_OF = {"percent": "%", "bytes": "MiB", "bytes_per_s": "MiB/s", "operations_per_s": "op/s"}
_UNIT_OF = {
    "percent": "percent",
    "bytes": "bytes",
    "bytes_per_s": "bytes/s",
    "operations_per_s": "1/s",
}


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
        what = (
            f"{event.shape.kind}, up to {quantity(highest, _UNIT_OF.get(event.unit, event.unit))}"
        )
    return f"  {shortened(event.id, 14):<14} |{bar}| {what}"


@with_default_settings
def plan_png(schedule: Schedule) -> bytes:
    """Draw a schedule as a PNG: a row an experiment, twelve at most.

    Levels of CPU and memory left, of disk right where both are there.
    """
    shown = schedule.experiments[:MOST_DRAWN]
    height_in = _ROW_IN * len(shown) + _MARGIN_IN
    figure = new_figure(_WIDTH_IN, height_in)
    grid = figure.add_gridspec(len(shown), 1)
    grid.update(
        left=0.08, right=0.80, bottom=0.45 / height_in, top=1 - 0.35 / height_in, hspace=0.75
    )
    for row, experiment in enumerate(shown):
        _draw(figure.add_subplot(grid[row]), experiment, is_last=row == len(shown) - 1)
    if len(schedule.experiments) > len(shown):
        figure.text(
            0.08,
            0.05 / height_in,
            f"{len(schedule.experiments) - len(shown)} more are not drawn",
            fontsize=SMALL_PT,
            color=INK,
        )
    return png(figure)


def _draw(axes: Axes, experiment: Experiment, *, is_last: bool) -> None:
    style(
        axes,
        shortened(experiment.name, 80),
        "percent",
        "seconds on the events' clock" if is_last else "",
    )
    begin_s, end_s = -experiment.lead_s, experiment.span_s + experiment.tail_s
    edges_s = np.linspace(begin_s, end_s, _POINTS + 1)
    at_s = (edges_s[1:] + edges_s[:-1]) / 2.0
    percents = [event for event in experiment.events if event.unit == "percent"]
    others = [event for event in experiment.events if event.unit != "percent"]
    if others and percents:
        right = axes.twinx()
    else:
        right = axes
    if others:
        right.set_ylabel("MiB or MiB/s", fontsize=TEXT_PT, color=INK)
        right.tick_params(labelsize=SMALL_PT)
        right.spines["top"].set_visible(False)
    for side, events in ((axes, percents), (right, others)):
        for event in events:
            if event.unit.startswith("bytes"):
                factor = 1 / 2**20
            else:
                factor = 1.0
            is_on = (at_s >= event.start_s) & (at_s < event.end_s)
            if event.stressor == "command":
                values = np.where(is_on, 1.0, 0.0)
            else:
                values = peaks.highest_within(event, edges_s) * factor
            label = f"{event.id} ({_AXIS_UNIT_OF.get(event.unit, event.unit or 'runs')})"
            side.plot(
                at_s,
                np.where(is_on, values, np.nan),
                color=colour_of(event.stressor),
                label=plain(label),
            )
            side.fill_between(
                at_s, values, color=colour_of(event.stressor), alpha=0.12, linewidth=0
            )
        if events:
            from_zero(side)
    handles = [
        entry
        for side in dict.fromkeys((axes, right))
        for entry in side.get_legend_handles_labels()[0]
    ]
    if handles:
        axes.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(1.07, 1.05),
            fontsize=SMALL_PT,
            frameon=False,
        )
    axes.set_xlim(begin_s, end_s)

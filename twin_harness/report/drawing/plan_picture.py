"""A schedule as it is planned, as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.quantity import shortened
from twin_harness.report.drawing.canvas import (
    INK,
    SMALL_PT,
    TEXT_PT,
    colour_of,
    from_zero,
    new_figure,
    plain,
    png,
    style,
)
from twin_harness.report.drawing.matplotlib_settings import with_default_settings
from twin_harness.schedule import peaks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from twin_harness.schedule.model import Experiment, Schedule

MOST_DRAWN = 12
_POINTS = 800
_ROW_IN, _WIDTH_IN, _MARGIN_IN = 1.5, 10.0, 0.75
_AXIS_UNIT_OF = {"percent": "%", "bytes": "MiB", "bytes_per_s": "MiB/s", "operations_per_s": "op/s"}


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

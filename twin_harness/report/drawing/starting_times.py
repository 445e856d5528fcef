"""When to run a job, drawn: how likely an overload is by starting time, and the CPU use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.when import best_of, interval
from twin_harness.report.drawing.canvas import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SMALL_PT,
    TEXT_PT,
    VERMILLION,
    new_figure,
    plain,
    png,
    style,
)
from twin_harness.report.drawing.matplotlib_settings import with_default_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.when import Start

_COLOURS, _MARKS = (VERMILLION, PURPLE, ORANGE, GREEN), "osD^"
_WIDTH_IN, _HEIGHT_IN = 10.0, 5.5
_MOST_LABELS = 24


@with_default_settings
def starting_times_png(name: str, starts: Sequence[Start]) -> bytes:
    """Draw starting times as a PNG: probabilities with intervals above, mean CPU use below.

    Args:
        name: of the experiment.
        starts: its starting times, in their order.
    """
    figure = new_figure(_WIDTH_IN, _HEIGHT_IN)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    places = np.arange(len(starts))
    best, _ = best_of(starts)
    for number, call in enumerate(starts[0].calls):
        values = np.array([start.calls[number].probability for start in starts])
        ends = np.array(
            [interval(start.calls[number].probability, call.members) for start in starts]
        )
        above.errorbar(
            places,
            100 * values,
            100 * np.maximum(np.abs(ends.T - values), 0.0),
            color=_COLOURS[number % len(_COLOURS)],
            fmt=_MARKS[number % len(_MARKS)],
            markersize=4,
            linewidth=1,
            capsize=2,
            label=plain(call.condition),
        )
    style(above, plain(f"{name}, by starting time"), "probability of overload (%)")
    above.set_ylim(-3, 103)
    if starts[0].calls:
        above.legend(fontsize=SMALL_PT, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.02))
    below.bar(places, [start.cpu_percent for start in starts], color=BLUE, width=0.7)
    below.vlines(
        places,
        [start.cpu_low for start in starts],
        [start.cpu_high for start in starts],
        color=INK,
        linewidth=1,
    )
    style(below, "", "mean CPU use (%, 90 %)")
    below.set_ylim(0, 105)
    step = max(1, -(-len(starts) // _MOST_LABELS))
    below.set_xticks(places[::step], [str(start.at) for start in starts[::step]])
    below.tick_params(axis="x", rotation=45, labelsize=SMALL_PT)
    below.set_xlabel("begins at (local time)", fontsize=TEXT_PT, color=INK)
    at = [start is best for start in starts].index(True)
    for axis in (above, below):
        axis.axvspan(at - 0.5, at + 0.5, color=GREEN, alpha=0.15, linewidth=0)
    above.annotate(
        "best",
        (at, 100),
        ha="center",
        va="top",
        fontsize=SMALL_PT,
        color=INK,
        annotation_clip=False,
    )
    figure.subplots_adjust(left=0.07, right=0.98, top=0.93, bottom=0.14, hspace=0.28)
    return png(figure)

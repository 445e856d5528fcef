"""Figures of load: delivered against requested, knees, and responses by level."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.report.drawing import canvas
from twin_harness.report.drawing.canvas import (
    QUIET,
    SMALL_PT,
    from_zero,
    png,
    style,
)
from twin_harness.report.drawing.matplotlib_settings import importing, with_default_settings
from twin_harness.report.drawing.panels import ACTIVE_LOADS, new_panels

with importing():
    import seaborn as sns

if TYPE_CHECKING:
    import pandas as pd

_LEVEL_LABELS_IN = 1.05


@with_default_settings
def fidelity_png(points: pd.DataFrame, labels: dict[str, str]) -> bytes:
    """Draw delivered against requested means with the line of equality, a panel a resource.

    Args:
        points: columns ``resource``, ``requested``, ``delivered`` and ``rmse``, in the unit of the
            panel.
        labels: resource to the label of its axes, in the order of the panels.
    """
    figure, axes = new_panels(len(labels), max(len(labels), 2), (3.6, 3.3))
    for (resource, label), pair in zip(labels.items(), axes, strict=True):
        own = points[points["resource"] == resource]
        top = float(np.nanmax(own[["requested", "delivered"]].to_numpy(dtype=float))) * 1.12 or 1.0
        pair.plot(
            [0, top],
            [0, top],
            color=QUIET,
            linewidth=1.0,
            linestyle=(0, (4, 3)),
            label="delivered = requested",
        )
        pair.errorbar(
            own["requested"],
            own["delivered"],
            yerr=own["rmse"],
            fmt="none",
            ecolor=ACTIVE_LOADS[resource][0],
            alpha=0.5,
            elinewidth=1.2,
        )
        colour, marker = ACTIVE_LOADS[resource]
        sns.scatterplot(
            data=own,
            x="requested",
            y="delivered",
            color=colour,
            marker=marker,
            s=42,
            linewidth=0.5,
            edgecolor="white",
            ax=pair,
        )
        style(pair, resource, f"delivered {label}", f"requested {label}")
        pair.set_xlim(0, top)
        pair.set_ylim(0, top)
        pair.set_aspect("equal")
        pair.legend(loc="upper left", fontsize=SMALL_PT, frameon=False)
    return png(figure)


@with_default_settings
def knee_png(
    steps: dict[str, pd.DataFrame],
    knees: dict[str, dict[str, float | None]],
    labels: dict[str, str],
) -> bytes:
    """Draw median and 95 % of each response against CPU use, with their knees, as a PNG.

    Args:
        steps: column to ``cpu``, ``median`` and ``high`` of each step.
        knees: column to the CPU percent of each line's knee, or None, by what the line is called.
        labels: column to the label of its axis.
    """
    figure, axes = new_panels(len(steps), max(len(steps), 2), (4.4, 3.4))
    for (column, own), pair in zip(steps.items(), axes, strict=False):
        pair.plot(
            own["cpu"],
            own["high"],
            color=canvas.ORANGE,
            linewidth=1.2,
            linestyle=(0, (1, 1)),
            marker=".",
            markersize=3.5,
            label="95 %",
        )
        pair.plot(
            own["cpu"],
            own["median"],
            color=canvas.BLUE,
            linewidth=1.6,
            marker="o",
            markersize=3.5,
            label="median",
        )
        for (line, knee), colour in zip(
            knees[column].items(), (canvas.BLUE, canvas.ORANGE), strict=True
        ):
            if knee is not None:
                pair.axvline(
                    knee,
                    color=colour,
                    linewidth=1.2,
                    linestyle=(0, (4, 3)),
                    label=f"knee of {line}: {knee:.0f} %",
                )
        style(pair, "", labels[column], "CPU of the machine (%)")
        pair.set_xlim(0, 100)
        from_zero(pair)
        pair.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            ncols=2,
            fontsize=SMALL_PT,
            frameon=False,
            borderaxespad=0.2,
        )
    for pair in axes[len(steps) :]:
        pair.set_axis_off()
    return png(figure)


@with_default_settings
def level_png(rows: pd.DataFrame, labels: dict[str, str]) -> bytes:
    """Draw box plots of ``answer`` by ``level``, a panel a stressor, as a PNG.

    Args:
        rows: ``stressor``, ``level`` and ``answer``, in the order of their levels.
        labels: stressor to the label of its axis.
    """
    figure, axes = new_panels(len(labels), max(len(labels), 2), (3.8, 3.9), _LEVEL_LABELS_IN)
    for (stressor, label), pair in zip(labels.items(), axes, strict=True):
        own = rows[rows["stressor"] == stressor]
        own = own.assign(level=own["level"].str.replace("to below ", "to <"))
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # seaborn 0.13 hands matplotlib an argument that goes with 3.13
            sns.boxplot(
                data=own,
                x="level",
                y="answer",
                color=ACTIVE_LOADS[stressor][0],
                linewidth=0.9,
                fliersize=2,
                width=0.6,
                ax=pair,
            )
        style(pair, f"{stressor}, by level asked for", label, "")
        pair.tick_params(axis="x", labelrotation=90)
        from_zero(pair)
    return png(figure)

"""One panel of a timeline: a resource's load, and what the whole machine did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.metrics import RESOURCE_COLUMNS
from twin_harness.report.drawing.canvas import (
    BLACK,
    COLOUR_OF,
    INK,
    QUIET,
    SMALL_PT,
    TEXT_PT,
    draw_line,
    thinned,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_FLATTENING = 5.0  # a machine's peak so many times the load is cut off; the legend says how high


@dataclass(frozen=True)
class Panel:
    """What one pair of axes shows: the resource's load, and what the whole machine did.

    Attributes:
        stressor: whose requested and delivered columns.
        ylabel: quantity and unit.
        measured: columns whose sum is the machine's.
        label: what to call that sum.
        floor: the least upper limit.
        measured_factor: from the unit of ``measured`` to that of the axes.
        load_factor: from the load's unit to that of the axes; None is unknown.
    """

    stressor: str
    ylabel: str
    measured: tuple[str, ...]
    label: str
    floor: float
    measured_factor: float = 1.0
    load_factor: float | None = 1.0


def _values(
    frame: pd.DataFrame, names: tuple[str, ...], factor: float | None = 1.0
) -> NDArray[np.float64] | None:
    """Return the scaled sum of columns; None when one is missing, or the factor unknown."""
    if factor is None or any(name not in frame.columns for name in names):
        return None
    values = frame[list(names)].sum(axis=1, skipna=False).to_numpy(dtype=float) * factor
    if np.isfinite(values).any():
        return values
    return None


def draw_panel(axes: Axes, panel: Panel, frame: pd.DataFrame, x: NDArray[np.float64]) -> None:
    """Draw a panel from zero up, cut off where a peak of the machine would flatten the load.

    Args:
        axes: where it is drawn.
        panel: what it shows.
        frame: samples, by column.
        x: shape (rows,), where on the time axis each row of ``frame`` stands.
    """
    colour = COLOUR_OF[panel.stressor]
    measured = _values(frame, panel.measured, panel.measured_factor)
    requested, delivered = (
        _values(frame, (name,), panel.load_factor)
        for name in RESOURCE_COLUMNS.get(panel.stressor, ("", ""))
    )
    load_top, peak = _highest(requested, delivered), _highest(measured)
    is_cut = load_top > 0 and peak > _FLATTENING * max(load_top, panel.floor)
    if measured is not None:
        label = f"{panel.label}\n(up to {peak:,.0f})" if is_cut else panel.label
        line_colour = colour if panel.load_factor is None else QUIET
        draw_line(axes, thinned(x, measured), line_colour, label, width_pt=1.2)
    if load_top > 0:
        if delivered is not None:
            draw_line(axes, thinned(x, delivered), colour, "load delivered", width_pt=2.0)
        if requested is not None:
            line = thinned(x, requested)
            draw_line(axes, line, BLACK, "load requested", width_pt=1.2, dashes=(4.0, 2.0))
    _add_legend(axes)
    axes.set_ylabel(panel.ylabel, fontsize=TEXT_PT, color=INK)
    axes.yaxis.set_label_coords(-0.062, 0.5)
    top = max(panel.floor, load_top, peak)
    if is_cut:
        top = 2.0 * max(panel.floor, load_top)
    if measured is not None:  # the machine's own line stays in the picture
        top = max(top, min(peak, 1.3 * float(np.nanmedian(measured))))
    axes.set_ylim(0, top * 1.05)


def _highest(*series: NDArray[np.float64] | None) -> float:
    """Return the highest value of several series; 0 without any."""
    return max((float(np.nanmax(values)) for values in series if values is not None), default=0.0)


def _add_legend(axes: Axes) -> None:
    """Name the lines beside the axes, or say that there are none."""
    if axes.lines:
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.005, 1.06),
            fontsize=SMALL_PT,
            frameon=False,
            handlelength=1.8,
            borderaxespad=0.2,
        )
    else:
        axes.text(
            0.5,
            0.5,
            "not measured here",
            transform=axes.transAxes,
            ha="center",
            va="center",
            fontsize=TEXT_PT,
            color=QUIET,
        )


def percent_per_byte(machine: dict[str, Any], frame: pd.DataFrame) -> float | None:
    """Return what one byte of memory is in percent, by the machine file or by two columns."""
    limit_bytes = machine.get("memory_limit_bytes")
    if isinstance(limit_bytes, (int, float)) and limit_bytes > 0:
        return 100.0 / limit_bytes
    used, percent = _values(frame, ("memory_used_bytes",)), _values(frame, ("memory_percent",))
    if used is None or percent is None or not (percent > 0).any():
        return None
    return float(np.nanmedian(percent[percent > 0] / used[percent > 0]))

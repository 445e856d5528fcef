"""A grid of panels of equal size, and the colour and marker of each combination of loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.report.drawing import canvas
from twin_harness.report.drawing.canvas import QUIET, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What was active in a row, always in the same colour and sign: distinct without colour, too.
ACTIVE_LOADS: dict[str, tuple[str, str]] = {
    "idle": (QUIET, "o"),
    "other": (canvas.YELLOW, "p"),
    "cpu": (canvas.BLUE, "^"),
    "memory": (canvas.GREEN, "s"),
    "disk": (canvas.VERMILLION, "D"),
    "cpu + memory": (canvas.SKY, "v"),
    "cpu + disk": (canvas.PURPLE, "P"),
    "memory + disk": (canvas.ORANGE, "X"),
    "cpu + memory + disk": (canvas.BLACK, "*"),
}


def new_panels(
    panels: int,
    columns: int,
    panel_in: tuple[float, float],
    below_in: float = 0.5,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a grid of panels, ``columns`` a row, each of ``panel_in`` inches.

    Args:
        panels: how many.
        columns: panels a row.
        panel_in: width and height of a panel, with the room for its labels.
        below_in: room for labels below the last row.
    """
    rows = -(-panels // columns)
    width_in, height_in = panel_in[0] * columns, panel_in[1] * rows
    figure = new_figure(width_in, height_in)
    grid = figure.add_gridspec(rows, columns)
    grid.update(
        left=0.65 / width_in,
        right=1 - 0.15 / width_in,
        bottom=below_in / height_in,
        top=1 - 0.35 / height_in,
        wspace=0.32,
        hspace=0.5,
    )
    return figure, [
        figure.add_subplot(grid[index // columns, index % columns]) for index in range(panels)
    ]

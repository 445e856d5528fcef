"""The surface that figures are drawn on: size, colours, plain text, PNG.

No pyplot, and none of the user's settings.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.report.drawing.matplotlib_settings import importing

with importing():
    from matplotlib import font_manager
    from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

# Okabe & Ito (2008), Color Universal Design: distinct with every common kind of colour vision.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
INK, GRID, QUIET = "#222222", "#dddddd", "#6b6b6b"
COLOUR_OF = {"cpu": BLUE, "memory": GREEN, "disk": VERMILLION, "mark": PURPLE}
SMALL_PT, TEXT_PT, TITLE_PT = 8.0, 9.0, 10.0
_DPI = 110
_FONT = "DejaVu Sans"
_MOST_POINTS = 1_500
_ABOVE = 1.06


def colour_of(stressor: str) -> str:
    """Return the colour of a stressor's events; all that have no column of their own share one."""
    return COLOUR_OF.get(stressor, ORANGE)


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty white figure that belongs to nobody else."""
    return Figure(figsize=(width_in, height_in), dpi=_DPI, facecolor="white")


def png(figure: Figure) -> bytes:
    """Render a figure; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


@cache
def _glyphs() -> frozenset[int]:
    """Return the characters that the font has; matplotlib ships it."""
    return frozenset(font_manager.get_font(font_manager.findfont(_FONT)).get_charmap())


def plain(text: str) -> str:
    r"""Return text that matplotlib draws as it stands.

    ``$`` starts no formula, and what the font lacks becomes a box.

    ``\$`` is matplotlib's own escape (``matplotlib.cbook.is_math_text`` counts the dollars without
    it).
    """
    known = "".join(
        character if ord(character) in _glyphs() and character.isprintable() else "□"
        for character in text
    )
    return known.replace("$", r"\$")


def style(axes: Axes, title: str = "", ylabel: str = "", xlabel: str = "") -> None:
    """Set axes up in the house style: two spines, a light grid, small plain labels.

    Args:
        axes: what is set up.
        title: stands above, on the left; empty for none.
        ylabel: quantity and unit of the y axis; empty for none.
        xlabel: the same of the x axis.
    """
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(QUIET)
    axes.tick_params(labelsize=SMALL_PT, colors=INK, length=3, color=QUIET)
    axes.set_ylabel(plain(ylabel), fontsize=TEXT_PT, color=INK)
    axes.set_xlabel(plain(xlabel), fontsize=TEXT_PT, color=INK)
    if title:
        axes.set_title(plain(title), fontsize=TITLE_PT, color=INK, loc="left")


def from_zero(axes: Axes) -> None:
    """Let the y axis begin at 0 and end above the highest value drawn.

    Matplotlib's margin is a share of the values' own range: a line of 0.90 to 0.94 over an axis
    from 0 would lie on the upper edge.
    """
    highest = float(axes.dataLim.ymax)
    axes.set_ylim(0.0, _ABOVE * highest if np.isfinite(highest) and highest > 0 else 1.0)


@dataclass(frozen=True)
class Line:
    """A series thin enough to draw.

    One value a bin, and the range within each bin where rows were put together.
    """

    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


def thinned(x: NDArray[np.float64], y: NDArray[np.float64], most: int = _MOST_POINTS) -> Line:
    """Return a series of at most ``most`` points: means of bins of equally many rows.

    Args:
        x: shape (rows,), positions on the x axis.
        y: shape (rows,), values; NaN where there is none.
        most: how many points, at most.
    """
    if len(x) <= most:
        return Line(x, y)
    edges = np.linspace(0, len(x), most + 1).astype(int)[:-1]
    lengths = np.diff(np.append(edges, len(x)))
    has_value = np.isfinite(y)
    counts = np.add.reduceat(has_value.astype(float), edges)
    sums = np.add.reduceat(np.where(has_value, y, 0.0), edges)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(counts > 0, sums / counts, np.nan)
    low = np.minimum.reduceat(np.where(has_value, y, np.inf), edges)
    high = np.maximum.reduceat(np.where(has_value, y, -np.inf), edges)
    middles = np.add.reduceat(x, edges) / lengths
    is_empty = counts == 0
    return Line(middles, mean, np.where(is_empty, np.nan, low), np.where(is_empty, np.nan, high))


def draw_line(
    axes: Axes,
    line: Line,
    colour: str,
    label: str,
    *,
    width_pt: float = 1.3,
    dashes: tuple[float, ...] = (),
) -> None:
    """Draw a thinned series under a label of ours.

    A pale band shows the range that its bins cover.

    Args:
        axes: where it is drawn.
        line: the series.
        colour: of line and band.
        label: what the legend calls it.
        width_pt: of the line.
        dashes: lengths of dash and gap, in widths of the line; empty is a solid one.
    """
    line_style: str | tuple[int, tuple[float, ...]] = (0, dashes) if dashes else "solid"
    axes.plot(
        line.x, line.mean, color=colour, linewidth=width_pt, linestyle=line_style, label=label
    )
    if line.low is not None and line.high is not None:
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, linewidth=0)

"""Figures of columns: correlation, scatter, distribution, correlation over lag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.report.drawing import canvas
from twin_harness.report.drawing.canvas import (
    INK,
    QUIET,
    SMALL_PT,
    TEXT_PT,
    from_zero,
    new_figure,
    plain,
    png,
    style,
)
from twin_harness.report.drawing.matplotlib_settings import importing, with_default_settings
from twin_harness.report.drawing.panels import ACTIVE_LOADS, new_panels

with importing():
    import seaborn as sns
    from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

MOST_POINTS = 4_000
_SEED = 2_025
_LONG_TAIL, _BINS = 20.0, 40


@with_default_settings
def heatmap_png(correlation: pd.DataFrame) -> bytes:
    """Draw a correlation matrix as a PNG: blue for -1, red for +1, a cross where there is none.

    Its index and columns are names of columns.
    """
    size = len(correlation)
    cell_in = float(np.clip(9.0 / max(size, 1), 0.13, 0.3))
    points = float(np.clip(cell_in * 72.0 * 0.75, 5.0, SMALL_PT))
    label_in = 0.2 + points / 72.0 * 0.55 * max(len(name) for name in correlation.columns)
    cells_in, bar_in = cell_in * size, 0.75
    width_in, height_in = label_in + cells_in + bar_in, label_in + cells_in + 0.1
    figure = new_figure(width_in, height_in)
    axes = figure.add_axes(
        (label_in / width_in, label_in / height_in, cells_in / width_in, cells_in / height_in)
    )
    bar = figure.add_axes(
        (1 - 0.65 / width_in, label_in / height_in, 0.14 / width_in, cells_in / height_in)
    )
    # Pairs without a correlation are drawn white, with a cross. The labels are ours: seaborn lays
    # them out twice, at the cost of 600 MiB.
    sns.heatmap(
        correlation.fillna(0.0),
        ax=axes,
        cbar_ax=bar,
        vmin=-1,
        vmax=1,
        cmap="vlag",
        xticklabels=False,
        yticklabels=False,
        linewidths=0.3 if size <= 60 else 0,
    )
    axes.set_xticks(np.arange(size) + 0.5, [plain(name) for name in correlation.columns])
    axes.set_yticks(np.arange(size) + 0.5, [plain(name) for name in correlation.index])
    rows, columns = np.nonzero(correlation.isna().to_numpy())
    axes.plot(
        columns + 0.5,
        rows + 0.5,
        "x",
        color=QUIET,
        markersize=2.5,
        markeredgewidth=0.5,
        linestyle="none",
    )
    axes.tick_params(labelsize=points, colors=INK, length=2)
    axes.tick_params(axis="x", labelrotation=90)
    axes.tick_params(axis="y", labelrotation=0)
    bar.tick_params(labelsize=SMALL_PT, colors=INK)
    return png(figure)


def thinned_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return at most 4,000 rows, drawn at random with a fixed seed."""
    if len(frame) <= MOST_POINTS:
        return frame
    return frame.sample(MOST_POINTS, random_state=_SEED)


@with_default_settings
def scatter_png(frame: pd.DataFrame, pairs: Sequence[tuple[str, str, str, str]]) -> bytes:
    """Draw pairs of columns against each other, coloured by the column ``regime``, as a PNG.

    Args:
        frame: rows, with ``regime`` as a name of ``ACTIVE_LOADS``.
        pairs: column on x, column on y, label of x, label of y.
    """
    frame = thinned_rows(frame)
    figure, axes = new_panels(len(pairs) + 1, 3, (3.6, 2.9))
    present = [name for name in ACTIVE_LOADS if (frame["regime"] == name).any()]
    for (x, y, xlabel, ylabel), pair in zip(pairs, axes, strict=False):
        sns.scatterplot(
            data=frame,
            x=x,
            y=y,
            hue="regime",
            style="regime",
            hue_order=present,
            style_order=present,
            palette={name: ACTIVE_LOADS[name][0] for name in present},
            markers={name: ACTIVE_LOADS[name][1] for name in present},
            s=16,
            alpha=0.55,
            linewidth=0,
            legend=False,
            ax=pair,
        )
        style(pair, "", ylabel, xlabel)
        _limit(pair, frame[x], frame[y])
    for name in present:
        colour, marker = ACTIVE_LOADS[name]
        axes[-1].scatter([], [], color=colour, marker=marker, s=36, label=plain(name))
    axes[-1].legend(
        loc="center",
        fontsize=TEXT_PT,
        frameon=False,
        title="load asked for in that row",
        title_fontsize=TEXT_PT,
    )
    axes[-1].set_axis_off()
    return png(figure)


def _limit(axes: Axes, x: pd.Series[float], y: pd.Series[float]) -> None:
    """Start at zero, and cut off a few rows that would flatten all others, saying how many."""
    usual = y[x > 0].dropna()
    top, peak = float(usual.quantile(0.99)) * 1.5 if len(usual) else 0.0, float(y.max())
    if 0 < top < peak / 3.0:
        axes.set_ylim(0.0, top)
        note = (
            f"{int((y > top).sum()):,} of {int(y.notna().sum()):,} rows lie above, up to"
            f" {peak:,.0f}"
        )
        axes.text(0.02, 1.02, note, transform=axes.transAxes, fontsize=SMALL_PT, color=INK)
    elif float(y.min()) >= 0:
        from_zero(axes)


def _edges(low: float, high: float, *, is_wide: bool) -> list[float]:
    """Return the edges of a histogram's bins; one bin around a single value."""
    if high <= low:
        return [low - 0.5, low + 0.5]
    edges: list[float] = (
        np.geomspace(low, high, _BINS + 1) if is_wide else np.linspace(low, high, _BINS + 1)
    ).tolist()
    return edges


@with_default_settings
def distribution_png(frame: pd.DataFrame, panels: Sequence[tuple[str, str]]) -> bytes:
    """Draw the distribution of columns under load beside that at rest, as a PNG.

    Args:
        frame: rows, with ``is_loaded``.
        panels: column and the label of its axis, with the unit; each column holds a value.
    """
    figure, axes = new_panels(len(panels), 3, (3.6, 2.7))
    for (column, label), pair in zip(panels, axes, strict=True):
        own = frame[[column, "is_loaded"]].dropna()
        values = own[column]
        is_wide = bool((values > 0).all()) and float(values.max()) > _LONG_TAIL * float(
            values.median()
        )
        edges = _edges(float(values.min()), float(values.max()), is_wide=is_wide)
        for is_loaded, name, colour, dashes in (
            (False, "idle", QUIET, "solid"),
            (True, "under load", canvas.BLUE, "dashed"),
        ):
            part = own.loc[own["is_loaded"] == is_loaded, column]
            if len(part):
                sns.histplot(
                    x=part,
                    bins=edges,
                    stat="percent",
                    element="step",
                    color=colour,
                    alpha=0.25,
                    linestyle=dashes,
                    label=plain(name),
                    ax=pair,
                )
        if is_wide:
            pair.set_xscale("log")
            pair.xaxis.set_major_formatter("{x:g}")
        else:
            pair.xaxis.set_major_locator(MaxNLocator(5))
        style(pair, "", "share of rows (%)", label)
        pair.legend(fontsize=SMALL_PT, frameon=False)
    return png(figure)


@with_default_settings
def lag_png(curves: dict[str, np.ndarray]) -> bytes:
    """Draw correlation over lag, a panel a pair, with the largest marked, as a PNG.

    Args:
        curves: name of the pair to r at lags of 0, 1, … seconds.
    """
    figure, axes = new_panels(len(curves), 3, (3.6, 2.5))
    for (name, curve), pair in zip(curves.items(), axes, strict=True):
        largest = int(np.nanargmax(np.abs(curve)))
        pair.axhline(0.0, color=QUIET, linewidth=0.8)
        pair.plot(range(len(curve)), curve, color=canvas.BLUE, linewidth=1.4)
        pair.plot([largest], [curve[largest]], "o", color=canvas.VERMILLION, markersize=5)
        style(pair, name, "r", "lag (s)")
        pair.set_ylim(-1.05, 1.05)
    return png(figure)

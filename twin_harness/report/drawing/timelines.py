"""Timelines: one experiment on its events' clock, and the whole run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.metrics import RESOURCE_COLUMNS
from twin_harness.report.drawing.bands import Band, Bands
from twin_harness.report.drawing.canvas import (
    BLACK,
    COLOUR_OF,
    INK,
    QUIET,
    SKY,
    SMALL_PT,
    TEXT_PT,
    TITLE_PT,
    colour_of,
    draw_line,
    new_figure,
    plain,
    png,
    shortened,
    style,
    thinned,
)
from twin_harness.report.drawing.matplotlib_settings import with_default_settings
from twin_harness.report.evidence import Evidence, no_samples
from twin_harness.report.facts import DISK_COLUMNS, ExperimentFacts, ask

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from twin_harness.runs.recording import Recording

_MIB = 2.0**20
_WIDTH_IN = 9.4
_MOST_NUMBERS = 30
_LEFT, _RIGHT = 0.082, 0.845
_FLATTENING = 5.0  # a machine's peak so many times the load is cut off, and told in the legend
_LANE_IN, _PANEL_IN, _ABOVE_IN, _BELOW_IN = 0.24, 1.35, 0.34, 0.45


@dataclass(frozen=True)
class _Panel:
    """What one pair of axes shows: the resource's load, and what the whole machine did.

    Attributes:
        stressor: whose requested and delivered columns. ylabel: quantity and unit.
        measured: columns whose sum is the machine's. label: what to call that.
        measured_factor, load_factor: from the columns' units to that of the axes; None is unknown.
        floor: the least upper limit.
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
    """Return the scaled sum of columns.

    None when one is missing or empty, or the factor unknown.
    """
    if factor is None or any(name not in frame.columns for name in names):
        return None
    values = frame[list(names)].sum(axis=1, skipna=False).to_numpy(dtype=float) * factor
    if np.isfinite(values).any():
        return values
    return None


def _lay_out(title: str, bands: Bands, panels: int) -> tuple[Figure, list[Axes]]:
    """Make a strip of bands above panels of one time axis.

    Placed by hand, because an automatic layout draws everything twice.
    """
    strip_in = _LANE_IN * bands.shown_lanes
    height_in = strip_in + panels * _PANEL_IN + _ABOVE_IN + _BELOW_IN
    figure = new_figure(_WIDTH_IN, height_in)
    grid = figure.add_gridspec(panels + 1, 1, height_ratios=[strip_in, *[_PANEL_IN] * panels])
    grid.update(
        left=_LEFT,
        right=_RIGHT,
        bottom=_BELOW_IN / height_in,
        top=1 - _ABOVE_IN / height_in,
        hspace=0.16,
    )
    strip = figure.add_subplot(grid[0])
    bands.draw(strip)
    axes = [figure.add_subplot(grid[index + 1], sharex=strip) for index in range(panels)]
    for panel in axes:
        style(panel)
        panel.tick_params(labelbottom=panel is axes[-1])
    strip.set_xlim(bands.begin_s, max(bands.end_s, bands.begin_s + 1e-3))
    figure.text(
        _LEFT,
        1 - 0.22 / height_in,
        plain(shortened(title, 95)),
        fontsize=TITLE_PT,
        weight="bold",
        color=INK,
    )
    if bands.hidden:
        note = f"{bands.hidden} more overlap\nand are not drawn"
        figure.text(
            _RIGHT + 0.01, 1 - _ABOVE_IN / height_in, note, fontsize=SMALL_PT, color=QUIET, va="top"
        )
    return figure, axes


def _draw(axes: Axes, panel: _Panel, frame: pd.DataFrame, x: NDArray[np.float64]) -> None:
    """Draw a panel from zero up.

    Say so where there is nothing to draw, or where a peak of the machine would flatten the load.
    """
    colour = COLOUR_OF[panel.stressor]
    measured = _values(frame, panel.measured, panel.measured_factor)
    requested, delivered = (
        _values(frame, (name,), panel.load_factor)
        for name in RESOURCE_COLUMNS.get(panel.stressor, ("", ""))
    )
    load_top = max(
        (float(np.nanmax(values)) for values in (requested, delivered) if values is not None),
        default=0.0,
    )
    if measured is None:
        peak = 0.0
    else:
        peak = float(np.nanmax(measured))
    is_cut = load_top > 0 and peak > _FLATTENING * max(load_top, panel.floor)
    if measured is None:
        usual = 0.0
    else:
        usual = float(np.nanmedian(measured))
    top = max(panel.floor, load_top, 0.0 if is_cut else peak) * (2.0 if is_cut else 1.0)
    top = max(top, min(peak, 1.3 * usual))  # the machine's own line stays in the picture
    if is_cut:
        label = f"{panel.label}\n(up to {peak:,.0f})"
    else:
        label = panel.label
    if measured is not None:
        draw_line(
            axes,
            thinned(x, measured),
            QUIET if panel.load_factor is not None else colour,
            label,
            width_pt=1.2,
        )
    if load_top > 0:
        if delivered is not None:
            draw_line(axes, thinned(x, delivered), colour, "load delivered", width_pt=2.0)
        if requested is not None:
            draw_line(
                axes,
                thinned(x, requested),
                BLACK,
                "load requested",
                width_pt=1.2,
                dashes=(4.0, 2.0),
            )
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
    axes.set_ylabel(panel.ylabel, fontsize=TEXT_PT, color=INK)
    axes.yaxis.set_label_coords(-0.062, 0.5)
    axes.set_ylim(0, top * 1.05)


def _percent_per_byte(machine: dict[str, Any], frame: pd.DataFrame) -> float | None:
    """Return what one byte of memory is in percent.

    As the machine file tells, else from two columns that share the whole.
    """
    limit_bytes = machine.get("memory_limit_bytes")
    if isinstance(limit_bytes, (int, float)) and limit_bytes > 0:
        return 100.0 / limit_bytes
    used, percent = _values(frame, ("memory_used_bytes",)), _values(frame, ("memory_percent",))
    if used is None or percent is None or not (percent > 0).any():
        return None
    return float(np.nanmedian(percent[percent > 0] / used[percent > 0]))


def _bands_of(facts: ExperimentFacts) -> Bands:
    recording = facts.recording
    bands = Bands(recording.begin_s, recording.end_s)
    for item in facts.events:
        if item.status == "completed":
            ending = ""
        else:
            ending = f" ({item.status})"
        label = f"{shortened(item.event.id, 28)} {shortened(item.kind, 20)}{ending}"
        bands.bars.append(
            Band(*item.span_s, label, colour_of(item.event.stressor), is_certain=item.has_begun)
        )
    for row in facts.marks:
        if row.start_monotonic_s is not None:
            begin_s = row.start_monotonic_s - recording.planned.zero_s
            if row.end_monotonic_s is None:
                end_s = begin_s
            else:
                end_s = row.end_monotonic_s - recording.planned.zero_s
            bands.bars.append(Band(begin_s, end_s, shortened(row.event, 36), COLOUR_OF["mark"]))
    return bands


@with_default_settings
def timeline_png(recording: Recording) -> bytes:
    """Draw one experiment.

    Its events as labelled bands over CPU, memory and disk, requested against delivered, as a PNG.

    The x axis is the events' clock in seconds (the lead is negative). May be called from several
    threads.
    """
    facts = ExperimentFacts(1, recording)
    frame, reason = ask(lambda: recording.samples)
    if frame is None:
        frame = no_samples()
    figure, axes = _lay_out(recording.name, _bands_of(facts), 3)
    panels = (
        _Panel(
            "cpu",
            "CPU (%)",
            ("cpu_percent",),
            (
                f"part {recording.planned.partition}"
                if recording.planned.partition
                else "whole machine"
            ),
            100.0,
        ),
        _Panel(
            "memory",
            "memory (%)",
            ("memory_percent",),
            "whole machine",
            1.0,
            1.0,
            _percent_per_byte(recording.machine_file, frame),
        ),
        _Panel("disk", "disk (MiB/s)", DISK_COLUMNS, "read + write", 1.0, 1.0 / _MIB, 1.0 / _MIB),
    )
    x = frame.index.to_numpy(dtype=float)
    for panel, pair in zip(panels, axes, strict=True):
        for item in facts.events:
            if item.event.stressor == panel.stressor:
                pair.axvspan(*item.span_s, color=COLOUR_OF[panel.stressor], alpha=0.07, linewidth=0)
        _draw(pair, panel, frame, x)
    if frame.empty:
        message = reason or "The dataset holds no sample of this experiment."
        axes[0].text(
            0.5,
            0.75,
            plain(shortened(message, 110)),
            transform=axes[0].transAxes,
            ha="center",
            fontsize=SMALL_PT,
            color=INK,
        )
    axes[-1].set_xlabel("seconds on the events' clock", fontsize=TEXT_PT, color=INK)
    return png(figure)


@with_default_settings
def overview_png(evidence: Evidence) -> bytes:
    """Draw the whole run.

    Experiments as numbered bands over CPU, memory, disk and load average, as a PNG.
    """
    frame = evidence.samples
    x = frame["run_s"].to_numpy(dtype=float)
    first_s = evidence.first_s
    bands = Bands(0.0, evidence.span_s or 1.0)
    every = -(-len(evidence.experiments) // _MOST_NUMBERS)
    for facts in evidence.experiments:
        planned = facts.recording.planned
        span_s = (planned.begin_s - first_s, planned.end_s - first_s)
        if (facts.number - 1) % every:
            label = ""
        else:
            label = str(facts.number)
        bands.bars.append(Band(*span_s, label, SKY, is_certain=planned.status != "RUNNING"))
    for row in evidence.marks:
        if row.start_monotonic_s is not None:
            begin_s, end_s = row.start_monotonic_s, row.end_monotonic_s or row.start_monotonic_s
            bands.bars.append(
                Band(
                    begin_s - first_s, end_s - first_s, shortened(row.event, 36), COLOUR_OF["mark"]
                )
            )
    figure, axes = _lay_out(
        "The whole run; numbered bands are the experiments of the table", bands, 4
    )
    panels = (
        _Panel("cpu", "CPU (%)", ("cpu_percent",), "whole machine", 100.0),
        _Panel(
            "memory",
            "memory (%)",
            ("memory_percent",),
            "whole machine",
            1.0,
            1.0,
            _percent_per_byte(evidence.run.machine, frame),
        ),
        _Panel("disk", "disk (MiB/s)", DISK_COLUMNS, "read + write", 1.0, 1.0 / _MIB, 1.0 / _MIB),
        _Panel("mark", "load average", ("load1",), "over 1 min", 1.0, 1.0, None),
    )
    for panel, pair in zip(panels, axes, strict=True):
        for bar in bands.bars[1 : len(evidence.experiments) : 2]:
            pair.axvspan(bar.begin_s, bar.end_s, color=QUIET, alpha=0.08, linewidth=0)
        _draw(pair, panel, frame, x)
    axes[-1].set_xlabel("seconds since the first sample", fontsize=TEXT_PT, color=INK)
    return png(figure)

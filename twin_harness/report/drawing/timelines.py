"""Timelines: one experiment on its events' clock, and the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin_harness.quantity import shortened
from twin_harness.report.dataset_rows import no_samples
from twin_harness.report.drawing.bands import Band, Bands
from twin_harness.report.drawing.canvas import (
    COLOUR_OF,
    INK,
    QUIET,
    SKY,
    SMALL_PT,
    TEXT_PT,
    TITLE_PT,
    colour_of,
    new_figure,
    plain,
    png,
    style,
)
from twin_harness.report.drawing.matplotlib_settings import with_default_settings
from twin_harness.report.drawing.timeline_panel import Panel, draw_panel, percent_per_byte
from twin_harness.report.facts import DISK_COLUMNS, ExperimentFacts, ask

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from twin_harness.report.evidence import Evidence
    from twin_harness.runs.recording import Recording

_MIB = 2.0**20
_WIDTH_IN = 9.4
_MOST_NUMBERS = 30
_LEFT, _RIGHT = 0.082, 0.845
_LANE_IN, _PANEL_IN, _ABOVE_IN, _BELOW_IN = 0.24, 1.35, 0.34, 0.45


def _lay_out(title: str, bands: Bands, panels: int) -> tuple[Figure, list[Axes]]:
    """Return a strip of bands above panels of one time axis.

    It is placed by hand, because an automatic layout draws everything twice.
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


def _bands_of(facts: ExperimentFacts) -> Bands:
    recording = facts.recording
    bands = Bands(recording.begin_s, recording.end_s)
    for item in facts.events:
        ending = "" if item.status == "completed" else f" ({item.status})"
        label = f"{shortened(item.event.id, 28)} {shortened(item.kind, 20)}{ending}"
        bands.bars.append(
            Band(*item.span_s, label, colour_of(item.event.stressor), is_certain=item.has_begun)
        )
    for row in facts.marks:
        if row.start_monotonic_s is not None:
            begin_s = row.start_monotonic_s - recording.planned.zero_s
            end_s = begin_s
            if row.end_monotonic_s is not None:
                end_s = row.end_monotonic_s - recording.planned.zero_s
            bands.bars.append(Band(begin_s, end_s, shortened(row.event, 36), COLOUR_OF["mark"]))
    return bands


def _resource_panels(
    cpu_label: str, machine: dict[str, Any], frame: pd.DataFrame
) -> tuple[Panel, Panel, Panel]:
    """Return the panels of CPU, memory and disk."""
    memory_factor = percent_per_byte(machine, frame)
    return (
        Panel("cpu", "CPU (%)", ("cpu_percent",), cpu_label, 100.0),
        Panel(
            "memory", "memory (%)", ("memory_percent",), "whole machine", 1.0, 1.0, memory_factor
        ),
        Panel("disk", "disk (MiB/s)", DISK_COLUMNS, "read + write", 1.0, 1.0 / _MIB, 1.0 / _MIB),
    )


@with_default_settings
def timeline_png(recording: Recording) -> bytes:
    """Draw one experiment as a PNG: its events over CPU, memory and disk.

    Requested load stands against delivered. The x axis is the events' clock in seconds (the lead
    is negative). May be called from several threads.
    """
    facts = ExperimentFacts(1, recording)
    frame, reason = ask(lambda: recording.samples)
    if frame is None:
        frame = no_samples()
    figure, axes = _lay_out(recording.name, _bands_of(facts), 3)
    part = recording.planned.partition
    panels = _resource_panels(
        f"part {part}" if part else "whole machine", recording.machine_file, frame
    )
    x = frame.index.to_numpy(dtype=float)
    for panel, pair in zip(panels, axes, strict=True):
        for item in facts.events:
            if item.event.stressor == panel.stressor:
                pair.axvspan(*item.span_s, color=COLOUR_OF[panel.stressor], alpha=0.07, linewidth=0)
        draw_panel(pair, panel, frame, x)
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
    """Draw the whole run as a PNG: experiments over CPU, memory, disk and load average."""
    frame = evidence.samples
    x = frame["run_s"].to_numpy(dtype=float)
    first_s = evidence.first_s
    bands = Bands(0.0, evidence.span_s or 1.0)
    every = -(-len(evidence.experiments) // _MOST_NUMBERS)
    for facts in evidence.experiments:
        planned = facts.recording.planned
        span_s = (planned.begin_s - first_s, planned.end_s - first_s)
        label = "" if (facts.number - 1) % every else str(facts.number)
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
        *_resource_panels("whole machine", evidence.run.machine, frame),
        Panel("mark", "load average", ("load1",), "over 1 min", 1.0, 1.0, None),
    )
    for panel, pair in zip(panels, axes, strict=True):
        for bar in bands.bars[1 : len(evidence.experiments) : 2]:
            pair.axvspan(bar.begin_s, bar.end_s, color=QUIET, alpha=0.08, linewidth=0)
        draw_panel(pair, panel, frame, x)
    axes[-1].set_xlabel("seconds since the first sample", fontsize=TEXT_PT, color=INK)
    return png(figure)

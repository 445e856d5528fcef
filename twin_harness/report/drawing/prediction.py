"""A prediction, drawn: a band and its centre for each column, over the measured line if any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.metrics import by_name
from twin_harness.predict.observation import COLUMNS
from twin_harness.report.drawing.canvas import (
    BLUE,
    INK,
    SMALL_PT,
    TEXT_PT,
    VERMILLION,
    from_zero,
    new_figure,
    plain,
    png,
    style,
)
from twin_harness.report.drawing.matplotlib_settings import with_default_settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from twin_harness.predict.observation import Observation
    from twin_harness.predict.prediction import Prediction

DRAWN = (
    "cpu_percent",
    "memory_percent",
    "load1",
    "disk_write_bytes_per_s",
    "pressure_cpu_percent",
    "pressure_io_percent",
    "probe_wakeup_ms",
    "probe_cpu_ms",
)
_ROW_IN, _WIDTH_IN, _MARGIN_IN = 1.25, 10.0, 0.6


@with_default_settings
def prediction_png(prediction: Prediction, measured: Observation | None = None) -> bytes:
    """Draw a prediction as a PNG, a row a column.

    Args:
        prediction: of one experiment.
        measured: the same experiment as it was recorded, drawn over the band.
    """
    figure = new_figure(_WIDTH_IN, _ROW_IN * len(DRAWN) + _MARGIN_IN)
    axes = figure.subplots(len(DRAWN), 1, sharex=True)
    for axis, name in zip(axes, DRAWN, strict=True):
        _draw(axis, prediction, name, measured)
    axes[-1].set_xlabel("seconds on the events' clock", fontsize=TEXT_PT, color=INK)
    extrapolating = " (extrapolating)" if prediction.extrapolating else ""
    band = "its band unknown: the twin was not calibrated"
    if np.isfinite(prediction.low).any():
        band = "with the band that holds 90 % of seconds"
    axes[0].set_title(
        plain(f"{prediction.experiment.name}: predicted{extrapolating}, {band}"),
        fontsize=TEXT_PT,
        color=INK,
        loc="left",
    )
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", fontsize=SMALL_PT, ncols=3, frameon=False)
    figure.tight_layout()
    return png(figure)


def _draw(axis: Axes, prediction: Prediction, name: str, measured: Observation | None) -> None:
    index = COLUMNS.index(name)
    metric = by_name(name)
    scale, unit = 1.0, metric.unit if metric else ""
    if unit == "bytes/s":
        scale, unit = 1e-6, "MB/s"
    middles_s = prediction.ends_s - 0.5
    if np.isfinite(prediction.low[index]).any():
        axis.fill_between(
            middles_s,
            scale * prediction.low[index],
            scale * prediction.high[index],
            color=BLUE,
            alpha=0.2,
            linewidth=0,
            label="90 % band",
        )
    axis.plot(
        middles_s, scale * prediction.centre[index], color=BLUE, linewidth=1.2, label="predicted"
    )
    if measured is not None:
        axis.plot(
            measured.demand.ends_s - 0.5,
            scale * measured.column(name),
            color=VERMILLION,
            linewidth=1.0,
            label="measured",
        )
    shown = {"percent": "\n%", "1": "", "": ""}.get(unit, f"\n{unit}")
    from_zero(axis)
    style(axis)
    axis.set_ylabel(
        f"{name.rsplit('_percent', 1)[0].rsplit('_bytes_per_s', 1)[0]}{shown}",
        fontsize=SMALL_PT,
        color=INK,
    )

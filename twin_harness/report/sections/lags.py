"""What follows load, and how late: cross-correlation of 1 s means over lags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.dataset.preparation import window_means
from twin_harness.quantity import signed
from twin_harness.report.document import Cell, Paragraph, Picture, Section, Table, number
from twin_harness.report.drawing.charts import lag_png

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.report.evidence import Evidence

MOST_LAG_S = 30
_LEAST_WINDOWS = 4 * MOST_LAG_S
_PAIRS = (
    ("cpu_delivered_percent", "cpu_percent"),
    ("cpu_delivered_percent", "pressure_cpu_percent"),
    ("cpu_delivered_percent", "load1"),
    ("cpu_delivered_percent", "probe_wakeup_ms"),
    ("cpu_delivered_percent", "temperature_celsius"),
    ("memory_delivered_bytes", "memory_percent"),
    ("disk_delivered_bytes_per_s", "disk_write_bytes_per_s"),
    ("disk_delivered_bytes_per_s", "pressure_io_percent"),
)
_TEXT = (
    "Correlation of what was delivered with what the machine did later, on 1 s means of the whole"
    " run. A peak at lag 0 answers within the second; load averages are filters and peak late by"
    " their nature. Both series are autocorrelated, so a broad hump is not many findings, and no"
    " test of significance is given."
)


def lagged(cause: np.ndarray, effect: np.ndarray, most: int) -> np.ndarray:
    """Return Pearson's correlation of ``cause`` at t with ``effect`` at t + lag.

    For lags of 0 to ``most``; NaN where one does not vary.

    Args:
        cause: shape (windows,), means of what was delivered; NaN where unknown.
        effect: shape (windows,), means of what the machine did, of the same windows.
        most: the longest lag, in windows.
    """
    curve = np.full(most + 1, np.nan)
    for lag in range(most + 1):
        first, second = cause[: len(cause) - lag], effect[lag:]
        known = ~(np.isnan(first) | np.isnan(second))
        if known.sum() > 2 and np.ptp(first[known]) > 0 and np.ptp(second[known]) > 0:
            curve[lag] = np.corrcoef(first[known], second[known])[0, 1]
    return curve


def section(evidence: Evidence) -> Section:
    """Return the section on lags."""
    title = "What follows load, and how late"
    means = evidence.samples if evidence.window_s else window_means(evidence.samples)
    if len(means) < _LEAST_WINDOWS:
        text = (
            f"Lags of up to {MOST_LAG_S} s need at least {_LEAST_WINDOWS} s of samples; there are"
            f" {len(means)} s."
        )
        return Section("lags", title, (Paragraph(text),))
    curves = {pair: curve for pair in _PAIRS if not np.isnan(curve := _curve(means, *pair)).all()}
    if not curves:
        return Section(
            "lags",
            title,
            (Paragraph("No delivered load varies together with a column that it could move."),),
        )
    rows = tuple(_row(means, *pair, curve) for pair, curve in curves.items())
    table = Table(
        "table-lags",
        "Where each correlation is largest",
        ("load", "answer", "lag of the largest", "r there", "r at lag 0", "pairs there"),
        rows,
    )
    description = "; ".join(
        f"{effect} follows {cause} most after {row[2].text}, r {row[3].text}"
        for (cause, effect), row in zip(curves, rows, strict=True)
    )
    caption = f"Correlation over lags of 0 to {MOST_LAG_S} s; the dot is the largest."
    picture = Picture(
        "figure-lags",
        lag_png({_short(*pair): curve for pair, curve in curves.items()}),
        f"{description}.",
        caption,
        table.id,
    )
    return Section("lags", title, (Paragraph(_TEXT), picture, table))


def _row(means: pd.DataFrame, cause: str, effect: str, curve: np.ndarray) -> tuple[Cell, ...]:
    """Return a pair of columns, where their correlation is largest, and how large."""
    lag = int(np.nanargmax(np.abs(curve)))
    return (
        Cell(cause),
        Cell(effect),
        number(f"{lag} s"),
        number(signed(float(curve[lag]), "1")),
        number(signed(float(curve[0]), "1")),
        number(f"{_pairs_at(means, cause, effect, lag):,}"),
    )


def _pairs_at(means: pd.DataFrame, cause: str, effect: str, lag: int) -> int:
    """Return how many pairs of windows, that many apart, hold both values."""
    known = means[[cause, effect]].notna().to_numpy()
    return int((known[: len(known) - lag, 0] & known[lag:, 1]).sum())


def _short(cause: str, effect: str) -> str:
    """Return a title that fits a panel: the resource, and the answer without its unit."""
    return (
        f"{cause.partition('_')[0]} →"
        f" {effect.removesuffix('_percent').removesuffix('_bytes_per_s').removesuffix('_ms')}"
    )


def _curve(means: pd.DataFrame, cause: str, effect: str) -> np.ndarray:
    if cause not in means.columns or effect not in means.columns:
        return np.full(MOST_LAG_S + 1, np.nan)
    return lagged(
        means[cause].to_numpy(dtype=float), means[effect].to_numpy(dtype=float), MOST_LAG_S
    )

"""How the machine responds: scatter plots of load against response, by the active loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from twin_harness.metrics import RESOURCE_COLUMNS
from twin_harness.quantity import quantity
from twin_harness.report.document import Cell, Paragraph, Picture, Section, Table, dash, number
from twin_harness.report.drawing.charts import MOST_POINTS, scatter_png
from twin_harness.report.drawing.panels import ACTIVE_LOADS

if TYPE_CHECKING:
    from twin_harness.report.document import Block
    from twin_harness.report.evidence import Evidence

_MIB, _GIB = 2.0**20, 2.0**30
_SCATTERS = (
    ("cpu_requested_percent", "cpu_percent", "CPU requested (%)", "CPU of the machine (%)"),
    ("cpu_delivered_percent", "pressure_cpu_percent", "CPU delivered (%)", "CPU pressure (%)"),
    (
        "memory_delivered_gib",
        "memory_percent",
        "memory delivered (GiB)",
        "memory of the machine (%)",
    ),
    (
        "disk_delivered_mib_per_s",
        "disk_write_mib_per_s",
        "disk delivered (MiB/s)",
        "device writes (MiB/s)",
    ),
    (
        "disk_delivered_mib_per_s",
        "disk_read_mib_per_s",
        "disk delivered (MiB/s)",
        "device reads (MiB/s)",
    ),
)
_RESPONSES = (
    ("cpu_percent", "percent"),
    ("pressure_cpu_percent", "percent"),
    ("memory_percent", "percent"),
    ("disk_write_bytes_per_s", "bytes/s"),
    ("disk_read_bytes_per_s", "bytes/s"),
)


def active_loads(samples: pd.DataFrame) -> pd.Series[str]:
    """Return for each row which resources a load was requested of, as a name of ``ACTIVE_LOADS``.

    ``other`` is a row in which an event was active and asked none of the three for anything: a
    program, a stressor of one's own, a level of 0.
    """
    active = pd.Series("", index=samples.index, dtype=object)
    for resource, (requested, _) in RESOURCE_COLUMNS.items():
        is_asked = samples[requested].fillna(0.0) > 0
        active[is_asked] = active[is_asked].map(
            lambda text, resource=resource: f"{text} + {resource}" if text else resource
        )
    is_other = (active == "") & (samples["active_events"] != "")
    return active.mask(is_other, "other").replace("", "idle").astype(str)


def section(evidence: Evidence) -> Section:
    """Return the section with scatter plots of load against response."""
    samples, title = evidence.samples, "Load against response"
    frame = pd.DataFrame(
        {
            "regime": active_loads(samples),
            **{
                name: samples[name]
                for name in (
                    "cpu_requested_percent",
                    "cpu_percent",
                    "cpu_delivered_percent",
                    "pressure_cpu_percent",
                    "memory_percent",
                )
            },
            "memory_delivered_gib": samples["memory_delivered_bytes"] / _GIB,
            "disk_delivered_mib_per_s": samples["disk_delivered_bytes_per_s"] / _MIB,
            "disk_write_mib_per_s": samples["disk_write_bytes_per_s"] / _MIB,
            "disk_read_mib_per_s": samples["disk_read_bytes_per_s"] / _MIB,
        }
    )
    drawn = [pair for pair in _SCATTERS if frame[[pair[0], pair[1]]].notna().all(axis=1).any()]
    missing = [
        f"{ylabel} against {xlabel}"
        for x, y, xlabel, ylabel in _SCATTERS
        if (x, y, xlabel, ylabel) not in drawn
    ]
    blocks: list[Block] = []
    if missing:
        blocks.append(
            Paragraph(f"Not drawn, because no row holds both values: {'; '.join(missing)}.")
        )
    if drawn:
        sample = ""
        if len(frame) > MOST_POINTS:
            sample = (
                f" A random sample of {MOST_POINTS:,} of {len(frame):,} rows is drawn; the table"
                " counts all."
            )
        caption = (
            f"Each point is one row ({quantity(evidence.row_s, 's')}); its colour and marker show"
            " which loads were asked for in that row; idle means none, also between experiments;"
            f" other, an event that asks for none of the three, such as a program.{sample}"
        )
        table = _regime_table(samples.assign(regime=frame["regime"]))
        alt = (
            "Scatter plots of "
            + "; ".join(f"{ylabel} against {xlabel}" for _, _, xlabel, ylabel in drawn)
            + ". "
            + _regime_alt(samples, frame["regime"])
        )
        blocks += [
            Picture("figure-scatter", scatter_png(frame, drawn), alt, caption, table.id),
            table,
        ]
    return Section("scatter", title, tuple(blocks))


def _regime_alt(samples: pd.DataFrame, regime: pd.Series[str]) -> str:
    sentences = []
    for name in ACTIVE_LOADS:
        values = samples.loc[regime == name, "cpu_percent"].dropna()
        if len(values):
            sentences.append(
                f"{name}: mean CPU {quantity(float(values.mean()), 'percent')} (SD"
                f" {quantity(float(values.std()), 'percent')}, n = {len(values):,})"
            )
    return "; ".join(sentences) + "."


def _regime_table(samples: pd.DataFrame) -> Table:
    rows = []
    for name in ACTIVE_LOADS:
        own = samples[samples["regime"] == name]
        cells = []
        for column, unit in _RESPONSES:
            values = own[column].dropna()
            if values.empty:
                cells.append(dash("no row holds a value"))
                continue
            mean, sd = float(values.mean()), float(values.std())
            cells.append(number(f"{quantity(mean, unit)} ± {quantity(sd, unit)}"))
        if len(own):
            rows.append((Cell(name), number(f"{len(own):,}"), *cells))
    headings = ("load asked for", "rows", *(column for column, _ in _RESPONSES))
    return Table(
        "table-regimes",
        "Mean ± SD of the responses by what was asked for, each row weighed alike",
        headings,
        tuple(rows),
    )

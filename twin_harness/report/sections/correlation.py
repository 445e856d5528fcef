"""What moves with what: rank correlation over all rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from twin_harness.dataset.preparation import load_state
from twin_harness.metrics import RESOURCE_COLUMNS
from twin_harness.quantity import DASH, MINUS, count
from twin_harness.report.document import Cell, Paragraph, Picture, Section, Table, number
from twin_harness.report.drawing.charts import heatmap_png
from twin_harness.report.sections.cleaning import column_kinds

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.report.document import Block
    from twin_harness.report.evidence import Evidence

CONTRACT_COLUMNS = tuple(name for pair in RESOURCE_COLUMNS.values() for name in pair)
_LEAST_ROWS = 10
_CAPTION = (
    "Rank correlation of every pair of varying columns in that regime, requested and delivered load"
    " first."
)
REGIMES = ("idle", "loaded", "saturated")


def spearman(samples: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return Spearman's rank correlation of columns, NaN for pairs with fewer than 10 common rows.

    Ranks are taken over all rows of a column that hold a value: the same as pairwise ranks where
    columns are missing together.
    """
    return samples[names].rank().corr(min_periods=_LEAST_ROWS)


def _in_order(names: list[str]) -> list[str]:
    """Put requested and delivered columns first."""
    return [name for name in CONTRACT_COLUMNS if name in names] + [
        name for name in names if name not in CONTRACT_COLUMNS
    ]


def _rho(value: float) -> str:
    if math.isnan(value):
        return DASH
    if round(value, 2) == 0:
        return "0.00"
    return f"{value:+.2f}".replace("-", MINUS)


def section(evidence: Evidence) -> Section:
    """Return the section with the correlation heatmap and the table of what follows the load."""
    samples = evidence.samples
    kinds = column_kinds(samples)
    names = _in_order(kinds["varying"])
    asked = [name for name in names if name in CONTRACT_COLUMNS]
    title = "What moves together"
    if len(names) < 2 or len(samples) < _LEAST_ROWS:
        text = (
            f"A correlation needs at least two columns that vary and {_LEAST_ROWS} rows; there are"
            f" {len(names)} and {len(samples):,}."
        )
        return Section("correlation", title, (Paragraph(text),))
    regime = load_state(samples)
    counts = {name: int((regime == name).sum()) for name in REGIMES}
    shown = [name for name in REGIMES if counts[name] >= _LEAST_ROWS * 3]
    if "loaded" in shown:
        main = "loaded"
    else:
        main = max(counts, key=lambda name: counts[name])
    by_regime = {name: spearman(samples[regime == name], names) for name in shown}
    rho = by_regime.get(main, spearman(samples, names))
    kept = [name for name in names if rho[name].notna().any()]
    rho = rho.loc[kept, kept]
    asked = [name for name in asked if name in kept]
    left_out = (
        f"{count(len(kinds['empty']), 'empty column')} and"
        f" {count(len(kinds['constant']), 'constant column')}"
    )
    blocks: list[Block] = [
        Paragraph(
            f"Spearman's rank correlation of {count(len(kept), 'column')} that vary there, over the"
            f" {counts[main]:,} rows of the regime “{main}”. +1: they rise and fall together in"
            f" order, {MINUS}1: one falls as the other rises, 0: neither."
        ),
        Paragraph(
            "Regimes are kept apart, because a correlation over all of them mostly says that load"
            " is load: idle (nothing asked, CPU at most 5 %), loaded, and saturated (CPU or device"
            " at least 95 % busy, or memory waited for). "
            + ", ".join(f"{name}: {counts[name]:,} rows" for name in REGIMES)
            + ". Even so the figure mixes how the machine responds with how the plan was made: two"
            " loads that were always planned together correlate though neither causes the other,"
            " and a load average lags behind what drives it (see the lags below). Rows follow one"
            " another in time, hence are not independent; no test of significance is given."
        ),
        Paragraph(
            f"Left out, because a column that does not vary has no correlation: {left_out}, each"
            " named under “What was cleaned”. Clocks and labels are left out as well."
        ),
        Picture(
            "figure-correlation", heatmap_png(rho), _alt(rho, asked), _CAPTION, "table-correlation"
        ),
        _table(by_regime or {main: rho}, kept, asked, samples),
    ]
    return Section("correlation", title, tuple(blocks))


def _alt(rho: pd.DataFrame, asked: list[str]) -> str:
    sentences = []
    for name in asked:
        others = rho[name].drop(labels=asked, errors="ignore").dropna()
        if len(others):
            best = str(others.abs().idxmax())
            sentences.append(
                f"{name} goes most with {best} (rank correlation {_rho(float(others[best]))})"
            )
    return f"Heatmap of {len(rho)} by {len(rho)} rank correlations. " + (
        "; ".join(sentences) + "." if sentences else "No requested or delivered column varies."
    )


def _table(
    by_regime: dict[str, pd.DataFrame], names: list[str], asked: list[str], samples: pd.DataFrame
) -> Table:
    """Return the correlation of every column with load, for each set of active loads."""
    pairs = [
        (load, regime)
        for load in asked
        for regime, rho in by_regime.items()
        if rho[load].notna().any()
    ]
    rows = []
    for name in names:
        # one cell
        cells = [
            number(_rho(float(by_regime[regime].loc[name, load])))  # type: ignore[arg-type]
            for load, regime in pairs
        ]
        rows.append((Cell(name), *cells, number(f"{int(samples[name].notna().sum()):,}")))
    caption = (
        "Rank correlation of every varying column with what was requested and delivered, by regime;"
        " n counts its rows with a value"
    )
    return Table(
        "table-correlation",
        caption,
        ("column", *(f"{load}, {regime}" for load, regime in pairs), "n"),
        tuple(rows),
    )

"""What moves with what: rank correlation over all rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from twin_harness.metrics import RESOURCE_COLUMNS
from twin_harness.report.cleaning import column_kinds
from twin_harness.report.document import Cell, Paragraph, Picture, Section, Table, number
from twin_harness.report.quantity import DASH, MINUS, count
from twin_harness.report.relations import heatmap_png

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.report.document import Block
    from twin_harness.report.evidence import Evidence

CONTRACT_COLUMNS = tuple(name for pair in RESOURCE_COLUMNS.values() for name in pair)
_LEAST_ROWS = 10
_CAPTION = "Rank correlation of every pair of varying columns, requested and delivered load first."


def spearman(samples: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return Spearman's rank correlation of columns, NaN for pairs with fewer than 10 common rows.

    Ranks are taken over all rows of a column that hold a value: the same as pairwise ranks where columns are missing together.
    """
    return samples[names].rank().corr(min_periods=_LEAST_ROWS)


def _in_order(names: list[str]) -> list[str]:
    """Put requested and delivered columns first."""
    return [name for name in CONTRACT_COLUMNS if name in names] + [name for name in names if name not in CONTRACT_COLUMNS]


def _rho(value: float) -> str:
    if math.isnan(value):
        return DASH
    return "0.00" if round(value, 2) == 0 else f"{value:+.2f}".replace("-", MINUS)


def section(evidence: Evidence) -> Section:
    """Return the section with the correlation heatmap and the table of what follows the load."""
    samples = evidence.samples
    kinds = column_kinds(samples)
    names = _in_order(kinds["varying"])
    asked = [name for name in names if name in CONTRACT_COLUMNS]
    title = "What moves together"
    if len(names) < 2 or len(samples) < _LEAST_ROWS:  # noqa: PLR2004 - a pair
        text = f"A correlation needs at least two columns that vary and {_LEAST_ROWS} rows; there are {len(names)} and {len(samples):,}."
        return Section("correlation", title, (Paragraph(text),))
    rho = spearman(samples, names)
    left_out = f"{count(len(kinds['empty']), 'empty column')} and {count(len(kinds['constant']), 'constant column')}"
    blocks: list[Block] = [
        Paragraph(
            f"Spearman's rank correlation of {count(len(names), 'column')} that vary, over {len(samples):,} rows. +1: they rise and fall together "
            f"in order, {MINUS}1: one falls as the other rises, 0: neither."
        ),
        Paragraph(
            "All rows are pooled: idle time, single loads and combined loads, of every experiment. So the figure mixes how the machine responds with "
            "how the plan was made: two loads that were always planned together correlate though neither causes the other, a load average lags and looks "
            "unrelated to what drives it, and a strong effect in one experiment fades in many idle rows. Rows follow one another in time, hence are not "
            "independent; no test of significance is given."
        ),
        Paragraph(
            f"Left out, because a column that does not vary has no correlation: {left_out}, each named under “What was cleaned”. "
            "Clocks and labels are left out as well."
        ),
        Picture("figure-correlation", heatmap_png(rho), _alt(rho, asked), _CAPTION, "table-correlation"),
        _table(rho, asked, samples),
    ]
    return Section("correlation", title, tuple(blocks))


def _alt(rho: pd.DataFrame, asked: list[str]) -> str:
    told = []
    for name in asked:
        others = rho[name].drop(labels=asked, errors="ignore").dropna()
        if len(others):
            best = str(others.abs().idxmax())
            told.append(f"{name} goes most with {best} (rank correlation {_rho(float(others[best]))})")
    return f"Heatmap of {len(rho)} by {len(rho)} rank correlations. " + ("; ".join(told) + "." if told else "No requested or delivered column varies.")


def _table(rho: pd.DataFrame, asked: list[str], samples: pd.DataFrame) -> Table:
    rows = []
    for name, own in zip(rho.index, rho[asked].to_numpy(), strict=True):
        rows.append((Cell(str(name)), *(number(_rho(float(value))) for value in own), number(f"{int(samples[str(name)].notna().sum()):,}")))
    caption = "Rank correlation of every varying column with what was requested and delivered; n counts its rows with a value"
    return Table("table-correlation", caption, ("column", *asked, "n"), tuple(rows))

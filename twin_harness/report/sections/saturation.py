"""Where more load begins to hurt.

Latency and pressure against CPU use, with the knee where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from twin_harness.quantity import count, quantity
from twin_harness.report.document import Cell, Paragraph, Picture, Section, Table, dash, number
from twin_harness.report.drawing.load_charts import knee_png
from twin_harness.report.sections.response import active_loads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from twin_harness.report.evidence import Evidence

STEP_PERCENT, LEAST_ROWS, _LEAST_STEPS = 5, 20, 6
_LEAST_BEND, _LEAST_RATIO, _LEAST_SHARE = 0.25, 2.0, 0.8
_SIDE_PERCENT = 1.0
_RESPONSES = (
    ("probe_wakeup_ms", "ms", "wake-up lateness (ms)"),
    ("pressure_cpu_percent", "percent", "CPU pressure (%)"),
)
_LINES = (("median", "median"), ("high", "95 %"))
_TEXT = (
    f"Rows in steps of {STEP_PERCENT} points of CPU use (steal included): the median and the 95 %"
    f" quantile of each with at least {LEAST_ROWS} rows. Rows in which memory, disk or a program"
    " was loaded as well are left out, for those raise pressure and lateness at any CPU use. Each"
    " line is judged for itself, as the rising line that fits it best (isotonic regression; Barlow"
    " and others 1972). The knee is where that bends away most from the straight line between its"
    " ends (Satopää and others 2011, Finding a Kneedle in a Haystack); it is named only where it"
    " bends by at least a quarter of its range and at least doubles after it, and cannot be found"
    f" where rising with CPU use accounts for less than {100 * _LEAST_SHARE:.0f} % of the variance"
    " between steps."
)


@dataclass(frozen=True)
class Knee:
    """What is said of one line.

    Attributes:
        cpu_percent: the last step before it bends; None without a knee.
        flat_percent: of a line without a knee that rises at once, the step from which it is flat;
            else None.
        reason: why it was not judged; empty where it was.
    """

    cpu_percent: float | None = None
    flat_percent: float | None = None
    reason: str = ""


def of_cpu_alone(samples: pd.DataFrame) -> pd.Series[bool]:
    """Return for each row whether nothing but CPU was loaded.

    No memory, no disk, and no program that costs CPU beside it.
    """
    is_plain = active_loads(samples).isin(("idle", "cpu"))
    return is_plain & (samples["cpu_side_percent"].fillna(0.0) < _SIDE_PERCENT)


def steps_of(samples: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return ``cpu`` (middle), ``median``, ``high`` (95 %) and ``n`` of steps with enough rows."""
    known = samples[["cpu_percent", column]].dropna()
    step = (known["cpu_percent"].clip(0, 99.999) // STEP_PERCENT).astype(int)
    grouped = known.groupby(step)[column]
    frame = pd.DataFrame(
        {"median": grouped.median(), "high": grouped.quantile(0.95), "n": grouped.count()}
    )
    frame = frame[frame["n"] >= LEAST_ROWS]
    return frame.assign(cpu=(frame.index + 0.5) * STEP_PERCENT)


def rising_fit(values: Iterable[float]) -> NDArray[np.float64]:
    """Return the non-decreasing line nearest to the values.

    Isotonic regression, by pooling adjacent violators.
    """
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, size = float(value), 1
        while pools and pools[-1][0] > mean:
            before, before_size = pools.pop()
            mean, size = (
                (before * before_size + mean * size) / (before_size + size),
                before_size + size,
            )
        pools.append((mean, size))
    return np.repeat([mean for mean, _ in pools], [size for _, size in pools])


def knee_of(steps: pd.DataFrame, line: str = "median") -> Knee:
    """Return the CPU percent after which a line bends, or why that was not judged.

    Args:
        steps: as of ``steps_of``.
        line: ``median`` or ``high``.
    """
    if len(steps) < _LEAST_STEPS:
        return Knee(
            reason=f"{len(steps)} steps of CPU use hold enough rows, a knee takes {_LEAST_STEPS}"
        )
    x, y = steps["cpu"].to_numpy(dtype=float), steps[line].to_numpy(dtype=float)
    if y.max() < _LEAST_RATIO * max(float(y.min()), 1e-9):
        return Knee()
    fitted = rising_fit(y)
    share = 1.0 - float(((y - fitted) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    if share < _LEAST_SHARE:
        return Knee(
            reason=(
                f"rising with CPU use accounts for {100 * share:.0f} % of it, so something else"
                " moves it"
            )
        )
    bend = (x - x[0]) / np.ptp(x) - (fitted - fitted[0]) / np.ptp(fitted)
    at = int(np.argmax(bend))
    has_risen = fitted[at:].max() >= _LEAST_RATIO * max(float(np.median(fitted[: at + 1])), 1e-9)
    if bend[at] >= _LEAST_BEND and has_risen:
        return Knee(float(x[at]))
    if bend.min() <= -_LEAST_BEND:
        return Knee(flat_percent=float(x[int(np.argmin(bend))]))
    return Knee()


def section(evidence: Evidence) -> Section:
    """Return the section on saturation."""
    title = "Where more load begins to hurt"
    samples = evidence.samples[of_cpu_alone(evidence.samples)]
    found = {
        column: steps for column, _, _ in _RESPONSES if len(steps := steps_of(samples, column)) > 1
    }
    if not found:
        return Section(
            "saturation",
            title,
            (Paragraph("Too few rows at different CPU use, with CPU load alone or none, to say."),),
        )
    knees = {
        column: {line: knee_of(steps, line) for line, _ in _LINES}
        for column, steps in found.items()
    }
    shown = [(column, unit, label) for column, unit, label in _RESPONSES if column in found]
    names = {column: label.rpartition(" (")[0] for column, _, label in shown}
    description = " ".join(_sentence(names[column], knees[column]) for column, _, _ in shown)
    alt = " ".join(_range(names[column], unit, found[column]) for column, unit, _ in shown)
    rows = tuple(
        _row(step, found)
        for step in sorted({*(step for steps in found.values() for step in steps.index)})
    )
    headings = (
        "CPU use",
        *(f"{names[column]} {what}" for column, _, _ in shown for what in ("median", "95 %", "n")),
    )
    table = Table(
        "table-saturation", "Answers by CPU use, with CPU load alone or none", headings, rows
    )
    caption = (
        "Median (line) and 95 % (dotted) of the rows in each step of CPU use; a dashed line is a"
        " knee."
    )
    at_percent = {
        column: {label: knees[column][line].cpu_percent for line, label in _LINES}
        for column in found
    }
    png = knee_png(found, at_percent, {column: label for column, _, label in shown})
    left_out = len(evidence.samples) - len(samples)
    if left_out:
        rest = f" {count(left_out, 'row')} of {len(evidence.samples):,} were left out."
    else:
        rest = ""
    picture = Picture("figure-saturation", png, f"{description} {alt}", caption, table.id)
    return Section(
        "saturation", title, (Paragraph(_TEXT + rest), Paragraph(description), picture, table)
    )


def _sentence(name: str, knees: dict[str, Knee]) -> str:
    """Say of both lines whether they bend, and where."""
    parts = []
    for line, label in _LINES:
        knee = knees[line]
        if knee.reason:
            parts.append(f"whether its {label} bends is not known: {knee.reason}")
        elif knee.cpu_percent is not None:
            parts.append(f"its {label} bends at {knee.cpu_percent:.0f} % of CPU")
        elif knee.flat_percent is not None:
            parts.append(
                f"its {label} shows no knee, it rises from the start and flattens at"
                f" {knee.flat_percent:.0f} % of CPU"
            )
        else:
            parts.append(f"its {label} shows no knee")
    return f"{name[0].upper()}{name[1:]}: {'; '.join(parts)}."


def _range(name: str, unit: str, steps: pd.DataFrame) -> str:
    """Say the median at the lowest and at the highest step of CPU use."""
    ends = [steps.iloc[at].to_numpy(dtype=float) for at in (0, -1)]
    ends_text = [
        f"{quantity(float(median), unit)} at {cpu:.0f} % of CPU ({int(n):,} rows)"
        for median, _, n, cpu in ends
    ]
    return f"{name}: median {ends_text[0]}, {ends_text[1]}."


def _row(step: int, found: dict[str, pd.DataFrame]) -> tuple[Cell, ...]:
    begin, end = step * STEP_PERCENT, (step + 1) * STEP_PERCENT
    cells = [Cell(f"{begin} to {end} %" if end >= 100 else f"{begin} to below {end} %")]
    for column, unit, _ in _RESPONSES:
        if column not in found:
            continue
        if step in found[column].index:
            median, high, rows = (
                float(value)
                for value in found[column].loc[step, ["median", "high", "n"]].to_numpy(dtype=float)
            )
            cells += [
                number(quantity(median, unit)),
                number(quantity(high, unit)),
                number(f"{int(rows):,}"),
            ]
        else:
            cells += [dash("too few rows")] * 3
    return tuple(cells)

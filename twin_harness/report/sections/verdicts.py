"""What the gate said of this run.

Every measure's change with its bounds against its threshold, in one picture.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from twin_harness.errors import TwinError
from twin_harness.gate.measures import Measure
from twin_harness.report.document import (
    Cell,
    Notice,
    Paragraph,
    Picture,
    Section,
    Table,
    dash,
    number,
)
from twin_harness.report.drawing import canvas
from twin_harness.report.drawing.canvas import SMALL_PT, new_figure, png, style
from twin_harness.report.sections.places import place_blocks

if TYPE_CHECKING:
    from pathlib import Path

    from twin_harness.report.evidence import Evidence

_MOST_ROWS, _LEAST_WIDE, _WIDEST = 40, 2.0, 12.0
_COLOURS = {
    "REGRESSED": canvas.VERMILLION,
    "UNDECIDED": canvas.ORANGE,
    "PASSED": canvas.BLUE,
    "IMPROVED": canvas.GREEN,
}
_ORDER = tuple(_COLOURS)
_TEXT = (
    "Each line is a measure: its change from base to candidate with the one-sided 95 % bounds, in"
    " units of its own threshold, worse to the right. REGRESSED is worse for sure and by at least"
    " the threshold; PASSED has its upper bound below the threshold; anything else is UNDECIDED."
    " The change is the mean over pairs, on the ratio scale of the logarithms of their ratios, so"
    " it need not be the quotient of the two medians in the table."
)


def sections(evidence: Evidence) -> tuple[Section, ...]:
    """Return the section on the gate's verdict; none where nothing was judged."""
    try:
        data = evidence.run.folder.read_gate()
        rows = [verdict for verdict in data.get("verdicts") or () if isinstance(verdict, dict)]
        measures = [Measure(**verdict["measure"]) for verdict in rows]
        if not rows:
            return ()
        ranked = sorted(zip(rows, measures, strict=True), key=_rank)
        return (_section(data, ranked, evidence.run.folder.path / "gate"),)
    except (TwinError, TypeError, KeyError, ValueError) as error:
        return (
            Section(
                "gate",
                "The gate",
                (
                    Notice(
                        "Unreadable:", f"gate.json cannot be read ({error}); judge the run again."
                    ),
                ),
            ),
        )


def _rank(entry: tuple[dict[str, Any], Measure]) -> tuple[int, str]:
    return _ORDER.index(entry[0]["word"]), entry[1].name


def _section(
    data: dict[str, Any], rows: list[tuple[dict[str, Any], Measure]], folder: Path
) -> Section:
    base, candidate = (str(name) for name in data["names"])
    description = "; ".join(
        str(verdict["sentence"]) for verdict, _ in rows if verdict["status"] != "PASSED"
    )
    headline = f"{data['status']}: {candidate} against {base}, {len(rows)} measures."
    table = Table(
        "table-gate",
        "Verdicts of the gate",
        (
            "Measure",
            "Verdict",
            f"{base}, median",
            f"{candidate}, median",
            "Change",
            "Adjusted p",
            "Visible from",
            "n",
        ),
        tuple(_row(verdict, measure) for verdict, measure in rows),
    )
    shown = [entry for entry in rows if _bounds(*entry) is not None][:_MOST_ROWS]
    blocks: list[Any] = [Paragraph(f"{headline} {description}".strip()), Paragraph(_TEXT)]
    if shown:
        alt = " ".join(
            f"{measure.name}: {verdict['word']}, {_change(verdict, 'effect')}."
            for verdict, measure in shown
        )
        caption = (
            "Changes in units of the threshold (dashed line at 1); 0 is no change; an arrow is a"
            " bar that goes on beyond the picture."
        )
        if len(shown) < len(rows):
            caption += f" {len(rows) - len(shown)} of {len(rows)} measures are in the table alone."
        blocks.append(Picture("figure-gate", _draw(shown), alt, caption, table.id))
    return Section("gate", "The gate", (*blocks, table, *place_blocks(folder, data)))


def _bounds(verdict: dict[str, Any], measure: Measure) -> tuple[float, float, float] | None:
    """Return effect, lower and upper bound in units of the threshold.

    None where nothing was measured. An open bound is the edge of the picture.
    """
    least = measure.least_effect
    if verdict.get("effect") is None:
        return None
    lower, upper = verdict.get("lower"), verdict.get("upper")
    if lower is None:
        low = -math.inf
    else:
        low = lower / least
    if upper is None:
        high = math.inf
    else:
        high = upper / least
    return verdict["effect"] / least, low, high


def _draw(rows: list[tuple[dict[str, Any], Measure]]) -> bytes:
    """Draw a line a measure, the worst at the top."""
    figure = new_figure(8.0, 1.1 + 0.34 * len(rows))
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    widest = _reach(rows)
    for place, (verdict, measure) in enumerate(rows):
        found = _bounds(verdict, measure)
        if found is None:
            continue
        effect, low, high = (max(-widest, min(widest, value)) for value in found)
        colour = _COLOURS[verdict["word"]]
        axes.plot([low, high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
        if abs(found[0]) <= widest:
            axes.plot([effect], [place], marker="o", markersize=5, color=colour)
        else:  # the change itself lies outside, and says where
            axes.text(
                0.9 * effect,
                place - 0.12,
                f"at {found[0]:+.0f}",
                fontsize=SMALL_PT,
                color=canvas.INK,
                ha="center",
                va="bottom",
            )
        for bound, is_open in ((low, found[1] < -widest), (high, found[2] > widest)):
            if is_open:  # the bar goes on beyond the picture
                axes.plot(
                    [bound], [place], marker="<" if bound < 0 else ">", markersize=6, color=colour
                )
        axes.text(
            1.02,
            place,
            f"{verdict['word']} {_change(verdict, 'effect')}",
            transform=axes.get_yaxis_transform(),
            fontsize=SMALL_PT,
            va="center",
            color=canvas.INK,
        )
    axes.axvline(0.0, color=canvas.QUIET, linewidth=1.0)
    axes.axvline(1.0, color=canvas.VERMILLION, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(rows)), [canvas.plain(_short(measure.name)) for _, measure in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-1.05 * widest, 1.05 * widest)
    style(axes, "", "", "change in units of the threshold, worse to the right")
    return png(figure)


def _reach(rows: list[tuple[dict[str, Any], Measure]]) -> float:
    """Return how far the picture reaches: to the furthest known bound or change, within reason."""
    ends = [abs(value) for row in rows for value in _bounds(*row) or () if math.isfinite(value)]
    return min(_WIDEST, max(_LEAST_WIDE, 1.1 * max(ends, default=0.0)))


def _short(name: str) -> str:
    return name if len(name) <= 48 else f"…{name[-47:]}"


def _change(verdict: dict[str, Any], key: str) -> str:
    shown = verdict.get(f"{key}_shown")
    if shown is None:
        return "none"
    return f"{shown:+.3g} {verdict.get('shown_unit', '')}".strip()


def _row(verdict: dict[str, Any], measure: Measure) -> tuple[Cell, ...]:
    tone = {"REGRESSED": "bad", "UNDECIDED": "warn"}.get(verdict["word"], "")
    reason = str(verdict.get("reason") or "it was not measured")
    figures = [
        dash(reason)
        if verdict.get(key) is None
        else number(f"{verdict[key]:.4g} {measure.unit}".strip())
        for key in ("base", "candidate")
    ]
    change, visible = dash(reason), dash("no change would have been called with so few")
    if verdict.get("effect") is not None:
        change = number(_change(verdict, "effect"), tone)
    if verdict.get("visible") is not None:
        visible = number(_change(verdict, "visible"))
    return (
        Cell(measure.name),
        Cell(verdict["word"], tone=tone),
        *figures,
        change,
        number(f"{verdict['p']:.2g}"),
        visible,
        number(str(verdict["n"])),
    )

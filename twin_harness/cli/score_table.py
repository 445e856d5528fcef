"""How a twin's scores are shown: a table a split, and what they mean in short."""

from __future__ import annotations

from math import exp, isnan
from typing import TYPE_CHECKING

from twin_harness.cli.table import Column, table_lines
from twin_harness.quantity import DASH

if TYPE_CHECKING:
    from twin_harness.predict.evaluate import Evaluation
    from twin_harness.predict.overload_scores import OverloadScore
    from twin_harness.predict.scores import ColumnScore

_NO_BETTER = 0.95  # of the best simple predictor's error
_COLUMNS = (
    Column("column", 24, is_text=True),
    Column("RMSE", 9),
    Column("NRMSE", 7),
    Column("warm start", 10),
    Column("× floor", 8),
    Column("bias", 9),
    Column("best baseline, its NRMSE", 28, is_text=True),
    Column("within the 90 % band", is_text=True),
)
_LEGEND = (
    "  (NRMSE: RMSE in standard deviations of the column, 1 is as good as its mean;",
    "  warm start: NRMSE when load and memory before the run are given;",
    "  × floor: of what two runs of one plan differ by over √2;",
    "  Brier skill: 1 is perfect, 0 as good as the share of events)",
)


def score_lines(evaluation: Evaluation) -> list[str]:
    """Return the scores of one evaluation."""
    from twin_harness.predict.observation import COLUMNS
    from twin_harness.predict.splits import SPLITS

    name, fitted = "held-out runs", ""
    if evaluation.split:
        name = f"{evaluation.split} {SPLITS[evaluation.split]}"
        fitted = f", fitted to {evaluation.train}"
    rows = [
        _cells(evaluation, column) for column in COLUMNS if evaluation.score_of(column) is not None
    ]
    return [
        f"{name}: {evaluation.test} runs{fitted}, floor of {evaluation.pairs} pairs of replicates",
        *table_lines(_COLUMNS, rows, "  "),
        _in_short(evaluation),
        *_others_lines(evaluation),
        *_foundation_lines(evaluation),
        *_LEGEND,
        *(_overload_line(call) for call in evaluation.overload),
    ]


def _foundation_lines(evaluation: Evaluation) -> list[str]:
    """Return how a foundation model did, beside the twin, where there was one."""
    from twin_harness.predict.foundation import FoundationModel
    from twin_harness.predict.observation import COLUMNS

    pairs = [
        (column, theirs.nrmse, ours.nrmse)
        for column in COLUMNS
        if (theirs := evaluation.score_of(column, FoundationModel.name)) is not None
        and (ours := evaluation.score_of(column)) is not None
    ]
    if not pairs:
        return []
    told = ", ".join(f"{column} {theirs:.2f} ({ours:.2f})" for column, theirs, ours in pairs)
    return [f"  {FoundationModel.name}, its NRMSE (the twin's): {told}"]


def _cells(evaluation: Evaluation, column: str) -> list[str]:
    """Return the scores of a column beside those of the best simple predictor."""
    from twin_harness.predict.evaluate import WARM

    cold, warm = evaluation.score_of(column), evaluation.score_of(column, WARM)
    if cold is None:
        return [column]
    scale = 1e-6 if column.endswith("bytes_per_s") else 1.0
    best, baseline, verdict = evaluation.best_baseline(column), "", ""
    if best:
        baseline = f"{best.predictor} {_plain(best.nrmse)}"
        if cold.nrmse > _NO_BETTER * best.nrmse:
            verdict = "; no better than a simple predictor"
    return [
        column,
        f"{scale * cold.rmse:.3g}",
        _plain(cold.nrmse),
        _plain(warm.nrmse) if warm else "",
        _plain(cold.to_floor),
        f"{scale * cold.bias:+.2g}",
        baseline,
        f"{_band_text(evaluation, column)}{_tail_text(cold)}{verdict}",
    ]


def _band_text(evaluation: Evaluation, column: str) -> str:
    """Return the share of seconds within the 90 % band, and how wide that is."""
    band = next(one for one in evaluation.coverage if one.column == column)
    if isnan(band.pointwise):
        return "unknown"
    share = f"{100 * band.pointwise:.0f} % of seconds"
    if isnan(band.width_ratio):
        return share
    return f"{share}, {band.width_ratio:.1f} × as wide as of replicates"


def _tail_text(score: ColumnScore) -> str:
    """Return by which factor the 95th percentile of a latency is off, in the middle of the runs.

    Nothing for other columns.
    """
    if isnan(score.log_ratio):
        return ""
    floor = ""
    if not isnan(score.log_ratio_floor):
        floor = f" (a perfect model: about {exp(score.log_ratio_floor):.1f})"
    return f"; p95 off by a factor of {exp(score.log_ratio):.1f}{floor}"


def _in_short(evaluation: Evaluation) -> str:
    """Return the scores of CPU and memory as a sentence."""
    parts = []
    for column, what in (("cpu_percent", "CPU"), ("memory_percent", "memory")):
        score, best = evaluation.score_of(column), evaluation.best_baseline(column)
        if score is None:
            continue
        beside = floor = ""
        if best is not None:
            beside = f" (the best simple predictor by {best.rmse:.1f})"
        if not isnan(score.floor):
            floor = (
                f" (a perfect model, as two runs of one plan differ, by about {score.floor:.1f})"
            )
        parts.append(f"{what} by {score.rmse:.1f} points{beside}{floor}")
    if not parts:
        return "  in short: neither CPU nor memory was measured"
    return f"  in short: of a run that it has not seen, the twin is off in {'; in '.join(parts)}"


def _others_lines(evaluation: Evaluation) -> list[str]:
    """Return how busy others were, and which part of the error in CPU use is theirs."""
    others = evaluation.others
    if others is None:
        return [
            "  what others used of the CPUs was not measured: their part of the error is unknown"
        ]
    blind = evaluation.score_of("cpu_percent")
    told = evaluation.score_of("cpu_percent", is_given=True)
    lines = [f"  {others}"]
    if blind is None or told is None:
        return lines
    best, beside = evaluation.best_baseline("cpu_percent", is_given=True), ""
    if best is not None:
        beside = f" (the best simple predictor, told the same, by {best.rmse:.1f})"
    part = 100.0 * max(0.0, 1.0 - (told.rmse / blind.rmse) ** 2) if blind.rmse > 0 else 0.0
    lines.append(
        f"  told what they used in each second, the twin is off in CPU by {told.rmse:.1f}"
        f" points{beside}: {part:.0f} % of its squared error was others' load"
    )
    return lines


def _overload_line(call: OverloadScore) -> str:
    """Return how well a condition was predicted."""
    counts = f"{call.events} of {call.events + call.others} runs"
    if not call.is_decided:
        return (
            f"  {call.condition}: came true in {counts}: UNDECIDED, expected ten that do and ten"
            " that do not"
        )
    times = f"time off by {call.time_error_s:.1f} s (limit {call.time_limit_s:.1f} s)"
    return (
        f"  {call.condition}: came true in {counts}: Brier skill {call.skill:.2f}, {times},"
        f" {100 * call.false_safe:.0f} % called safe"
    )


def _plain(value: float) -> str:
    """Return a number of two digits; a dash for NaN."""
    return DASH if isnan(value) else f"{value:.2f}"

"""Declaring a measure: its arguments checked against the registry of columns."""

from __future__ import annotations

import difflib
import re
from math import isfinite
from typing import TypeGuard

from twin_harness import metrics
from twin_harness.errors import InvalidInput
from twin_harness.gate.measures import COVARIATE_CHOICES, OF_TESTS, STATISTICS, TIMES, Measure

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s)")
_UNIT_S = {"s": 1.0, "ms": 0.001}
_SHORTEST_S, _LONGEST_S = 0.05, 10.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.,:/#\[\]-]{0,119}")


def declare(
    test: str,
    metric: str,
    statistic: str | None = None,
    window: str | None = None,
    better: str | None = None,
    threshold: str | float = "3%",
    floor: float | None = None,
    unit: str = "",
    trips: float | None = None,
    covariate: str = "auto",
    interleave: str | float | None = None,
) -> Measure:
    """Return a measure, checked against the registry of columns.

    Args:
        test: whose it is.
        metric: a column, or a name under which the test records values itself.
        statistic: of a column; median unless given.
        window: the event whose time counts.
        better: lower or higher; the registry's own for a column.
        threshold: a percent, on a ratio scale.
        floor: the threshold in the metric's unit, for what can be 0 (a difference scale).
        unit: of a recorded value.
        trips: the level of ``time_to_threshold_s``.
        covariate: what its pairs are adjusted for: auto, background, steal, probe or none.
        interleave: length of the slices in which both variants take turns, such as ``"0.2s"``; of a
            recorded value alone.

    Raises:
        InvalidInput: an argument is not what it has to be; one sentence.
    """
    if not _NAME.fullmatch(str(metric)):
        msg = (
            f"gate: expected the name of a column or of a recorded value but got metric={metric!r}"
        )
        raise InvalidInput(msg)
    known = metrics.by_name(metric)
    if known is not None and known.group == "identity":
        msg = (
            f"gate: column {metric!r} is a label or a clock and cannot be judged; expected a"
            " measured one such as cpu_percent"
        )
        raise InvalidInput(msg)
    if known is None and (statistic not in (None, "median") or window is not None):
        close = difflib.get_close_matches(
            metric, [column.name for column in metrics.columns(())], n=3
        )
        msg = (
            f"gate: {metric!r} is no column of the dataset (expected e.g."
            f" {', '.join(close) or 'cpu_percent'}); a recorded value takes no statistic or window"
        )
        raise InvalidInput(msg)
    if statistic is not None and statistic not in STATISTICS:
        msg = (
            f"gate({metric!r}): expected statistic of {', '.join(STATISTICS)} but got {statistic!r}"
        )
        raise InvalidInput(msg)
    chosen = ""
    usually_better, own_unit = OF_TESTS.get(metric, ("", ""))
    if known:
        chosen = statistic or "median"
        usually_better = known.better
    better = better or {"recovery_s": "lower", "time_to_threshold_s": ""}.get(
        chosen, usually_better
    )
    if better not in ("lower", "higher"):
        msg = (
            f"gate({metric!r}): expected better='lower' or better='higher' but got"
            f" better={better or None!r}; nothing says by itself which is better here, and no"
            f" marker gate({metric!r}, …) of this test does, should that be a slip"
        )
        raise InvalidInput(msg)
    if chosen == "time_to_threshold_s" and not _is_number(trips):
        msg = (
            f"gate({metric!r}): time_to_threshold_s needs trips=, the level that is waited for, but"
            f" got trips={trips!r}"
        )
        raise InvalidInput(msg)
    if covariate not in COVARIATE_CHOICES:
        msg = (
            f"gate({metric!r}): expected covariate of {', '.join(COVARIATE_CHOICES)} but got"
            f" {covariate!r}; auto adjusts for others' CPU time where they disturb the machine"
        )
        raise InvalidInput(msg)
    if interleave is not None:
        _check_turns(metric, interleave, covariate, is_of_both=known is not None)
    scale = _scale_of(known, chosen, floor)
    unit = _unit_of(known, chosen, scale, unit or own_unit)
    return Measure(
        test,
        metric,
        chosen,
        window or "",
        better,
        scale,
        unit,
        _amount(metric, scale, threshold, floor, unit),
        trips,
        covariate,
        _slice_seconds(metric, interleave),
    )


def _scale_of(column: metrics.Metric | None, statistic: str, floor: float | None) -> str:
    if column is None and floor is None:
        return "ratio"
    if column is None or statistic in TIMES:
        return "difference"
    return column.scale


def _unit_of(column: metrics.Metric | None, statistic: str, scale: str, given: str) -> str:
    """Return the unit of a column's statistic; as given for a recorded value."""
    if statistic in TIMES:
        return "s"
    if column is None:
        return given
    unit = column.unit
    if unit == "percent" and scale == "difference":
        unit = "points"
    if statistic == "integral":
        unit = f"{unit}·s"
    return unit


def _amount(
    metric: str, scale: str, threshold: str | float, floor: float | None, unit: str
) -> float:
    """Return the threshold as a number on the measure's scale."""
    if scale == "difference":
        if not _is_number(floor) or floor <= 0:
            what = f"floor=, the least change that matters, in {unit or 'its unit'}"
            msg = (
                f"gate({metric!r}): it can be 0, so it is judged by differences; expected {what},"
                f" but got floor={floor!r}"
            )
            raise InvalidInput(msg)
        return float(floor)
    if floor is not None:
        msg = (
            f"gate({metric!r}): it is judged by ratios; expected threshold='3%' and no floor, but"
            f" got floor={floor!r}"
        )
        raise InvalidInput(msg)
    match = None
    if isinstance(threshold, str):
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%", threshold.strip())
    if match is None or not 0 < float(match.group(1)) < 100:
        msg = (
            f"gate({metric!r}): expected threshold as a percent between 0 and 100 such as '3%' but"
            f" got threshold={threshold!r}"
        )
        raise InvalidInput(msg)
    return float(match.group(1)) / 100.0


def _check_turns(metric: str, given: str | float, covariate: str, *, is_of_both: bool) -> None:
    """Refuse what has no place where both variants take turns.

    Args:
        metric: of the measure.
        given: its ``interleave``.
        covariate: what its pairs are to be adjusted for.
        is_of_both: it is a column, which is sampled while both are alive.
    """
    if is_of_both or metric in OF_TESTS:
        msg = (
            f"gate({metric!r}): both variants are alive at once where they take turns, so {metric}"
            f" cannot tell them apart; leave out interleave={given!r}, or record a value"
        )
        raise InvalidInput(msg)
    if covariate not in ("auto", "none"):
        msg = (
            f"gate({metric!r}): whatever others do, they do it to both variants where these take"
            f" turns, so nothing is adjusted; leave out covariate={covariate!r}"
        )
        raise InvalidInput(msg)


def _slice_seconds(metric: str, given: str | float | None) -> float:
    """Return the length of a slice in seconds; 0 without any."""
    if given is None:
        return 0.0
    seconds: float | None = None
    if _is_number(given):
        seconds = float(given)
    elif isinstance(given, str) and (match := _DURATION.fullmatch(given.strip())):
        seconds = float(match.group(1)) * _UNIT_S[match.group(2)]
    if seconds is None or not _SHORTEST_S <= seconds <= _LONGEST_S:
        msg = (
            f"gate({metric!r}): expected interleave from {_SHORTEST_S:g}s to {_LONGEST_S:g}s, such"
            f" as '0.2s', but got interleave={given!r}"
        )
        raise InvalidInput(msg)
    return seconds


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)

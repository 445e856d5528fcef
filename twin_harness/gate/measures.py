"""What is judged: measures, declared beforehand, each with its direction, scale and threshold, and how a recording gives its value."""

from __future__ import annotations

import difflib
import re
from dataclasses import asdict, dataclass
from math import exp, isfinite, log
from typing import TYPE_CHECKING, Any

from twin_harness import metrics
from twin_harness.errors import InvalidInput, Undecided

if TYPE_CHECKING:
    from twin_harness.runs.recording import Recording

STATISTICS = ("median", "p95", "max", "recovery_s", "integral", "time_to_threshold_s")
_TIMES = ("recovery_s", "time_to_threshold_s")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.,:/#\[\]-]{0,119}")
_HOLD_S, _TRANSIENT_S, _TRANSIENT_SHARE = 1.0, 1.0, 0.2
_LARGEST = 1e100
_FULL_PERCENT = 99.9
_LEAD_SPREADS = 3.0


@dataclass(frozen=True)
class Measure:
    """One thing that is judged.

    Attributes:
        test: node id of the test, without what tells its repetitions apart.
        metric: a column of the dataset, or the name under which the test records a value of its
            own.
        statistic: how a recording becomes one number; empty for recorded values.
        window: the event whose time counts; empty is the whole experiment, or the first event for
            times.
        better: lower or higher. scale: ratio (effects are log ratios) or difference. unit: of the
            value.
        threshold: what counts as worse: a share on the ratio scale, an amount in the unit on the
            difference scale.
        trips: for ``time_to_threshold_s``, the level that is waited for.
    """

    test: str
    metric: str
    statistic: str = ""
    window: str = ""
    better: str = "lower"
    scale: str = "ratio"
    unit: str = ""
    threshold: float = 0.03
    trips: float | None = None

    @property
    def name(self) -> str:
        """What people call it: test, metric and statistic."""
        return f"{self.test}: {self.short_name}"

    @property
    def short_name(self) -> str:
        """Metric, statistic and window."""
        return " ".join(
            part
            for part in (self.metric, self.statistic, f"in {self.window}" if self.window else "")
            if part
        )

    def effect(self, base: float, candidate: float) -> float:
        """Return how much worse the candidate is: positive is worse, on the measure's scale.

        Raises:
            Undecided: a value is no number, or 0 or less on a ratio scale.
        """
        for which, value in (("base", base), ("candidate", candidate)):
            if not abs(value) < _LARGEST or (self.scale == "ratio" and value <= 0):
                msg = (
                    f"{self.short_name} of {which} is {value!r}; expected a"
                    f" number{' above 0 (a ratio is formed)' if self.scale == 'ratio' else ''}"
                )
                raise Undecided(msg)
        if self.scale == "ratio":
            worse = log(candidate / base)
        else:
            worse = candidate - base
        if self.better == "lower":
            return worse
        return -worse

    @property
    def least_effect(self) -> float:
        """The threshold as an effect.

        Of a figure that should be high, a fall by the threshold is the larger log ratio.
        """
        if self.scale == "difference":
            return self.threshold
        if self.better == "lower":
            return log(1.0 + self.threshold)
        return -log(1.0 - self.threshold)

    def shown(self, effect: float) -> float:
        """Return an effect as people read it.

        The change of the figure itself, in percent, or in its unit.
        """
        if self.better == "lower":
            signed = effect
        else:
            signed = -effect
        if self.scale == "ratio":
            return 100.0 * (exp(signed) - 1.0)
        return signed

    @property
    def shown_unit(self) -> str:
        """The unit of ``shown``."""
        if self.scale == "ratio":
            return "%"
        return self.unit

    def value(self, recording: Recording) -> float:
        """Return the measure's value in a recording.

        Raises:
            InvalidInput: the recording has no such event.
            Undecided: the column is empty, or what is waited for never came.
        """
        if self.statistic in _TIMES:
            return _time_of(self, recording)
        if self.window:
            window = recording.during(self.window, self._transient_s(recording))
        else:
            window = recording
        value = self._statistic_of(window)
        if self.scale == "ratio" and self.unit == "percent" and value >= _FULL_PERCENT:
            msg = (
                f"{self.short_name} is {value:.4g} %, its ceiling: what would be worse could not be"
                " seen"
            )
            raise Undecided(msg)
        return value

    def _statistic_of(self, window: Recording) -> float:
        if self.statistic == "integral":
            return window.mean(self.metric) * (window.end_s - window.begin_s)
        if self.statistic == "max":
            return window.max(self.metric)
        return window.quantile(self.metric, 0.5 if self.statistic == "median" else 0.95)

    def _transient_s(self, recording: Recording) -> float:
        """Return what is trimmed off the start of a plateau.

        By the schedule, so that both runs of a pair have the same window.
        """
        event = recording.experiment.event(self.window)
        is_plateau = getattr(event.shape, "kind", "") == "constant" and self.statistic != "integral"
        if is_plateau:
            return min(_TRANSIENT_S, _TRANSIENT_SHARE * event.duration_s)
        return 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def _time_of(measure: Measure, recording: Recording) -> float:
    """Return a time in seconds.

    Until a column is back where it was before the load, or until it passes a level.
    """
    recording.max(measure.metric)  # refuses a column that is not there, or empty
    column, window = (
        measure.metric,
        measure.window or next((event.id for event in recording.experiment.events), ""),
    )
    if not window:
        msg = f"{measure.short_name}: experiment {recording.name!r} has no event to count from"
        raise Undecided(msg)
    row = recording.annotation(window)
    if row.actual_start_s is None or row.actual_end_s is None:
        msg = f"{measure.short_name}: event {window!r} of {recording.name!r} never ran"
        raise Undecided(msg)
    if measure.statistic == "time_to_threshold_s":
        before = recording.between(recording.begin_s, row.actual_start_s).samples[column].dropna()
        after = recording.between(row.actual_start_s, recording.end_s).samples[column].dropna()
        level = float(measure.trips or 0.0)
        is_rising = (
            before.empty or float(before.iloc[-1]) < level
        )  # from which side it comes was so before the load
        passed = after[(after >= level) if is_rising else (after <= level)]
        if passed.empty:
            msg = f"{measure.short_name}: {column} never reached {level:g} in {recording.name!r}"
            raise Undecided(msg)
        return max(0.0, float(str(passed.index[0])) - row.actual_start_s)
    before = recording.between(recording.begin_s, row.actual_start_s).samples[column].dropna()
    after = recording.between(row.actual_end_s, recording.end_s).samples[column].dropna()
    if before.empty or after.empty:
        msg = (
            f"{measure.short_name}: {recording.name!r} has no samples before or after {window!r};"
            " give it a lead and a tail"
        )
        raise Undecided(msg)
    # Back is: within three SDs (of 1.4826 MAD, as of a normal distribution) or 2 % of the lead's
    # median, for a second on end.
    middle = float(before.median())
    limit = max(
        _LEAD_SPREADS * 1.4826 * float((before - middle).abs().median()), 0.02 * abs(middle)
    )
    is_back = (
        after.rolling(max(1, round(_HOLD_S / max(1e-3, _interval_s(after.index))))).mean() - middle
    ).abs() <= limit
    if not is_back.any():
        msg = (
            f"{measure.short_name}: {column} was not back within"
            f" {recording.end_s - row.actual_end_s:.1f} s after {window!r}; make the tail longer"
        )
        raise Undecided(msg)
    return max(0.0, float(str(is_back.idxmax())) - row.actual_end_s - _HOLD_S)


def _interval_s(index: Any) -> float:
    return float((index[-1] - index[0]) / max(1, len(index) - 1))


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
    if known:
        chosen = statistic or "median"
    else:
        chosen = ""
    better = better or {"recovery_s": "lower", "time_to_threshold_s": ""}.get(
        chosen, known.better if known else ""
    )
    if better not in ("lower", "higher"):
        msg = (
            f"gate({metric!r}): expected better='lower' or better='higher' but got"
            f" better={better or None!r}; nothing says by itself which is better here"
        )
        raise InvalidInput(msg)
    if chosen == "time_to_threshold_s" and not _is_number(trips):
        msg = (
            f"gate({metric!r}): time_to_threshold_s needs trips=, the level that is waited for, but"
            f" got trips={trips!r}"
        )
        raise InvalidInput(msg)
    scale = _scale_of(known, chosen, floor)
    unit = _unit_of(known, chosen, scale) or unit
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
    )


def _scale_of(column: metrics.Metric | None, statistic: str, floor: float | None) -> str:
    if column is None and floor is None:
        return "ratio"
    if column is None or statistic in _TIMES:
        return "difference"
    return column.scale


def _unit_of(column: metrics.Metric | None, statistic: str, scale: str) -> str:
    """Return the unit of a column's statistic; empty for a recorded value, which has its own."""
    if statistic in _TIMES:
        return "s"
    if column is None:
        return ""
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
        if not _is_number(floor) or floor <= 0:  # type: ignore[operator]  # _is_number
            what = f"floor=, the least change that matters, in {unit or 'its unit'}"
            msg = (
                f"gate({metric!r}): it can be 0, so it is judged by differences; expected {what},"
                f" but got floor={floor!r}"
            )
            raise InvalidInput(msg)
        return float(floor)  # type: ignore[arg-type]  # as above
    if floor is not None:
        msg = (
            f"gate({metric!r}): it is judged by ratios; expected threshold='3%' and no floor, but"
            f" got floor={floor!r}"
        )
        raise InvalidInput(msg)
    if isinstance(threshold, str):
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%", threshold.strip())
    else:
        match = None
    if match is None or not 0 < float(match.group(1)) < 100:
        msg = (
            f"gate({metric!r}): expected threshold as a percent between 0 and 100 such as '3%' but"
            f" got threshold={threshold!r}"
        )
        raise InvalidInput(msg)
    return float(match.group(1)) / 100.0


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)

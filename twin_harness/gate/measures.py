"""Measures: what is judged, with direction, scale and threshold, and its value in a recording."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import exp, log
from typing import TYPE_CHECKING, Any

from twin_harness.errors import Undecided
from twin_harness.gate.recorded_times import recovery_s, time_to_threshold_s

if TYPE_CHECKING:
    from twin_harness.runs.recording import Recording

STATISTICS = ("median", "p95", "max", "recovery_s", "integral", "time_to_threshold_s")
COVARIATES = ("background", "steal", "probe")
COVARIATE_CHOICES = ("auto", *COVARIATES, "none")
# What the plugin measures itself of a test, beside the columns: the better direction and the unit.
OF_TESTS = {"memory_peak_bytes": ("lower", "bytes")}
TIMES = ("recovery_s", "time_to_threshold_s")
_TRANSIENT_S, _TRANSIENT_SHARE = 1.0, 0.2
_LARGEST = 1e100
_FULL_PERCENT = 99.9


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
        better: lower or higher.
        scale: ratio (effects are log ratios) or difference.
        unit: of the value.
        threshold: what counts as worse: a share on the ratio scale, an amount in the unit on the
            difference scale.
        trips: for ``time_to_threshold_s``, the level that is waited for.
        covariate: what its pairs are adjusted for: auto, background, steal, probe or none.
        interleave_s: length of the slices in which both variants take turns; 0 where each has a run
            of its own.
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
    covariate: str = "auto"
    interleave_s: float = 0.0

    @property
    def name(self) -> str:
        """What people call it: test, metric and statistic."""
        return f"{self.test}: {self.short_name}"

    @property
    def short_name(self) -> str:
        """Metric, statistic and window."""
        parts = [self.metric]
        if self.statistic:
            parts.append(self.statistic)
        if self.window:
            parts.append(f"in {self.window}")
        return " ".join(parts)

    def effect(self, base: float, candidate: float) -> float:
        """Return how much worse the candidate is: positive is worse, on the measure's scale.

        Raises:
            Undecided: a value is no number, or 0 or less on a ratio scale.
        """
        for which, value in (("base", base), ("candidate", candidate)):
            if not abs(value) < _LARGEST or (self.scale == "ratio" and value <= 0):
                msg = f"{self.short_name} of {which} is {value!r}; expected a number"
                if self.scale == "ratio":
                    msg += " above 0 (a ratio is formed)"
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
        if self.statistic == "recovery_s":
            return recovery_s(recording, self.metric, self.window, self.short_name)
        if self.statistic == "time_to_threshold_s":
            level = float(self.trips or 0.0)
            return time_to_threshold_s(recording, self.metric, self.window, self.short_name, level)
        window = recording
        if self.window:
            window = recording.during(self.window, self._transient_s(recording))
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
        if self.statistic == "median":
            return window.quantile(self.metric, 0.5)
        return window.quantile(self.metric, 0.95)

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

"""Drift: is this still the machine that was fitted?

A CUSUM over runs of each column's mean prediction error.

The unit is the run: its mean error less the reference, in the reference deviation between runs
(both from calibration runs).
The two-sided tabular CUSUM (Page, 1954; Montgomery, Statistical Quality Control,
9.1) with reference 0.5 and limit 8 has a false alarm once in some ten thousand runs of a column,
and finds a change of four deviations within three runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.conditions import Others
from twin_harness.predict.observation import COLUMNS, padded
from twin_harness.predict.others import cpu_by_others
from twin_harness.predict.scale import LOG_COLUMNS, to_error_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.fitted_model import FittedModel
    from twin_harness.predict.observation import Observation

REFERENCE, LIMIT = 0.5, 8.0
_LARGEST = 4.0  # one run may not count for more: it takes three to be sure
WATCHED = (
    "cpu_percent",
    "memory_percent",
    "disk_write_bytes_per_s",
    "pressure_cpu_percent",
    "probe_wakeup_ms",
    "probe_cpu_ms",
)


@dataclass(frozen=True)
class Drift:
    """A column that has drifted from its predictions.

    Attributes:
        column: which.
        since: name of the first run that leans that way.
        at: name of the run at which that was sure.
        runs: how many from one to the other.
        shift: by how much the means of these runs are off, in the column's unit; of latencies in
            percent.
    """

    column: str
    since: str
    at: str
    runs: int
    shift: float

    @property
    def sentence(self) -> str:
        """The finding in words."""
        if self.column in LOG_COLUMNS:
            size = f"{self.shift:+.0f} %"
        else:
            size = f"{self.shift:+.3g}"
        if self.runs == 1:
            count = "1 run"
        else:
            count = f"{self.runs} runs"
        return (
            f"{self.column} has drifted from its predictions:"
            f" {size} on average since {self.since!r}"
            f" (sure after {count}, at {self.at!r})"
        )


def mean_errors(model: FittedModel, observations: Sequence[Observation]) -> np.ndarray:
    """Return measured less predicted, the mean over each run, (runs, columns).

    Given what others used, where that was measured. On the error scale; NaN where nothing is known.
    """
    if not observations:
        return np.empty((0, len(COLUMNS)))
    cpu_percent = cpu_by_others(observations)
    others = None if cpu_percent is None else Others.of_cpu(cpu_percent)
    centre = model.free_run([one.demand for one in observations], None, others).centre
    measured = padded(observations)
    scaled = [to_error_scale(name, measured[:, index]) for index, name in enumerate(COLUMNS)]
    errors = np.stack(scaled, axis=1) - centre
    counts = (~np.isnan(errors)).sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: np.ndarray = np.where(counts > 0, np.nansum(errors, axis=2) / counts, np.nan)
    return means


def watch(model: FittedModel, observations: Sequence[Observation]) -> list[Drift]:
    """Return the columns that have drifted over some runs, in the order of time.

    None where the machine is the one that was fitted.
    """
    if not observations:
        return []
    ordered = sorted(observations, key=lambda one: one.began)
    errors = mean_errors(model, ordered)
    centre, deviation = model.reference_errors.centre, model.reference_errors.deviation
    # The model is off by something of its own on each plan: plans that are run again and again must
    # not add that up.
    ordered, errors = _once_a_plan(ordered, errors)
    drifts = []
    for column in WATCHED:
        index = COLUMNS.index(column)
        if not np.isfinite(centre[index]) or not deviation[index] > 0:
            continue
        units = np.clip((errors[:, index] - centre[index]) / deviation[index], -_LARGEST, _LARGEST)
        for sign in (1.0, -1.0):
            span = _first_alarm(sign * units)
            if span is None:
                continue
            begin, end = span
            mean = float(np.nanmean(errors[begin : end + 1, index] - centre[index]))
            if column in LOG_COLUMNS:
                shift = 100.0 * float(np.expm1(mean))
            else:
                shift = mean
            drifts.append(
                Drift(column, ordered[begin].name, ordered[end].name, end - begin + 1, shift)
            )
    return drifts


def _once_a_plan(
    ordered: Sequence[Observation], errors: np.ndarray
) -> tuple[list[Observation], np.ndarray]:
    """Return the last run of each plan, in order of time, with its runs' mean errors."""
    places: dict[str, list[int]] = {}
    for number, one in enumerate(ordered):
        places.setdefault(one.plan, []).append(number)
    kept = sorted(places.values(), key=lambda numbers: numbers[-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [
            np.nansum(errors[numbers], axis=0) / (~np.isnan(errors[numbers])).sum(axis=0)
            for numbers in kept
        ]
    return [ordered[numbers[-1]] for numbers in kept], np.array(means)


def _first_alarm(units: np.ndarray) -> tuple[int, int] | None:
    """Return the first run that leans to one side and the one at which the sum crosses the limit.

    None if it never does.
    """
    total, begin = 0.0, 0
    for number, unit in enumerate(units):
        if np.isnan(unit):
            continue
        if total <= 0:
            begin = number
        total = max(0.0, total + float(unit) - REFERENCE)
        if total > LIMIT:
            return begin, number
    return None

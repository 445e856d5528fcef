"""Drift: is this still the machine that was fitted?

A CUSUM over runs of how far each column's mean lies from what was foretold.

The unit is the run: its mean error less the usual one, in usual deviations between runs (both from
calibration runs). The two-sided tabular CUSUM (Page, 1954; Montgomery, Statistical Quality Control,
9.1) with reference 0.5 and limit 8 has a false alarm once in some ten thousand runs of a column,
and finds a change of four deviations within three runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.fit import LOG_COLUMNS, scored
from twin_harness.predict.observation import COLUMNS, padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.observation import Observation
    from twin_harness.predict.twin import Twin

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
    """A column that has left what was foretold.

    Attributes:
        column: which. since: name of the run from which on it leans that way. at: name of the run
            at which that was sure. runs: how many from one to the other. shift: by how much the
            means of these runs are off, in the column's unit; of latencies in percent.
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
            f"{self.column} has left what was foretold: {size} on average since {self.since!r}"
            f" (sure after {count}, at {self.at!r})"
        )


def mean_errors(twin: Twin, observations: Sequence[Observation]) -> np.ndarray:
    """Return measured less foretold, the mean over each run, (runs, columns), on the scale of ``fit.scored``; NaN where nothing is known."""
    if not observations:
        return np.empty((0, len(COLUMNS)))
    centre = twin.simulated([one.demand for one in observations]).centre
    measured = padded(observations)
    errors = (
        np.stack([scored(name, measured[:, index]) for index, name in enumerate(COLUMNS)], axis=1)
        - centre
    )
    counts = (~np.isnan(errors)).sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = np.where(counts > 0, np.nansum(errors, axis=2) / counts, np.nan)
    return found


def usual(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return centre and deviation of the runs' mean errors, (columns,) each.

    The median, and the root mean square about it.

    Plans differ in how well they are foretold, so a few far ones belong to what is usual: a robust
    deviation would take them for drift.
    """
    centre = np.array([_median(errors[:, index]) for index in range(len(COLUMNS))])
    squares = [(errors[:, index] - centre[index]) ** 2 for index in range(len(COLUMNS))]
    deviation = np.sqrt(
        [
            float(np.mean(square[~np.isnan(square)])) if (~np.isnan(square)).any() else np.nan
            for square in squares
        ]
    )
    return centre, deviation


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    if len(known):
        return float(np.median(known))
    return float("nan")


def watch(twin: Twin, observations: Sequence[Observation]) -> list[Drift]:
    """Return the columns that have drifted over some runs, in the order of time.

    None where the machine is the one that was fitted.
    """
    if not observations:
        return []
    ordered = sorted(observations, key=lambda one: one.began)
    errors = mean_errors(twin, ordered)
    centre, deviation = twin.usual_
    # The model is off by something of its own on each plan: plans that are run again and again must
    # not add that up.
    ordered, errors = _once_a_plan(ordered, errors)
    found = []
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
            found.append(
                Drift(column, ordered[begin].name, ordered[end].name, end - begin + 1, shift)
            )
    return found


def _once_a_plan(
    ordered: Sequence[Observation], errors: np.ndarray
) -> tuple[list[Observation], np.ndarray]:
    """Return the last run of each plan with the mean of the errors of all its runs, in the order of time."""
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

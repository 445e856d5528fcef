"""The trend of a measure over sessions: where its level changed, and a history for apache-otava.

It is reported, never blocking.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.gate.statistics import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from twin_harness.gate.baseline import Baseline

_FEWEST = 4
_Q = 0.01
_LIMIT = 1e-3


@dataclass(frozen=True)
class ChangePoint:
    """Where the level of a series changed.

    Attributes:
        name: of the measure.
        run: id of the first session of the new level.
        index: of that session in the series.
        before: mean of the level before.
        after: mean of the new level.
        p: of Welch's t-test, corrected for the places that were looked at.
    """

    name: str
    run: str
    index: int
    before: float
    after: float
    p: float


def segment(
    series: Sequence[float] | NDArray[np.float64], begin: int = 0
) -> list[tuple[int, float]]:
    """Return the change points of a series by binary segmentation, as (index, p).

    p is corrected for the places that were looked at. At each step the place with the
    smallest p of Welch's t-test is taken (B. L. Welch, Biometrika 34, 1947), sides of 4 or more.
    """
    values = np.asarray(series, dtype=float)
    places = [
        at
        for at in range(_FEWEST, len(values) - _FEWEST + 1)
        if np.ptp(values[:at]) + np.ptp(values[at:]) > 0
    ]
    if not places:
        return []
    p, at = min(zip(_welch(values, places), places, strict=True))
    p *= max(0, len(values) - 2 * _FEWEST + 1)
    if p > _LIMIT:
        return []
    return [
        *segment(values[:at], begin),
        (begin + at, p),
        *segment(values[at:], begin + at),
    ]


def _welch(values: NDArray[np.float64], places: Sequence[int]) -> list[float]:
    """Return the two-sided p-values of Welch's t-test of what is before against after each place.

    As ``scipy.stats.ttest_ind`` has them, of all places at once.
    """
    from scipy.special import stdtr

    sides = [[values[:at] for at in places], [values[at:] for at in places]]
    sizes, means, variances = (
        np.array([[of(side) for side in half] for half in sides])
        for of in (len, np.mean, lambda side: np.var(side, ddof=1))
    )
    errors, degrees = variances / sizes, sizes - 1
    error = errors.sum(axis=0)
    freedom = error**2 / (errors**2 / degrees).sum(axis=0)
    t = (means[0] - means[1]) / np.sqrt(error)
    return [float(p) for p in 2.0 * stdtr(freedom, -np.abs(t))]


def change_points(baseline: Baseline) -> list[ChangePoint]:
    """Return the change points of all measures, at most 1 % of them false on average."""
    points = []
    for measure in baseline.measures:
        sessions = [session for session in baseline.sessions if measure.name in session.values]
        values = [session.values[measure.name] for session in sessions]
        cuts = segment(values)
        edges = [0, *(at for at, _ in cuts), len(values)]
        for number, (at, p) in enumerate(cuts):
            before, after = (
                float(np.mean(values[edges[number + side] : edges[number + side + 1]]))
                for side in (0, 1)
            )
            points.append(ChangePoint(measure.name, sessions[at].run, at, before, after, p))
    adjusted = benjamini_hochberg([point.p for point in points])
    return [point for point, p in zip(points, adjusted, strict=True) if p <= _Q]


def history_csv(baseline: Baseline) -> str:
    """Return the sessions as apache-otava's CSV importer reads them: time, run, level, measures."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["time", "run", "level", *(column_of(measure.name) for measure in baseline.measures)]
    )
    for session in sorted(baseline.sessions, key=lambda session: session.start):
        moment = datetime.fromisoformat(session.start).strftime("%Y-%m-%d %H:%M:%S %z")
        cells = [
            f"{session.values[measure.name]:.9g}" if measure.name in session.values else ""
            for measure in baseline.measures
        ]
        writer.writerow([moment, session.run, session.level, *cells])
    return text.getvalue()


def otava_yaml(baseline: Baseline, csv_name: str) -> str:
    """Return the definition by which apache-otava reads ``history_csv``: JSON, which is YAML."""
    columns: dict[str, dict[str, Any]] = {}
    for measure in baseline.measures:
        name = column_of(measure.name)
        columns[name] = {"column": name, "direction": 1, "scale": 1}
        if measure.better == "lower":
            columns[name]["direction"] = -1
    test = {
        "type": "csv",
        "file": csv_name,
        "time_column": "time",
        "attributes": ["run", "level"],
        "metrics": columns,
    }
    return json.dumps({"tests": {"twin": test}}, indent=1) + "\n"


def column_of(name: str) -> str:
    """Return a measure's name as a column heading without what other tools split names by."""
    return "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in name)

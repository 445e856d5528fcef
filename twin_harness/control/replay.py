"""Recorded telemetry as load.

A run of our own, or any CSV of a production machine, turned into traces.

A series is resampled to means over steps of equal length, from its integral, so that the load has
the recording's means exactly. Time and level are scaled afterwards: a day of five-minute values
becomes minutes of load.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness import __version__
from twin_harness.control.csv_series import series_of_csv
from twin_harness.control.csv_times import PER_SECOND
from twin_harness.control.run_series import series_of_run
from twin_harness.errors import InvalidInput
from twin_harness.schedule.builders import cpu, disk, memory, plan
from twin_harness.schedule.model import Schedule
from twin_harness.shapes.shape import trace
from twin_harness.system import newest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from twin_harness.control.series import Series
    from twin_harness.schedule.event import Event

MOST_POINTS = 20_000


def replay(
    path: str | Path,
    *,
    experiment: str | None = None,
    columns: Mapping[str, str] | None = None,
    time_column: str = "time",
    time_unit: str | None = None,
    memory_unit: str = "percent",
    step_s: float | None = None,
    time_scale: float = 1.0,
    level_scale: float = 1.0,
    name: str = "replay",
) -> Schedule:
    """Return a schedule of one experiment that puts a recorded load on the machine.

    Args:
        path: a run folder of ours, or a CSV file.
        experiment: of a run folder, the experiment to replay; the whole run unless given.
        columns: of a CSV file, the column for each of cpu (percent), memory and disk (bytes per
            second); of a run folder, what was delivered where load was, else the machine's own
            totals (memory above its lowest).
        time_column: of a CSV file, numbers or ISO 8601.
        time_unit: of its numbers: ``s``, ``ms``, ``us`` or ``ns``; by default seconds, but what
            would be a time of this age as ms, us or ns since 1970 is read so, and said in the
            schedule's ``generator.notes``.
        memory_unit: of a CSV file, ``percent`` or ``bytes``.
        step_s: means over so many seconds of the recording; 1, or as many as keep 20,000 points.
        time_scale: 0.1 replays ten times as fast.
        level_scale: 2 doubles every level.
        name: of the experiment.

    Raises:
        InvalidInput: a column is missing or holds no number, or a scaled level is out of range.
        UnreadableRun: the folder holds no run.
    """
    _check_numbers(time_scale=time_scale, level_scale=level_scale, step_s=step_s)
    path = newest.follow(path)
    if not path.exists():
        msg = (
            f"replay: {str(path)!r}: there is no such file or folder; expected a run folder or a"
            " CSV file"
        )
        raise InvalidInput(msg)
    if time_unit not in (None, *PER_SECOND):
        msg = (
            f"replay: expected time_unit to be one of {', '.join(PER_SECOND)} but got"
            f" time_unit={time_unit!r}"
        )
        raise InvalidInput(msg)
    notes: list[str] = []
    if path.is_dir():
        memory_unit = "bytes"
        loads = series_of_run(path, experiment)
    else:
        loads = series_of_csv(path, columns or {}, time_column, time_unit, notes)
    if not loads:
        msg = (
            f"replay: {path}: no load to replay; expected a recording with load, or columns such as"
            " cpu=usage"
        )
        raise InvalidInput(msg)
    first_s = min(series.edges_s[0] for series in loads.values())
    length_s = max(series.edges_s[-1] for series in loads.values()) - first_s
    step_s = step_s or max(1.0, length_s / MOST_POINTS)
    if length_s / step_s > MOST_POINTS:
        msg = (
            f"replay: {length_s:.0f} s in steps of {step_s:g} s are {length_s / step_s:.0f} points;"
            f" expected at most {MOST_POINTS}, use a longer step_s"
        )
        raise InvalidInput(msg)
    events = [
        _event(resource, series, step_s, time_scale, level_scale, memory_unit, first_s)
        for resource, series in loads.items()
    ]
    arguments: dict[str, Any] = {
        "path": path.name,
        "experiment": experiment,
        "columns": dict(columns or {}),
        "time_column": time_column,
        "memory_unit": memory_unit,
        "step_s": step_s,
        "time_scale": time_scale,
        "level_scale": level_scale,
    }
    if time_unit:
        arguments["time_unit"] = time_unit
    generator: dict[str, Any] = {"name": "replay", "version": __version__, "arguments": arguments}
    if notes:
        generator["notes"] = notes
    return Schedule(generator=generator, experiments=(plan(*events, name=name),))


def _check_numbers(**numbers: float | None) -> None:
    for argument, value in numbers.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            msg = f"replay: expected {argument} above 0 but got {argument}={value!r}"
            raise InvalidInput(msg)


def _event(
    resource: str,
    series: Series,
    step_s: float,
    time_scale: float,
    level_scale: float,
    memory_unit: str,
    first_s: float,
) -> Event:
    starts_s, means = series.means(step_s)
    # Means of a clean series are never below 0 but by rounding.
    rounding = 1e-6 * max(1.0, float(np.abs(means).max()))
    means = np.where((means < 0) & (means > -rounding), 0.0, means)
    points = [
        (round(float(at_s), 6), round(float(level), 6))
        for at_s, level in zip(starts_s, means, strict=True)
    ]
    shape = trace(points, interpolation="previous", time_scale=time_scale, level_scale=level_scale)
    start_s = round(float(series.edges_s[0] - first_s) * time_scale, 6)
    duration_s = round(float(series.edges_s[-1] - series.edges_s[0]) * time_scale, 6)
    if resource == "memory":
        return memory(shape, start_s=start_s, duration_s=duration_s, unit=memory_unit)
    if resource == "cpu":
        return cpu(shape, start_s=start_s, duration_s=duration_s)
    return disk(shape, start_s=start_s, duration_s=duration_s)

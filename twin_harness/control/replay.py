"""Recorded telemetry as load.

A run of our own, or any CSV of a production machine, turned into traces.

A series is resampled to means over steps of equal length, from its integral, so that the load has
the recording's means exactly. Time and level are scaled afterwards: a day of five-minute values
becomes minutes of load.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness import __version__
from twin_harness.errors import InvalidInput
from twin_harness.runs.frames import whole_machine
from twin_harness.runs.run import load
from twin_harness.schedule.builders import cpu, disk, memory, plan
from twin_harness.schedule.csv_rows import decoded, has_empty_ends, misfit, rows_of
from twin_harness.schedule.model import Schedule
from twin_harness.shapes.shape import trace
from twin_harness.system import newest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from twin_harness.schedule.model import Event

    Array = NDArray[np.float64]

LARGEST_CSV_BYTES = 512 * 1024**2
MOST_POINTS = 20_000
_FIRST_CHARACTERS = 4096
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_THIS_AGE_S = (631_152_000.0, 4_102_444_800.0)  # 1990 to 2100 since 1970
_COMPRESSED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_LEAST_LOAD = {"cpu": 0.5, "memory": 16e6, "disk": 1e5}


@dataclass(frozen=True)
class Series:
    """Values that each hold over an interval.

    Attributes:
        edges_s: shape (n + 1,), when each interval begins, and when the last one ends; rises.
        values: shape (n,).
    """

    edges_s: Array
    values: Array

    def means(self, step_s: float) -> tuple[Array, Array]:
        """Return the beginning of each step from the first edge on, and the mean over it.

        The last step may be shorter.
        """
        integral = np.concatenate([[0.0], np.cumsum(self.values * np.diff(self.edges_s))])
        first_s, last_s = self.edges_s[0], self.edges_s[-1]
        starts_s = first_s + step_s * np.arange(
            max(1, math.ceil((last_s - first_s) / step_s - 1e-9))
        )
        ends_s = np.minimum(starts_s + step_s, last_s)
        at = np.interp(np.concatenate([starts_s, ends_s[-1:]]), self.edges_s, integral)
        return starts_s - first_s, np.diff(at) / (ends_s - starts_s)


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
            would be a time of this age as ms, us or ns
            since 1970 is read so, and said in the schedule's ``generator.notes``.
        memory_unit: of a CSV file, ``percent`` or ``bytes``.
        step_s: means over so many seconds of the recording; 1, or as many as keep 20,000 points.
        time_scale: 0.1 replays ten times as fast.
        level_scale: 2 doubles every level.
        name: of the experiment.

    Raises:
        InvalidInput: a column is missing or holds no number, or a scaled level is out of range.
        UnreadableRun: the folder holds no run.
    """
    for argument, value in (
        ("time_scale", time_scale),
        ("level_scale", level_scale),
        ("step_s", step_s),
    ):
        if value is not None and not (math.isfinite(value) and value > 0):
            msg = f"replay: expected {argument} above 0 but got {argument}={value!r}"
            raise InvalidInput(msg)
    path = newest.follow(path)
    if not path.exists():
        msg = (
            f"replay: {str(path)!r}: there is no such file or folder; expected a run folder or a"
            " CSV file"
        )
        raise InvalidInput(msg)
    is_run = path.is_dir()
    if time_unit not in (None, *_PER_SECOND):
        msg = (
            f"replay: expected time_unit to be one of {', '.join(_PER_SECOND)} but got"
            f" time_unit={time_unit!r}"
        )
        raise InvalidInput(msg)
    notes: list[str] = []
    if is_run:
        found = _of_run(path, experiment)
    else:
        found = _of_csv(path, columns or {}, time_column, time_unit, notes)
    if not found:
        msg = (
            f"replay: {path}: no load to replay; expected a recording with load, or columns such as"
            " cpu=usage"
        )
        raise InvalidInput(msg)
    first_s = min(series.edges_s[0] for series in found.values())
    length_s = max(series.edges_s[-1] for series in found.values()) - first_s
    step_s = step_s or max(1.0, length_s / MOST_POINTS)
    if length_s / step_s > MOST_POINTS:
        msg = (
            f"replay: {length_s:.0f} s in steps of {step_s:g} s are {length_s / step_s:.0f} points;"
            f" expected at most {MOST_POINTS}, use a longer step_s"
        )
        raise InvalidInput(msg)
    units = {"memory": "bytes" if is_run else memory_unit}
    events = [
        _event(resource, series, step_s, time_scale, level_scale, units, first_s)
        for resource, series in found.items()
    ]
    arguments: dict[str, Any] = {
        "path": path.name,
        "experiment": experiment,
        "columns": dict(columns or {}),
        "time_column": time_column,
    }
    arguments |= {
        "memory_unit": units["memory"],
        "step_s": step_s,
        "time_scale": time_scale,
        "level_scale": level_scale,
    }
    arguments |= {"time_unit": time_unit} if time_unit else {}
    generator = {
        "name": "replay",
        "version": __version__,
        "arguments": arguments,
        **({"notes": notes} if notes else {}),
    }
    return Schedule(generator=generator, experiments=(plan(*events, name=name),))


def _event(
    resource: str,
    series: Series,
    step_s: float,
    time_scale: float,
    level_scale: float,
    units: dict[str, str],
    first_s: float,
) -> Event:
    starts_s, means = series.means(step_s)
    # Means of a clean series are never below 0; what rounding leaves there is none.
    means = np.where(
        (means < 0) & (means > -1e-6 * max(1.0, float(np.abs(means).max()))), 0.0, means
    )
    points = [
        (round(float(at_s), 6), round(float(level), 6))
        for at_s, level in zip(starts_s, means, strict=True)
    ]
    shape = trace(points, interpolation="previous", time_scale=time_scale, level_scale=level_scale)
    start_s = round(float(series.edges_s[0] - first_s) * time_scale, 6)
    duration_s = round(float(series.edges_s[-1] - series.edges_s[0]) * time_scale, 6)
    if resource == "memory":
        return memory(shape, start_s=start_s, duration_s=duration_s, unit=units[resource])
    return (cpu if resource == "cpu" else disk)(shape, start_s=start_s, duration_s=duration_s)


# -- where series come from ------------------------------------------------------------------------


def _of_run(path: Path, experiment: str | None) -> dict[str, Series]:
    run = load(path)
    if experiment is None:
        samples = whole_machine(run.samples)
    else:
        samples = run.recording(experiment).samples
    samples = samples[samples["dt_s"].notna() & (samples["dt_s"] > 0)]
    if samples.empty:
        return {}
    ends_s = samples["monotonic_s"].to_numpy()
    edges_s = np.concatenate([[ends_s[0] - samples["dt_s"].iloc[0]], ends_s])
    disk_total = samples["disk_read_bytes_per_s"] + samples["disk_write_bytes_per_s"]
    totals = {
        "cpu": (
            samples["cpu_percent"] - samples["cpu_steal_percent"] - samples["harness_cpu_percent"]
        ),
        "memory": samples["memory_used_bytes"] - samples["memory_used_bytes"].min(),
        "disk": disk_total,
    }
    delivered = {
        resource: samples[column]
        for resource, column in (
            ("cpu", "cpu_delivered_percent"),
            ("memory", "memory_delivered_bytes"),
        )
    }
    delivered["disk"] = samples["disk_delivered_bytes_per_s"]
    if (
        experiment is not None and (part := run.recording(experiment)).planned.partition
    ):  # percents of a part, replayed on the whole machine
        delivered["cpu"] = (
            delivered["cpu"]
            * float(part.machine["cpu_capacity"])
            / float(run.machine["cpu_capacity"])
        )
    was_loaded = any(
        (samples[name] > 0).any()
        for name in (
            "cpu_requested_percent",
            "memory_requested_bytes",
            "disk_requested_bytes_per_s",
        )
    )
    if was_loaded:
        chosen = delivered
    else:
        chosen = totals
    found = {}
    for resource, values in chosen.items():
        clean = values.ffill().fillna(0.0).clip(lower=0.0).to_numpy(dtype=float)
        if clean.max() >= _LEAST_LOAD[resource]:
            found[resource] = Series(edges_s, clean)
    return found


def _of_csv(
    path: Path,
    columns: Mapping[str, str],
    time_column: str,
    time_unit: str | None,
    notes: list[str],
) -> dict[str, Series]:
    strange = set(columns) - {"cpu", "memory", "disk"}
    if strange or not columns:
        if strange:
            got = f"{min(strange)!r}"
        else:
            got = "none"
        msg = (
            f"replay: columns: expected a column for some of cpu, memory, disk but got {got}; write"
            " e.g. cpu=usage"
        )
        raise InvalidInput(msg)
    frame = _read_csv(path, (time_column, *columns.values()), notes)
    at_s = _seconds(frame[time_column], path, time_column, time_unit, notes)
    found = {}
    for resource, column in columns.items():
        values = _numbers(frame[column], path, column)
        present = np.isfinite(values) & np.isfinite(at_s)
        own_s, own = at_s[present], values[present]
        if len(own) < 2 or np.any(np.diff(own_s) <= 0):
            msg = (
                f"replay: {path.name}: expected two or more rows of {column!r} whose"
                f" {time_column!r} rises"
            )
            raise InvalidInput(msg)
        # Each value holds until the next; the last for as long as the one before it.
        found[resource] = Series(np.concatenate([own_s, [2 * own_s[-1] - own_s[-2]]]), own)
    return found


def _read_csv(path: Path, wanted: Sequence[str], notes: list[str]) -> pd.DataFrame:
    """Return some columns of a CSV file as text, by the lines that its rows stand on.

    Rows that have not the heading's cells are refused.

    Raises:
        InvalidInput: the file cannot be read or is no CSV, a column is not in it, or a row has more
            or fewer cells than the heading.
    """
    import pandas as pd

    text = _text_of(path)
    if "\0" in text[:_FIRST_CHARACTERS]:
        msg = (
            f"replay: {path} is no text (it holds NUL bytes); expected CSV as UTF-8, or as UTF-16"
            " with a byte order mark"
        )
        raise InvalidInput(msg)
    try:
        rows = list(rows_of(text))
    except csv.Error as error:
        msg = f"replay: {path} is no CSV ({error}); expected a heading and rows"
        raise InvalidInput(msg) from None
    if not rows:
        msg = f"replay: {path} is no CSV (it is empty); expected a heading and rows"
        raise InvalidInput(msg)
    names, rows = rows[0].cells, rows[1:]
    for column in wanted:
        if names.count(column) != 1:
            if column in names:
                is_in = "stands twice in"
            else:
                is_in = "is not in"
            msg = (
                f"replay: column {column!r} {is_in} {path.name}; expected one of"
                f" {', '.join(names[:20])}"
            )
            raise InvalidInput(msg)
    if rows and len(rows[-1].cells) < len(names) and not text.endswith(("\n", "\r")):
        notes.append(f"{path.name}: its last row, {rows[-1].line}, was cut short and is left out")
        rows = rows[:-1]
    if has_empty_ends(rows, len(names)):
        notes.append(
            f"{path.name}: all rows end in a comma, which the heading does not; read as if they"
            " did not"
        )
    elif fault := misfit(rows, len(names)):
        msg = (
            f"replay: {path.name}: {fault}; expected as many in each, quote cells that hold a"
            " comma, write decimals with a point, or mend the rows"
        )
        raise InvalidInput(msg)
    return pd.DataFrame(
        {name: [row.cells[names.index(name)] for row in rows] for name in wanted},
        index=[row.line for row in rows],
        dtype="str",
    )


def _text_of(path: Path) -> str:
    """Return a file's text, unpacked where its name says that it is packed."""
    try:
        with _COMPRESSED.get(path.suffix, Path.open)(path, "rb") as file:
            data = file.read(LARGEST_CSV_BYTES + 1)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        msg = (
            f"replay: {str(path)!r} cannot be read ({getattr(error, 'strerror', None) or error});"
            " expected a run folder or a CSV file"
        )
        raise InvalidInput(msg) from None
    if len(data) > LARGEST_CSV_BYTES:
        msg = (
            f"replay: {path}: {path.stat().st_size} bytes is above the limit of"
            f" {LARGEST_CSV_BYTES}; cut the file"
        )
        raise InvalidInput(msg)
    return decoded(data)


def _numbers(column: pd.Series[str], path: Path, name: str) -> Array:
    import pandas as pd

    values = pd.to_numeric(column.replace("", "nan"), errors="coerce").to_numpy(dtype=float)
    wrong = ~np.isfinite(values) & ~column.str.lower().isin(["", "nan", "null", "na"]).to_numpy()
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        msg = (
            f"replay: {path.name}: row {column.index[row]} of {name!r} is"
            f" {column.iloc[row][:40]!r}; expected a number"
        )
        raise InvalidInput(msg)
    return values


def _seconds(
    column: pd.Series[str], path: Path, name: str, time_unit: str | None, notes: list[str]
) -> Array:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().all():
        values = numbers.to_numpy(dtype=float)
        unit = time_unit or _unit_since_1970(values)
        if unit != (time_unit or "s"):
            first = pd.Timestamp(values[0] / _PER_SECOND[unit], unit="s").isoformat(
                timespec="seconds"
            )
            notes.append(
                f"{path.name}: {name!r} begins at {values[0]:.0f}, which was read as {unit} since"
                f" 1970 ({first} UTC); say otherwise with --time-unit"
            )
        # From the first on: of a number of nanoseconds since 1970 a float keeps no microseconds.
        whole = pd.to_numeric(column, errors="coerce", downcast="integer")
        if len(whole):
            since = (whole - whole.iloc[0]).to_numpy(dtype=float)
        else:
            since = values
        return since / _PER_SECOND[unit]
    instants = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
    if instants.isna().any():
        row = _first_of_neither(numbers, instants)
        msg = (
            f"replay: {path.name}: row {column.index[row]} of {name!r} is"
            f" {column.iloc[row][:40]!r}; expected seconds or an ISO 8601 time"
        )
        raise InvalidInput(msg)
    return np.asarray((instants - pd.Timestamp(0, tz="UTC")).dt.total_seconds(), dtype=np.float64)


def _first_of_neither(numbers: pd.Series[float], instants: pd.Series[Any]) -> int:
    """Return the first row to blame.

    Where most cells are numbers one that is none, else one that is no instant.
    """
    if numbers.notna().sum() > instants.notna().sum():
        wrong = numbers.isna()
    else:
        wrong = instants.isna()
    return int(np.flatnonzero(wrong.to_numpy())[0])


def _unit_since_1970(values: Array) -> str:
    """Return the unit in which all times are of this age; seconds where there is none.

    Such files count from their start.
    """
    for unit, per_second in _PER_SECOND.items():
        if len(values) and np.all(
            (values >= _THIS_AGE_S[0] * per_second) & (values <= _THIS_AGE_S[1] * per_second)
        ):
            return unit
    return "s"

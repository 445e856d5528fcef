"""Times of a CSV column in seconds, whatever unit they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_THIS_AGE_S = (631_152_000.0, 4_102_444_800.0)  # 1990 to 2100 since 1970


def seconds_of(
    column: pd.Series[str], path: Path, name: str, time_unit: str | None, notes: list[str]
) -> Array:
    """Return a column of times as seconds: numbers from the first on, ISO 8601 since 1970.

    Args:
        column: its cells as text, by the lines that they stand on.
        path: the file, for messages.
        name: of the column.
        time_unit: of numbers; None reads what would be a time of this age so.
        notes: takes a sentence where a unit was guessed.

    Raises:
        InvalidInput: a cell is no time.
    """
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().all():
        values = numbers.to_numpy(dtype=float)
        unit = time_unit or _unit_since_1970(values)
        if unit != (time_unit or "s"):
            first = pd.Timestamp(values[0] / PER_SECOND[unit], unit="s").isoformat(
                timespec="seconds"
            )
            notes.append(
                f"{path.name}: {name!r} begins at {values[0]:.0f}, which was read as {unit} since"
                f" 1970 ({first} UTC); say otherwise with --time-unit"
            )
        # From the first on: of a number of nanoseconds since 1970 a float keeps no microseconds.
        whole = pd.to_numeric(column, errors="coerce", downcast="integer")
        since: Array = values
        if len(whole):
            since = (whole - whole.iloc[0]).to_numpy(dtype=float)
        return since / PER_SECOND[unit]
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
    for unit, per_second in PER_SECOND.items():
        if len(values) and np.all(
            (values >= _THIS_AGE_S[0] * per_second) & (values <= _THIS_AGE_S[1] * per_second)
        ):
            return unit
    return "s"

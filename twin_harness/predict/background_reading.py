"""Read recordings without load second by second: what others used, and what nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.errors import InvalidInput
from twin_harness.system.machine import known_fingerprints

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

_HELD_S = 3  # seconds without a row, over which the one after holds
# what a machine can show; counters of CPU time may say a little less than nothing or more than all
_BOUNDS = {
    "cpu_percent": (-5.0, 105.0),
    "cpu_background_percent": (-20.0, 105.0),
    "memory_percent": (0.0, 100.0),
    "disk_write_bytes_per_s": (0.0, 1e12),
}
_COLUMNS = (
    "time",
    "cpu_percent",
    "cpu_background_percent",
    "harness_cpu_percent",
    "memory_percent",
    "disk_write_bytes_per_s",
    "active_events",
)


def recordings_at(path: Path) -> list[Path]:
    """Return what is to be read at a path: itself, or the recordings in a folder."""
    if path.is_dir() and not (path / "run.json").exists():
        packed = sorted(path.glob("*.parquet"))
        # both are there where packing was killed before it had removed what it packed
        loose = [one for one in path.glob("*.csv") if one.with_suffix(".parquet") not in packed]
        if files := sorted([*packed, *loose]):
            return files
        msg = (
            f"--background {path}: no run and no CSV or Parquet file in it; expected recordings,"
            " or the folder of one run"
        )
        raise InvalidInput(msg)
    if not path.is_dir() and not path.is_file():
        what = "is not a regular file" if path.exists() else "is not there"
        msg = f"--background {path}: it {what}; expected a recording that twin log has made"
        raise InvalidInput(msg)
    return [path]


def seconds_of(
    path: Path, fingerprint: str, report: Callable[[str], None]
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Return a recording second by second.

    Its first second since the epoch, CPU percent of others, bytes/s written, memory percent; NaN
    where nothing was recorded or an experiment ran.

    Args:
        path: of the recording.
        fingerprint: of the machine that it is to be of.
        report: called with a sentence for what is left out.

    Raises:
        InvalidInput: it is of another machine, or no recording.
    """
    frame = _frame(path, fingerprint, report)
    times_s = frame["time"].astype("datetime64[us, UTC]").astype("int64").to_numpy() / 1e6
    if unreadable := int(frame["time"].isna().sum()):
        report(f"{path}: {unreadable} of {len(frame)} rows have no readable time and are left out")
    cpu = frame["cpu_background_percent"].to_numpy(dtype=float)
    plain = (frame["cpu_percent"] - frame["harness_cpu_percent"].fillna(0.0)).to_numpy(dtype=float)
    cpu = np.clip(np.where(np.isnan(cpu), plain, cpu), 0.0, 100.0)
    is_known = ~np.isnan(cpu) & (times_s > 0)
    if "active_events" in frame:
        is_known &= frame["active_events"].fillna("").astype(str).to_numpy() == ""
    if not is_known.any():
        return 0, np.empty(0), np.empty(0), np.empty(0)
    # a row is the mean of the time before it
    number = np.ceil(times_s[is_known]).astype(int) - 1
    first = int(number.min())
    number = number - first
    length = int(number.max()) + 1
    if length > 400 * 86_400:
        msg = f"--background {path}: {length} s from first to last row; expected 400 days at most"
        raise InvalidInput(msg)
    counts = np.bincount(number, minlength=length)
    columns = []
    for values in (
        cpu,
        frame["disk_write_bytes_per_s"].to_numpy(dtype=float),
        frame["memory_percent"].to_numpy(dtype=float),
    ):
        with np.errstate(invalid="ignore", divide="ignore"):
            columns.append(np.bincount(number, values[is_known], length) / counts)
    cpu, write, memory = map(_held, columns)
    return first, cpu, write, memory


def _frame(path: Path, fingerprint: str, report: Callable[[str], None]) -> pd.DataFrame:
    """Return the columns of a recording that are needed, NaN where it lacks one.

    What no machine can show is unknown, too.
    """
    import pandas as pd

    samples = _samples(path, fingerprint, report)
    absent = [name for name in ("time", "cpu_percent") if name not in samples]
    if absent:
        msg = (
            f"--background {path}: no column {absent[0]}; expected the columns that twin log writes"
        )
        raise InvalidInput(msg)
    if pd.api.types.is_numeric_dtype(samples["time"]):
        msg = (
            f"--background {path}: column time holds numbers, e.g. {samples['time'].iloc[0]};"
            " expected times such as 2026-12-01T02:00:00Z, ISO 8601"
        )
        raise InvalidInput(msg)
    found = pd.DataFrame(index=samples.index)
    for name in _COLUMNS:
        if name == "time":
            found[name] = pd.to_datetime(samples[name], utc=True, errors="coerce", format="ISO8601")
        elif name == "active_events":
            if name in samples:
                found[name] = samples[name]
        elif name in samples:
            found[name] = pd.to_numeric(samples[name], errors="coerce").replace(
                [np.inf, -np.inf], np.nan
            )
        else:
            found[name] = np.nan
    return _possible(found, path, report)


def _samples(path: Path, fingerprint: str, report: Callable[[str], None]) -> pd.DataFrame:
    """Return the rows of a recording as they stand there.

    Raises:
        InvalidInput: it is of another machine, or no recording.
    """
    import pandas as pd

    if path.is_dir():
        from twin_harness.runs.run import load

        run = load(path)
        _require_machine(run.machine, fingerprint, path)
        return run.samples
    report(f"{path} does not name its machine: taken for one of {fingerprint}")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, usecols=lambda name: name in _COLUMNS)
    except (OSError, ValueError, KeyError) as error:
        msg = (
            f"--background {path}: {str(error).splitlines()[0]}; expected a run folder, or a CSV or"
            " Parquet file that twin log has made"
        )
        raise InvalidInput(msg) from None


def _possible(frame: pd.DataFrame, path: Path, report: Callable[[str], None]) -> pd.DataFrame:
    """Return a recording in which what no machine can show is NaN, and say of which column."""
    for name, (low, high) in _BOUNDS.items():
        is_wrong = (frame[name] < low) | (frame[name] > high)
        if is_wrong.any():
            report(
                f"{path}: {int(is_wrong.sum())} of {len(frame)} values of {name} are outside of"
                f" {low:g} to {high:g}, e.g. {frame.loc[is_wrong, name].iloc[0]:g}, and count as"
                " unknown"
            )
            frame.loc[is_wrong, name] = np.nan
    return frame


def _require_machine(machine: dict[str, Any], fingerprint: str, path: Path) -> None:
    names = known_fingerprints(machine)
    if fingerprint not in names:
        msg = (
            f"--background {path}: recorded on machine {names[0]}, the runs are of {fingerprint};"
            " expected recordings of one machine, percent of another mean something else"
        )
        raise InvalidInput(msg)


def _held(values: np.ndarray) -> np.ndarray:
    """Return values in which a gap of up to three seconds holds the one after it.

    A row is the mean of the time before it.
    """
    held = values.copy()
    for begin, end in spans_of(np.isnan(values)):
        if begin and end < len(values) and end - begin <= _HELD_S:
            held[begin:end] = values[end]
    return held


def spans_of(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return where a mask is true on end: the first place of each span, and the one after it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]

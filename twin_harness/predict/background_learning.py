"""Learn what others use: from recordings without load, or from what was measured beside one."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.errors import InvalidInput
from twin_harness.predict.background import BLOCK_S, WRITE_STEP_S, Background, Block
from twin_harness.system.machine import known_fingerprints

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from twin_harness.predict.observation import Observation

MOST_BLOCKS = 2_400
_LEAST_S = 20  # on end, below which a stretch says nothing about what goes together
_HELD_S = 3  # seconds without a row, over which the one before holds
_COLUMNS = (
    "time",
    "cpu_percent",
    "cpu_background_percent",
    "harness_cpu_percent",
    "memory_percent",
    "disk_write_bytes_per_s",
    "active_events",
)


def learn_beside_load(observations: Sequence[Observation]) -> Background | None:
    """Return what others used of the CPUs while runs were recorded; None where nobody knows.

    Args:
        observations: the runs.
    """
    blocks: list[Block] = []
    for one in observations:
        if one.others_cpu_percent is None or not one.began:
            continue
        begin_s = int(datetime.fromisoformat(one.began).timestamp())
        unknown = np.full(len(one.others_cpu_percent), np.nan)
        blocks += _blocks(begin_s, one.others_cpu_percent, unknown, unknown)
    if not blocks:
        return None
    blocks.sort(key=lambda block: block.begin_s)
    return Background(tuple(_thinned(blocks)), "what was measured beside the runs of the fit")


def learn_from_recordings(
    paths: Sequence[str | Path],
    fingerprint: str,
    report: Callable[[str], None] = lambda _: None,
) -> Background:
    """Return what others used while a machine was recorded without load.

    Args:
        paths: files of ``twin log``, CSV or Parquet, run folders, and folders of such files; of a
            run the seconds without an experiment count.
        fingerprint: of the machine.
        report: called with a sentence for each that is left out in part, or whose machine it does
            not name.

    Raises:
        InvalidInput: one is of another machine, or none holds twenty seconds on end.
    """
    blocks: list[Block] = []
    for path in (one for given in paths for one in _files(Path(given))):
        seconds = _seconds_of(path, fingerprint, report)
        blocks += _stretches(*seconds)
    if not blocks:
        msg = (
            f"--background {', '.join(map(str, paths))}: expected {_LEAST_S} s on end without load,"
            " in a file that twin log has made or between experiments; record some with: twin log"
            " --interval 1 --out background.csv"
        )
        raise InvalidInput(msg)
    blocks.sort(key=lambda block: block.begin_s)
    kept = _thinned(blocks)
    if len(kept) < len(blocks):
        report(
            f"background: {len(kept)} of {len(blocks)} blocks of {BLOCK_S} s are kept, evenly in"
            " time"
        )
    return Background(tuple(kept), "recorded without load")


def read_trace(path: str | Path, fingerprint: str, seconds: int) -> tuple[np.ndarray, ...]:
    """Return what others used in each second of a recording, from its beginning on.

    Args:
        path: as of ``learn_from_recordings``.
        fingerprint: of the machine.
        seconds: how many are needed.

    Returns:
        CPU percent and bytes/s written, (seconds,), and the memory in use at first, (1,).

    Raises:
        InvalidInput: it is of another machine, too short, or has a gap.
    """
    (file,) = _files(Path(path))[:1]
    _, cpu, write, memory = _seconds_of(file, fingerprint, lambda _: None)
    gaps = np.flatnonzero(np.isnan(cpu[:seconds]))
    if len(gaps):
        msg = (
            f"--background {path}: nothing is known of second {gaps[0]} of it; expected no gap in"
            f" the {seconds} s of the plan, give a file without one or twin fit --background"
        )
        raise InvalidInput(msg)
    if len(cpu) < seconds:
        msg = (
            f"--background {path}: {len(cpu)} s are shorter than the plan's {seconds} s; expected"
            " as many or more, record longer or learn from it with twin fit --background"
        )
        raise InvalidInput(msg)
    return cpu[:seconds], write[:seconds], memory[:1]


def _files(path: Path) -> list[Path]:
    """Return what is to be read at a path: itself, or the recordings in a folder."""
    if path.is_dir() and not (path / "run.json").exists():
        files = sorted([*path.glob("*.csv"), *path.glob("*.parquet")])
        if files:
            return files
        msg = f"--background {path}: no run and no CSV or Parquet file in it; expected recordings"
        raise InvalidInput(msg)
    return [path]


def _seconds_of(
    path: Path, fingerprint: str, report: Callable[[str], None]
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Return a recording second by second.

    Its first second since the epoch, CPU percent of others, bytes/s written, memory percent; NaN
    where nothing was recorded or an experiment ran.
    """
    frame = _frame(path, fingerprint, report)
    times_s = frame["time"].astype("datetime64[us, UTC]").astype("int64").to_numpy() / 1e6
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
    """Return the columns of a recording that are needed, NaN where it lacks one."""
    import pandas as pd

    if path.is_dir():
        from twin_harness.runs.run import load

        run = load(path)
        _require_machine(run.machine, fingerprint, path)
        samples = run.samples
    else:
        report(f"{path} does not name its machine: taken for one of {fingerprint}")
        try:
            if path.suffix == ".parquet":
                samples = pd.read_parquet(path)
            else:
                samples = pd.read_csv(path, usecols=lambda name: name in _COLUMNS)
                samples["time"] = pd.to_datetime(samples["time"], utc=True, errors="coerce")
        except (OSError, ValueError, KeyError) as error:
            msg = (
                f"--background {path}: {str(error).splitlines()[0]}; expected a run folder, or a"
                " CSV or Parquet file that twin log has made"
            )
            raise InvalidInput(msg) from None
    absent = [name for name in ("time", "cpu_percent") if name not in samples]
    if absent:
        msg = (
            f"--background {path}: no column {absent[0]}; expected the columns that twin log writes"
        )
        raise InvalidInput(msg)
    found = pd.DataFrame(index=samples.index)
    for name in _COLUMNS:
        if name in ("time", "active_events"):
            if name in samples:
                found[name] = samples[name]
        elif name in samples:
            found[name] = pd.to_numeric(samples[name], errors="coerce").replace(
                [np.inf, -np.inf], np.nan
            )
        else:
            found[name] = np.nan
    return found


def _require_machine(machine: dict[str, Any], fingerprint: str, path: Path) -> None:
    names = known_fingerprints(machine)
    if fingerprint not in names:
        msg = (
            f"--background {path}: recorded on machine {names[0]}, the runs are of {fingerprint};"
            " expected recordings of one machine, percent of another mean something else"
        )
        raise InvalidInput(msg)


def _held(values: np.ndarray) -> np.ndarray:
    """Return values in which a gap of up to three seconds holds the one before it."""
    held = values.copy()
    for begin, end in _spans(np.isnan(values)):
        if begin and end - begin <= _HELD_S:
            held[begin:end] = values[begin - 1]
    return held


def _spans(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return where a mask is true on end: the first place of each span, and the one after it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def _stretches(first_s: int, cpu: np.ndarray, write: np.ndarray, memory: np.ndarray) -> list[Block]:
    """Return the blocks of every stretch without a gap."""
    blocks = []
    for begin, end in _spans(~np.isnan(cpu)):
        part = slice(begin, end)
        blocks += _blocks(first_s + begin, cpu[part], write[part], memory[part])
    return blocks


def _blocks(begin_s: int, cpu: np.ndarray, write: np.ndarray, memory: np.ndarray) -> list[Block]:
    """Return a stretch cut into blocks, without what is too short."""
    blocks = []
    for first in range(0, len(cpu), BLOCK_S):
        part = slice(first, first + BLOCK_S)
        values = cpu[part]
        if len(values) < _LEAST_S or np.isnan(values).any():
            continue
        blocks.append(
            Block(
                begin_s=begin_s + first,
                cpu_percent=values,
                write_bytes_per_s=_means(write[part]),
                memory_percent=float(memory[part].mean()),
            )
        )
    return blocks


def _means(write: np.ndarray) -> np.ndarray:
    """Return means over ten seconds; empty where one is not known."""
    parts = [write[first : first + WRITE_STEP_S] for first in range(0, len(write), WRITE_STEP_S)]
    means = np.array([part.mean() for part in parts])
    return means if not np.isnan(means).any() else np.empty(0)


def _thinned(blocks: list[Block]) -> list[Block]:
    """Return as many blocks as a model keeps, evenly in time."""
    if len(blocks) <= MOST_BLOCKS:
        return blocks
    return [blocks[index] for index in np.linspace(0, len(blocks) - 1, MOST_BLOCKS).astype(int)]

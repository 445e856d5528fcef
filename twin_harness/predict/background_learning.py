"""Learn what others use: from recordings without load, or from what was measured beside one."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import InvalidInput
from twin_harness.predict.background import BLOCK_S, WRITE_STEP_S, Background, Block
from twin_harness.predict.background_reading import recordings_at, seconds_of, spans_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin_harness.predict.observation import Observation

MOST_BLOCKS = 2_400
_LEAST_S = 20  # on end, below which a stretch says nothing about what goes together


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
    return Background(
        tuple(_thinned(_apart(blocks))), "what was measured beside the runs of the fit"
    )


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
    for path in (one for given in paths for one in recordings_at(Path(given))):
        seconds = seconds_of(path, fingerprint, report)
        blocks += _stretches(*seconds)
    if not blocks:
        msg = (
            f"--background {', '.join(map(str, paths))}: expected {_LEAST_S} s on end without load,"
            " in a file that twin log has made or between experiments; record some with: twin log"
            " --interval 1 --out background.csv"
        )
        raise InvalidInput(msg)
    apart = _apart(blocks)
    if len(apart) < len(blocks):
        report(
            f"background: {len(blocks) - len(apart)} of {len(blocks)} blocks are of a time that was"
            " given already, and count once"
        )
    blocks, kept = apart, _thinned(apart)
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
    files = recordings_at(Path(path))
    if len(files) > 1:
        msg = (
            f"--background {path}: expected one recording for the plan but there are {len(files)};"
            f" name one, e.g. {files[0]}, or learn from all with twin fit --background"
        )
        raise InvalidInput(msg)
    (file,) = files
    _, cpu, write, memory = seconds_of(file, fingerprint, lambda _: None)
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


def _stretches(first_s: int, cpu: np.ndarray, write: np.ndarray, memory: np.ndarray) -> list[Block]:
    """Return the blocks of every stretch without a gap."""
    blocks = []
    for begin, end in spans_of(~np.isnan(cpu)):
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


def _apart(blocks: list[Block]) -> list[Block]:
    """Return blocks in the order of time, without those of a time that another is of, too."""
    apart: list[Block] = []
    for block in sorted(blocks, key=lambda one: one.begin_s):
        if not apart or block.begin_s >= apart[-1].begin_s + apart[-1].seconds:
            apart.append(block)
    return apart


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

"""Preparation for models and statistics: load states, window means, and splits that do not leak."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import InvalidInput
from twin_harness.metrics import by_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from twin_harness.runs.recording import Recording

IDLE_PERCENT, SATURATED_PERCENT = 5.0, 95.0
_LEAST_COVERAGE = 0.5
_BLOCK = 2**20  # values that are averaged at once: 8 MiB


def load_state(samples: pd.DataFrame) -> pd.Series[str]:
    """Return ``idle``, ``loaded`` or ``saturated`` for each row.

    Saturated: CPU or device busy at least 95 percent, or some task waiting for memory a twentieth
    of the time. Idle: nothing requested and CPU at most 5 percent; a row without a figure of the
    CPU is not idle.
    """
    import pandas as pd

    requested = samples[
        ["cpu_requested_percent", "memory_requested_bytes", "disk_requested_bytes_per_s"]
    ].fillna(0.0)
    is_idle = (
        (requested <= 0).all(axis=1)
        & (samples["cpu_percent"] <= IDLE_PERCENT)
        & (samples["active_events"] == "")
    )
    busiest = samples[["cpu_percent", "disk_busy_percent"]].max(axis=1)
    is_saturated = (busiest >= SATURATED_PERCENT) | (
        samples["pressure_memory_percent"].fillna(0.0) >= 100.0 - SATURATED_PERCENT
    )
    states = np.select(
        [is_saturated.to_numpy(), is_idle.to_numpy()], ["saturated", "idle"], "loaded"
    )
    return pd.Series(states, index=samples.index, name="regime")


def window_means(samples: pd.DataFrame, window_s: float = 1.0) -> pd.DataFrame:
    """Return means over windows that lie end to end from the first row on.

    Each is the integral of the rows over their measured time, divided by that time. A row's rate or
    percent holds for the ``dt_s`` before it, so rows that straddle a border count on both sides by
    their shares: what was counted is counted once. Of the probes it is the worst of a window.
    Windows of which less than half is known are empty.

    Args:
        samples: rows in order, with ``monotonic_s`` and ``dt_s``, of one part of a machine.
        window_s: the length of a window.

    Returns:
        One row per window (index ``monotonic_s`` of its end) with all numeric columns, and
        ``coverage``: the share of it that rows cover.
    """
    import pandas as pd

    rows = samples[samples["dt_s"].notna() & (samples["dt_s"] > 0)]
    names = [
        name
        for name, kind in samples.dtypes.items()
        if kind == "float64" and name not in ("monotonic_s", "dt_s")
    ]
    if rows.empty:
        return pd.DataFrame(columns=[*names, "coverage"], dtype="float64")
    ends_s, lengths_s = rows["monotonic_s"].to_numpy(), rows["dt_s"].to_numpy()
    first_s = ends_s[0] - lengths_s[0]
    edges_s = first_s + window_s * np.arange(
        int(np.ceil((ends_s[-1] - first_s) / window_s - 1e-9)) + 1
    )
    # What lies between rows (a gap before one) is known to the row after it, whose mean holds for
    # all of it.
    times_s = np.concatenate([[first_s], ends_s])
    known = _integral_at(edges_s, times_s, np.minimum(lengths_s, np.diff(times_s)))
    number = np.minimum(((ends_s - first_s) / window_s - 1e-9).astype(int), len(edges_s) - 2)
    means = np.empty((len(edges_s) - 1, len(names) + 1))
    means[:, -1] = np.diff(known) / window_s
    width = max(1, _BLOCK // len(rows))
    for begin in range(0, len(names), width):
        part = names[begin : begin + width]
        values, of_part = rows[part].to_numpy(), means[:, begin : begin + len(part)]
        of_part[:] = _means(values, edges_s, times_s, _LEAST_COVERAGE * window_s)
        metrics = [by_name(str(name)) for name in part]
        is_probe = [metric is not None and metric.group == "probe" for metric in metrics]
        of_part[:, is_probe] = _worst(values[:, is_probe], number, len(means))
    return pd.DataFrame(means, pd.Index(edges_s[1:], name="monotonic_s"), [*names, "coverage"])


def _means(
    values: np.ndarray, edges_s: np.ndarray, times_s: np.ndarray, least_s: float
) -> np.ndarray:
    """Return means between edges, (windows, columns), of values that hold between times.

    Args:
        values: (rows, columns), NaN where nothing is known.
        edges_s: (windows + 1,) where a window ends and the next one begins.
        times_s: (rows + 1,) where a row ends and the next one begins.
        least_s: how much of a window has to be known; NaN below it.
    """
    is_there, spans_s = ~np.isnan(values), np.diff(times_s)[:, np.newaxis]
    weights = np.diff(_integral_at(edges_s, times_s, spans_s * is_there), axis=0)
    areas = np.where(is_there, values, 0.0) * spans_s
    totals = np.diff(_integral_at(edges_s, times_s, areas), axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: np.ndarray = np.where(weights >= least_s, totals / weights, np.nan)
    return means


def _integral_at(edges_s: np.ndarray, times_s: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Return the running total of areas that grow evenly between times, at the edges.

    Args:
        edges_s: (edges,) in order, from the first time on.
        times_s: (1 + areas,) in order.
        areas: (areas, …) of any number of columns.
    """
    integral = np.concatenate([np.zeros((1, *areas.shape[1:])), np.cumsum(areas, axis=0)])
    before = np.clip(np.searchsorted(times_s, edges_s, side="right") - 1, 0, len(areas) - 1)
    columns = (-1, *([1] * (areas.ndim - 1)))
    lengths_s = np.diff(times_s)[before].reshape(columns)
    into_s = (edges_s - times_s[before]).reshape(columns)
    with np.errstate(invalid="ignore", divide="ignore"):  # rows of no length, unlimited values
        slopes = (integral[before + 1] - integral[before]) / lengths_s
        at_edges: np.ndarray = slopes * into_s + integral[before]
    at_edges[edges_s >= times_s[-1]] = integral[-1]
    return at_edges


def _worst(values: np.ndarray, number: np.ndarray, windows: int) -> np.ndarray:
    """Return the largest known value of each window, (windows, columns); NaN without any.

    Args:
        values: (rows, columns).
        number: (rows,) the window of each row.
        windows: how many.
    """
    worst = np.full((windows, values.shape[1]), np.nan)
    np.fmax.at(worst, number, values)
    return worst


def split(
    recordings: Sequence[Recording], shares: Mapping[str, float], seed: int = 0
) -> dict[str, list[Recording]]:
    """Divide recordings by their plans: all replicates of a plan stand on one side.

    Plans are distinguished by the hashes of their experiments.

    Args:
        recordings: of any number of runs.
        shares: side to its share of the plans, e.g. ``{"train": 0.6, "calibrate": 0.2, "test":
            0.2}``; they add up to 1.
        seed: decides which plan goes where; the same plans and seed give the same sides, in
            whatever order they come.

    Raises:
        InvalidInput: the shares do not add up to 1, or there are fewer plans than sides.
    """
    side_of = assign([recording.experiment.hash() for recording in recordings], shares, seed)
    sides: dict[str, list[Recording]] = {side: [] for side in shares}
    for recording in recordings:
        sides[side_of[recording.experiment.hash()]].append(recording)
    return sides


def assign(hashes: Sequence[str], shares: Mapping[str, float], seed: int = 0) -> dict[str, str]:
    """Return the side of each plan, by the plans' hashes; arguments and errors as of ``split``.

    Args:
        hashes: of the experiments; equal ones are one plan.
        shares: side to its share of the plans; they add up to 1.
        seed: decides which plan goes where.
    """
    if abs(sum(shares.values()) - 1.0) > 1e-9 or min(shares.values(), default=0.0) <= 0:
        msg = f"split: expected shares above 0 that add up to 1 but got {dict(shares)!r}"
        raise InvalidInput(msg)
    names = sorted(set(hashes), key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    if len(names) < len(shares):
        msg = (
            f"split: expected at least {len(shares)} different plans, one for each of"
            f" {', '.join(shares)}, but got {len(names)}; record more"
        )
        raise InvalidInput(msg)
    side_of: dict[str, str] = {}
    begin, done = 0, 0.0
    for left, (side, share) in zip(range(len(shares) - 1, -1, -1), shares.items(), strict=True):
        done += share
        end = min(max(begin + 1, round(done * len(names))), len(names) - left)
        side_of |= dict.fromkeys(names[begin:end], side)
        begin = end
    return side_of

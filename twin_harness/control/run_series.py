"""Load of a recorded run, as series to replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.control.series import Series
from twin_harness.runs.frames import whole_machine
from twin_harness.runs.run import load

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from twin_harness.runs.run import Run

_LEAST_LOAD = {"cpu": 0.5, "memory": 16e6, "disk": 1e5}


def series_of_run(path: Path, experiment: str | None) -> dict[str, Series]:
    """Return what to replay of a run, by resource: delivered load, else the machine's totals.

    Memory counts above its lowest, and a resource that was hardly used is left out.

    Args:
        path: the run folder.
        experiment: the one to replay; the whole run unless given.

    Raises:
        UnreadableRun: the folder holds no run.
    """
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
    was_loaded = any(
        (samples[name] > 0).any()
        for name in (
            "cpu_requested_percent",
            "memory_requested_bytes",
            "disk_requested_bytes_per_s",
        )
    )
    if was_loaded:
        loads = _delivered(run, experiment, samples)
    else:
        loads = _totals(samples)
    series = {}
    for resource, values in loads.items():
        clean = np.asarray(values.ffill().fillna(0.0).clip(lower=0.0), dtype=np.float64)
        if clean.max() >= _LEAST_LOAD[resource]:
            series[resource] = Series(edges_s, clean)
    return series


def _delivered(
    run: Run, experiment: str | None, samples: pd.DataFrame
) -> dict[str, pd.Series[float]]:
    delivered = {
        "cpu": samples["cpu_delivered_percent"],
        "memory": samples["memory_delivered_bytes"],
        "disk": samples["disk_delivered_bytes_per_s"],
    }
    if experiment is None:
        return delivered
    recording = run.recording(experiment)
    if recording.planned.partition:  # percents of a part, replayed on the whole machine
        part_cpus = float(recording.machine["cpu_capacity"])
        delivered["cpu"] = delivered["cpu"] * part_cpus / float(run.machine["cpu_capacity"])
    return delivered


def _totals(samples: pd.DataFrame) -> dict[str, pd.Series[float]]:
    return {
        "cpu": (
            samples["cpu_percent"] - samples["cpu_steal_percent"] - samples["harness_cpu_percent"]
        ),
        "memory": samples["memory_used_bytes"] - samples["memory_used_bytes"].min(),
        "disk": samples["disk_read_bytes_per_s"] + samples["disk_write_bytes_per_s"],
    }

"""The scale on which errors are taken: latencies by their logarithm, other columns as they are."""

from __future__ import annotations

import numpy as np

from twin_harness.predict.observation import COLUMNS

LOG_COLUMNS = ("probe_wakeup_ms", "probe_cpu_ms")
# Below these a column's error is rounding and ticks: no fit is to chase it.
LEAST_SCALES = {
    "cpu_percent": 1.0,
    "memory_percent": 0.1,
    "load1": 0.03,
    "disk_write_bytes_per_s": 2e5,
    "disk_read_bytes_per_s": 2e5,
    "pressure_cpu_percent": 0.5,
    "pressure_io_percent": 0.3,
    "probe_wakeup_ms": 0.1,
    "probe_cpu_ms": 0.05,
}
_LEAST_MS = 1e-4
_LEAST_LOG_MS = float(np.log(_LEAST_MS))
_MOST_LOG_MS = 20.0
_HIGHEST = np.array([[100.0] if name.endswith("_percent") else [np.inf] for name in COLUMNS])


def least_noise(column: str) -> float:
    """Return the smallest residual standard deviation that is claimed for a column.

    A tenth of what no fit is to chase.
    """
    return 0.1 * LEAST_SCALES[column]


def to_error_scale(column: str, values: np.ndarray) -> np.ndarray:
    """Return values of one column on the error scale."""
    if column in LOG_COLUMNS:
        logarithms: np.ndarray = np.log(np.maximum(values, _LEAST_MS))
        return logarithms
    return values


def on_error_scale(columns: dict[str, np.ndarray], *, has_logs: bool = False) -> np.ndarray:
    """Return simulated columns as one array on the error scale, (plans, members, columns, seconds).

    Args:
        columns: by name, each (plans, members, seconds), as ``simulate`` returns them.
        has_logs: whether latencies are logarithms already.
    """
    shape = np.broadcast_shapes(*(columns[name].shape for name in COLUMNS))
    scaled = np.empty((*shape[:2], len(COLUMNS), shape[2]))
    for index, name in enumerate(COLUMNS):
        if has_logs and name in LOG_COLUMNS:
            np.maximum(columns[name], _LEAST_LOG_MS, out=scaled[:, :, index])
        else:
            scaled[:, :, index] = to_error_scale(name, columns[name])
    return scaled


def in_units(values: np.ndarray) -> np.ndarray:
    """Return values on the error scale, (…, columns, seconds), in the columns' units.

    Clipped to what is physical.
    """
    converted = clip_to_physical(values)
    for name in LOG_COLUMNS:
        index = COLUMNS.index(name)
        converted[..., index, :] = np.exp(np.minimum(values[..., index, :], _MOST_LOG_MS))
    return converted


def clip_to_physical(values: np.ndarray) -> np.ndarray:
    """Clip values in units, (…, columns, seconds): percentages to 0 to 100, others to 0 or more."""
    clipped: np.ndarray = np.clip(values, 0.0, _HIGHEST)
    return clipped

"""The recursions by which Linux averages load and pressure.

Exponential filters with known constants.

Load (kernel/sched/loadavg.c): every 5.004 s (``LOAD_FREQ`` = 5 HZ + 1 ticks at 250 Hz) each average
moves towards the number of running and uninterruptible tasks by ``EXP_1``, ``EXP_5``, ``EXP_15`` of
2048. Pressure (kernel/sched/psi.c): every 2 s by ``EXP_10s``, ``EXP_60s``, ``EXP_300s`` of 2048
towards the share of the time that was stalled.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from twin_harness.errors import InvalidInput

LOAD_PERIOD_S, PRESSURE_PERIOD_S, FIXED_POINT = 5.004, 2.0, 2048.0
LOAD_DECAYS = {"load1": 1884.0, "load5": 2014.0, "load15": 2037.0}
PRESSURE_DECAYS = {"avg10": 1677.0, "avg60": 1981.0, "avg300": 2034.0}


def keep_of(decay: float, period_s: float, step_s: float = 1.0) -> float:
    """Return what remains of an average after ``step_s`` seconds, given its decay in 2048ths per period."""
    return float((decay / FIXED_POINT) ** (step_s / period_s))


def average(values: np.ndarray, start: np.ndarray, keep: float) -> np.ndarray:
    """Return the running average of values along the last axis.

    A ← keep · a + (1 − keep) · value, from ``start`` on.

    Args:
        values: (…, steps).
        start: (…) the average before the first step.
        keep: what remains of it after a step.
    """
    state = keep * np.broadcast_to(start, values.shape[:-1])[..., np.newaxis]
    filtered: np.ndarray = lfilter([1.0 - keep], [1.0, -keep], values, axis=-1, zi=state)[0]
    return filtered


def pressure_average(
    shares: np.ndarray, window: str, start: float = 0.0, step_s: float = 1.0
) -> np.ndarray:
    """Return what ``/proc/pressure`` shows as ``avg10``, ``avg60`` or ``avg300``, (…, steps), in the unit of the shares.

    Args:
        shares: (…, steps) how much of each step was stalled, e.g. ``pressure_cpu_percent``.
        window: which of the three.
        start: the average before the first step.
        step_s: how long a step is.

    Raises:
        InvalidInput: the window is none of the three.
    """
    if window not in PRESSURE_DECAYS:
        msg = (
            f"pressure average: expected one of {', '.join(PRESSURE_DECAYS)} but got"
            f" window={window!r}"
        )
        raise InvalidInput(msg)
    return average(
        shares, np.asarray(start), keep_of(PRESSURE_DECAYS[window], PRESSURE_PERIOD_S, step_s)
    )

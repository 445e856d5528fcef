"""The recursion by which Linux averages load: an exponential filter with known constants.

Load (kernel/sched/loadavg.c): every 5.004 s (``LOAD_FREQ`` = 5 HZ + 1 ticks at 250 Hz) each average
moves towards the number of running and uninterruptible tasks by ``EXP_1``, ``EXP_5``, ``EXP_15`` of
2048.
"""

from __future__ import annotations

import numpy as np

LOAD_PERIOD_S, FIXED_POINT = 5.004, 2048.0
LOAD_DECAYS = {"load1": 1884.0, "load5": 2014.0, "load15": 2037.0}


def keep_of(decay: float, period_s: float, step_s: float = 1.0) -> float:
    """Return what remains of an average after a step.

    Args:
        decay: what remains after a period, in 2048ths.
        period_s: of the kernel's updates.
        step_s: how long the step is.
    """
    return float((decay / FIXED_POINT) ** (step_s / period_s))


# Up to here a product with a triangle is quicker than a loop.
_MOST_STEPS, _MOST_ROWS = 600, 300


def average(values: np.ndarray, start: np.ndarray, keep: float) -> np.ndarray:
    """Return the running average of values along the last axis.

    A ← keep · a + (1 − keep) · value, from ``start`` on. By hand, though ``scipy.signal.lfilter``
    does the same: importing it costs more than a second of CPU time.

    Args:
        values: (…, steps).
        start: (…) the average before the first step.
        keep: what remains of it after a step.
    """
    steps = values.shape[-1]
    if steps <= _MOST_STEPS and values.size <= _MOST_ROWS * steps:
        return _at_once(values, start, keep)
    averages = (1.0 - keep) * values
    last = np.broadcast_to(start, values.shape[:-1])
    for step in range(values.shape[-1]):
        averages[..., step] += keep * last
        last = averages[..., step]
    return averages


def _at_once(values: np.ndarray, start: np.ndarray, keep: float) -> np.ndarray:
    """Return the same as a product with what each value leaves behind; arguments as of it.

    Args:
        values: (…, steps).
        start: (…).
        keep: what remains after a step.
    """
    steps = np.arange(values.shape[-1])
    since = steps[:, np.newaxis] - steps
    left = np.where(since >= 0, (1.0 - keep) * keep ** np.maximum(since, 0), 0.0)
    averages: np.ndarray = values @ left.T + start[..., np.newaxis] * keep ** (steps + 1.0)
    return averages

"""Levels and areas of a shape at many moments at once: the shapes' own formulas, by array.

Shapes that are not known here are asked moment by moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.shapes.formulas import Constant, Leak, Ramp, Sine, Square, Steps
from twin_harness.shapes.spikes import Spikes, draws
from twin_harness.shapes.trace import Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from twin_harness.shapes.shape import Shape

    FloatArray = NDArray[np.float64]


def areas(shape: Shape, at_s: FloatArray, duration_s: float) -> FloatArray:
    """Return level × time up to some moments of an event.

    Args:
        shape: of the event.
        at_s: (moments,) seconds after the event's start, within it.
        duration_s: of the event.
    """
    match shape:
        case Constant():
            return shape.level_ * at_s
        case Ramp():
            return shape.from_ * at_s + (shape.to - shape.from_) * at_s * at_s / (2.0 * duration_s)
        case Leak():
            return shape.start * at_s + shape.rate_per_s * at_s * at_s / 2.0
        case Sine():
            turn, swing = np.pi * 2.0, shape.amplitude * shape.period_s
            waves = np.cos(turn * shape.phase) - np.cos(
                turn * (at_s / shape.period_s + shape.phase)
            )
            wave: FloatArray = shape.mean * at_s + swing / turn * waves
            return wave
        case Steps():
            hold_s = duration_s / len(shape.levels)
            index = np.minimum((at_s / hold_s).astype(int), len(shape.levels) - 1)
            held = np.array(shape.levels, dtype=float)
            passed = np.concatenate([[0.0], np.cumsum(held)]) * hold_s
            stairs: FloatArray = passed[index] + held[index] * (at_s - index * hold_s)
            return stairs
        case Square():
            whole, rest_s = np.divmod(at_s, shape.period_s)
            high_s = shape.duty * shape.period_s
            full = shape.high * high_s + shape.low * (shape.period_s - high_s)
            high = shape.high * np.minimum(rest_s, high_s)
            squares: FloatArray = whole * full + high + shape.low * np.maximum(rest_s - high_s, 0.0)
            return squares
        case Spikes() if len(at_s):
            cells, starts_s = _spikes(shape, at_s)
            within_s = np.clip(at_s - starts_s, 0.0, shape.width_s)
            return shape.base * at_s + shape.height * (cells * shape.width_s + within_s)
        case Trace(interpolation="previous") if shape.points:
            times_s, held, passed = _trace(shape)
            recorded_s = at_s / shape.time_scale
            index = np.searchsorted(times_s, recorded_s, side="right") - 1
            before = held[0] * recorded_s
            area = passed[index] + held[index] * (recorded_s - times_s[index])
            found = np.where(index < 0, before, area)
            return found * shape.level_scale * shape.time_scale
    return np.array([shape.area(float(moment_s), duration_s) for moment_s in at_s])


def levels(shape: Shape, at_s: FloatArray, duration_s: float) -> FloatArray:
    """Return the level at some moments; arguments as of ``areas``.

    Args:
        shape: of the event.
        at_s: (moments,) seconds after the event's start, within it.
        duration_s: of the event.
    """
    match shape:
        case Constant():
            return np.full(len(at_s), float(shape.level_))
        case Ramp():
            return shape.from_ + (shape.to - shape.from_) * at_s / duration_s
        case Leak():
            return shape.start + shape.rate_per_s * at_s
        case Steps():
            index = (at_s * len(shape.levels) / duration_s).astype(int)
            held = np.array(shape.levels, dtype=float)
            stair: FloatArray = held[np.clip(index, 0, len(held) - 1)]
            return stair
        case Square():
            is_high = np.mod(at_s, shape.period_s) < shape.duty * shape.period_s
            return np.where(is_high, float(shape.high), float(shape.low))
        case Spikes() if len(at_s):
            _, starts_s = _spikes(shape, at_s)
            is_spike = (starts_s <= at_s) & (at_s < starts_s + shape.width_s)
            return shape.base + np.where(is_spike, float(shape.height), 0.0)
        case Trace(interpolation="previous") if shape.points:
            times_s, held, _ = _trace(shape)
            index = np.searchsorted(times_s, at_s / shape.time_scale, side="right") - 1
            found: FloatArray = held[np.maximum(index, 0)] * shape.level_scale
            return found
    return np.array([shape.level(float(moment_s), duration_s) for moment_s in at_s])


def _spikes(shape: Spikes, at_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the cell that each moment lies in, and when the spike of that cell begins."""
    cells = (at_s / shape.cell_s).astype(int)
    drawn = draws(shape.seed, int(cells.max()) + 1)[cells]
    return cells, cells * shape.cell_s + drawn * max(shape.cell_s - shape.width_s, 0.0)


def _trace(shape: Trace) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return times and levels of a trace's points, and the area before each."""
    points = np.array(shape.points, dtype=float)
    times_s, held = points[:, 0], points[:, 1]
    passed = times_s[0] * held[0] + np.concatenate([[0.0], np.cumsum(held[:-1] * np.diff(times_s))])
    return times_s, held, passed

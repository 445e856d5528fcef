"""Free runs of plans under the parameters and their ensemble, with each second's noise regime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

# Residuals differ: a machine whose CPUs are all busy has its time stolen, and everybody waits.
REGIMES = ("rest", "load", "full")
_LOADED = 0.005  # of a CPU, a device or the time of filling
_FULL_PERCENT = 85.0  # of CPU time


@dataclass(frozen=True)
class FreeRun:
    """Predictions of some plans on the error scale.

    Attributes:
        centre: (plans, columns, seconds) under the fitted parameters.
        ensemble: (plans, sets, columns, seconds) under each plausible parameter set.
        regime: (plans, seconds) which of ``REGIMES`` each second belongs to, by number.
        missing_percent: (plans, seconds) memory that is asked for and not filled yet under the
            fitted parameters; None where nobody asks for it.
    """

    centre: np.ndarray
    ensemble: np.ndarray
    regime: np.ndarray
    missing_percent: np.ndarray | None = None

    @classmethod
    def stacked(cls, parts: Sequence[Self]) -> Self:
        """Return the free runs of several as one, the shorter held at their last value.

        Args:
            parts: of plans of different lengths.
        """
        longest = max(part.centre.shape[-1] for part in parts)

        def of(name: str) -> np.ndarray:
            return np.concatenate([_lengthened(getattr(part, name), longest) for part in parts])

        missing = None
        if all(part.missing_percent is not None for part in parts):
            missing = of("missing_percent")
        return cls(of("centre"), of("ensemble"), of("regime"), missing)

    def select(self, plan: int, seconds: int | None = None) -> FreeRun:
        """Return one plan as a free run of its own, cut to its seconds where given."""
        return FreeRun(
            self.centre[plan : plan + 1, :, :seconds],
            self.ensemble[plan : plan + 1, :, :, :seconds],
            self.regime[plan : plan + 1, :seconds],
            None
            if self.missing_percent is None
            else self.missing_percent[plan : plan + 1, :seconds],
        )


def _lengthened(values: np.ndarray, length: int) -> np.ndarray:
    """Return values, (…, seconds), that hold their last one up to a length."""
    missing = length - values.shape[-1]
    return np.concatenate([values, np.repeat(values[..., -1:], missing, axis=-1)], axis=-1)


def noise_regimes(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Return which of ``REGIMES`` each second belongs to, (plans, seconds), by number.

    The first member decides.

    Args:
        columns: by name, as ``simulate`` returns them.
    """
    is_loaded = columns["load_share"][:, 0] > _LOADED
    is_full = columns["cpu_percent"][:, 0] > _FULL_PERCENT
    regimes: np.ndarray = np.where(is_full, 2, is_loaded.astype(int))
    return regimes


def hold_last(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Let values, (plans, …, seconds), hold their last value beyond the end of a plan; return them.

    Nothing jumps there.

    Args:
        values: of plans of different lengths, padded to the longest.
        lengths: (plans,) in seconds.
    """
    for row, length in zip(values, lengths, strict=True):
        row[..., length:] = row[..., length - 1 : length]
    return values

"""What a free run finds beside its plan: the state it begins from, and what others use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Start:
    """The state a free run begins from; each of shape (plans,), NaN for the idle state of the fit.

    Attributes:
        load1: average before the first second.
        memory_percent: in use before it.
        held_bytes: (plans, seconds) memory that stressors held in the seconds before the first, the
            latest last; what they freed may still be backed by the hypervisor. None where nothing
            is known.
    """

    load1: np.ndarray
    memory_percent: np.ndarray
    held_bytes: np.ndarray | None = None

    @classmethod
    def idle(cls, plans: int) -> Start:
        """Return the idle state of the fit: a cold start."""
        return cls(np.full(plans, np.nan), np.full(plans, np.nan))

    @classmethod
    def of(cls, load1: float, memory_percent: float) -> Start:
        """Return the start of one plan."""
        return cls(np.array([load1]), np.array([memory_percent]))


@dataclass(frozen=True)
class Others:
    """What others use of the machine; NaN is what they use at rest.

    Members are parameter sets: 1 for all of them alike.

    Attributes:
        cpu_percent: (plans, members, seconds) of the machine's CPUs.
        write_bytes_per_s: (plans, members, seconds).
        memory_percent: (plans, members) in use before the plan's own.
    """

    cpu_percent: np.ndarray
    write_bytes_per_s: np.ndarray
    memory_percent: np.ndarray

    @classmethod
    def of_cpu(cls, cpu_percent: np.ndarray) -> Self:
        """Return others of whom only their CPU time is known, (plans, seconds)."""
        plans = len(cpu_percent)
        return cls(cpu_percent[:, np.newaxis], np.full((plans, 1, 1), np.nan), _unknown(plans))

    @property
    def members(self) -> int:
        """How many members they differ between; 1 where they are the same for all."""
        return int(self.cpu_percent.shape[1])

    @classmethod
    def stacked(cls, plans: Sequence[Self]) -> Self:
        """Return the others of several plans as one, in which the shorter ones rest at their end.

        Args:
            plans: of one plan each, all of as many members.
        """
        longest = max(one.cpu_percent.shape[2] for one in plans)

        def of(name: str) -> np.ndarray:
            values = [getattr(one, name) for one in plans]
            return np.concatenate(
                [
                    np.pad(
                        part,
                        [(0, 0), (0, 0), (0, longest - part.shape[2])],
                        constant_values=np.nan,
                    )
                    for part in values
                ]
            )

        return cls(
            of("cpu_percent"),
            of("write_bytes_per_s"),
            np.concatenate([one.memory_percent for one in plans]),
        )

    def until(self, seconds: int) -> Self:
        """Return them cut to their first seconds."""
        return type(self)(
            self.cpu_percent[..., :seconds],
            self.write_bytes_per_s[..., :seconds],
            self.memory_percent,
        )

    def select(self, plans: slice) -> Self:
        """Return those of some plans."""
        return type(self)(
            self.cpu_percent[plans], self.write_bytes_per_s[plans], self.memory_percent[plans]
        )


def _unknown(plans: int) -> np.ndarray:
    return np.full((plans, 1), np.nan)

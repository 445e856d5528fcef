"""Spikes: rectangles of load at moments drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_SPIKES = 5_000


def draw(seed: int, index: int) -> float:
    """Return a number in [0, 1) from seed and index alone.

    It is the finaliser of SplitMix64 (Steele et al., OOPSLA 2014).
    """
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + (index + 1) * 0xD1B54A32D192ED03) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return ((z ^ (z >> 31)) >> 11) / float(1 << 53)


def draws(seed: int, count: int) -> NDArray[np.float64]:
    """Return ``draw`` for the indexes from 0 on, all at once."""
    import numpy as np

    index = np.arange(1, count + 1, dtype=np.uint64)
    z = np.uint64(seed * 0x9E3779B97F4A7C15 & (1 << 64) - 1) + index * np.uint64(0xD1B54A32D192ED03)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    numbers: NDArray[np.float64] = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) / float(1 << 53)
    return numbers


@dataclass(frozen=True, slots=True)
class Spikes:
    """Rectangles of ``height`` on top of ``base``, at moments drawn from ``seed``.

    One spike stands in each cell of 60/``rate_per_minute`` seconds, uniformly placed so that it
    ends within the cell: the number of spikes is exact, they never overlap, and the level at any t
    is computed without drawing the ones before.

    Attributes:
        base: the level between spikes.
        height: of a spike, above the base.
        width_s: how long a spike lasts.
        rate_per_minute: how many spikes there are.
        seed: of their moments.
    """

    kind: ClassVar[str] = "spikes"
    base: float
    height: float
    width_s: float
    rate_per_minute: float
    seed: int = 0

    @property
    def cell_s(self) -> float:
        """The seconds that hold one spike."""
        return 60.0 / self.rate_per_minute

    def _start_s(self, cell: int) -> float:
        return cell * self.cell_s + draw(self.seed, cell) * max(self.cell_s - self.width_s, 0.0)

    def level(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return ``base``, or ``base + height`` within a spike."""
        del duration_s
        start_s = self._start_s(int(t_s / self.cell_s))
        return self.base + (self.height if start_s <= t_s < start_s + self.width_s else 0.0)

    def area(self, t_s: float, duration_s: float = 1.0) -> float:
        """Return the base, the spikes passed, and the part of the present one."""
        del duration_s
        cell = int(t_s / self.cell_s)
        within_s = min(max(t_s - self._start_s(cell), 0.0), self.width_s)
        return self.base * t_s + self.height * (cell * self.width_s + within_s)

    def extremes(self, duration_s: float = 1.0) -> tuple[float, float]:
        """Return the base and the top of a spike, in order."""
        del duration_s
        return min(self.base, self.base + self.height), max(self.base, self.base + self.height)

    def discontinuities(self, duration_s: float = 1.0) -> tuple[float, ...]:
        """Return both edges of every spike within the event."""
        if self.height == 0 or self.width_s >= self.cell_s:
            return ()
        jumps: list[float] = []
        for cell in range(min(int(duration_s / self.cell_s) + 1, _MOST_SPIKES)):
            start_s = self._start_s(cell)
            jumps += [start_s, start_s + self.width_s]
        return tuple(t for t in jumps if 0 < t < duration_s)

"""Whether the two runs of a pair had the same machine: steal, others' work, a fixed work's speed.

A difference that all pairs share (a candidate whose service pytest has not started counts as
"others") is no fault of the environment; a pair is unfit where it lies far from the other pairs:
more than 4 × 1.4826 × MAD from their median, and more than a floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, isfinite, log
from statistics import median
from typing import TYPE_CHECKING

from twin_harness.gate.spread import robust_spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

_SPREADS = 4.0
FLOORS = {
    "steal_percent": (1.0, "points of steal"),
    "background_percent": (2.0, "points of others' CPU time"),
    "calibration_ms": (5.0, "% of a fixed piece of work"),
}
_COLUMNS = {
    "steal_percent": "cpu_steal_percent",
    "background_percent": "cpu_background_percent",
    "calibration_ms": "probe_cpu_ms",
}
# What loads got is no background already.
_LOADS = ("cpu_delivered_percent", "cpu_side_percent")


@dataclass(frozen=True)
class Environment:
    """What else the machine did during a run; None where it is not known.

    Attributes:
        steal_percent: mean CPU time that the hypervisor kept, in percent of the machine.
        background_percent: mean CPU time of others, in percent of the machine: neither loads, nor
            the harness, nor pytest and what it started, such as the service under test.
        calibration_ms: median time of the probe's fixed work.
        own_percent: mean CPU time of what pytest had started, loads left out, in percent of the
            machine: that of the service under test.
    """

    steal_percent: float | None = None
    background_percent: float | None = None
    calibration_ms: float | None = None
    own_percent: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether any figure is there."""
        return any(
            value is not None
            for value in (self.steal_percent, self.background_percent, self.calibration_ms)
        )

    @classmethod
    def of(cls, samples: pd.DataFrame, started_percent: float = 0.0) -> Environment:
        """Return the environment in a window of the dataset.

        Args:
            samples: the window's rows.
            started_percent: CPU time of all that pytest has started, loads among them, in percent
                of the machine; what of it was no load is not others' either. Pytest's own is no
                background already. The difference of two accounts may lie a little below 0.
        """
        figures = {}
        for name, column in _COLUMNS.items():
            if column not in samples or not len(values := samples[column].dropna()):
                continue
            if name == "calibration_ms":
                figures[name] = float(values.median())
            else:
                figures[name] = float(values.mean())
        if "background_percent" in figures:
            loads = samples.reindex(columns=list(_LOADS)).mean().sum()
            figures["own_percent"] = started_percent - float(loads)
            figures["background_percent"] -= figures["own_percent"]
        return cls(**figures)


def unfit_pairs(pairs: Sequence[tuple[Environment, Environment]]) -> dict[int, str]:
    """Return the positions of pairs whose two runs had different machines, with the reason.

    Args:
        pairs: the environments of both runs of each pair, base first.
    """
    reasons: dict[int, str] = {}
    for name, (least, unit) in FLOORS.items():
        gaps = {
            index: gap
            for index, (base, candidate) in enumerate(pairs)
            if (gap := _gap(name, base, candidate)) is not None
        }
        if not gaps:
            continue
        middle = median(gaps.values())
        limit = max(least, _SPREADS * robust_spread(gaps.values()))
        for index, gap in gaps.items():
            if abs(gap - middle) > limit and index not in reasons:
                shown = [gap, middle, limit]
                if name == "calibration_ms":
                    shown = [100.0 * (exp(value / 100.0) - 1.0) for value in shown]
                by, usual, most = (f"{value:+.1f}" for value in shown)
                reasons[index] = (
                    f"base and candidate differ by {by} {unit} (usual here {usual}, at most {most}"
                    " from that)"
                )
    return reasons


def _gap(name: str, base: Environment, candidate: Environment) -> float | None:
    first, second = getattr(base, name), getattr(candidate, name)
    if first is None or second is None or not isfinite(first) or not isfinite(second):
        return None
    if name != "calibration_ms":
        return float(second - first)
    if first > 0 and second > 0:
        return 100.0 * log(second / first)
    return None

"""The covariate of pairs beside neighbours: which figure of the environment explains the scatter.

What a neighbour took during the two runs of a pair differs by chance; where it differs much, the
pair is adjusted for it instead of being left out. Both choices below look at the runs of both
variants alike, so they know nothing of which run was whose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite, log
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.gate.environment import FLOORS
from twin_harness.gate.statistics import sign_flip_p

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.environment import Environment

_FIGURES = {
    "background": "background_percent",
    "steal": "steal_percent",
    "probe": "calibration_ms",
}
# A machine is disturbed where more than this share of the runs lie beyond the floor of a figure
# from the middle of all: fewer are pairs that spares can replace.
_SHARE = 0.2
# By how much the variance of the most disturbed pair is larger than a quiet one's. In a simulation
# of 24 pairs, +5 % and a neighbour in half of the runs it has the power of the true variances.
_MORE_VARIANCE = 3.0
# A point of steal is taken to cost a percent; so much do quiet runs scatter, in percent.
_USUAL_PERCENT = 3.0
# The quietest runs are those up to this quantile.
_QUIETEST = 0.1
_TINY = 1e-12
# What pytest has started works where it takes so much of the machine.
_WORKS_PERCENT = 0.5
# The variants differ in the covariate for sure: it is part of what they do.
MOVED_P = 0.01


@dataclass(frozen=True)
class Covariate:
    """What the pairs of one measure are adjusted for.

    Attributes:
        name: background, steal or probe; empty where nothing is adjusted.
        differences: candidate − base of each pair, in percent of the machine, of the probe 100 ×
            the log ratio.
        variances: of each pair, in those of a quiet one; they do not depend on which run was whose.
        refusal: why a covariate that was asked for, or is needed, is not used: the pairs decide
            nothing; empty otherwise.
        doubt: why nothing is adjusted although others disturb the machine; empty otherwise.
    """

    name: str = ""
    differences: tuple[float, ...] = ()
    variances: tuple[float, ...] = ()
    refusal: str = ""
    doubt: str = ""

    def signed(self, sign: float, count: int) -> tuple[float, ...]:
        """Return the differences times a sign; zeros, ``count`` of them, without a covariate."""
        if not self.name:
            return (0.0,) * count
        return tuple(sign * difference for difference in self.differences)

    def of_pairs(self, kept: Sequence[bool]) -> Covariate:
        """Return the covariate of some of the pairs.

        Args:
            kept: whether each pair is one of them.
        """
        if not self.name:
            return self
        differences, variances = (
            tuple(one for one, is_kept in zip(series, kept, strict=True) if is_kept)
            for series in (self.differences, self.variances)
        )
        return replace(self, differences=differences, variances=variances)


def is_disturbed(pairs: Sequence[tuple[Environment, Environment]], name: str) -> bool:
    """Tell whether a figure of the environment scatters over the runs of both variants.

    Args:
        pairs: the environments of both runs of each pair.
        name: background, steal or probe.
    """
    values = [_value(run, name) for pair in pairs for run in pair]
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return False
    middle, floor = median(known), FLOORS[_FIGURES[name]][0]
    return sum(abs(value - middle) > floor for value in known) > _SHARE * len(known)


def choose_covariate(pairs: Sequence[tuple[Environment, Environment]], asked: str) -> Covariate:
    """Return the covariate of some pairs, or none and why.

    Args:
        pairs: the environments of both runs of each pair, base first.
        asked: one of ``COVARIATE_CHOICES``; ``auto`` is background where the machine is disturbed.
    """
    if asked == "none" or (asked == "auto" and not is_disturbed(pairs, "background")):
        return Covariate()
    if asked == "auto" and not _is_service_apart(pairs):
        return Covariate(
            doubt=(
                "others disturb the machine, but what pytest has started does no work, so the"
                " service's own CPU time may be among theirs: nothing is adjusted; where it is not,"
                " say covariate='background'"
            )
        )
    name = "background" if asked == "auto" else asked
    values = [(_value(base, name), _value(candidate, name)) for base, candidate in pairs]
    differences = [
        candidate - base for base, candidate in values if base is not None and candidate is not None
    ]
    if len(differences) < len(values) or not values:
        return Covariate(refusal=f"covariate {name}: it is not known of every run")
    moved = min(sign_flip_p(differences), sign_flip_p([-value for value in differences]))
    if 2.0 * moved <= MOVED_P:
        unit = "%" if name == "probe" else "points"
        return Covariate(
            refusal=(
                f"covariate {name}: the candidate moves it itself (by"
                f" {np.mean(differences):+.2g} {unit}, p = {2.0 * moved:.2g}), so it cannot tell"
                " others' work from the candidate's"
            )
        )
    return Covariate(name, tuple(differences), _variances(pairs, name))


def _variances(pairs: Sequence[tuple[Environment, Environment]], name: str) -> tuple[float, ...]:
    """Return the variance of each pair, in those of a quiet one.

    What a neighbour costs varies from run to run, so pairs beside it scatter by more than quiet
    ones: the most disturbed are taken to have four times the variance. Steal that came to one run
    alone adds to that, unless it is what is adjusted for. Whatever the truth is, the test stays
    exact, for both runs of a pair count alike.

    Args:
        pairs: the environments of both runs of each pair; the covariate is known of all.
        name: of the covariate.
    """
    values = np.array([[_value(run, name) for run in pair] for pair in pairs], dtype=float)
    quietest, floor = float(np.quantile(values, _QUIETEST)), FLOORS[_FIGURES[name]][0]
    above = (np.maximum(0.0, values - quietest - floor) ** 2).sum(axis=1)
    variances = 1.0 + _MORE_VARIANCE * above / max(float(above.max()), _TINY)
    if name != "steal":
        stolen = [[_value(run, "steal") or 0.0 for run in pair] for pair in pairs]
        variances += (np.diff(stolen)[:, 0] / _USUAL_PERCENT) ** 2
    return tuple(variances.tolist())


def _is_service_apart(pairs: Sequence[tuple[Environment, Environment]]) -> bool:
    """Tell whether pytest started what worked in every run: then it is not among others."""
    return all(
        run.own_percent is not None and run.own_percent >= _WORKS_PERCENT
        for pair in pairs
        for run in pair
    )


def _value(run: Environment, name: str) -> float | None:
    value: float | None = getattr(run, _FIGURES[name])
    if value is None or not isfinite(value):
        return None
    if name != "probe":
        return value
    if value > 0:
        return 100.0 * log(value)
    return None

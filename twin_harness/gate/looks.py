"""How many pairs a session makes: its planned looks, and a length that the environment sets.

The chance of a false REGRESSED is shared out over the looks before the first pair, and each look
tests by its own share (Bonferroni over the looks; alpha spending after K. K. G. Lan and D. L.
DeMets, Biometrika 70 (1983)), so ending early costs nothing of what is promised. A session is made
longer by what others did with the machine, never by its outcome: that is the same whichever run of
a pair was the candidate's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from twin_harness.errors import InvalidInput
from twin_harness.gate.verdict import ALPHA

LEAST_PAIRS, MOST_PAIRS = 1, 64
# After which part of the shortest length it is looked at, and which share of alpha is spent there.
_EARLY = ((2.0 / 3.0, 0.4), (5.0 / 6.0, 0.2))
# After how many pairs a session may end because everything has passed, at a stricter bound.
_PASSING = (6, 9)
# How much longer than the shortest length a session becomes, step by step.
_LONGER = (4.0 / 3.0, 2.0)
_TEXT = re.compile(r"([0-9]{1,4})(?:\.\.([0-9]{1,4}))?")
_ROUNDING = 1e-12


@dataclass(frozen=True, order=True)
class Look:
    """A planned look at the pairs so far.

    Attributes:
        pairs: how many there are then.
        alpha: chance of any false REGRESSED that is spent there, over the family; 0 calls none.
        may_pass: whether a session that has passed for sure ends there.
    """

    pairs: int
    alpha: float
    may_pass: bool


@dataclass(frozen=True)
class Length:
    """How many pairs there are to be.

    Attributes:
        least: where nothing disturbs the machine.
        most: where others do.
        calls_early: whether a look before the end may call a regression.
    """

    least: int = 12
    most: int = 12
    calls_early: bool = True

    def __str__(self) -> str:
        if self.least == self.most:
            return str(self.least)
        return f"{self.least}..{self.most}"

    @property
    def ends(self) -> tuple[int, ...]:
        """The lengths that a session may have, ascending: 12, 16 and 24 of ``12..24``."""
        longer = {min(self.most, round(factor * self.least)) for factor in _LONGER}
        return tuple(sorted({self.least, self.most, *longer}))

    def looks(self, family: int, alpha: float = ALPHA) -> tuple[Look, ...]:
        """Return the looks before the end, ascending.

        There is one for REGRESSED only where the smallest p-value of so many pairs, 2^−pairs, would
        pass Holm's first step by the share of alpha that is spent there.

        Args:
            family: how many measures are judged.
            alpha: chance of any false REGRESSED over the session.
        """
        spent = {round(part * self.least): share * alpha for part, share in _EARLY}
        callable_there = {
            pairs: share
            for pairs, share in spent.items()
            if self.calls_early
            and pairs < self.least
            and 2.0**-pairs <= share / max(1, family) * (1.0 + _ROUNDING)
        }
        passing = {pairs for pairs in _PASSING if pairs < self.least}
        return tuple(
            Look(pairs, callable_there.get(pairs, 0.0), pairs in passing)
            for pairs in sorted(passing | callable_there.keys())
        )

    def alpha_at_end(self, family: int, alpha: float = ALPHA) -> float:
        """Return what is left of alpha for the last look.

        Args:
            family: how many measures are judged.
            alpha: chance of any false REGRESSED over the session.
        """
        return alpha - sum(look.alpha for look in self.looks(family, alpha))


def parse_length(text: str) -> Length:
    """Read ``12``, or ``12..24``.

    Raises:
        InvalidInput: it is neither, or out of range; one sentence.
    """
    match = _TEXT.fullmatch(text)
    least = most = 0
    if match:
        least = int(match.group(1))
        most = int(match.group(2) or least)
    if not LEAST_PAIRS <= least <= most <= MOST_PAIRS:
        msg = (
            f"--twin-gate-pairs: expected a whole number from {LEAST_PAIRS} to {MOST_PAIRS}, or a"
            f" range such as 12..24, longer only where others disturb the machine, but got {text!r}"
        )
        raise InvalidInput(msg)
    return Length(least, most)

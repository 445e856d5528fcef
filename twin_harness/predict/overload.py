"""Overload: when a column crosses a limit, how likely, and which resource binds.

Expressions are parsed, never evaluated.

    <column> [mean|p50|p95|p99] (>|<) <number> [for <number> s]

A statistic is over a sliding window of the ``for`` seconds (5 s unless given); without one each
one-second mean is compared, for ``for`` seconds on end. The time to it is the end of the first such
window.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from twin_harness.errors import InvalidInput, Undecided
from twin_harness.metrics import by_name
from twin_harness.predict.observation import COLUMNS

_STATISTICS = {"mean": None, "p50": 0.5, "p95": 0.95, "p99": 0.99}
_WINDOW_S = 5.0
_LONGEST_S = 86_400.0
_EXPRESSION = re.compile(
    r"\s*(?P<column>[a-z0-9_]{1,64})(?:\s+(?P<statistic>mean|p50|p95|p99))?\s*(?P<sign>[<>])\s*"
    r"(?P<limit>-?[0-9]{1,18}(?:\.[0-9]{1,9})?(?:e[+-]?[0-9]{1,2})?)"
    r"(?:\s+for\s+(?P<seconds>[0-9]{1,6}(?:\.[0-9]{1,3})?)\s*s)?\s*"
)
_EXAMPLE = 'e.g. "memory_percent > 90 for 5 s" or "probe_wakeup_ms p95 > 20"'
MOST_CHARACTERS = 200


@dataclass(frozen=True)
class Overload:
    """One condition.

    Attributes:
        column: of the dataset.
        statistic: ``mean``, ``p50``, ``p95`` or ``p99`` over the window; empty compares each
            second.
        is_above: whether it holds above the limit, or below.
        limit: in the column's unit.
        seconds: the window, or for how long on end.
    """

    column: str
    statistic: str
    is_above: bool
    limit: float
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Overload:
        """Read an expression.

        Raises:
            InvalidInput: the text is not a valid condition, or the dataset has no such column.
        """
        if len(text) <= MOST_CHARACTERS:
            match = _EXPRESSION.fullmatch(text)
        else:
            match = None
        if match is None:
            msg = (
                "overload: expected <column> [mean|p50|p95|p99] > or < <number> [for <number> s],"
                f" {_EXAMPLE}, but got {text[:MOST_CHARACTERS]!r}"
            )
            raise InvalidInput(msg)
        if by_name(match["column"]) is None:
            msg = (
                f"overload: {match['column']!r} is not a column of the dataset; the twin predicts"
                f" {', '.join(COLUMNS)}"
            )
            raise InvalidInput(msg)
        statistic = match["statistic"] or ""
        if match["seconds"]:
            seconds = float(match["seconds"])
        elif statistic:
            seconds = _WINDOW_S
        else:
            seconds = 1.0
        if not 1.0 <= seconds <= _LONGEST_S:
            msg = (
                f"overload: expected from 1 to {_LONGEST_S:g} s but got for {seconds:g} s; the twin"
                " steps by seconds"
            )
            raise InvalidInput(msg)
        return cls(
            match["column"],
            statistic,
            match["sign"] == ">",
            float(match["limit"]),
            int(np.ceil(seconds)),
        )

    def __str__(self) -> str:
        if self.statistic:
            statistic = f" {self.statistic}"
        else:
            statistic = ""
        return (
            f"{self.column}{statistic} {'>' if self.is_above else '<'} {self.limit:g} for"
            f" {self.seconds} s"
        )

    def first(self, values: np.ndarray) -> np.ndarray:
        """Return when the condition first holds, in seconds from the start of the values.

        NaN where it never does.

        Args:
            values: (…, seconds) means over each second; an unknown second (NaN) meets no
                condition.
        """
        if values.shape[-1] < self.seconds:
            return np.full(values.shape[:-1], np.nan)
        windows = sliding_window_view(values, self.seconds, axis=-1)
        with np.errstate(invalid="ignore"):
            if not self.statistic:
                holds = self._is_beyond(windows).all(axis=-1)
            else:
                holds = self._is_beyond(_statistic(self.statistic, windows))
        at = holds.argmax(axis=-1) + float(self.seconds)
        return np.where(holds.any(axis=-1), at, np.nan)

    def _is_beyond(self, values: np.ndarray) -> np.ndarray:
        """Return where values are beyond the limit; not where they are unknown (NaN)."""
        if self.is_above:
            beyond: np.ndarray = values > self.limit
        else:
            beyond = values < self.limit
        return beyond

    def index(self) -> int:
        """Return which modelled column it is about.

        Raises:
            Undecided: the model does not predict that column.
        """
        if self.column not in COLUMNS:
            msg = (
                f"overload: the twin does not predict {self.column}; it predicts"
                f" {', '.join(COLUMNS)}"
            )
            raise Undecided(msg)
        return COLUMNS.index(self.column)


def _statistic(name: str, windows: np.ndarray) -> np.ndarray:
    """Return a statistic over the last axis."""
    quantile = _STATISTICS[name]
    if quantile is None:
        mean: np.ndarray = windows.mean(axis=-1)
        return mean
    return np.asarray(np.quantile(windows, quantile, axis=-1))


@dataclass(frozen=True)
class OverloadCall:
    """What the twin predicts of a condition.

    Attributes:
        condition: what was asked.
        probability: share of simulated trajectories in which it occurs.
        members: how many trajectories.
        time_s: median time to it over those, on the events' clock; None when it never occurs.
        low_s: lower end of the interval that holds 90 percent of these times.
        high_s: its upper end.
        binding: the resource that is used most at that time: cpu, memory or disk; empty when it
            never occurs.
        is_extrapolating: the plan lies beyond what the model was fitted to.
    """

    condition: str
    probability: float
    members: int
    time_s: float | None
    low_s: float | None
    high_s: float | None
    binding: str
    is_extrapolating: bool

"""Finding: one thing that ``twin doctor`` looked at, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

_MOST_NAMED = 5


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        topic: what was looked at.
        is_fine: whether all works with it.
        found: what was found.
        advice: what is degraded, and what to do about it; empty where all is fine.
    """

    topic: str
    is_fine: bool
    found: str
    advice: str = ""

    def lines(self) -> list[str]:
        """Return the finding for people."""
        mark = "ok  " if self.is_fine else "poor"
        lines = [f"{mark}  {self.topic:<18} {self.found}"]
        if self.advice:
            lines.append(f"      {'':<18} {self.advice}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def name_some(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - _MOST_NAMED
    if more <= 0:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMED])} and {more} more"

"""How far a delivered load may be from the requested one: a percent, or ``none``."""

from __future__ import annotations

import re

from twin_harness.errors import InvalidInput

NO_TOLERANCE = "none"
DEFAULT_TOLERANCE = "5%"


def percent_of(tolerance: str) -> float | None:
    """Return a tolerance as a number of percent; None for ``none``."""
    if tolerance == NO_TOLERANCE:
        return None
    return float(tolerance.rstrip("% "))


def parse_tolerance(text: str) -> str:
    """Read ``5%``, ``2.5`` or ``none``, and return it as an experiment would write it.

    Raises:
        InvalidInput: the text is neither.
    """
    cleaned = text.strip()
    if cleaned.lower() == NO_TOLERANCE:
        return NO_TOLERANCE
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%?", cleaned, re.ASCII)
    if match and float(match.group(1)) <= 100:
        return f"{match.group(1)}%"
    msg = (
        f"--twin-tolerance: expected a percent up to 100, or none, but got {text!r}; write e.g. 5%"
    )
    raise InvalidInput(msg)

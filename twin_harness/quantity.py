"""Numbers as people read them: with their unit, bytes in binary multiples, a dash for none."""

from __future__ import annotations

import math

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
_BINARY = (("TiB", 2.0**40), ("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10))
_DECIMAL = (("G", 1e9), ("M", 1e6), ("k", 1e3))
_SUFFIX = {
    "": "",
    "1": "",
    "UTC": "",
    "s": " s",
    "ms": " ms",
    "us": " µs",
    "1/s": " /s",
    "Cel": " °C",
    "W": " W",
    "J": " J",
}

# The units that annotation rows use, as the registry of columns calls them.
UNIT_OF_EVENT = {
    "percent": "percent",
    "bytes": "bytes",
    "bytes_per_s": "bytes/s",
    "operations_per_s": "1/s",
}

_LITTLE, _FEW, _SOME, _MANY = 0.001, 1.0, 10.0, 1000.0


def plain_number(value: float) -> str:
    """Return three significant digits below 1,000 and whole numbers above, never an exponent."""
    size = abs(value)
    if size >= _MANY:
        return f"{value:,.0f}"
    if size >= _SOME * _SOME:
        if value == round(value):
            return f"{value:.0f}"
        return f"{value:.1f}"
    if size >= _SOME:
        return f"{value:.1f}"
    if size >= _FEW:
        return f"{value:.2f}"
    if size >= _LITTLE:
        return f"{value:#.3g}"
    if value == 0:
        return "0"
    return f"{value:.{1 - math.floor(math.log10(size))}f}"


def quantity(value: float | None, unit: str) -> str:
    """Return a value with its unit as in the registry of columns; a dash for None and NaN.

    Args:
        value: the number, in ``unit``.
        unit: ``percent``, ``bytes``, ``bytes/s``, ``s``, ``ms``, ``us``, ``Hz``, ``1/s``, ``1``,
            ``Cel``, ``W``, ``J`` or empty; any other stands behind the number as it is.
    """
    if value is None or not math.isfinite(value):
        return DASH
    if unit in ("bytes", "bytes/s"):
        return _binary(value) + unit.removeprefix("bytes")
    if unit == "Hz":
        return _decimal(value) + "Hz"
    if unit == "percent":
        return f"{percent_digits(value)} %"
    return plain_number(value) + _SUFFIX.get(unit, f" {unit}")


def event_quantity(value: float | None, unit: str) -> str:
    """Return a value in the unit of an event, such as ``bytes_per_s``, as ``quantity`` does."""
    return quantity(value, UNIT_OF_EVENT.get(unit, unit))


def percent_digits(value: float) -> str:
    """Return a percentage without its sign: two digits after the point below 10, one above."""
    if abs(round(value, 2)) < _SOME:
        text = f"{value:.2f}"
    else:
        text = f"{value:.1f}"
    if float(text) == 0:
        return text.removeprefix("-")
    return text


def _binary(value: float) -> str:
    for prefix, size in _BINARY:
        if abs(value) >= size:
            return f"{plain_number(value / size)} {prefix}"
    return f"{value:.0f} B"


def _decimal(value: float) -> str:
    for prefix, size in _DECIMAL:
        if abs(value) >= size:
            return f"{plain_number(value / size)} {prefix}"
    return f"{plain_number(value)} "


def signed(value: float | None, unit: str) -> str:
    """Return a difference: as ``quantity``, with its sign."""
    text = quantity(value, unit)
    is_zero = not any(digit in text for digit in "123456789")
    if value is None or is_zero:
        return text.removeprefix("-")
    if value > 0:
        return f"+{text}"
    return text.replace("-", MINUS, 1)


def count(amount: int, noun: str) -> str:
    """Return ``1 event``, ``2 events``."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def duration(seconds_s: float) -> str:
    """Return a time span: ``9.5 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds_s < 59.95:
        return f"{seconds_s:.1f} s"
    minutes, rest_s = divmod(round(seconds_s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest_s} s"


def listed(names: list[str], most: int = 8) -> str:
    """Return names joined by commas, the first ``most`` of them and how many more there are."""
    shown = ", ".join(names[:most])
    if len(names) > most:
        return f"{shown} and {len(names) - most} more"
    return shown


def shortened(text: str, most: int) -> str:
    """Return text of at most ``most`` characters."""
    if len(text) <= most:
        return text
    return text[: max(1, most - 1)] + "…"

"""The guard's limits: floors, ceilings, and the text that they are written in. Plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf
from typing import Any

from twin_harness.errors import InvalidInput

_LARGEST_SIZE_BYTES = 1e21
KIB, MIB, GIB = 1024, 1024**2, 1024**3
_SIZES = {
    "": 1,
    "B": 1,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "TB": 1e12,
    "KIB": KIB,
    "MIB": MIB,
    "GIB": GIB,
    "TIB": 1024**4,
}
_GUARDED = ("memory_available", "disk_free", "temperature", "pressure_memory", "swap")


@dataclass(frozen=True)
class Limit:
    """A floor: an amount in bytes, or a percent of the whole."""

    amount: float
    unit: str

    def of(self, total_bytes: float) -> float:
        """Return the floor in bytes, given the whole."""
        if self.unit == "percent":
            return self.amount * total_bytes / 100.0
        return self.amount

    def __str__(self) -> str:
        if self.unit == "percent":
            return f"{_plain(self.amount)}%"
        return _size_text(self.amount)


@dataclass(frozen=True)
class GuardLimits:
    """What the guard watches; None leaves a quantity unwatched, but for temperature.

    Attributes:
        memory_available: floor of the memory that new work can have.
        disk_free: floor of the space that the scratch filesystem has left.
        temperature: ceiling in °C of the hottest CPU sensor; None is 5 °C below each sensor's own
            critical value, infinity unwatched.
        pressure_memory: ceiling in percent of a second in which some task waited for memory (PSI).
        swap: ceiling in percent of swap.
    """

    memory_available: Limit | None = None
    disk_free: Limit | None = None
    temperature: float | None = None
    pressure_memory: float | None = None
    swap: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether anything was named to be watched; temperature then is, too."""
        return any(
            limit is not None
            for limit in (
                self.memory_available,
                self.disk_free,
                self.temperature,
                self.pressure_memory,
                self.swap,
            )
        )

    def __str__(self) -> str:
        if not self.is_on:
            return "off"
        texts = {}
        for name, floor in (
            ("memory_available", self.memory_available),
            ("disk_free", self.disk_free),
        ):
            if floor is not None:
                texts[name] = str(floor)
        if self.temperature == inf:
            texts["temperature"] = "off"
        elif self.temperature is not None:
            texts["temperature"] = f"{_plain(self.temperature)}C"
        for name, ceiling in (("pressure_memory", self.pressure_memory), ("swap", self.swap)):
            if ceiling is not None:
                texts[name] = f"{_plain(ceiling)}%"
        return ",".join(f"{name}={text}" for name, text in texts.items())


def _plain(number: float) -> str:
    """Return a number without exponent, such that reading it gives the same number."""
    text = repr(number)
    return (f"{number:f}" if "e" in text else text).removesuffix(".0")


def _size_text(amount_bytes: float) -> str:
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        text = _plain(amount_bytes / size)
        if amount_bytes >= size and float(text) * size == amount_bytes:
            return f"{text}{unit}"
    return f"{_plain(amount_bytes)}B"


def parse_size(text: str, *, argument: str) -> Limit:
    """Read ``10%``, ``1GiB`` or ``500MB``.

    Raises:
        InvalidInput: the text is not a valid size, is negative, or is above 100 percent.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(%|[A-Za-z]*)", text.strip())
    if match:
        amount, unit = float(match.group(1)), match.group(2).upper()
        if unit == "%" and amount <= 100:
            return Limit(amount, "percent")
        if unit in _SIZES and amount * _SIZES[unit] < _LARGEST_SIZE_BYTES:
            return Limit(amount * _SIZES[unit], "bytes")
    msg = (
        f"{argument}: expected a percent up to 100 or a size such as 10% or 1GiB but got {text!r};"
        f" write e.g. {argument}=10%"
    )
    raise InvalidInput(msg)


def parse_guard(text: str) -> GuardLimits:
    """Read the guard's limits from ``name=amount,…`` or ``off``.

    Raises:
        InvalidInput: an unknown name, a name twice, or an invalid amount.
    """
    if text.strip().lower() == "off":
        return GuardLimits()
    limits: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, amount = (piece.strip() for piece in part.partition("="))
        if not equals or name not in _GUARDED:
            msg = (
                f"--twin-guard: expected {', '.join(f'{known}=…' for known in _GUARDED)} or off but"
                f" got {part.strip()!r}; see --help"
            )
            raise InvalidInput(msg)
        if name in limits:
            msg = f"--twin-guard: {name} is given twice in {text!r}; give it once"
            raise InvalidInput(msg)
        if name in ("memory_available", "disk_free"):
            limits[name] = parse_size(amount, argument=name)
        else:
            limits[name] = _parse_ceiling(name, amount)
    return GuardLimits(**limits)


def _parse_ceiling(name: str, text: str) -> float:
    """Read a temperature in °C, or a percent."""
    if name == "temperature":
        unit = "°?C"
    else:
        unit = "%"
    if name == "temperature" and text.lower() == "off":
        return inf
    match = re.fullmatch(rf"([0-9]+(?:\.[0-9]+)?)\s*(?:{unit})?", text)
    if match and 0 < float(match.group(1)) <= 150:
        ceiling = float(match.group(1))
        if name == "temperature" or ceiling <= 100:
            return ceiling
    if name == "temperature":
        wanted, example = "a temperature such as 85C, or off", "85C"
    else:
        wanted, example = "a percent above 0 such as 20%", "20%"
    msg = f"{name}: expected {wanted} but got {text!r}; write e.g. {name}={example}"
    raise InvalidInput(msg)

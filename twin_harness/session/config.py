"""The settings of a session: one table of options, the frozen configuration made of it, and the guard's limits.

Plain data. One row of ``OPTIONS`` makes the pytest option, the ini key, the field's default and the documentation.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twin_harness.errors import InvalidInput
from twin_harness.gate.variant import Variant, parse_variants

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST_SIZE_BYTES = 1e21
KIB, MIB, GIB = 1024, 1024**2, 1024**3
_SIZES = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": KIB, "MIB": MIB, "GIB": GIB, "TIB": 1024**4}


NO_TOLERANCE = "none"
_GUARDED = ("memory_available", "disk_free", "temperature", "pressure_memory", "swap")


@dataclass(frozen=True)
class Option:
    """One setting: ``--twin-<name>`` on the command line, ``twin_<name>`` in an ini file."""

    name: str
    kind: str
    default: Any
    metavar: str | None
    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    has_ini: bool = True

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return f"--twin-{self.name}"

    @property
    def ini_key(self) -> str:
        """The name in an ini file."""
        return f"twin_{self.name.replace('-', '_')}"


OPTIONS: tuple[Option, ...] = (
    Option("on", "choice", "server", None, "where experiments run: on this server, on its fitted twin, or both", choices=("server", "twin", "both")),
    Option("model", "str", "", "FILE", "the twin's model, as twin fit has made it; needed by --twin-on=twin and both"),
    Option("interval", "float", 0.1, "SECONDS", "seconds between two samples of the logger", minimum=0.01, maximum=3600),
    Option("source", "choice", "auto", None, "where samples come from: auto takes /proc on Linux", choices=("auto", "procfs", "psutil")),
    Option("data-dir", "str", "data", "DIR", "where run folders go, under the rootdir unless absolute"),
    Option("report-dir", "str", "reports", "DIR", "where reports go, under the rootdir unless absolute"),
    Option("scratch-dir", "str", "", "DIR", "where disk load puts its files; default: scratch/ in the run folder"),
    Option("probe-disk", "flag", False, None, "have the probe write and fsync 4 KiB in the scratch folder five times a second"),
    Option("probe-service", "url", "", "URL", "have the probe ask this service for a page ten times a second (http or https)"),
    Option("schedule", "str", "", "FILE", "replay the experiments of a schedule.json as tests"),
    Option("seed", "seed", 0, "N", "seed of random schedules: a number, or 'random' to draw and print one"),
    Option("random", "int", None, "N", "overrides the n of every random_schedules(n) marker", minimum=1, maximum=1000),
    Option("campaign", "choice", None, None, "collect the training campaign of that size: load from which a twin is fitted", choices=("10m", "1h", "4h")),
    Option("repeat", "int", 1, "N", "run each experiment N times", minimum=1, maximum=1000),
    Option("partition", "flag", False, None, "with -n N: cut the machine into N equal parts, and run N experiments at once, each in its own"),
    Option(
        "guard",
        "guard",
        "memory_available=10%,disk_free=1GiB",
        "LIMITS",
        "limits that stop all load when crossed: memory_available, disk_free, temperature (critical less 5 °C unless set), pressure_memory, swap; or 'off'",
    ),
    Option("gate", "str", "", "FILE", "judge this session against a baseline that --twin-gate-save has collected"),
    Option("gate-save", "str", "", "FILE", "add what this session's gated tests measured to a baseline"),
    Option("gate-pairs", "int", None, "N", "with two variants: how many pairs of runs each gated test makes (default: 12)", minimum=1, maximum=64),
    Option("gate-resume", "str", "", "DIR", "with two variants: go on from the pairs that a run folder holds"),
    Option("variant", "variant", (), "NAME:KEY=VALUE,…", "given twice, base first: each gated test runs in pairs, once under each environment"),
    Option(
        "tolerance",
        "tolerance",
        "5%",
        "PERCENT",
        "how far the load delivered may be from the load requested, unless an experiment has a tolerance of its own: a percent, or none",
    ),
    Option("undecided", "choice", "ignore", None, "what an UNDECIDED test does to the session", choices=("ignore", "fail")),
    Option("allow-commands", "flag", False, None, "let schedules and markers run programs as load (command line only)", has_ini=False),
    Option("no-report", "flag", False, None, "write no EDA report at the end of the session"),
)


@dataclass(frozen=True)
class Limit:
    """A floor: an amount in bytes, or a percent of the whole."""

    amount: float
    unit: str

    def of(self, total_bytes: float) -> float:
        """Return the floor in bytes, given the whole."""
        return self.amount * total_bytes / 100.0 if self.unit == "percent" else self.amount

    def __str__(self) -> str:
        return f"{_plain(self.amount)}%" if self.unit == "percent" else _size_text(self.amount)


@dataclass(frozen=True)
class GuardLimits:
    """What the guard watches; None leaves a quantity unwatched, but for temperature.

    Attributes:
        memory_available, disk_free: floors.
        temperature: ceiling in °C of the hottest CPU sensor; None is 5 °C below each sensor's own critical value, infinity unwatched.
        pressure_memory: ceiling in percent of a second in which some task waited for memory (PSI). swap: ceiling in percent of swap.
    """

    memory_available: Limit | None = None
    disk_free: Limit | None = None
    temperature: float | None = None
    pressure_memory: float | None = None
    swap: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether anything was named to be watched; temperature then is, too."""
        return any(limit is not None for limit in (self.memory_available, self.disk_free, self.temperature, self.pressure_memory, self.swap))

    def __str__(self) -> str:
        if not self.is_on:
            return "off"
        parts = {"memory_available": self.memory_available, "disk_free": self.disk_free}
        if self.temperature is not None:
            parts["temperature"] = "off" if self.temperature == inf else f"{_plain(self.temperature)}C"  # type: ignore[assignment]  # for text alone
        for name in ("pressure_memory", "swap"):
            if (ceiling := getattr(self, name)) is not None:
                parts[name] = f"{_plain(ceiling)}%"  # type: ignore[assignment]  # as above
        return ",".join(f"{name}={limit}" for name, limit in parts.items() if limit)


@dataclass(frozen=True)
class TwinConfig:
    """The settings of one session, checked once on the controller; plain strings and numbers throughout."""

    on: str = "server"
    model: str = ""
    interval_s: float = 0.1
    source: str = "auto"
    data_dir: str = "data"
    report_dir: str = "reports"
    scratch_dir: str = ""
    probe_disk: bool = False
    probe_service: str = ""
    schedule: str = ""
    seed: int = 0
    random: int | None = None
    campaign: str | None = None
    repeat: int = 1
    parts: int = 0
    guard: GuardLimits = field(default_factory=lambda: parse_guard("memory_available=10%,disk_free=1GiB"))
    gate: str = ""
    gate_save: str = ""
    gate_pairs: int = 12
    gate_resume: str = ""
    variants: tuple[Variant, ...] = ()
    tolerance: str = "5%"
    undecided: str = "ignore"
    may_run_commands: bool = False
    has_report: bool = True

    @property
    def tolerance_percent(self) -> float | None:
        """The session's tolerance as a number; None judges nothing but what has a tolerance of its own."""
        return percent_of(self.tolerance)

    def to_json(self) -> dict[str, Any]:
        """Return plain data: how a worker gets the configuration."""
        return {**asdict(self), "guard": str(self.guard)}

    def to_record(self) -> dict[str, Any]:
        """Return how it stands in ``run.json``: without the values of variants' environments."""
        return {**self.to_json(), "variants": [variant.to_record() for variant in self.variants]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TwinConfig:
        """Return what ``to_json`` made."""
        variants = tuple(Variant(one["name"], tuple((key, value) for key, value in one["environment"])) for one in data["variants"])
        return cls(**{**data, "guard": parse_guard(data["guard"]), "variants": variants})


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
        InvalidInput: the text is no amount, is negative, or is above 100 percent.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(%|[A-Za-z]*)", text.strip())
    unit = match.group(2).upper() if match else None
    if match and unit == "%" and float(match.group(1)) <= 100:  # noqa: PLR2004 - percent
        return Limit(float(match.group(1)), "percent")
    if match and unit in _SIZES and float(match.group(1)) * _SIZES[unit] < _LARGEST_SIZE_BYTES:
        return Limit(float(match.group(1)) * _SIZES[unit], "bytes")
    msg = f"{argument}: expected a percent up to 100 or a size such as 10% or 1GiB but got {text!r}; write e.g. {argument}=10%"
    raise InvalidInput(msg)


def percent_of(tolerance: str) -> float | None:
    """Return a tolerance as a number of percent; None for ``none``."""
    return None if tolerance == NO_TOLERANCE else float(tolerance.rstrip("% "))


def parse_tolerance(text: str) -> str:
    """Read ``5%``, ``2.5`` or ``none``, and return it as an experiment would write it.

    Raises:
        InvalidInput: the text is neither.
    """
    cleaned = text.strip()
    if cleaned.lower() == NO_TOLERANCE:
        return NO_TOLERANCE
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%?", cleaned, re.ASCII)
    if match and float(match.group(1)) <= 100:  # noqa: PLR2004 - percent
        return f"{match.group(1)}%"
    msg = f"--twin-tolerance: expected a percent up to 100, or none, but got {text!r}; write e.g. 5%"
    raise InvalidInput(msg)


def parse_guard(text: str) -> GuardLimits:
    """Read the guard's limits from ``name=amount,…`` or ``off``.

    Raises:
        InvalidInput: an unknown name, a name twice, or an amount that is none.
    """
    if text.strip().lower() == "off":
        return GuardLimits()
    limits: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, amount = (piece.strip() for piece in part.partition("="))
        if not equals or name not in _GUARDED:
            msg = f"--twin-guard: expected {', '.join(f'{known}=…' for known in _GUARDED)} or off but got {part.strip()!r}; see --help"
            raise InvalidInput(msg)
        if name in limits:
            msg = f"--twin-guard: {name} is given twice in {text!r}; give it once"
            raise InvalidInput(msg)
        limits[name] = parse_size(amount, argument=name) if name in ("memory_available", "disk_free") else _parse_ceiling(name, amount)
    return GuardLimits(**limits)


def _parse_ceiling(name: str, text: str) -> float:
    """Read a temperature in °C, or a percent."""
    unit = "°?C" if name == "temperature" else "%"
    if name == "temperature" and text.lower() == "off":
        return inf
    match = re.fullmatch(rf"([0-9]+(?:\.[0-9]+)?)\s*(?:{unit})?", text)
    if match and 0 < float(match.group(1)) <= 150:  # noqa: PLR2004 - °C, and more than any percent
        ceiling = float(match.group(1))
        if name == "temperature" or ceiling <= 100:  # noqa: PLR2004 - percent
            return ceiling
    wanted = "a temperature such as 85C, or off" if name == "temperature" else "a percent above 0 such as 20%"
    msg = f"{name}: expected {wanted} but got {text!r}; write e.g. {name}={'85C' if name == 'temperature' else '20%'}"
    raise InvalidInput(msg)


_READERS: dict[str, Callable[[str], Any]] = {"guard": parse_guard, "tolerance": parse_tolerance}


def parse_value(option: Option, value: object) -> Any:
    """Turn what the command line or an ini file gave into the option's value.

    Raises:
        InvalidInput: the value is not of the option's kind or range; one sentence that names option and value.
    """
    text = str(value).strip()
    if option.kind == "flag":
        return _parse_flag(option, text)
    if option.kind == "choice" and text not in option.choices:
        msg = f"{option.flag}: expected one of {', '.join(option.choices)} but got {text!r}"
        raise InvalidInput(msg)
    if option.kind == "variant":
        return parse_variants(value if isinstance(value, (list, tuple)) else text.splitlines())
    if option.kind == "url":
        return _parse_url(option, text)
    if option.kind in _READERS:
        return _READERS[option.kind](text)
    if option.kind in ("float", "int") or (option.kind == "seed" and text != "random"):
        return _parse_number(option, text)
    return text


def _parse_url(option: Option, text: str) -> str:
    msg = f"{option.flag}: expected an address such as http://127.0.0.1:8080/health, http or https alone and no password, but got {text!r}"
    try:
        parts = urlsplit(text)
        is_address = not text or (parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0))
        is_address = is_address and "@" not in parts.netloc
    except ValueError:
        raise InvalidInput(msg) from None
    if not is_address or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidInput(msg)
    return text


def _parse_flag(option: Option, text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    msg = f"{option.flag}: expected true or false but got {text!r}"
    raise InvalidInput(msg)


def _parse_number(option: Option, text: str) -> float | int:
    is_whole = option.kind != "float"
    wanted = "a whole number" if is_whole else "a number"
    if option.kind == "seed":
        wanted = "a whole number from 0 or 'random'"
    if option.minimum is not None:
        wanted += f" from {option.minimum:g} to {option.maximum:g}"
    msg = f"{option.flag}: expected {wanted} but got {text!r}"
    try:
        number = int(text) if is_whole else float(text)
    except ValueError:
        raise InvalidInput(msg) from None
    low = option.minimum if option.minimum is not None else 0
    high = option.maximum if option.maximum is not None else 2**63
    if not low <= number <= high:
        raise InvalidInput(msg)
    return number

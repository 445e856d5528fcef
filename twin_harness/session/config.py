"""The settings of a session.

One table of options, the frozen configuration made of it, and the guard's limits.

Plain data. One row of ``OPTIONS`` makes the pytest option, the ini key, the field's default and the
documentation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twin_harness.control.limits import GuardLimits, parse_guard
from twin_harness.errors import InvalidInput
from twin_harness.gate.variant import Variant, parse_variants
from twin_harness.schedule.tolerance import DEFAULT_TOLERANCE, parse_tolerance, percent_of

if TYPE_CHECKING:
    from collections.abc import Callable


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
    Option(
        "on",
        "choice",
        "server",
        None,
        "where experiments run: on this server, on its fitted twin, or both",
        choices=("server", "twin", "both"),
    ),
    Option(
        "model",
        "str",
        "",
        "FILE",
        "the twin's model, as twin fit has made it; needed by --twin-on=twin and both",
    ),
    Option(
        "interval",
        "float",
        0.1,
        "SECONDS",
        "seconds between two samples of the logger",
        minimum=0.01,
        maximum=3600,
    ),
    Option(
        "source",
        "choice",
        "auto",
        None,
        "where samples come from: auto takes /proc on Linux",
        choices=("auto", "procfs", "psutil"),
    ),
    Option(
        "data-dir", "str", "data", "DIR", "where run folders go, under the rootdir unless absolute"
    ),
    Option(
        "report-dir", "str", "reports", "DIR", "where reports go, under the rootdir unless absolute"
    ),
    Option(
        "scratch-dir",
        "str",
        "",
        "DIR",
        "where disk load puts its files; default: scratch/ in the run folder",
    ),
    Option(
        "probe-disk",
        "flag",
        False,
        None,
        "have the probe write and fsync 4 KiB in the scratch folder five times a second",
    ),
    Option(
        "probe-service",
        "url",
        "",
        "URL",
        "have the probe ask this service for a page ten times a second (http or https)",
    ),
    Option("schedule", "str", "", "FILE", "replay the experiments of a schedule.json as tests"),
    Option(
        "seed",
        "seed",
        0,
        "N",
        "seed of random schedules: a number, or 'random' to draw and print one",
    ),
    Option(
        "random",
        "int",
        None,
        "N",
        "overrides the n of every random_schedules(n) marker",
        minimum=1,
        maximum=1000,
    ),
    Option(
        "campaign",
        "choice",
        None,
        None,
        "collect the training campaign of that size: load from which a twin is fitted",
        choices=("10m", "1h", "4h"),
    ),
    Option("repeat", "int", 1, "N", "run each experiment N times", minimum=1, maximum=1000),
    Option(
        "partition",
        "flag",
        False,
        None,
        "with -n N: cut the machine into N equal parts, and run N experiments at once, each in"
        " its own",
    ),
    Option(
        "guard",
        "guard",
        "memory_available=10%,disk_free=1GiB",
        "LIMITS",
        "limits that stop all load when crossed: memory_available, disk_free, temperature (critical"
        " less 5 °C unless set), pressure_memory, swap; or 'off'",
    ),
    Option(
        "gate",
        "str",
        "",
        "FILE",
        "judge this session against a baseline that --twin-gate-save has collected",
    ),
    Option(
        "gate-save", "str", "", "FILE", "add what this session's gated tests measured to a baseline"
    ),
    Option(
        "gate-pairs",
        "int",
        None,
        "N",
        "with two variants: how many pairs of runs each gated test makes (default: 12)",
        minimum=1,
        maximum=64,
    ),
    Option(
        "gate-resume",
        "str",
        "",
        "DIR",
        "with two variants: go on from the pairs that a run folder holds",
    ),
    Option(
        "variant",
        "variant",
        (),
        "NAME:KEY=VALUE,…",
        "given twice, base first: each gated test runs in pairs, once under each environment",
    ),
    Option(
        "tolerance",
        "tolerance",
        DEFAULT_TOLERANCE,
        "PERCENT",
        "how far the load delivered may be from the load requested, unless an experiment has a"
        " tolerance of its own: a percent, or none",
    ),
    Option(
        "undecided",
        "choice",
        "ignore",
        None,
        "what an UNDECIDED test does to the session",
        choices=("ignore", "fail"),
    ),
    Option(
        "allow-commands",
        "flag",
        False,
        None,
        "let schedules and markers run programs as load (command line only)",
        has_ini=False,
    ),
    Option("no-report", "flag", False, None, "write no EDA report at the end of the session"),
)


@dataclass(frozen=True)
class TwinConfig:
    """The settings of one session, checked once on the controller.

    Plain strings and numbers throughout.
    """

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
    guard: GuardLimits = field(
        default_factory=lambda: parse_guard("memory_available=10%,disk_free=1GiB")
    )
    gate: str = ""
    gate_save: str = ""
    gate_pairs: int = 12
    gate_resume: str = ""
    variants: tuple[Variant, ...] = ()
    tolerance: str = DEFAULT_TOLERANCE
    undecided: str = "ignore"
    may_run_commands: bool = False
    has_report: bool = True

    @property
    def tolerance_percent(self) -> float | None:
        """The session's tolerance as a number.

        None judges nothing but what has a tolerance of its own.
        """
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
        variants = tuple(
            Variant(one["name"], tuple((key, value) for key, value in one["environment"]))
            for one in data["variants"]
        )
        return cls(**{**data, "guard": parse_guard(data["guard"]), "variants": variants})


_READERS: dict[str, Callable[[str], Any]] = {"guard": parse_guard, "tolerance": parse_tolerance}


def parse_value(option: Option, value: object) -> Any:
    """Turn what the command line or an ini file gave into the option's value.

    Raises:
        InvalidInput: the value is not of the option's kind or range; one sentence that names option
            and value.
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
    msg = (
        f"{option.flag}: expected an address such as http://127.0.0.1:8080/health, http or https"
        f" alone and no password, but got {text!r}"
    )
    try:
        parts = urlsplit(text)
        is_address = not text or (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
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
    if is_whole:
        wanted = "a whole number"
    else:
        wanted = "a number"
    if option.kind == "seed":
        wanted = "a whole number from 0 or 'random'"
    if option.minimum is not None:
        wanted += f" from {option.minimum:g} to {option.maximum:g}"
    msg = f"{option.flag}: expected {wanted} but got {text!r}"
    try:
        if is_whole:
            number = int(text)
        else:
            number = float(text)
    except ValueError:
        raise InvalidInput(msg) from None
    if option.minimum is not None:
        low = option.minimum
    else:
        low = 0
    if option.maximum is not None:
        high = option.maximum
    else:
        high = 2**63
    if not low <= number <= high:
        raise InvalidInput(msg)
    return number

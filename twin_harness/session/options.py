"""The table of options: a row makes a pytest option, its ini key, a setting and its help."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from operator import not_
from typing import TYPE_CHECKING, Any

from twin_harness.control.limits import GuardLimits, parse_guard
from twin_harness.gate.looks import Length
from twin_harness.schedule.tolerance import DEFAULT_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable


def _as_it_is(value: Any) -> Any:
    return value


def _drawn_seed(value: int | str) -> int:
    """Return the seed; one is drawn for ``random``."""
    if isinstance(value, str):
        return secrets.randbelow(2**31)
    return value


def _guard_limits(value: GuardLimits | str) -> GuardLimits:
    """Return the limits; the option's default is their text."""
    if isinstance(value, str):
        return parse_guard(value)
    return value


def _pairs(value: Length | None) -> Length:
    """Return how many pairs; the option has no default, since it is refused without variants."""
    return value or Length()


@dataclass(frozen=True)
class Option:
    """One setting: ``--twin-<name>`` on the command line, ``twin_<name>`` in an ini file.

    Attributes:
        name: without the prefix.
        kind: what its text is read as; see ``option_values``.
        default: the value when it is not given.
        metavar: stands for the value in the help; None for a flag or a choice.
        help: one sentence.
        choices: of kind ``choice``.
        minimum: of a number.
        maximum: of a number.
        has_ini: whether an ini file may set it.
        field: of ``TwinConfig``; empty takes the name.
        convert: makes the field's value of the option's.
    """

    name: str
    kind: str
    default: Any
    metavar: str | None
    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    has_ini: bool = True
    field: str = ""
    convert: Callable[[Any], Any] = _as_it_is

    def __post_init__(self) -> None:
        if not self.field:
            object.__setattr__(self, "field", self.name.replace("-", "_"))

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
        field="interval_s",
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
        convert=_drawn_seed,
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
        "campaign",
        None,
        "SIZE",
        "collect the training campaign of that size, 10m, 1h or 4h: load from which a twin is"
        " fitted; adaptive:20m chooses plans as it goes, each from what was recorded before it",
    ),
    Option("repeat", "int", 1, "N", "run each experiment N times", minimum=1, maximum=1000),
    Option(
        "partition",
        "flag",
        False,
        None,
        "with -n N: cut the machine into N equal parts, and run N experiments at once, each in"
        " its own",
        field="parts",
        convert=int,
    ),
    Option(
        "guard",
        "guard",
        "memory_available=10%,disk_free=1GiB",
        "LIMITS",
        "limits that stop all load when crossed: memory_available, disk_free, temperature (critical"
        " less 5 °C unless set), pressure_memory, swap; or 'off'",
        convert=_guard_limits,
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
        "pairs",
        None,
        "N",
        "with two variants: how many pairs of runs each gated test makes (default: 12); 12..24"
        " makes up to 24 where others disturb the machine",
        convert=_pairs,
    ),
    Option(
        "gate-resume",
        "str",
        "",
        "DIR",
        "with two variants: go on from the pairs that a run folder holds",
    ),
    Option(
        "gate-profile",
        "flag",
        False,
        None,
        "with two variants that take turns: sample both (Python by py-spy, others by perf), and"
        " name the functions whose share grew in what regressed",
    ),
    Option(
        "variant",
        "variant",
        (),
        "NAME:KEY=VALUE,…",
        "given twice, base first: each gated test runs in pairs, once under each environment",
        field="variants",
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
        field="may_run_commands",
    ),
    Option(
        "no-report",
        "flag",
        False,
        None,
        "write no EDA report at the end of the session",
        field="has_report",
        convert=not_,
    ),
)

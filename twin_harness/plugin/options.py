"""The options: command line and ini keys from one table, read once, on the controller."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from twin_harness.errors import InvalidInput
from twin_harness.gate.variant import PROFILERS
from twin_harness.session.config import TwinConfig
from twin_harness.session.option_values import parse_value
from twin_harness.session.options import OPTIONS
from twin_harness.system import newest

if TYPE_CHECKING:
    from twin_harness.gate.variant import Variant
    from twin_harness.session.options import Option


def add_options(parser: pytest.Parser) -> None:
    """Register every option, and its ini key, under a heading of its own."""
    group = parser.getgroup("twin", "twin harness: stress this machine, record it, label it")
    for option in OPTIONS:
        text = option.help
        if option.kind != "flag" and option.default not in (None, "", ()):
            text += f" (default: {option.default})".replace("%", "%%")
        if option.kind == "flag":
            group.addoption(option.flag, action="store_true", default=None, help=text)
        elif option.kind == "variant":
            group.addoption(
                option.flag, action="append", default=None, metavar=option.metavar, help=text
            )
        else:
            metavar = option.metavar or "{" + ",".join(option.choices) + "}"
            group.addoption(option.flag, default=None, metavar=metavar, help=text)
        if option.has_ini:
            parser.addini(option.ini_key, option.help.replace("%%", "%"), default=None)


def _value(config: pytest.Config, option: Option) -> Any:
    given = config.getoption(option.flag)
    if (
        given is not None
        and not option.has_ini
        and option.flag not in map(str, config.invocation_params.args)
    ):
        msg = (
            f"{option.flag}: expected it on the command line, where whoever starts the session sees"
            " it, but it stands in addopts; take it out there"
        )
        raise InvalidInput(msg)
    if given == "" and option.kind not in ("str", "url"):
        # An unset variable of a shell does not ask for the default.
        return parse_value(option, given)
    if given is None and option.has_ini:
        given = config.getini(option.ini_key)
    if given in (None, ""):
        return option.default
    return parse_value(option, given)


def _parts(config: pytest.Config) -> int:
    """Return how many parts of the machine the workers of pytest-xdist need.

    Raises:
        InvalidInput: there are no workers, or fewer CPUs than workers.
    """
    specs = [str(spec) for spec in getattr(config.option, "tx", None) or ()]
    workers = 0
    for spec in specs:
        count, star, _ = spec.partition("*")
        workers += int(count) if star and count.isdecimal() else 1
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    if getattr(config.option, "dist", "no") == "no" or not 2 <= workers <= cpus:
        msg = (
            f"--twin-partition: expected -n N with N from 2 to {cpus}, a CPU or more a part, but"
            f" got {workers} workers; write e.g. -n 2 --twin-partition"
        )
        raise InvalidInput(msg)
    return workers


def _campaign(config: pytest.Config, values: dict[str, Any]) -> str | None:
    """Return the campaign's size.

    Raises:
        InvalidInput: its plans depend on those before them, and there are workers.
    """
    size: str | None = values["campaign"]
    is_distributed = getattr(config.option, "dist", "no") != "no"
    if is_distributed and size is not None and ":" in size:
        msg = (
            f"--twin-campaign: expected one process for {size}, whose plans depend on those before"
            " them, but got workers; leave out -n (experiments take turns on the machine anyway)"
        )
        raise InvalidInput(msg)
    return size


def _path(config: pytest.Config, text: str) -> str:
    """Return a file that was named on the command line, seen from where pytest was started."""
    if text:
        return str(config.invocation_params.dir / text)
    return ""


def _folder(config: pytest.Config, text: str) -> str:
    """Return a run folder that was named on the command line, links resolved.

    ``latest`` is another one as soon as this session begins.
    """
    if text:
        return str(newest.follow(config.invocation_params.dir / text).resolve())
    return ""


def _model(config: pytest.Config, values: dict[str, Any]) -> str:
    """Return the model's file, seen from where pytest was started.

    Raises:
        InvalidInput: the twin is to run and there is no model, or what is asked for beside it needs
            the real machine.
    """
    path = _path(config, values["model"])
    if values["on"] == "server":
        return path
    if not path or not Path(path).is_file():
        has = "no --twin-model"
        if path:
            has = f"no file {values['model']!r}"
        msg = (
            f"--twin-on={values['on']}: expected a fitted model but there is {has}; make one with:"
            " twin fit data/2026* -o twin.json"
        )
        raise InvalidInput(msg)
    from twin_harness.predict.model_file import read_model

    read_model(path)
    for name in ("gate", "gate-save", "variant", "partition"):
        if values["on"] == "twin" and values[name]:
            msg = (
                f"--twin-{name}: needs the real machine but got --twin-on=twin; leave one of"
                " them out"
            )
            raise InvalidInput(msg)
    return path


def _variants(config: pytest.Config, values: dict[str, Any]) -> tuple[Variant, ...]:
    """Return the two variants of paired mode, with what goes with them checked.

    Raises:
        InvalidInput: options of paired mode stand without variants, beside those of a baseline, or
            beside --dist each.
    """
    variants: tuple[Variant, ...] = values["variant"]
    if values["gate"] and values["gate-save"]:
        msg = (
            "--twin-gate: expected a session to be judged or to be saved but got --twin-gate-save,"
            " too; judge it first, then save another one"
        )
        raise InvalidInput(msg)
    if not variants:
        for name in ("gate-pairs", "gate-resume", "gate-profile"):
            # In an ini file it is for those sessions that compare variants.
            if config.getoption(f"--twin-{name}") not in (None, False):
                msg = (
                    f"--twin-{name}: pairs need two variants but there are none; add --twin-variant"
                    " base: --twin-variant candidate:KEY=VALUE"
                )
                raise InvalidInput(msg)
        return ()
    _check_pairs(config, values)
    return variants


def _check_pairs(config: pytest.Config, values: dict[str, Any]) -> None:
    """Refuse what does not go with pairs of two variants.

    Raises:
        InvalidInput: there is no profiler, or an option stands beside that goes without pairs, or
            needs one process.
    """
    if values["gate-profile"] and not any(map(shutil.which, PROFILERS)):
        msg = (
            "--twin-gate-profile: expected a sampling profiler on the search path, py-spy for"
            " Python or perf for other programs, but there is neither; pip install py-spy, or"
            " leave the option out"
        )
        raise InvalidInput(msg)
    if values["gate"] or values["gate-save"]:
        msg = (
            "--twin-variant: pairs are judged by themselves, not against a baseline; leave out"
            " --twin-gate and --twin-gate-save, or the variants"
        )
        raise InvalidInput(msg)
    if getattr(config.option, "dist", "no") == "each":
        msg = (
            "--twin-variant: expected each pair to run once but got --dist each, which runs it on"
            " every worker; use -n N with --dist load"
        )
        raise InvalidInput(msg)
    length = values["gate-pairs"]
    is_distributed = getattr(config.option, "dist", "no") != "no"
    if is_distributed and length is not None and length.most > length.least:
        msg = (
            f"--twin-gate-pairs: {length} pairs depend on those before them, so one process runs"
            " them all, but got workers; leave out -n (pairs take turns on the machine anyway), or"
            f" give {length.most}"
        )
        raise InvalidInput(msg)
    if values["repeat"] > 1:
        msg = (
            f"--twin-variant: pairs are the repetitions, but got --twin-repeat {values['repeat']};"
            " use --twin-gate-pairs"
        )
        raise InvalidInput(msg)


def read_config(config: pytest.Config) -> TwinConfig:
    """Read and check every option.

    Raises:
        pytest.UsageError: a value is not what its option takes; one sentence.
    """
    try:
        values = {option.name: _value(config, option) for option in OPTIONS}
        return TwinConfig.of_options(
            values,
            campaign=_campaign(config, values),
            model=_model(config, values),
            parts=_parts(config) if values["partition"] else 0,
            gate=_path(config, values["gate"]),
            gate_save=_path(config, values["gate-save"]),
            gate_resume=_folder(config, values["gate-resume"]),
            variants=_variants(config, values),
        )
    except InvalidInput as error:
        raise pytest.UsageError(str(error)) from None

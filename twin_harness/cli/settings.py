"""The settings of a session on the command line.

The same table as pytest's options, those alone that a command heeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from twin_harness.session.config import TwinConfig

SENSOR = ("interval", "source", "scratch-dir", "probe-disk", "probe-service")
LOAD = (*SENSOR, "data-dir", "guard", "tolerance", "allow-commands")
_OF_PYTEST = (
    "schedule",
    "seed",
    "random",
    "repeat",
    "undecided",
    "gate",
    "gate-save",
    "gate-pairs",
    "gate-resume",
    "variant",
)
CHECK = ("scratch-dir", "guard", "allow-commands")


def add_settings(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Add those options of a session that the command heeds, from the table of all options."""
    from twin_harness.session.options import OPTIONS

    for option in OPTIONS:
        if option.name not in names:
            continue
        shown = ""
        if option.kind != "flag" and option.default not in (None, ""):
            shown = f" (default: {option.default})".replace("%", "%%")
        if option.kind == "flag":
            parser.add_argument(
                f"--{option.name}", action="store_true", default=None, help=option.help
            )
        else:
            metavar = option.metavar or "{" + ",".join(option.choices) + "}"
            parser.add_argument(
                f"--{option.name}", default=None, metavar=metavar, help=f"{option.help}{shown}"
            )


def read_settings(arguments: argparse.Namespace, **fixed: Any) -> TwinConfig:
    """Return the configuration that the options give; ``fixed`` fields win.

    Raises:
        InvalidInput: a value is not what its option takes.
    """
    from twin_harness.session.config import TwinConfig
    from twin_harness.session.option_values import parse_value
    from twin_harness.session.options import OPTIONS

    values: dict[str, Any] = {}
    for option in OPTIONS:
        given = getattr(arguments, option.name.replace("-", "_"), None)
        if given is None or option.field in fixed or option.name in _OF_PYTEST:
            continue
        try:
            values[option.name] = parse_value(option, given)
        except InvalidInput as error:
            raise InvalidInput(str(error).replace("--twin-", "--", 1)) from None
    return TwinConfig.of_options(values, **fixed)

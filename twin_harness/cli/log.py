"""``twin log``: sample this machine, without load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.cli.output import echo_error, stdout
from twin_harness.cli.settings import SENSOR, read_settings

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands


def add_log(commands: Commands) -> None:
    """Add the command."""
    example = "example: twin log --interval 0.1 --duration 60 --out metrics.csv"
    text = "sample this machine: a table, or CSV"
    command = commands.add("log", log, text, SENSOR, example=example, has_json=False)
    command.add_argument(
        "--duration",
        type=float,
        default=None,
        metavar="SECONDS",
        help="how long (default: until Ctrl-C)",
    )
    command.add_argument(
        "--out",
        metavar="FILE",
        help="a CSV file to make (default: a table on a terminal, CSV on stdout elsewhere)",
    )


def log(arguments: argparse.Namespace) -> int:
    """Sample this machine into a CSV file, without load."""
    from twin_harness.session.passive import record

    settings = read_settings(arguments)
    out = Path(arguments.out) if arguments.out else None
    return record(out, settings, arguments.duration, echo_error, stdout())

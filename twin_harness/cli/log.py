"""``twin log``: sample this machine, without load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.cli.output import echo_error, stdout
from twin_harness.cli.settings import SENSOR, read_settings
from twin_harness.errors import InvalidInput

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
    command.add_argument(
        "--rotate",
        metavar="PERIOD",
        help="for days to weeks: --out is a folder, with a file for each 1h, 1d or 1w, Parquet once"
        " it is over, without the probes' columns; sample once a second then (--interval 1)",
    )


def log(arguments: argparse.Namespace) -> int:
    """Sample this machine into a CSV file, without load."""
    from twin_harness.session.passive import record

    settings = read_settings(arguments)
    if arguments.rotate is not None:
        from twin_harness.session.rotation import period_s, record_in_files

        if arguments.out is None:
            msg = "log: --rotate: expected --out FOLDER, where the files go; name one"
            raise InvalidInput(msg)
        folder, every_s = Path(arguments.out), period_s(arguments.rotate)
        return record_in_files(folder, every_s, settings, arguments.duration, echo_error, stdout())
    out = Path(arguments.out) if arguments.out else None
    return record(out, settings, arguments.duration, echo_error, stdout())

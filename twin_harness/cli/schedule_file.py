"""Where a schedule that was made goes: a new file, or stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.cli.output import OK, echo, write_json
from twin_harness.errors import InvalidInput
from twin_harness.quantity import duration

if TYPE_CHECKING:
    import argparse

    from twin_harness.schedule.model import Schedule


def add_out(action: argparse.ArgumentParser) -> None:
    """Add the option that says where it goes."""
    action.add_argument(
        "-o", "--out", default="-", metavar="FILE", help="where it goes (default: stdout)"
    )


def write_schedule(schedule: Schedule, arguments: argparse.Namespace) -> int:
    """Write a schedule and return the exit code.

    Raises:
        InvalidInput: the file exists.
    """
    if arguments.out == "-":
        write_json(schedule.to_json())
        return OK
    if Path(arguments.out).exists():
        msg = (
            f"schedule {arguments.action}: --out: expected a file that does not exist but got"
            f" {arguments.out!r}; name another, or remove it"
        )
        raise InvalidInput(msg)
    schedule.write(arguments.out)
    total_s = sum(experiment.duration_s for experiment in schedule.experiments)
    echo(f"{arguments.out}: {len(schedule.experiments)} experiments, {duration(total_s)}")
    return OK

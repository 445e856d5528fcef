"""``twin doctor``: what this machine supports, and what will be degraded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.cli.output import OK, echo, write_json
from twin_harness.errors import HarnessFailure
from twin_harness.system.support import lack_of_support

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands


def add_doctor(commands: Commands) -> None:
    """Add the command."""
    text = "show what this machine supports and what will be degraded"
    commands.add("doctor", doctor, text, ("scratch-dir",), example="example: twin doctor")


def doctor(arguments: argparse.Namespace) -> int:
    """Show what this machine supports and what will be degraded."""
    if reason := lack_of_support("a machine to look at"):
        raise HarnessFailure(reason)
    from twin_harness.control.doctor import examine

    findings = examine(Path(arguments.scratch_dir or ".").absolute())
    if arguments.json:
        write_json([finding.to_json() for finding in findings])
    else:
        echo(*(line for finding in findings for line in finding.lines()))
    return OK

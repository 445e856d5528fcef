"""``twin schedule``: make, replay, suggest, show and check schedules."""

from __future__ import annotations

from twin_harness.cli.commands import Commands
from twin_harness.cli.schedule_check import add_check, add_show
from twin_harness.cli.schedule_generate import add_grid, add_random
from twin_harness.cli.schedule_replay import add_replay
from twin_harness.cli.schedule_suggest import add_suggest


def add_schedule(commands: Commands) -> None:
    """Add the command and its actions."""
    command = commands.add("schedule", None, "make or check a schedule file", has_json=False)
    subparsers = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions = Commands(subparsers)
    add_random(actions)
    add_grid(actions)
    add_replay(actions)
    add_suggest(actions)
    add_show(actions)
    add_check(actions)

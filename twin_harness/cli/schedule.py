"""``twin schedule``: make, replay, suggest, show and check schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.cli.schedule_check import add_check, add_show
from twin_harness.cli.schedule_generate import add_grid, add_random
from twin_harness.cli.schedule_replay import add_replay
from twin_harness.cli.schedule_suggest import add_suggest

if TYPE_CHECKING:
    from twin_harness.cli.commands import Commands


def add_schedule(commands: Commands) -> None:
    """Add the command and its actions."""
    command = commands.add("schedule", None, "make or check a schedule file", has_json=False)
    actions = command.add_commands(dest="action", metavar="ACTION")
    add_random(actions)
    add_grid(actions)
    add_replay(actions)
    add_suggest(actions)
    add_show(actions)
    add_check(actions)

"""``twin overhead``: what logger and probes cost this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.cli.output import OK, echo, echo_error, write_json
from twin_harness.cli.settings import SENSOR, read_settings
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands


def add_overhead(commands: Commands) -> None:
    """Add the command."""
    text = "measure what logger and probes cost this machine"
    example = "example: twin overhead --rounds 10"
    command = commands.add("overhead", overhead, text, SENSOR, example=example)
    command.add_argument(
        "--rounds",
        type=int,
        default=10,
        help=(
            "rounds of three blocks, two without the harness and one with it, 6 or more"
            " (default: 10)"
        ),
    )
    command.add_argument(
        "--block", type=float, default=2.0, metavar="SECONDS", help="length of a block (default: 2)"
    )


def overhead(arguments: argparse.Namespace) -> int:
    """Measure what logger and probes cost this machine."""
    from twin_harness.session.overhead import FEWEST_ROUNDS, SHORTEST_BLOCK_S, measure

    if arguments.rounds < FEWEST_ROUNDS or not SHORTEST_BLOCK_S <= arguments.block < float("inf"):
        msg = (
            f"overhead: expected --rounds of {FEWEST_ROUNDS} or more (fewer have no 95 % interval)"
            f" and --block of {SHORTEST_BLOCK_S:g} s or more but got --rounds {arguments.rounds}"
            f" --block {arguments.block:g}"
        )
        raise InvalidInput(msg)
    cost = measure(read_settings(arguments), arguments.rounds, arguments.block, echo_error)
    if arguments.json:
        write_json(cost.to_json())
    else:
        echo(*cost.lines())
    return OK

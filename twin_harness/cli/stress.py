"""``twin stress``: put one load on one resource."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from twin_harness.cli.experiments import run_all
from twin_harness.cli.output import echo, write_json
from twin_harness.cli.results import no_report, result_data, result_lines
from twin_harness.cli.settings import LOAD, read_settings
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands
    from twin_harness.schedule.event import Event

_EXAMPLES = """examples:
  twin stress cpu --level 50 --duration 10
  twin stress cpu --level 60 --options '{"target": "system"}'
  twin stress memory --level 20 --options '{"pattern": "stir"}'
  twin stress disk --shape '{"kind": "ramp", "from": 0, "to": 80e6}' \\
      --options '{"operation": "mixed"}'
  twin stress command --allow-commands --duration 10 -- stress-ng --cpu 1"""


_NOT_OPTIONS = frozenset(("duration_s", "start_s", "id", "unit", "shape"))  # of the command itself


def add_stress(commands: Commands) -> None:
    """Add the command."""
    text = "put one load on one resource"
    command = commands.add("stress", stress, text, LOAD, example=_EXAMPLES, has_work=True)
    command.add_argument(
        "resource",
        help=(
            "cpu, memory, disk, command (then -- and the program), or a stressor that an installed"
            " project brings"
        ),
    )
    command.add_argument(
        "--level", type=float, help="percent for cpu and memory, bytes per second for disk"
    )
    command.add_argument(
        "--shape",
        metavar="JSON",
        help='a load shape, e.g. \'{"kind": "ramp", "from": 0, "to": 80}\'',
    )
    command.add_argument(
        "--duration", type=float, default=10.0, metavar="SECONDS", help="how long (default: 10)"
    )
    command.add_argument(
        "--unit",
        metavar="UNIT",
        help="unit of the level: percent, bytes, bytes_per_s, operations_per_s",
    )
    command.add_argument(
        "--options", metavar="JSON", help='options of the event, e.g. \'{"operation": "read"}\''
    )


def stress(arguments: argparse.Namespace) -> int:
    """Put one load on one resource."""
    from twin_harness.schedule.builders import plan

    experiment = plan(
        _event_of(arguments), name=f"twin stress {arguments.resource}", lead_s=0.5, tail_s=0.3
    )
    settings = read_settings(arguments, has_report=False)
    recordings, folder, code, _ = run_all([(experiment, None)], settings, is_quiet=True)
    if arguments.json:
        write_json({"run": str(folder), "events": result_data(recordings, settings.tolerance)})
    else:
        echo(
            *result_lines(recordings, settings.tolerance),
            f"data    {folder}/",
            f"report  {no_report(folder)}",
        )
    return code


def _event_of(arguments: argparse.Namespace) -> Event:
    """Return the one event that ``twin stress`` was asked for."""
    from twin_harness.schedule import builders

    options = _parse_options(arguments.options)
    if (arguments.resource == "command") != bool(arguments.argv):
        msg = (
            "stress: expected the program after -- with resource command, and only there; write"
            " e.g. twin stress command --allow-commands -- stress-ng --cpu 1"
        )
        raise InvalidInput(msg)
    if arguments.resource == "command":
        return _command_of(arguments, options)
    shape: Any = arguments.level
    if arguments.shape is not None:
        shape = _parse_shape(arguments.shape)
    elif shape is None:
        msg = "stress: expected --level or --shape but got neither; write e.g. --level 50"
        raise InvalidInput(msg)
    if arguments.unit and arguments.resource == "cpu" and arguments.unit != "percent":
        msg = f"stress: --unit: expected percent for cpu but got {arguments.unit!r}"
        raise InvalidInput(msg)
    if arguments.unit and arguments.resource != "cpu":
        options["unit"] = arguments.unit
    make = {"cpu": builders.cpu, "memory": builders.memory, "disk": builders.disk}.get(
        arguments.resource
    ) or partial(builders.custom, arguments.resource)
    return make(shape, duration_s=arguments.duration, **options)


def _command_of(arguments: argparse.Namespace, options: dict[str, Any]) -> Event:
    """Return the event that runs a program."""
    from twin_harness.schedule import builders

    has_level = arguments.level is not None or arguments.shape is not None
    if has_level or set(options) - {"cwd", "env"}:
        msg = (
            "stress: a command has no level and no shape, and its options are cwd and env; got"
            f" --options {arguments.options!r}"
        )
        raise InvalidInput(msg)
    return builders.command(arguments.argv, duration_s=arguments.duration, **options)


def _parse_options(text: str | None) -> dict[str, Any]:
    try:
        options = json.loads(text or "{}")
    except ValueError:
        options = None
    if not isinstance(options, dict) or not _NOT_OPTIONS.isdisjoint(options):
        msg = (
            "stress: --options: expected a JSON object of the resource's own options, such as"
            f' {{"operation": "read"}}, but got {text!r}'
        )
        raise InvalidInput(msg)
    return options


def _parse_shape(text: str) -> Any:
    try:
        data = json.loads(text)
    except ValueError as error:
        msg = (
            f'stress: --shape: {text!r} is not JSON ({error}); write e.g. --shape \'{{"kind":'
            ' "ramp", "from": 0, "to": 80}\''
        )
        raise InvalidInput(msg) from None
    from twin_harness.schedule.model import Schedule

    # disk has no upper bound; the resource's own is checked by its builder
    event = {"stressor": "disk", "duration_s": 1.0, "shape": data}
    checked = Schedule.from_json({"experiments": [{"events": [event]}]}, source="stress: --shape")
    return checked.experiments[0].events[0].shape

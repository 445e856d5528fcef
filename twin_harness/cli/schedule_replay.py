"""``twin schedule replay``: recorded telemetry as load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.cli.output import echo_error
from twin_harness.cli.schedule_file import add_out, write_schedule
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands


def add_replay(actions: Commands) -> None:
    """Add the action."""
    text = "recorded telemetry as load"
    about = "recorded telemetry as load: a run folder, or any CSV file"
    example = "example: twin schedule replay web.csv --columns cpu=usage --out web.json"
    action = actions.add("replay", replay, text, about=about, example=example, has_json=False)
    action.add_argument("recording", help="a run folder, or a CSV file")
    action.add_argument(
        "--experiment",
        metavar="NAME",
        help="of a run folder, the experiment to replay (default: the whole run)",
    )
    action.add_argument(
        "--columns", metavar="MAP", help="of a CSV file, e.g. cpu=usage,memory=mem,disk=bytes_per_s"
    )
    action.add_argument(
        "--time-column",
        default="time",
        metavar="NAME",
        help="of a CSV file, numbers or ISO 8601 (default: time)",
    )
    text = (
        "of its numbers (default: s, but times since 1970 in ms, us or ns are taken for what they"
        " are)"
    )
    action.add_argument("--time-unit", choices=("s", "ms", "us", "ns"), help=text)
    action.add_argument(
        "--memory-unit",
        default="percent",
        choices=("percent", "bytes"),
        help="of a CSV file (default: percent)",
    )
    action.add_argument(
        "--step",
        type=float,
        metavar="SECONDS",
        help="means over so many seconds of the recording (default: 1, or longer)",
    )
    action.add_argument(
        "--time-scale", type=float, default=1.0, help="0.1 replays ten times as fast (default: 1)"
    )
    action.add_argument(
        "--level-scale", type=float, default=1.0, help="2 doubles every level (default: 1)"
    )
    add_out(action)


def replay(arguments: argparse.Namespace) -> int:
    """Make the schedule that replays a recording."""
    from twin_harness.control.replay import replay as replay_recording

    pairs = [part.partition("=") for part in (arguments.columns or "").split(",") if part]
    if any(not equals or not column for _, equals, column in pairs):
        msg = (
            "schedule replay: --columns: expected e.g. cpu=usage,memory=mem but got"
            f" {arguments.columns!r}"
        )
        raise InvalidInput(msg)
    schedule = replay_recording(
        arguments.recording,
        experiment=arguments.experiment,
        columns={resource.strip(): column for resource, _, column in pairs},
        time_column=arguments.time_column,
        time_unit=arguments.time_unit,
        memory_unit=arguments.memory_unit,
        step_s=arguments.step,
        time_scale=arguments.time_scale,
        level_scale=arguments.level_scale,
    )
    for note in schedule.generator.get("notes", ()):
        echo_error(note)
    return write_schedule(schedule, arguments)

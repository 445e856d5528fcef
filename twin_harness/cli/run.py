"""``twin run``: run every experiment of a schedule file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin_harness.cli.experiments import run_all
from twin_harness.cli.output import echo, echo_error, write_json
from twin_harness.cli.results import no_report, result_data, result_lines
from twin_harness.cli.settings import LOAD, read_settings
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands
    from twin_harness.schedule.model import Schedule


def add_run(commands: Commands) -> None:
    """Add the command."""
    command = commands.add(
        "run",
        run,
        "run every experiment of a schedule",
        (*LOAD, "report-dir", "no-report"),
        example="example: twin run data/latest/schedule.json",
        has_work=True,
    )
    command.add_argument("schedule", help="a schedule.json")
    command.add_argument(
        "--parallel",
        type=int,
        default=1,
        metavar="N",
        help="up to N at once of those that share the machine (default: 1)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run every experiment of a schedule file."""
    from twin_harness.cli.parallel import MOST_AT_ONCE
    from twin_harness.schedule.model import Schedule

    if not 1 <= arguments.parallel <= MOST_AT_ONCE:
        msg = (
            f"run: --parallel: expected a whole number from 1 to {MOST_AT_ONCE} but got"
            f" {arguments.parallel}"
        )
        raise InvalidInput(msg)
    schedule = Schedule.read(arguments.schedule)
    if isinstance(parts := schedule.generator.get("parts"), int):
        echo_error(
            f"{arguments.schedule}: its experiments ran in {parts} parts of a machine; here their"
            " percents are of the whole one"
        )
    if arguments.parallel > 1 and sum(experiment.share for experiment in schedule.experiments) < 2:
        echo_error(
            f"--parallel {arguments.parallel}: of {len(schedule.experiments)} experiments fewer"
            " than two have share, so they take turns"
        )
    generators = _generators(schedule)
    planned = [(experiment, generators.get(experiment.name)) for experiment in schedule.experiments]
    settings = read_settings(arguments)
    recordings, folder, code, report = run_all(
        planned, settings, is_quiet=arguments.json, at_once=arguments.parallel
    )
    if arguments.json:
        write_json(
            {
                "run": str(folder),
                "report": str(report) if report else None,
                "events": result_data(recordings, settings.tolerance),
            }
        )
    else:
        echo(
            *result_lines(recordings, settings.tolerance),
            f"data    {folder}/",
            f"report  {report or no_report(folder)}",
        )
    return code


def _generators(schedule: Schedule) -> dict[str, Any]:
    """Return what made each experiment, by its name, where the schedule is a session's."""
    generators = schedule.generator.get("experiments")
    if schedule.generator.get("name") != "session" or not isinstance(generators, dict):
        return {}
    return generators

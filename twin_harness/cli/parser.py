"""The parser of the command ``twin``: every command, in the order of its help."""

from __future__ import annotations

from twin_harness import __version__
from twin_harness.cli import (
    allure,
    clean,
    doctor,
    fit,
    gate,
    log,
    overhead,
    predict,
    run,
    runs,
    schedule,
    score,
    stress,
    transfer,
)
from twin_harness.cli.commands import Parser


def build_parser() -> Parser:
    """Return the parser of ``twin``."""
    about = "A digital twin of this server: stress it, record it, label it."
    parser = Parser(prog="twin", description=about)
    parser.add_argument(
        "--version",
        action="version",
        version=f"twin-harness {__version__}",
        help="show the version and exit",
    )
    commands = parser.add_commands(title="commands", metavar="COMMAND")
    doctor.add_doctor(commands)
    stress.add_stress(commands)
    log.add_log(commands)
    overhead.add_overhead(commands)
    schedule.add_schedule(commands)
    gate.add_gate(commands)
    fit.add_fit(commands)
    predict.add_predict(commands)
    score.add_score(commands)
    transfer.add_transfer(commands)
    run.add_run(commands)
    clean.add_clean(commands)
    runs.add_runs(commands)
    allure.add_allure(commands)
    return parser

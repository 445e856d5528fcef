"""``twin schedule show`` and ``check``: a schedule, and what this machine would make of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.cli.output import FAILED, OK, echo, write_json
from twin_harness.cli.settings import CHECK, read_settings
from twin_harness.cli.table import Column, table_lines
from twin_harness.errors import InvalidInput
from twin_harness.quantity import duration, quantity

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands

_COLUMNS = (
    Column("", 34, is_text=True, is_cut=True),
    Column("seconds", 8),
    Column("cpu peak", 9),
    Column("memory peak", 12),
    Column("disk peak", 12),
    Column("file space", 11),
)


def add_show(actions: Commands) -> None:
    """Add the action."""
    about = "draw a schedule on the terminal, and as a figure"
    text = "draw a schedule"
    example = "example: twin schedule show plan.json --figure plan.png"
    action = actions.add("show", show, text, about=about, example=example, has_json=False)
    action.add_argument("file", help="a schedule.json")
    action.add_argument("--figure", metavar="PNG", help="where the figure goes")


def add_check(actions: Commands) -> None:
    """Add the action."""
    text = "what this machine would make of a schedule"
    example = "example: twin schedule check plan.json"
    action = actions.add("check", check, text, CHECK, example=example, has_work=True)
    action.add_argument("file", help="a schedule.json")


def show(arguments: argparse.Namespace) -> int:
    """Draw a schedule."""
    from twin_harness.report.plan_bars import plan_lines
    from twin_harness.schedule.model import Schedule

    schedule = Schedule.read(arguments.file)
    echo(*plan_lines(schedule))
    if arguments.figure:
        from twin_harness.report.drawing.plan_picture import plan_png

        Path(arguments.figure).write_bytes(plan_png(schedule))
        echo(arguments.figure)
    return OK


def check(arguments: argparse.Namespace) -> int:
    """Say what this machine would make of a schedule."""
    from twin_harness.control import headroom, preflight
    from twin_harness.schedule.model import Schedule
    from twin_harness.system.machine import inspect_machine

    schedule, settings = Schedule.read(arguments.file), read_settings(arguments)
    machine = inspect_machine(Path(settings.scratch_dir or ".").absolute())
    refused: list[str] = []
    warnings: list[str] = []
    needs = []
    for experiment in schedule.experiments:
        need = headroom.needs_of(experiment, machine)
        times = {"experiment": experiment.name, "duration_s": experiment.duration_s}
        needs.append({**times, **need})
        try:
            warnings += preflight.check(
                experiment,
                machine,
                settings.guard,
                is_scratch_named=bool(settings.scratch_dir),
                may_run_commands=settings.may_run_commands,
            )
        except InvalidInput as error:
            refused.append(str(error))
    total_s = sum(experiment.duration_s for experiment in schedule.experiments)
    verdict = {
        "experiments": len(schedule.experiments),
        "duration_s": total_s,
        "refused": refused,
        "warnings": warnings,
        "needs": needs,
        "has": headroom.room_of(machine, settings.guard),
    }
    if arguments.json:
        write_json(verdict)
    else:
        echo(
            f"{arguments.file}: {len(schedule.experiments)} experiments, {duration(total_s)} of"
            f" load and quiet; guard {settings.guard}"
        )
        echo(*_verdict_lines(verdict))
    return FAILED if refused else OK


def _verdict_lines(verdict: dict[str, Any]) -> list[str]:
    """Return what is needed beside what this machine has, and what it would refuse."""
    memory, space = (
        quantity(verdict["has"][name], "bytes") for name in ("memory_bytes", "space_bytes")
    )
    has = ["this machine, less the guard", "", "100 %", memory, "", space]
    refused = verdict["refused"]
    last = "this machine can run it"
    if refused:
        last = f"this machine would refuse {len(refused)} of them"
    return [
        *table_lines(_COLUMNS, [*(_need_cells(need) for need in verdict["needs"]), has]),
        *(f"warning  {warning}" for warning in verdict["warnings"]),
        *(f"refused  {reason}" for reason in refused),
        last,
    ]


def _need_cells(need: dict[str, Any]) -> list[str]:
    return [
        need["experiment"],
        f"{need['duration_s']:.1f}",
        quantity(need["cpu_peak_percent"], "percent"),
        quantity(need["memory_peak_bytes"], "bytes"),
        quantity(need["disk_peak_bytes_per_s"], "bytes/s"),
        quantity(need["space_bytes"], "bytes"),
    ]

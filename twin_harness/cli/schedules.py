"""``twin schedule``: make, replay, draw and check plans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness import __version__
from twin_harness.cli.output import FAILED, OK, complain, give, say
from twin_harness.cli.settings import CHECK, add_settings, read_settings
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from twin_harness.schedule.model import Experiment, Schedule

_BOUNDS: dict[
    str, tuple[Callable[[str], Any], str, str]
] = {  # of random schedules; see strategies.Bounds
    "stressors": (str, "LIST", "resources used (default: cpu,memory,disk)"),
    "shapes": (
        str,
        "LIST",
        "out of constant, ramp, steps, sine, square, spikes, leak (default: the first four)",
    ),
    "min_events": (int, "N", "events an experiment at least (default: 1)"),
    "max_events": (int, "N", "events an experiment at most (default: 3)"),
    "max_duration_s": (float, "SECONDS", "end of the last event at most (default: 8)"),
    "min_event_s": (float, "SECONDS", "length of an event at least (default: 2)"),
    "max_event_s": (float, "SECONDS", "length of an event at most"),
    "min_cpu_percent": (int, "PERCENT", "peak of a CPU event at least"),
    "max_cpu_percent": (int, "PERCENT", "level of a CPU event at most (default: 80)"),
    "min_memory_percent": (int, "PERCENT", "peak of a memory event at least"),
    "max_memory_percent": (int, "PERCENT", "level of a memory event at most (default: 5)"),
    "min_disk_bytes_per_s": (int, "BYTES", "peak of a disk event at least"),
    "max_disk_bytes_per_s": (int, "BYTES", "level of a disk event at most (default: 20000000)"),
    "lead_s": (float, "SECONDS", "quiet time before the events (default: 1)"),
    "tail_s": (float, "SECONDS", "quiet time after them (default: 1)"),
}


def make_or_check(arguments: argparse.Namespace) -> int:
    """Make or check a schedule file."""
    from twin_harness.control import make_schedule

    if arguments.action == "check":
        return _check(arguments)
    if arguments.action == "show":
        return _show(arguments)
    if arguments.action == "replay":
        schedule = _replayed(arguments)
    elif arguments.action == "suggest":
        schedule = _suggested(arguments)
    elif arguments.action == "random":
        bounds = {
            name: value
            for name in (*_BOUNDS, "overlap")
            if (value := getattr(arguments, name)) is not None
        }
        bounds |= {
            name: bounds[name].split(",") for name in ("stressors", "shapes") if name in bounds
        }
        schedule = make_schedule.random(arguments.n, arguments.seed, **bounds)
    else:
        levels = {
            name: _numbers(getattr(arguments, name), name)
            for name in ("cpu_percent", "memory_percent", "disk_bytes_per_s")
        }
        schedule = make_schedule.grid(
            levels["cpu_percent"],
            levels["memory_percent"],
            levels["disk_bytes_per_s"],
            duration_s=arguments.duration,
        )
    if arguments.out != "-" and Path(arguments.out).exists():
        msg = (
            f"schedule {arguments.action}: --out: expected a file that does not exist but got"
            f" {arguments.out!r}; name another, or remove it"
        )
        raise InvalidInput(msg)
    if arguments.out == "-":
        give(schedule.to_json())
    else:
        schedule.write(arguments.out)
        say(
            f"{arguments.out}: {len(schedule.experiments)} experiments,"
            f" {sum(e.duration_s for e in schedule.experiments):.0f} s"
        )
    return OK


def _replayed(arguments: argparse.Namespace) -> Schedule:
    """Return the schedule that replays a recording."""
    from twin_harness.control.replay import replay

    pairs = [part.partition("=") for part in (arguments.columns or "").split(",") if part]
    if any(not equals or not column for _, equals, column in pairs):
        msg = (
            "schedule replay: --columns: expected e.g. cpu=usage,memory=mem but got"
            f" {arguments.columns!r}"
        )
        raise InvalidInput(msg)
    schedule = replay(
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
        complain(note)
    return schedule


def _suggested(arguments: argparse.Namespace) -> Schedule:
    """Return the experiments that would tell a twin most.

    Raises:
        InvalidInput: the model or the candidates' file is none, or fewer than one is asked for.
    """
    from twin_harness.control.campaign import draw_campaign, role_of
    from twin_harness.predict.suggest import suggest
    from twin_harness.predict.twin import Twin
    from twin_harness.schedule.model import Schedule

    if arguments.n < 1:
        msg = f"schedule suggest: expected -n of 1 or more but got {arguments.n}"
        raise InvalidInput(msg)
    twin = Twin.load(arguments.model)
    others = draw_campaign("4h", seed=arguments.seed + 1)
    if arguments.candidates:
        candidates = Schedule.read(arguments.candidates).experiments
    else:
        candidates = others
    chosen = suggest(
        twin, candidates, [one for one in others if role_of(one.name) == "calibrate"], arguments.n
    )
    if not arguments.candidates:  # the campaign's names would say which part of it a run belongs to
        chosen = [
            (one.model_copy(update={"name": f"suggested {number} {_loads(one)}"}), left)
            for number, (one, left) in enumerate(chosen, 1)
        ]
    for experiment, left in chosen:
        complain(
            f"{experiment.name}: after it {100 * left:.0f} % of today's variance is expected to be"
            " left"
        )
    generator = {
        "name": "suggest",
        "version": __version__,
        "arguments": {"n": arguments.n, "model": twin.file_.training.hash},
    }
    return Schedule(
        seed=arguments.seed,
        generator=generator,
        experiments=tuple(experiment for experiment, _ in chosen),
    )


def _loads(experiment: Experiment) -> str:
    """Return what an experiment loads, in words."""
    return ", ".join(dict.fromkeys(event.stressor for event in experiment.events)) or "rest"


def _numbers(text: str | None, name: str) -> tuple[float, ...]:
    if not text:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        msg = (
            f"schedule grid: --{name.replace('_', '-')}: expected numbers such as 20,50,80 but got"
            f" {text!r}"
        )
        raise InvalidInput(msg) from None


def _show(arguments: argparse.Namespace) -> int:
    """Draw a schedule."""
    from twin_harness.report.drawing.plan_picture import plan_lines, plan_png
    from twin_harness.schedule.model import Schedule

    schedule = Schedule.read(arguments.file)
    say(*plan_lines(schedule))
    if arguments.figure:
        Path(arguments.figure).write_bytes(plan_png(schedule))
        say(arguments.figure)
    return OK


def _check(arguments: argparse.Namespace) -> int:
    """Say what this machine would make of a schedule."""
    from twin_harness.control import headroom, preflight
    from twin_harness.schedule.model import Schedule
    from twin_harness.system.machine import inspect_machine

    schedule, settings = Schedule.read(arguments.file), read_settings(arguments)
    machine = inspect_machine(Path(settings.scratch_dir or ".").absolute())
    refused, warnings, needs = [], [], []
    for experiment in schedule.experiments:
        needs.append(
            {
                "experiment": experiment.name,
                "duration_s": experiment.duration_s,
                **headroom.needs_of(experiment, machine),
            }
        )
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
    has = headroom.room_of(machine, settings.guard)
    if arguments.json:
        give(
            {
                "experiments": len(schedule.experiments),
                "duration_s": total_s,
                "refused": refused,
                "warnings": warnings,
                "needs": needs,
                "has": has,
            }
        )
    else:
        say(
            f"{arguments.file}: {len(schedule.experiments)} experiments, {total_s:.0f} s of load"
            f" and quiet; guard {settings.guard}"
        )
        say(
            f"{'':<34} {'seconds':>8} {'cpu peak':>9} {'memory peak':>12} {'disk peak':>12}"
            f" {'file space':>11}"
        )
        say(*(_needs_line(row) for row in needs))
        memory, space = (f"{has[name] / 2**20:.0f} MiB" for name in ("memory_bytes", "space_bytes"))
        say(
            f"{'this machine, less the guard':<34} {'':>8} {'100 %':>9} {memory:>12} {'':>12}"
            f" {space:>11}"
        )
        say(
            *(f"warning  {warning}" for warning in warnings),
            *(f"refused  {reason}" for reason in refused),
        )
        say(
            "this machine can run it"
            if not refused
            else f"this machine would refuse {len(refused)} of them"
        )
    if refused:
        return FAILED
    return OK


def _needs_line(row: dict[str, Any]) -> str:
    if len(row["experiment"]) <= 34:
        name = row["experiment"]
    else:
        name = f"…{row['experiment'][-33:]}"
    memory, disk, space = (
        f"{row[key] / 2**20:.0f} MiB"
        for key in ("memory_peak_bytes", "disk_peak_bytes_per_s", "space_bytes")
    )
    return (
        f"{name:<34} {row['duration_s']:>8.1f} {row['cpu_peak_percent']:>7.1f} % {memory:>12}"
        f" {disk + '/s':>12} {space:>11}"
    )


def add_schedule(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command and its actions to a parser; ``add`` makes a command."""
    command = add("schedule", make_or_check, "make or check a schedule file", has_json=False)
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    random = actions.add_parser(
        "random",
        help="random experiments, drawn by a seed",
        description="random experiments, drawn by a seed",
    )
    random.add_argument("-n", type=int, default=3, help="how many (default: 3)")
    random.add_argument("--seed", type=int, default=0, help="same seed, same schedule (default: 0)")
    random.add_argument(
        "--no-overlap",
        dest="overlap",
        action="store_false",
        default=None,
        help="one event at a time",
    )
    for name, (convert, metavar, text) in _BOUNDS.items():
        random.add_argument(f"--{name.replace('_', '-')}", type=convert, metavar=metavar, help=text)
    grid = actions.add_parser(
        "grid", help="every combination of levels", description="every combination of levels"
    )
    for name in ("--cpu-percent", "--memory-percent", "--disk-bytes-per-s"):
        grid.add_argument(name, metavar="LEVELS", help="e.g. 20,50,80")
    grid.add_argument("--duration", type=float, default=10.0, metavar="SECONDS")
    replay = actions.add_parser(
        "replay",
        help="recorded telemetry as load",
        description="recorded telemetry as load: a run folder, or any CSV file",
    )
    replay.add_argument("recording", help="a run folder, or a CSV file")
    replay.add_argument(
        "--experiment",
        metavar="NAME",
        help="of a run folder, the experiment to replay (default: the whole run)",
    )
    replay.add_argument(
        "--columns", metavar="MAP", help="of a CSV file, e.g. cpu=usage,memory=mem,disk=bytes_per_s"
    )
    replay.add_argument(
        "--time-column",
        default="time",
        metavar="NAME",
        help="of a CSV file, numbers or ISO 8601 (default: time)",
    )
    text = (
        "of its numbers (default: s, but times since 1970 in ms, us or ns are taken for what they"
        " are)"
    )
    replay.add_argument("--time-unit", choices=("s", "ms", "us", "ns"), help=text)
    replay.add_argument(
        "--memory-unit",
        default="percent",
        choices=("percent", "bytes"),
        help="of a CSV file (default: percent)",
    )
    replay.add_argument(
        "--step",
        type=float,
        metavar="SECONDS",
        help="means over so many seconds of the recording (default: 1, or longer)",
    )
    replay.add_argument(
        "--time-scale", type=float, default=1.0, help="0.1 replays ten times as fast (default: 1)"
    )
    replay.add_argument(
        "--level-scale", type=float, default=1.0, help="2 doubles every level (default: 1)"
    )
    text = "the experiments that would make a twin's predictions surer, the most telling first"
    suggested = actions.add_parser("suggest", help=text, description=text)
    suggested.add_argument("--model", required=True, metavar="FILE", help="what twin fit has made")
    suggested.add_argument("-n", type=int, default=5, help="how many (default: 5)")
    suggested.add_argument(
        "--candidates",
        metavar="FILE",
        help="a schedule.json to choose from (default: a training campaign that is drawn anew)",
    )
    suggested.add_argument("--seed", type=int, default=0, help="of that campaign (default: 0)")
    for action in (random, grid, replay, suggested):
        action.add_argument(
            "-o", "--out", default="-", metavar="FILE", help="where it goes (default: stdout)"
        )
    show = actions.add_parser(
        "show",
        help="draw a schedule",
        description="draw a schedule on the terminal, and as a figure",
    )
    show.add_argument("file", help="a schedule.json")
    show.add_argument("--figure", metavar="PNG", help="where the figure goes")
    check = actions.add_parser(
        "check",
        help="what this machine would make of a schedule",
        description="what this machine would make of a schedule",
    )
    check.set_defaults(has_work=True)  # its verdict
    check.add_argument("file", help="a schedule.json")
    check.add_argument("--json", action="store_true", help="machine output on stdout")
    add_settings(check, CHECK)

"""The command ``twin``: the session's parts without pytest."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.errors import ExperimentAborted, ExperimentError, InvalidInput, TwinError, Undecided, UnreadableRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin_harness.config import TwinConfig
    from twin_harness.recording import Recording
    from twin_harness.schedule import Event, Experiment, Schedule

_STRESS_EXAMPLES = """examples:
  twin stress cpu --level 50 --duration 10
  twin stress cpu --level 60 --options '{"target": "system"}'
  twin stress memory --level 20 --options '{"pattern": "stir"}'
  twin stress disk --shape '{"kind": "ramp", "from": 0, "to": 80e6}' --options '{"operation": "mixed"}'
  twin stress command --allow-commands --duration 10 -- stress-ng --cpu 1"""
_BOUNDS: dict[str, tuple[Callable[[str], Any], str, str]] = {  # of random schedules; see strategies.Bounds
    "stressors": (str, "LIST", "resources used (default: cpu,memory,disk)"),
    "shapes": (str, "LIST", "out of constant, ramp, steps, sine, square, spikes, leak (default: the first four)"),
    "overlap": (str, "", ""),
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
OK, FAILED, USAGE, ABORTED, INTERRUPTED = 0, 1, 2, 3, 130


def _say(*lines: str) -> None:
    """Write lines for people."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _complain(text: str) -> None:
    sys.stderr.write(f"twin: {text}\n")


def _give(data: object) -> None:
    """Write machine output."""
    sys.stdout.write(json.dumps(data, indent=1, default=str) + "\n")


# -- settings -----------------------------------------------------------------------------------------------------------------


_SENSOR = ("interval", "source", "scratch-dir", "probe-disk", "probe-service")
_LOAD = (*_SENSOR, "data-dir", "guard", "allow-commands")
_CHECK = ("scratch-dir", "guard", "allow-commands")


def _add_settings(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Add those options of a session that the command heeds, from the table that pytest's options come from."""
    from twin_harness.config import OPTIONS  # noqa: PLC0415 - commands that open no session do without

    for option in OPTIONS:
        if option.name not in names:
            continue
        shown = "" if option.kind == "flag" or option.default in (None, "") else f" (default: {option.default})".replace("%", "%%")
        if option.kind == "flag":
            parser.add_argument(f"--{option.name}", action="store_true", default=None, help=option.help)
        else:
            metavar = option.metavar or "{" + ",".join(option.choices) + "}"
            parser.add_argument(f"--{option.name}", default=None, metavar=metavar, help=f"{option.help}{shown}")


def _settings(arguments: argparse.Namespace, **fixed: Any) -> TwinConfig:
    from twin_harness.config import OPTIONS, TwinConfig, parse_value  # noqa: PLC0415 - as above

    fields = {"interval": "interval_s", "no-report": "has_report", "allow-commands": "may_run_commands"}
    values: dict[str, Any] = dict(fixed)
    for option in OPTIONS:
        given = getattr(arguments, option.name.replace("-", "_"), None)
        field = fields.get(option.name, option.name.replace("-", "_"))
        if given is None or field in fixed or option.name in ("schedule", "seed", "random", "repeat", "undecided"):
            continue
        try:
            value = parse_value(option, given)
        except InvalidInput as error:
            raise InvalidInput(str(error).replace("--twin-", "--", 1)) from None
        values[field] = not value if option.name == "no-report" else value
    return TwinConfig(**values)


# -- running ------------------------------------------------------------------------------------------------------------------


def _run_all(
    experiments: Sequence[tuple[Experiment, dict[str, Any] | None]], settings: TwinConfig, *, is_quiet: bool
) -> tuple[list[Recording], Path, int, Path | None]:
    """Run experiments one after another in a session of their own; return recordings, run folder, exit code and report."""
    from twin_harness.seat import Seat  # noqa: PLC0415 - commands that open no session do without
    from twin_harness.session import Session  # noqa: PLC0415 - numpy and pydantic load with it
    from twin_harness.status import StatusLine  # noqa: PLC0415 - psutil loads with it

    session = Session.open(settings, Seat.draw(settings, Path.cwd(), " ".join(["twin", *sys.argv[1:]])), _complain)
    code, recordings, is_interrupted = OK, [], False
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end by any signal: load stops, and what was recorded is written
    line = StatusLine.on(2)
    line.follow(session.folder.path / "run.json")
    try:
        for number, (experiment, generator) in enumerate(experiments, 1):
            if not is_quiet:
                _say(f"{number} of {len(experiments)}  {experiment.name}  {experiment.duration_s:.0f} s")
            try:
                recordings.append(session.runner.run(experiment, generator))
            except ExperimentError as error:
                code = ABORTED if isinstance(error, ExperimentAborted) else max(code, FAILED)
                recordings += [error.recording] if error.recording else []
                _complain(str(error))
            except Undecided as error:
                _complain(f"UNDECIDED: {error}")
            finally:
                session.admission.release()
    except KeyboardInterrupt:
        is_interrupted, code = True, INTERRUPTED
        _complain("interrupted: load stopped, writing what was recorded")
    finally:
        line.close()
        report = session.close(is_interrupted=is_interrupted)
    return recordings, session.folder.path, code, report


def _run(arguments: argparse.Namespace) -> int:
    """Run every experiment of a schedule file."""
    from twin_harness.schedule import Schedule  # noqa: PLC0415 - pydantic loads with it

    schedule = Schedule.read(arguments.schedule)
    generators = schedule.generator.get("experiments") if schedule.generator.get("name") == "session" else None
    generators = generators if isinstance(generators, dict) else {}
    planned = [(experiment, generators.get(experiment.name)) for experiment in schedule.experiments]
    recordings, folder, code, report = _run_all(planned, _settings(arguments), is_quiet=arguments.json)
    if arguments.json:
        _give({"run": str(folder), "report": str(report) if report else None, "events": [_row_facts(row) for r in recordings for row in r.rows]})
    else:
        _say(*_table(recordings), f"data    {folder}/", *([f"report  {report}"] if report else []))
    return code


def _stress(arguments: argparse.Namespace) -> int:
    """Put one load on one resource."""
    from twin_harness.builders import plan  # noqa: PLC0415 - pydantic loads with it

    experiment = plan(_event_of(arguments), name=f"twin stress {arguments.resource}", lead_s=0.5, tail_s=0.3)
    recordings, folder, code, _ = _run_all([(experiment, None)], _settings(arguments, has_report=False), is_quiet=True)
    rows = [_row_facts(row) for recording in recordings for row in recording.rows]
    if arguments.json:
        _give({"run": str(folder), "events": rows})
    else:
        _say(*_table(recordings), f"data    {folder}/")
    return code


def _event_of(arguments: argparse.Namespace) -> Event:
    """Return the one event that ``twin stress`` was asked for."""
    from twin_harness import builders  # noqa: PLC0415 - pydantic loads with it

    options = _parse_options(arguments.options)
    if (arguments.resource == "command") != bool(arguments.argv):
        msg = (
            "stress: expected the program after -- with resource command, and only there; write e.g. twin stress command --allow-commands -- stress-ng --cpu 1"
        )
        raise InvalidInput(msg)
    if arguments.resource == "command":
        if arguments.level is not None or arguments.shape is not None or set(options) - {"cwd", "env"}:
            msg = f"stress: a command has no level and no shape, and its options are cwd and env; got --options {arguments.options!r}"
            raise InvalidInput(msg)
        return builders.command(arguments.argv, duration_s=arguments.duration, **options)
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
    make = {"cpu": builders.cpu, "memory": builders.memory, "disk": builders.disk}.get(arguments.resource) or partial(builders.custom, arguments.resource)
    return make(shape, duration_s=arguments.duration, **options)


def _parse_options(text: str | None) -> dict[str, Any]:
    try:
        options = json.loads(text) if text else {}
    except ValueError:
        options = None
    if not isinstance(options, dict) or set(options) & {"duration_s", "start_s", "id", "unit", "shape"}:
        msg = f'stress: --options: expected a JSON object of the resource\'s own options, such as {{"operation": "read"}}, but got {text!r}'
        raise InvalidInput(msg)
    return options


def _parse_shape(text: str) -> Any:

    try:
        data = json.loads(text)
    except ValueError as error:
        msg = f'stress: --shape: {text!r} is no JSON ({error}); write e.g. --shape \'{{"kind": "ramp", "from": 0, "to": 80}}\''
        raise InvalidInput(msg) from None
    from twin_harness.schedule import Schedule  # noqa: PLC0415 - as above

    event = {"stressor": "disk", "duration_s": 1.0, "shape": data}  # disk: no upper bound; the resource's own is checked by its builder
    checked = Schedule.from_json({"experiments": [{"events": [event]}]}, source="stress: --shape")
    found: Event = checked.experiments[0].events[0]
    return found.shape


def _row_facts(row: Any) -> dict[str, Any]:
    names = ("experiment", "event", "status", "unit", "requested_mean", "delivered_mean", "delivered_error_percent", "delivered_rmse", "settled_s")
    return {name: getattr(row, name) for name in (*names, "actual_start_s", "actual_end_s", "release_s", "message")}


def _table(recordings: list[Recording]) -> list[str]:
    lines = [f"{'event':<34} {'asked':>12} {'got':>12} {'error':>8} {'settled':>8}  status"]
    for recording in recordings:
        for row in recording.rows:
            if row.stressor == "mark":
                continue
            error = f"{row.delivered_error_percent:+.2f} %" if row.delivered_error_percent is not None else "-"
            settled = f"{row.settled_s:.1f} s" if row.settled_s is not None else "-" if row.delivered_mean is None else "never"
            label = f"{recording.name}/{row.event}"
            label = label if len(label) <= 34 else f"…{label[-33:]}"  # noqa: PLR2004 - the column's width
            lines.append(
                f"{label:<34} {_amount(row.requested_mean, row.unit):>12} {_amount(row.delivered_mean, row.unit):>12} {error:>8} {settled:>8}  {row.status}"
            )
    return lines


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "percent":
        return f"{value:.2f} %"
    if unit == "operations_per_s":
        return f"{value:.1f} op/s"
    if unit not in ("bytes", "bytes_per_s"):
        return f"{value:.4g} {unit}"
    return f"{value / 2**20:.2f} MiB" + ("/s" if unit == "bytes_per_s" else "")


# -- the other commands -------------------------------------------------------------------------------------------------------


def _log(arguments: argparse.Namespace) -> int:
    """Sample this machine into a CSV file, without load."""
    from twin_harness.telemetry.record import record  # noqa: PLC0415 - psutil loads with it

    return record(Path(arguments.out) if arguments.out else None, _settings(arguments), arguments.duration, _complain)


def _overhead(arguments: argparse.Namespace) -> int:
    """Measure what logger and probes cost this machine."""
    from twin_harness.telemetry.overhead import FEWEST_ROUNDS, measure  # noqa: PLC0415 - psutil loads with it

    if arguments.rounds < FEWEST_ROUNDS or not 0 < arguments.block < float("inf"):
        msg = (
            f"overhead: expected --rounds of {FEWEST_ROUNDS} or more (fewer have no 95 % interval) and --block above 0 s"
            f" but got --rounds {arguments.rounds} --block {arguments.block:g}"
        )
        raise InvalidInput(msg)
    found = measure(_settings(arguments), arguments.rounds, arguments.block, _complain)
    if arguments.json:
        _give(found.to_json())
    else:
        _say(*found.lines())
    return OK


def _schedule(arguments: argparse.Namespace) -> int:
    """Make or check a schedule file."""
    from twin_harness.control import make_schedule  # noqa: PLC0415 - pydantic loads with it

    if arguments.action == "check":
        return _check(arguments)
    if arguments.action == "show":
        return _show(arguments)
    if arguments.action == "replay":
        schedule = _replayed(arguments)
    elif arguments.action == "random":
        bounds = {name: value for name in _BOUNDS if (value := getattr(arguments, name)) is not None}
        bounds |= {name: bounds[name].split(",") for name in ("stressors", "shapes") if name in bounds}
        schedule = make_schedule.random(arguments.n, arguments.seed, **bounds)
    else:
        levels = {name: _numbers(getattr(arguments, name), name) for name in ("cpu_percent", "memory_percent", "disk_bytes_per_s")}
        schedule = make_schedule.grid(levels["cpu_percent"], levels["memory_percent"], levels["disk_bytes_per_s"], duration_s=arguments.duration)
    if arguments.out == "-":
        _give(schedule.to_json())
    else:
        schedule.write(arguments.out)
        _say(f"{arguments.out}: {len(schedule.experiments)} experiments, {sum(e.duration_s for e in schedule.experiments):.0f} s")
    return OK


def _replayed(arguments: argparse.Namespace) -> Schedule:
    """Return the schedule that replays a recording."""
    from twin_harness.control.replay import replay  # noqa: PLC0415 - numpy loads with it

    pairs = [part.partition("=") for part in (arguments.columns or "").split(",") if part]
    if any(not equals or not column for _, equals, column in pairs):
        msg = f"schedule replay: --columns: expected e.g. cpu=usage,memory=mem but got {arguments.columns!r}"
        raise InvalidInput(msg)
    return replay(
        arguments.recording,
        experiment=arguments.experiment,
        columns={resource.strip(): column for resource, _, column in pairs},
        time_column=arguments.time_column,
        memory_unit=arguments.memory_unit,
        step_s=arguments.step,
        time_scale=arguments.time_scale,
        level_scale=arguments.level_scale,
    )


def _numbers(text: str | None, name: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        msg = f"schedule grid: --{name.replace('_', '-')}: expected numbers such as 20,50,80 but got {text!r}"
        raise InvalidInput(msg) from None


def _show(arguments: argparse.Namespace) -> int:
    """Draw a schedule."""
    from twin_harness.report.plan_picture import plan_lines, plan_png  # noqa: PLC0415 - matplotlib loads with it
    from twin_harness.schedule import Schedule  # noqa: PLC0415 - pydantic loads with it

    schedule = Schedule.read(arguments.file)
    _say(*plan_lines(schedule))
    if arguments.figure:
        Path(arguments.figure).write_bytes(plan_png(schedule))
        _say(arguments.figure)
    return OK


def _check(arguments: argparse.Namespace) -> int:
    """Say what this machine would make of a schedule."""
    from twin_harness.control import preflight  # noqa: PLC0415 - psutil loads with it
    from twin_harness.machine import inspect_machine  # noqa: PLC0415 - as above
    from twin_harness.schedule import Schedule  # noqa: PLC0415 - pydantic loads with it

    schedule, settings = Schedule.read(arguments.file), _settings(arguments)
    machine = inspect_machine(Path(settings.scratch_dir or ".").resolve())
    refused, warnings, needs = [], [], []
    for experiment in schedule.experiments:
        needs.append({"experiment": experiment.name, "duration_s": experiment.duration_s, **preflight.needs_of(experiment, machine)})
        try:
            warnings += preflight.check(
                experiment, machine, settings.guard, is_scratch_named=bool(settings.scratch_dir), may_run_commands=settings.may_run_commands
            )
        except InvalidInput as error:
            refused.append(str(error))
    total_s = sum(experiment.duration_s for experiment in schedule.experiments)
    has = preflight.room_of(machine, settings.guard)
    if arguments.json:
        _give({"experiments": len(schedule.experiments), "duration_s": total_s, "refused": refused, "warnings": warnings, "needs": needs, "has": has})
    else:
        _say(f"{arguments.file}: {len(schedule.experiments)} experiments, {total_s:.0f} s of load and quiet; guard {settings.guard}")
        _say(f"{'':<34} {'seconds':>8} {'cpu peak':>9} {'memory peak':>12} {'disk peak':>12} {'file space':>11}")
        _say(*(_needs_line(row) for row in needs))
        memory, space = (f"{has[name] / 2**20:.0f} MiB" for name in ("memory_bytes", "space_bytes"))
        _say(f"{'this machine, less the guard':<34} {'':>8} {'100 %':>9} {memory:>12} {'':>12} {space:>11}")
        _say(*(f"warning  {warning}" for warning in warnings), *(f"refused  {reason}" for reason in refused))
        _say("this machine can run it" if not refused else f"this machine would refuse {len(refused)} of them")
    return FAILED if refused else OK


def _needs_line(row: dict[str, Any]) -> str:
    name = row["experiment"] if len(row["experiment"]) <= 34 else f"…{row['experiment'][-33:]}"  # noqa: PLR2004 - the column's width
    memory, disk, space = (f"{row[key] / 2**20:.0f} MiB" for key in ("memory_peak_bytes", "disk_peak_bytes_per_s", "space_bytes"))
    return f"{name:<34} {row['duration_s']:>8.1f} {row['cpu_peak_percent']:>7.1f} % {memory:>12} {disk + '/s':>12} {space:>11}"


def _report(arguments: argparse.Namespace) -> int:
    """Render the EDA report of a run, at any stage of it."""
    from twin_harness.recording import load  # noqa: PLC0415 - numpy loads with it
    from twin_harness.report.html import write_report  # noqa: PLC0415 - seconds of import

    run = load(arguments.run)
    path = write_report(run, Path(arguments.out) if arguments.out else Path("reports") / run.folder.run_id)
    _say(str(path))
    return OK


def _clean(arguments: argparse.Namespace) -> int:
    """Remove what sessions left that are gone: processes, boards, scratch files, workings of run folders."""
    from twin_harness.control.reaper import reap  # noqa: PLC0415 - as above
    from twin_harness.recording import Run  # noqa: PLC0415 - numpy loads with it
    from twin_harness.run_folder import RUN_ID, RunFolder  # noqa: PLC0415 - as above

    done = reap()
    data_dir = Path(arguments.data_dir)
    for path in sorted(data_dir.iterdir()) if data_dir.is_dir() else []:
        if RUN_ID.fullmatch(path.name) and not path.is_symlink() and Run(RunFolder(path)).is_killed:
            RunFolder(path).remove_workings(keep_notes=True)
            done.append(f"removed the workings of {path}, whose session was killed; its data stays")
    if arguments.json:
        _give(done)
    else:
        _say(*done, f"{len(done)} things removed" if done else "nothing was left behind")
    return OK


def _doctor(arguments: argparse.Namespace) -> int:
    """Say what this machine permits, and what is poorer for it."""
    from twin_harness.control.doctor import examine  # noqa: PLC0415 - psutil loads with it

    findings = examine(Path(arguments.scratch_dir or ".").resolve())
    if arguments.json:
        _give([finding.to_json() for finding in findings])
    else:
        _say(*(line for finding in findings for line in finding.lines()))
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="twin", description="A digital twin of this server: stress it, record it, label it.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(
        name: str, run: Callable[[argparse.Namespace], int], text: str, settings: Sequence[str] = (), *, example: str = "", has_json: bool = True
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter)
        command.set_defaults(run_command=run)
        if has_json:
            command.add_argument("--json", action="store_true", help="machine output on stdout")
        _add_settings(command, settings)
        return command

    add("doctor", _doctor, "what this machine permits, and what will be poorer for it", ("scratch-dir",))
    stress = add("stress", _stress, "put one load on one resource", _LOAD, example=_STRESS_EXAMPLES)
    stress.add_argument("resource", help="cpu, memory, disk, command (then -- and the program), or a stressor that an installed project brings")
    stress.add_argument("--level", type=float, help="percent for cpu and memory, bytes per second for disk")
    stress.add_argument("--shape", metavar="JSON", help='a load shape, e.g. \'{"kind": "ramp", "from": 0, "to": 80}\'')
    stress.add_argument("--duration", type=float, default=10.0, metavar="SECONDS", help="how long (default: 10)")
    stress.add_argument("--unit", metavar="UNIT", help="unit of the level: percent, bytes, bytes_per_s, operations_per_s")
    stress.add_argument("--options", metavar="JSON", help='options of the event, e.g. \'{"operation": "read"}\'')
    example = "example: twin log --interval 0.1 --duration 60 --out metrics.csv"
    log = add("log", _log, "sample this machine: a table, or CSV", _SENSOR, example=example, has_json=False)
    log.add_argument("--duration", type=float, default=None, metavar="SECONDS", help="how long (default: until Ctrl-C)")
    log.add_argument("--out", metavar="FILE", help="a CSV file to make (default: a table on a terminal, CSV on stdout elsewhere)")
    overhead = add("overhead", _overhead, "measure what logger and probes cost this machine", _SENSOR, example="example: twin overhead --rounds 10")
    overhead.add_argument("--rounds", type=int, default=10, help="rounds of three blocks, two without the harness and one with it, 6 or more (default: 10)")
    overhead.add_argument("--block", type=float, default=2.0, metavar="SECONDS", help="length of a block (default: 2)")
    _add_schedule(add)
    run = add("run", _run, "run every experiment of a schedule", (*_LOAD, "report-dir", "no-report"), example="example: twin run data/latest/schedule.json")
    run.add_argument("schedule", help="a schedule.json")
    clean = add("clean", _clean, "remove what killed sessions left: processes, boards, scratch files")
    clean.add_argument("--data-dir", default="data", metavar="DIR", help="where run folders are (default: data)")
    report = add("report", _report, "render the EDA report of a run", example="example: twin report data/latest", has_json=False)
    report.add_argument("run", help="a run folder")
    report.add_argument("--out", metavar="DIR", help="where it goes (default: reports/<run-id>)")
    return parser


def _add_schedule(add: Callable[..., argparse.ArgumentParser]) -> None:
    schedule = add("schedule", _schedule, "make or check a schedule file", has_json=False)
    actions = schedule.add_subparsers(dest="action", metavar="ACTION", required=True)
    random = actions.add_parser("random", help="random experiments, drawn by a seed", description="random experiments, drawn by a seed")
    random.add_argument("-n", type=int, default=3, help="how many (default: 3)")
    random.add_argument("--seed", type=int, default=0)
    random.add_argument("--no-overlap", dest="overlap", action="store_false", default=None, help="one event at a time")
    for name, (convert, metavar, text) in _BOUNDS.items():
        if name != "overlap":
            random.add_argument(f"--{name.replace('_', '-')}", type=convert, metavar=metavar, help=text)
    grid = actions.add_parser("grid", help="every combination of levels", description="every combination of levels")
    for name in ("--cpu-percent", "--memory-percent", "--disk-bytes-per-s"):
        grid.add_argument(name, metavar="LEVELS", help="e.g. 20,50,80")
    grid.add_argument("--duration", type=float, default=10.0, metavar="SECONDS")
    replay = actions.add_parser("replay", help="recorded telemetry as load", description="recorded telemetry as load: a run folder, or any CSV file")
    replay.add_argument("recording", help="a run folder, or a CSV file")
    replay.add_argument("--experiment", metavar="NAME", help="of a run folder, the experiment to replay (default: the whole run)")
    replay.add_argument("--columns", metavar="MAP", help="of a CSV file, e.g. cpu=usage,memory=mem,disk=bytes_per_s")
    replay.add_argument("--time-column", default="time", metavar="NAME", help="of a CSV file, seconds or ISO 8601 (default: time)")
    replay.add_argument("--memory-unit", default="percent", choices=("percent", "bytes"), help="of a CSV file (default: percent)")
    replay.add_argument("--step", type=float, metavar="SECONDS", help="means over so many seconds of the recording (default: 1, or longer)")
    replay.add_argument("--time-scale", type=float, default=1.0, help="0.1 replays ten times as fast (default: 1)")
    replay.add_argument("--level-scale", type=float, default=1.0, help="2 doubles every level (default: 1)")
    for action in (random, grid, replay):
        action.add_argument("-o", "--out", default="-", metavar="FILE", help="where it goes (default: stdout)")
    show = actions.add_parser("show", help="draw a schedule", description="draw a schedule on the terminal, and as a figure")
    show.add_argument("file", help="a schedule.json")
    show.add_argument("--figure", metavar="PNG", help="where the figure goes")
    check = actions.add_parser("check", help="what this machine would make of a schedule", description="what this machine would make of a schedule")
    check.add_argument("file", help="a schedule.json")
    check.add_argument("--json", action="store_true", help="machine output on stdout")
    _add_settings(check, _CHECK)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 fine, 1 failed, 2 usage or bad input, 3 aborted by the guard, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index("--") if "--" in words and words[0] == "stress" else len(words)
    parsed = _parser().parse_args(words[:end])
    parsed.argv = words[end + 1 :]
    try:
        return int(parsed.run_command(parsed))
    except BrokenPipeError:
        return OK
    except (InvalidInput, UnreadableRun) as error:
        _complain(str(error).replace("--twin-", "--"))  # the same options have longer names under pytest
        return USAGE
    except TwinError as error:
        _complain(str(error))
        return FAILED
    except OSError as error:
        _complain(f"{error.filename or 'a file'}: {error.strerror or error}; look at its folder, rights and space")
        return USAGE if error.filename else FAILED
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main())

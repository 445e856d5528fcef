"""Commands that put load on this machine: ``twin run`` and ``twin stress``."""

from __future__ import annotations

import contextlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.cli.output import (
    ABORTED,
    FAILED,
    INTERRUPTED,
    OK,
    complain,
    give,
    say,
    stdout,
    unread,
)
from twin_harness.cli.settings import read_settings
from twin_harness.errors import (
    ExperimentAborted,
    ExperimentError,
    InvalidInput,
    TwinError,
    Undecided,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from twin_harness.runs.judgement import Judgement
    from twin_harness.runs.recording import Recording
    from twin_harness.runs.records import AnnotationRow
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment
    from twin_harness.session.config import TwinConfig
    from twin_harness.session.session import Session


_LABEL_WIDTH = 22


def _run_all(
    experiments: Sequence[tuple[Experiment, dict[str, Any] | None]],
    settings: TwinConfig,
    *,
    is_quiet: bool,
    at_once: int = 1,
) -> tuple[list[Recording], Path, int, Path | None]:
    """Run experiments in a session of their own, one after another or up to ``at_once``.

    Return recordings, run folder, exit code and report.
    """
    from twin_harness.runs.run import load
    from twin_harness.session.seat import Seat
    from twin_harness.session.session import Session
    from twin_harness.session.status import StatusLine

    session = Session.open(
        settings, Seat.draw(settings, Path.cwd(), " ".join(["twin", *sys.argv[1:]])), complain
    )
    recordings: list[Recording] = []
    code, is_interrupted, undecided = OK, False, 0
    line = StatusLine.on(2)
    line.follow(session.folder.path / "run.json")
    try:
        if at_once > 1:
            from twin_harness.cli.at_once import run_at_once

            code, undecided = run_at_once(
                session, experiments, min(at_once, len(experiments)), complain
            )
        else:
            code, undecided = _run_in_turn(session, experiments, recordings, is_quiet=is_quiet)
    except KeyboardInterrupt:
        is_interrupted, code = True, INTERRUPTED
        complain("interrupted: load stopped, writing what was recorded")
    finally:
        line.close()
        try:
            _note_unread(session)
        finally:
            report = session.close(is_interrupted=is_interrupted)
    if session.report_fault:
        if session.report_fault == "interrupted":
            code = INTERRUPTED
        else:
            code = max(code, FAILED)
    if at_once > 1 or is_interrupted:
        recordings = list(load(session.folder.path).recordings)
    if undecided == len(experiments):  # not one of them could be judged: that is no success
        code = max(code, FAILED)
    return recordings, session.folder.path, code, report


def _note_unread(session: Session) -> None:
    """Note in the run that its output could not be written.

    Where that cannot be noted either, stderr says it.
    """
    if not unread() or session.is_mute:
        return
    with contextlib.suppress(
        OSError, TwinError
    ):  # the disk that took no output may hold the run, too
        session.note(
            f"stdout: {stdout().fault}; what was to be shown there is not, and the run went on to"
            " its end"
        )


def _run_in_turn(
    session: Session,
    experiments: Sequence[tuple[Experiment, dict[str, Any] | None]],
    recordings: list[Recording],
    *,
    is_quiet: bool,
) -> tuple[int, int]:
    """Run experiments one after another, and return the worst exit code and how many were UNDECIDED."""
    code, undecided = OK, 0
    for number, (experiment, generator) in enumerate(experiments, 1):
        if not is_quiet:
            say(f"{number} of {len(experiments)}  {experiment.name}  {experiment.duration_s:.0f} s")
        try:
            recordings.append(session.runner.run(experiment, generator))
        except ExperimentError as error:
            if isinstance(error, ExperimentAborted):
                code = ABORTED
            else:
                code = max(code, FAILED)
            recordings += [error.recording] if error.recording else []
            complain(str(error))
        except Undecided as error:
            undecided += 1
            recordings += [error.recording] if error.recording else []
            complain(f"UNDECIDED: {error}")
        finally:
            session.admission.release()
    return code, undecided


def run(arguments: argparse.Namespace) -> int:
    """Run every experiment of a schedule file."""
    from twin_harness.cli.at_once import MOST_AT_ONCE
    from twin_harness.schedule.model import Schedule

    if not 1 <= arguments.parallel <= MOST_AT_ONCE:
        msg = (
            f"run: --parallel: expected a whole number from 1 to {MOST_AT_ONCE} but got"
            f" {arguments.parallel}"
        )
        raise InvalidInput(msg)
    schedule = Schedule.read(arguments.schedule)
    if schedule.generator.get("name") == "session":
        generators = schedule.generator.get("experiments")
    else:
        generators = None
    if not isinstance(generators, dict):
        generators = {}
    if isinstance(parts := schedule.generator.get("parts"), int):
        complain(
            f"{arguments.schedule}: its experiments ran in {parts} parts of a machine; here their"
            " percents are of the whole one"
        )
    if arguments.parallel > 1 and sum(experiment.share for experiment in schedule.experiments) < 2:
        complain(
            f"--parallel {arguments.parallel}: of {len(schedule.experiments)} experiments fewer"
            " than two have share, so they take turns"
        )
    planned = [(experiment, generators.get(experiment.name)) for experiment in schedule.experiments]
    settings = read_settings(arguments)
    recordings, folder, code, report = _run_all(
        planned, settings, is_quiet=arguments.json, at_once=arguments.parallel
    )
    if arguments.json:
        give(
            {
                "run": str(folder),
                "report": str(report) if report else None,
                "events": _facts(recordings, settings.tolerance),
            }
        )
    else:
        say(
            *_table(recordings, settings.tolerance),
            f"data    {folder}/",
            f"report  {report or _no_report(folder)}",
        )
    return code


def stress(arguments: argparse.Namespace) -> int:
    """Put one load on one resource."""
    from twin_harness.schedule.builders import plan

    experiment = plan(
        _event_of(arguments), name=f"twin stress {arguments.resource}", lead_s=0.5, tail_s=0.3
    )
    settings = read_settings(arguments, has_report=False)
    recordings, folder, code, _ = _run_all([(experiment, None)], settings, is_quiet=True)
    if arguments.json:
        give({"run": str(folder), "events": _facts(recordings, settings.tolerance)})
    else:
        say(
            *_table(recordings, settings.tolerance),
            f"data    {folder}/",
            f"report  {_no_report(folder)}",
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
        if (
            arguments.level is not None
            or arguments.shape is not None
            or set(options) - {"cwd", "env"}
        ):
            msg = (
                "stress: a command has no level and no shape, and its options are cwd and env; got"
                f" --options {arguments.options!r}"
            )
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
    make = {"cpu": builders.cpu, "memory": builders.memory, "disk": builders.disk}.get(
        arguments.resource
    ) or partial(builders.custom, arguments.resource)
    return make(shape, duration_s=arguments.duration, **options)


def _parse_options(text: str | None) -> dict[str, Any]:
    try:
        if text:
            options = json.loads(text)
        else:
            options = {}
    except ValueError:
        options = None
    if not isinstance(options, dict) or set(options) & {
        "duration_s",
        "start_s",
        "id",
        "unit",
        "shape",
    }:
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
            f'stress: --shape: {text!r} is no JSON ({error}); write e.g. --shape \'{{"kind":'
            ' "ramp", "from": 0, "to": 80}\''
        )
        raise InvalidInput(msg) from None
    from twin_harness.schedule.model import Schedule

    event = {
        "stressor": "disk",
        "duration_s": 1.0,
        "shape": data,
    }  # disk: no upper bound; the resource's own is checked by its builder
    checked = Schedule.from_json({"experiments": [{"events": [event]}]}, source="stress: --shape")
    found: Event = checked.experiments[0].events[0]
    return found.shape


def _judged(recording: Recording, row: AnnotationRow, tolerance: str) -> Judgement:
    """Return what can be said of an event's load.

    Of one whose samples cannot be read that it cannot be judged.
    """
    from twin_harness.runs.judgement import UNDECIDED, UNJUDGED, Judgement, judge

    if row.stressor == "mark":
        return Judgement(row.event, UNJUDGED)
    try:
        return judge(recording, row.event, tolerance)
    except TwinError as error:
        return Judgement(row.event, UNDECIDED, str(error))


def _facts(recordings: list[Recording], tolerance: str) -> list[dict[str, Any]]:
    """Return each event as data.

    What was asked, what was got, and whether that is within the tolerance.
    """
    names = (
        "experiment",
        "event",
        "status",
        "unit",
        "requested_mean",
        "delivered_mean",
        "delivered_error_percent",
        "delivered_rmse",
        "settled_s",
    )
    facts = []
    for recording in recordings:
        for row in recording.rows:
            judged = _judged(recording, row, tolerance)
            own = {
                name: getattr(row, name)
                for name in (*names, "actual_start_s", "actual_end_s", "release_s", "message")
            }
            facts.append({**own, "verdict": judged.verdict, "reason": judged.reason})
    return facts


def _no_report(folder: Path) -> str:
    """Return the line that stands in place of a report's path."""
    from twin_harness.session.reporting import seen_from_here

    return f"none of this run; `twin report {seen_from_here(folder)}` draws it"


def _table(recordings: list[Recording], tolerance: str) -> list[str]:
    """Return a table of what was asked and got, within 80 columns.

    The last is the status, or what its tolerance makes of it.
    """
    from twin_harness.runs.judgement import MISSED, UNDECIDED

    lines = [
        f"{'event':<{_LABEL_WIDTH}} {'asked':>12} {'got':>12} {'error':>9} {'settled':>8}  status"
    ]
    for recording in recordings:
        for row in recording.rows:
            if row.stressor == "mark":
                continue
            if row.delivered_error_percent is not None:
                error = f"{row.delivered_error_percent:+.2f} %"
            else:
                error = "-"
            if row.delivered_mean is not None:
                settled = "never"
            else:
                settled = "-"
            if row.settled_s is not None:
                settled = f"{row.settled_s:.1f} s"
            label = f"{recording.name}/{row.event}"
            if not (len(label) <= _LABEL_WIDTH):
                label = f"…{label[1 - _LABEL_WIDTH :]}"
            verdict = _judged(recording, row, tolerance).verdict
            if verdict in (MISSED, UNDECIDED):
                status = verdict
            else:
                status = row.status
            asked, got = (
                _amount(value, row.unit) for value in (row.requested_mean, row.delivered_mean)
            )
            lines.append(
                f"{label:<{_LABEL_WIDTH}} {asked:>12} {got:>12} {error:>9} {settled:>8}  {status}"
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

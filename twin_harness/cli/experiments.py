"""Run experiments in a session of their own, for ``twin run`` and ``twin stress``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.cli.output import (
    ABORTED,
    FAILED,
    INTERRUPTED,
    OK,
    echo,
    echo_error,
    stdout,
    unread,
)
from twin_harness.errors import ExperimentAborted, ExperimentError, TwinError, Undecided
from twin_harness.quantity import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.runs.recording import Recording
    from twin_harness.schedule.model import Experiment
    from twin_harness.session.config import TwinConfig
    from twin_harness.session.session import Session


def run_all(
    experiments: Sequence[tuple[Experiment, dict[str, Any] | None]],
    settings: TwinConfig,
    *,
    is_quiet: bool,
    at_once: int = 1,
) -> tuple[list[Recording], Path, int, Path | None]:
    """Run experiments in a session of their own.

    Args:
        experiments: each with what made it.
        settings: of the session.
        is_quiet: whether no line says which experiment runs.
        at_once: how many may run at once.

    Returns:
        recordings, run folder, exit code and report.
    """
    from twin_harness.runs.run import load
    from twin_harness.session.seat import Seat
    from twin_harness.session.session import Session
    from twin_harness.session.status import StatusLine

    session = Session.open(
        settings, Seat.draw(settings, Path.cwd(), " ".join(["twin", *sys.argv[1:]])), echo_error
    )
    recordings: list[Recording] = []
    code, is_interrupted, undecided = OK, False, 0
    line = StatusLine.on(2)
    line.follow(session.folder.path / "run.json")
    try:
        if at_once > 1:
            from twin_harness.cli.parallel import run_in_parallel

            code, undecided = run_in_parallel(
                session, experiments, min(at_once, len(experiments)), echo_error
            )
        else:
            code, undecided = _run_in_turn(session, experiments, recordings, is_quiet=is_quiet)
    except KeyboardInterrupt:
        is_interrupted, code = True, INTERRUPTED
        echo_error("interrupted: load stopped, writing what was recorded")
    finally:
        line.close()
        try:
            _note_unread(session)
        finally:
            report = session.close(is_interrupted=is_interrupted)
    if session.report_fault:
        code = INTERRUPTED if session.report_fault == "interrupted" else max(code, FAILED)
    if at_once > 1 or is_interrupted:
        recordings = list(load(session.folder.path).recordings)
    if undecided == len(experiments):  # not one of them could be judged: that is no success
        code = max(code, FAILED)
    return recordings, session.folder.path, code, report


def _note_unread(session: Session) -> None:
    """Note in the run that its output could not be written; else stderr says it."""
    if not unread() or session.is_mute:
        return
    with contextlib.suppress(OSError, TwinError):  # the same disk may hold the run, too
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
    """Run experiments one after another.

    Return the worst exit code, and how many were UNDECIDED.
    """
    code, undecided = OK, 0
    for number, (experiment, generator) in enumerate(experiments, 1):
        if not is_quiet:
            length = duration(experiment.duration_s)
            echo(f"{number} of {len(experiments)}  {experiment.name}  {length}")
        try:
            recordings.append(session.runner.run(experiment, generator))
        except ExperimentError as error:
            code = ABORTED if isinstance(error, ExperimentAborted) else max(code, FAILED)
            recordings += [error.recording] if error.recording else []
            echo_error(str(error))
        except Undecided as error:
            undecided += 1
            recordings += [error.recording] if error.recording else []
            echo_error(f"UNDECIDED: {error}")
        finally:
            session.admission.release()
    return code, undecided

"""Commands that load nothing: ``twin log``, ``overhead``, ``report``, ``clean`` and ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.cli.output import OK, complain, give, say
from twin_harness.cli.settings import read_settings
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse


def log(arguments: argparse.Namespace) -> int:
    """Sample this machine into a CSV file, without load."""
    from twin_harness.telemetry.record import record  # noqa: PLC0415 - psutil loads with it

    return record(Path(arguments.out) if arguments.out else None, read_settings(arguments), arguments.duration, complain)


def overhead(arguments: argparse.Namespace) -> int:
    """Measure what logger and probes cost this machine."""
    from twin_harness.telemetry.overhead import FEWEST_ROUNDS, measure  # noqa: PLC0415 - psutil loads with it

    if arguments.rounds < FEWEST_ROUNDS or not 0 < arguments.block < float("inf"):
        msg = (
            f"overhead: expected --rounds of {FEWEST_ROUNDS} or more (fewer have no 95 % interval) and --block above 0 s"
            f" but got --rounds {arguments.rounds} --block {arguments.block:g}"
        )
        raise InvalidInput(msg)
    found = measure(read_settings(arguments), arguments.rounds, arguments.block, complain)
    if arguments.json:
        give(found.to_json())
    else:
        say(*found.lines())
    return OK


def report(arguments: argparse.Namespace) -> int:
    """Render the EDA report of a run, at any stage of it."""
    from twin_harness.recording import load  # noqa: PLC0415 - numpy loads with it
    from twin_harness.report.html import write_report  # noqa: PLC0415 - seconds of import

    run = load(arguments.run)
    path = write_report(run, Path(arguments.out) if arguments.out else Path("reports") / run.folder.run_id)
    say(str(path))
    return OK


def clean(arguments: argparse.Namespace) -> int:
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
        give(done)
    else:
        say(*done, f"{len(done)} things removed" if done else "nothing was left behind")
    return OK


def doctor(arguments: argparse.Namespace) -> int:
    """Say what this machine permits, and what is poorer for it."""
    from twin_harness.control.doctor import examine  # noqa: PLC0415 - psutil loads with it

    findings = examine(Path(arguments.scratch_dir or ".").resolve())
    if arguments.json:
        give([finding.to_json() for finding in findings])
    else:
        say(*(line for finding in findings for line in finding.lines()))
    return OK

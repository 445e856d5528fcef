"""``twin clean``: remove what killed sessions left, or old runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.cli.output import FAILED, OK, echo, echo_error, write_json
from twin_harness.errors import InvalidInput
from twin_harness.quantity import count, quantity
from twin_harness.system import newest

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands
    from twin_harness.cli.old_runs import Removal, Selection

_EXAMPLES = """Without options: what killed sessions left. With --keep or --older: old runs, each
with its report, and nothing else; with both, a run goes that is beyond the N newest and older than
AGE.

Never removed: the newest run, one whose session still runs, a folder that is not a run, anything
behind a link. Baselines and models hold their figures themselves and need no run; what fit, compare
or replay is to read again must stay.

examples:
  twin clean
  twin clean --older 30d --dry-run
  twin clean --keep 20"""


def add_clean(commands: Commands) -> None:
    """Add the command."""
    text = "remove what killed sessions left: processes, boards, scratch files; or old runs"
    command = commands.add("clean", clean, text, example=_EXAMPLES, has_work=True)
    command.add_argument("--keep", metavar="N", help="remove all runs but the N newest")
    text = "remove runs that began longer ago than AGE: 12h, 30d, 2w"
    command.add_argument("--older", metavar="AGE", help=text)
    text = "show what would be removed, and remove nothing"
    command.add_argument("--dry-run", action="store_true", help=text)
    for name, default, what in (("report", "reports", "reports"), ("data", "data", "run folders")):
        text = f"where {what} are (default: {default})"
        command.add_argument(f"--{name}-dir", default=default, metavar="DIR", help=text)


def clean(arguments: argparse.Namespace) -> int:
    """Remove what killed sessions left, or runs that are old."""
    if arguments.keep is not None or arguments.older is not None:
        return _clean_old(arguments)
    if arguments.dry_run:
        msg = (
            "clean: --dry-run: expected --keep N or --older AGE with it but got neither; write e.g."
            " twin clean --older 30d --dry-run"
        )
        raise InvalidInput(msg)
    from twin_harness.runs.folder import RunFolder
    from twin_harness.runs.run import Run
    from twin_harness.system.reaper import reap
    from twin_harness.system.run_id import RUN_ID

    done = reap()
    data_dir = Path(arguments.data_dir)
    for path in sorted(data_dir.iterdir()) if data_dir.is_dir() else []:
        if RUN_ID.fullmatch(path.name) and not path.is_symlink() and Run(RunFolder(path)).is_killed:
            RunFolder(path).remove_workings(keep_notes=True)
            done.append(f"removed the workings of {path}, whose session was killed; its data stays")
    if arguments.json:
        write_json(done)
    else:
        last = f"{count(len(done), 'thing')} removed" if done else "nothing was left behind"
        echo(*done, last)
    return OK


def _clean_old(arguments: argparse.Namespace) -> int:
    """Remove the runs beyond a number or an age, or show which these are."""
    from twin_harness.cli import old_runs

    keep, older_s = old_runs.parse_keep(arguments.keep), old_runs.parse_age(arguments.older)
    data_dir, report_dir = Path(arguments.data_dir), Path(arguments.report_dir)
    selection = old_runs.select(data_dir, report_dir, keep, older_s)
    done, code = [], OK
    for removal in selection.removals:
        if not arguments.dry_run and not _is_removed(removal):
            code = FAILED
            continue
        done.append(removal)
        if not arguments.json:
            echo(removal.line)
    removed = {removal.run for removal in done}
    if not arguments.dry_run and newest.latest_name(report_dir) in removed:
        newest.remove_latest(report_dir)
    if arguments.json:
        write_json(_data(selection, done, is_dry=arguments.dry_run))
        return code
    echo(*(f"kept {path}: {reason}" for path, reason in selection.kept.items()))
    amount = f"{count(len(done), 'run')}, {quantity(_total_bytes(done), 'bytes')}"
    if arguments.dry_run:
        echo(f"{amount} would be removed; with --dry-run nothing is")
    else:
        echo(f"{amount} removed")
    return code


def _is_removed(removal: Removal) -> bool:
    """Remove folders; what cannot be removed is said on stderr."""
    try:
        removal.carry_out()
    except OSError as error:
        echo_error(
            f"{error.filename or removal.folders[0]}: cannot be removed ({error.strerror});"
            " look at its rights, and clean again"
        )
        return False
    return True


def _total_bytes(removals: list[Removal]) -> int:
    return sum(removal.size_bytes for removal in removals)


def _data(selection: Selection, done: list[Removal], *, is_dry: bool) -> dict[str, Any]:
    """Return what was removed and what was kept, as data."""
    return {
        "dry_run": is_dry,
        "removed": [removal.to_json() for removal in done],
        "kept": [{"path": path, "reason": reason} for path, reason in selection.kept.items()],
        "bytes": _total_bytes(done),
    }

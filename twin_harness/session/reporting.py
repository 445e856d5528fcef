"""The report of a session that has closed: drawn, or why it was not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.errors import in_a_line
from twin_harness.runs.paths import make_output_folder
from twin_harness.runs.run import Run
from twin_harness.session.interrupts import interrupts_put_off
from twin_harness.system import newest

if TYPE_CHECKING:
    from twin_harness.session.context import Context

INTERRUPTED = "interrupted"


def draw_report(context: Context, *, is_interrupted: bool) -> tuple[Path | None, str]:
    """Render the EDA report; what goes wrong there, or a Ctrl-C, costs the report alone.

    Args:
        context: the session, whose files are written.
        is_interrupted: whether the session was interrupted before.

    Returns:
        The report's path and an empty text, or None and why there is no report.
    """
    if is_interrupted:
        context.warn(
            f"drawing the report; Ctrl-C leaves it out, and `{_report_command(context)}` draws it"
            " later"
        )
    try:
        return _write_report(context), ""
    except KeyboardInterrupt:
        return None, note_no_report(context, INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - of many libraries; it is named, the run stands
        return None, note_no_report(context, in_a_line(error))


def note_no_report(context: Context, why: str) -> str:
    """Say, now and in ``run.json``, that this run has no report, and how to get one; return why."""
    with interrupts_put_off():
        sentence = f"no report of this run ({why}): `{_report_command(context)}` draws it"
        state = context.folder.read_state()
        context.folder.write_state({**state, "notes": [*state.get("notes", []), sentence]})
        context.warn(sentence)
    return why


def _write_report(context: Context) -> Path:
    """Render the EDA report of this run and point ``reports/latest`` at it."""
    from twin_harness.report.html import write_report

    root, folder = Path(context.seat.report_dir), context.folder
    make_output_folder(root)
    path = write_report(Run(folder), root / folder.run_id)
    # Else a newer run has begun meanwhile, and its report will be the latest.
    if newest.latest_name(folder.path.parent) == folder.run_id:
        newest.set_latest(path.parent)
    return path


def _report_command(context: Context) -> str:
    return f"twin report {seen_from_here(context.folder.path)}"


def seen_from_here(path: Path) -> Path:
    """Return a path as it is typed in the present folder."""
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, OSError):
        return path

"""The closing section of pytest's terminal: where everything is, and what was undecided."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.quantity import duration

if TYPE_CHECKING:
    import pytest

    from twin_harness.plugin.state import PluginState

_MOST_SHOWN = 10


def closing_lines(folder: Path, run: dict[str, Any], report: Path | None) -> list[str]:
    """Return what became of a run, given the content of its ``run.json``.

    Args:
        folder: of the run.
        run: the content of ``run.json``.
        report: the run's HTML report; None where none was made.
    """
    experiments, account = run.get("experiments", []), run.get("logger") or {}
    load_s = sum(entry["end_s"] - entry["begin_s"] for entry in experiments)
    if (run.get("settings") or {}).get("on") == "twin":
        samples = "predicted, nothing was loaded"
    else:
        samples = f"{account.get('rows', 0)} samples, {account.get('missed_samples', 0)} missed"
    return [
        f"{run.get('status')}: {len(experiments)} experiments, {duration(load_s)}, {samples}",
        f"data    {_relative(folder)}/",
        _report_line(folder, report),
        *(f"partial {reason}" for reason in run.get("partial", [])[:_MOST_SHOWN]),
        *(f"note    {note}" for note in run.get("notes", [])[:_MOST_SHOWN]),
    ]


def _report_line(folder: Path, report: Path | None) -> str:
    if report:
        return f"report  {_relative(report)}"
    return f"report  not made for this run; `twin report {_relative(folder)}` makes it"


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def write_summary(reporter: pytest.TerminalReporter, state: PluginState) -> None:
    """Write the closing section, and every UNDECIDED test with its reason."""
    if state.gate_lines:
        reporter.section("twin gate")
        for line in state.gate_lines:
            reporter.write_line(line)
    if not state.closing_lines and not state.undecided:
        return
    reporter.section("twin harness")
    for line in state.closing_lines:
        reporter.write_line(line)
    if state.undecided:
        reporter.write_line(f"undecided: {len(state.undecided)}")
    for nodeid, reason in state.undecided[:_MOST_SHOWN]:
        reporter.write_line(f"  {nodeid}: {reason}")

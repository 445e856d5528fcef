"""What pytest's terminal says about experiments: the plan before, where everything is after. Functions return lines; one writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.plugin.collection import planned_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from twin_harness.plugin.state import PluginState

_MOST_SHOWN = 10


def duration_text(seconds_s: float) -> str:
    """Return a duration for people."""
    minutes, seconds = divmod(round(seconds_s), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def plan_lines(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Return what is planned: experiments, seconds, peak load, guard, folders; nothing when nothing is."""
    from twin_harness.plugin.state import state_of  # noqa: PLC0415 - a cycle otherwise, state names nothing of ours

    planned = [experiment for item in items if (experiment := planned_of(item)) is not None]
    others = sum(1 for item in items if "_twin_session" in getattr(item, "fixturenames", ()) and planned_of(item) is None)
    if not planned and not others:
        return []
    settings = state_of(config).config
    total_s = sum(experiment.duration_s for experiment in planned)
    more = f", and {others} tests that plan their own load" if others else ""
    peaks = [f"{name} {_peak(planned, name)}" for name in ("cpu", "memory", "disk") if _peak(planned, name)]
    return [
        f"twin: {len(planned)} experiments planned, {duration_text(total_s)} of load and quiet{more}",
        f"twin: highest level asked for: {', '.join(peaks) or 'none'}; guard {settings.guard}; seed {settings.seed}; every {settings.interval_s:g} s",
        f"twin: data goes to {settings.data_dir}/, {f'report to {settings.report_dir}/' if settings.has_report else 'no report'}",
    ]


def _peak(planned: list[Experiment], stressor: str) -> str:
    levels = [(event.shape.extremes(event.duration_s)[1], event.unit) for experiment in planned for event in experiment.events if event.stressor == stressor]
    if not levels:
        return ""
    level, unit = max(levels)
    if unit == "percent":
        return f"{level:g} %"
    return f"{level / 2**20:.1f} MiB{'/s' if unit == 'bytes_per_s' else ''}" if unit != "operations_per_s" else f"{level:g} operations/s"


def close_session(state: PluginState, *, is_interrupted: bool) -> None:
    """Close the session, if one was opened, and keep what the summary is to say."""
    session = state.session
    if session is None:
        return
    if state.status is not None:
        state.status.close()
    state.report = session.close(is_interrupted=is_interrupted)
    run = session.folder.read_state()
    experiments = run.get("experiments", [])
    status = str(run.get("status"))
    load_s = sum(entry["end_s"] - entry["begin_s"] for entry in experiments)
    account = run.get("logger") or {}
    state.closing_lines = [
        f"{status}: {len(experiments)} experiments, {duration_text(load_s)}, {account.get('rows', 0)} samples, {account.get('missed_samples', 0)} missed",
        f"data    {_relative(session.folder.path)}/",
        *([f"report  {_relative(state.report)}"] if state.report else []),
        *(f"partial {reason}" for reason in session.partial),
        *(f"note    {note}" for note in session.notes[:_MOST_SHOWN]),
    ]
    state.session = None


def _relative(path: Path) -> str:
    from pathlib import Path as _Path  # noqa: PLC0415 - shown to people only

    try:
        return str(path.relative_to(_Path.cwd()))
    except ValueError:
        return str(path)


def write_summary(reporter: pytest.TerminalReporter, state: PluginState) -> None:
    """Write the closing section, and every UNDECIDED test with its reason."""
    if not state.closing_lines and not state.undecided:
        return
    reporter.section("twin harness")
    for line in state.closing_lines:
        reporter.write_line(line)
    if state.undecided:
        reporter.write_line(f"undecided: {len(state.undecided)}")
    for nodeid, reason in state.undecided[:_MOST_SHOWN]:
        reporter.write_line(f"  {nodeid}: {reason}")


if TYPE_CHECKING:
    from twin_harness.schedule import Experiment

"""What pytest's terminal says about experiments: the plan before, where everything is after.

Functions return lines; one writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.plugin import gate
from twin_harness.plugin.collection import fault_of, planned_of
from twin_harness.plugin.state import state_of
from twin_harness.quantity import duration, event_quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from twin_harness.plugin.state import PluginState
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment

_MOST_SHOWN = 10


def plan_lines(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Return what is planned: experiments, seconds, peak load, guard, folders.

    Nothing when nothing is.
    """
    items = [
        item for item in items if not fault_of(item)
    ]  # the others fail in their set-up, which says why
    planned = [
        experiment
        for item in items
        for _ in range(gate.runs_of(item))
        if (experiment := planned_of(item)) is not None
    ]
    others = sum(
        1
        for item in items
        if "_twin_session" in getattr(item, "fixturenames", ()) and planned_of(item) is None
    )
    if not planned and not others:
        return []
    settings = state_of(config).config
    total_s = sum(experiment.duration_s for experiment in planned)
    if others:
        more = f", and {others} tests that plan their own load"
    else:
        more = ""
    peaks = [
        f"{name} {level}" for name in ("cpu", "memory", "disk") if (level := _peak(planned, name))
    ]
    where = {
        "server": "",
        "twin": f", on the twin {settings.model}",
        "both": f", each beside what the twin {settings.model} predicts",
    }[settings.on]
    told = state_of(config).campaign_line
    return [
        (
            f"twin: {len(planned)} experiments planned, {duration(total_s)} of"
            f" {'virtual time' if settings.on == 'twin' else 'load and quiet'}{more}{where}"
        ),
        *([f"twin: {told}"] if told else []),
        f"twin: highest level asked for: {', '.join(peaks) or 'none'}",
        (
            f"twin: guard {settings.guard}; tolerance {settings.tolerance}; seed {settings.seed}; a"
            f" sample every {settings.interval_s:g} s"
        ),
        *(
            [
                (
                    f"twin: {settings.parts} experiments at once, each with 1/{settings.parts} of CPUs,"
                    " memory and guard"
                )
            ]
            if settings.parts
            else []
        ),
        *gate.plan_line(state_of(config), items, total_s),
        (
            f"twin: data goes to {settings.data_dir}/,"
            f" {f'report to {settings.report_dir}/' if settings.has_report else 'no report'}"
        ),
        *(_seconds_lines(items) if config.option.collectonly else []),
    ]


def _seconds_lines(items: list[pytest.Item]) -> list[str]:
    """Return the planned seconds of each test that has an experiment."""
    planned = [
        (item.nodeid, experiment) for item in items if (experiment := planned_of(item)) is not None
    ]
    return [f"twin: {experiment.duration_s:7.1f} s  {nodeid}" for nodeid, experiment in planned]


def _peak(planned: list[Experiment], stressor: str) -> str:
    """Return the highest sum of levels over time in any experiment, in each unit that is used.

    Empty without such events.
    """
    from twin_harness.schedule.peaks import peak

    experiments = {
        id(experiment): [event for event in experiment.events if event.stressor == stressor]
        for experiment in planned
    }
    units = dict.fromkeys(event.unit for events in experiments.values() for event in events)
    share = _share_of_machine([event for events in experiments.values() for event in events])
    levels = {
        unit: max(
            peak([(event, share(event)) for event in events if event.unit == unit])[0]
            for events in experiments.values()
        )
        for unit in units
    }
    return " and ".join(event_quantity(level, unit) for unit, level in levels.items())


def _share_of_machine(events: list[Event]) -> Callable[[Event], float]:
    """Return what one percent of a CPU event is of the machine.

    The machine is looked at only where CPUs are named.
    """
    if not any(event.options.get("cpus") for event in events):
        return lambda _: 1.0
    from twin_harness.system.machine import inspect_machine

    capacity = inspect_machine(Path.cwd()).cpu_capacity
    return lambda event: event.scale(capacity, 0.0)


def closing_lines(folder: Path, run: dict[str, Any], report: Path | None) -> list[str]:
    """Return what became of a run, given the content of its ``run.json``."""
    experiments, account = run.get("experiments", []), run.get("logger") or {}
    load_s = sum(entry["end_s"] - entry["begin_s"] for entry in experiments)
    is_predicted = (run.get("settings") or {}).get("on") == "twin"
    if is_predicted:
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
    return f"report  none of this run; `twin report {_relative(folder)}` draws it"


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

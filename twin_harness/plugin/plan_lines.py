"""The plan in lines: experiments, seconds, peak load, guard and folders, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.plugin.gate_plan import gate_line, runs_of
from twin_harness.plugin.planned import fault_of, planned_of
from twin_harness.plugin.requested import requests
from twin_harness.plugin.state import state_of
from twin_harness.quantity import duration, event_quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment
    from twin_harness.session.config import TwinConfig


def plan_lines(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Return what is planned; nothing where no test has to do with experiments."""
    # Those with a fault fail in their set-up, which says why.
    items = [item for item in items if not fault_of(item)]
    planned = [
        experiment
        for item in items
        for _ in range(runs_of(item))
        if (experiment := planned_of(item)) is not None
    ]
    others = sum(requests(item, "_twin_session") and planned_of(item) is None for item in items)
    if not planned and not others:
        return []
    state = state_of(config)
    total_s = sum(experiment.duration_s for experiment in planned)
    lines = [_experiments_line(state.config, len(planned), total_s, others)]
    if state.campaign_line:
        lines.append(f"twin: {state.campaign_line}")
    lines += [_peaks_line(planned), *_settings_lines(state.config)]
    lines += [*gate_line(state, items, total_s), _folders_line(state.config)]
    if config.option.collectonly:
        lines += _seconds_lines(items)
    return lines


def _experiments_line(settings: TwinConfig, count: int, total_s: float, others: int) -> str:
    kind, more = "load and quiet", ""
    if settings.on == "twin":
        kind = "virtual time"
    if others:
        more = f", and {others} tests that plan their own load"
    where = {
        "server": "",
        "twin": f", on the twin {settings.model}",
        "both": f", each beside what the twin {settings.model} predicts",
    }[settings.on]
    return f"twin: {count} experiments planned, {duration(total_s)} of {kind}{more}{where}"


def _peaks_line(planned: list[Experiment]) -> str:
    peaks = [(name, _peak(planned, name)) for name in ("cpu", "memory", "disk")]
    levels = [f"{name} {level}" for name, level in peaks if level]
    return f"twin: highest level asked for: {', '.join(levels) or 'none'}"


def _settings_lines(settings: TwinConfig) -> list[str]:
    values = (
        f"twin: guard {settings.guard}; tolerance {settings.tolerance}; seed {settings.seed}; a"
        f" sample every {settings.interval_s:g} s"
    )
    if not settings.parts:
        return [values]
    parts = (
        f"twin: {settings.parts} experiments at once, each with 1/{settings.parts} of CPUs, memory"
        " and guard"
    )
    return [values, parts]


def _folders_line(settings: TwinConfig) -> str:
    if settings.has_report:
        return f"twin: data goes to {settings.data_dir}/, report to {settings.report_dir}/"
    return f"twin: data goes to {settings.data_dir}/, no report"


def _seconds_lines(items: list[pytest.Item]) -> list[str]:
    """Return the planned seconds of each test that has an experiment."""
    planned = [
        (item.nodeid, experiment) for item in items if (experiment := planned_of(item)) is not None
    ]
    return [f"twin: {experiment.duration_s:7.1f} s  {nodeid}" for nodeid, experiment in planned]


def _peak(planned: list[Experiment], stressor: str) -> str:
    """Return the highest sum of levels of any experiment, in each unit; empty without events."""
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
    """Return what one percent of a CPU event is of the machine, read only where CPUs are named."""
    if not any(event.options.get("cpus") for event in events):
        return lambda _: 1.0
    from twin_harness.system.machine import inspect_machine

    capacity = inspect_machine(Path.cwd()).cpu_capacity
    return lambda event: event.scale(capacity, 0.0)

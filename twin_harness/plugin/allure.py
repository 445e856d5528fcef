"""Allure: each event of an experiment a step with its real times, and the timeline as a picture."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from twin_harness.recording import Recording
    from twin_harness.records import AnnotationRow

_STATUS = {"completed": "passed", "stopped": "skipped", "skipped": "skipped", "aborted": "broken", "failed": "failed"}


def is_on(config: pytest.Config) -> bool:
    """Tell whether allure-pytest is installed and writes results in this session."""
    return bool(getattr(config.option, "allure_report_dir", None)) and config.pluginmanager.has_plugin("allure_listener")


def attach_recordings(config: pytest.Config, recordings: list[Recording]) -> None:
    """Add the events of a test's experiments to its Allure result, as steps, with the timeline of each experiment."""
    if not recordings or not is_on(config):
        return
    listener: Any = config.pluginmanager.get_plugin("allure_listener")
    result = listener.allure_logger.get_test(None)
    if result is None:
        return
    from twin_harness.report.figures import timeline_png  # noqa: PLC0415 - matplotlib loads with it

    for recording in recordings:
        result.steps.extend(step_of(row) for row in recording.rows if row.start_time and row.end_time)
        listener.attach_data(timeline_png(recording), f"timeline of {recording.name}", "image/png", "png")


def step_of(row: AnnotationRow) -> Any:
    """Return an event as an Allure step: real start and end, what was asked for and what was delivered."""
    from allure_commons.model2 import Parameter, StatusDetails, TestStepResult  # noqa: PLC0415 - only where Allure is on

    asked = f" {row.requested_mean:.4g} {row.unit}" if row.requested_mean is not None else ""
    got = f", delivered {row.delivered_mean:.4g}" if row.delivered_mean is not None else ""
    step = TestStepResult(
        name=f"{row.event}: {row.shape or row.stressor}{asked}{got}",
        start=_milliseconds(row.start_time),
        stop=_milliseconds(row.end_time),
        status=_STATUS.get(row.status, "passed"),
    )
    if row.message:
        step.statusDetails = StatusDetails(message=row.message)
    facts = {"start error": row.start_error_ms, "end error": row.end_error_ms, "delivered error": row.delivered_error_percent, "settled": row.settled_s}
    units = {"start error": "ms", "end error": "ms", "delivered error": "%", "settled": "s"}
    step.parameters = [Parameter(name=name, value=f"{value:.3f} {units[name]}") for name, value in facts.items() if value is not None]
    return step


def _milliseconds(utc_text: str) -> int:
    return int(datetime.fromisoformat(utc_text).timestamp() * 1000)

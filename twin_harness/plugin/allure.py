"""Allure: each event of an experiment a step with its real times, and the timeline as a picture."""

from __future__ import annotations

import hashlib
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from twin_harness.errors import TwinError

if TYPE_CHECKING:
    import pytest

    from twin_harness.recording import Recording
    from twin_harness.records import AnnotationRow

_STATUS = {"completed": "passed", "stopped": "skipped", "skipped": "skipped", "aborted": "broken", "failed": "failed"}


def is_on(config: pytest.Config) -> bool:
    """Tell whether allure-pytest is installed and writes results in this session."""
    return bool(getattr(config.option, "allure_report_dir", None)) and config.pluginmanager.has_plugin("allure_listener")


def attach_recordings(config: pytest.Config, recordings: list[Recording]) -> str:
    """Add the events of a test's experiments to its Allure result, as steps, with the timeline of each; return a sentence if that failed."""
    if not recordings or not is_on(config):
        return ""
    listener: Any = config.pluginmanager.get_plugin("allure_listener")
    result = listener.allure_logger.get_test(None)
    if result is None:
        return ""
    from twin_harness.report.figures import timeline_png  # noqa: PLC0415 - matplotlib loads with it

    for recording in recordings:
        rows = sorted((row for row in recording.rows if row.start_time and row.end_time), key=lambda row: row.start_time)
        result.steps.extend(step_of(row) for row in rows)
        try:
            picture = timeline_png(recording)
        except (OSError, ValueError, TwinError) as error:  # the test's own outcome stands
            return f"no timeline of {recording.name} in Allure: {error}"
        listener.attach_data(picture, f"timeline of {recording.name}", "image/png", "png")
    return ""


def report_lost(config: pytest.Config, nodeid: str, message: str) -> None:
    """Write an Allure result for a test whose worker died before it could."""
    folder = getattr(config.option, "allure_report_dir", None)
    if not folder or not is_on(config):
        return
    from allure_commons.logger import AllureFileLogger  # noqa: PLC0415 - only where Allure is on
    from allure_commons.model2 import Label, StatusDetails, TestResult  # noqa: PLC0415 - as above
    from allure_commons.types import LabelType  # noqa: PLC0415 - as above

    file, _, name = nodeid.partition("::")
    full_name = f"{file.removesuffix('.py').replace('/', '.')}#{name}"
    identity = hashlib.md5(full_name.encode(), usedforsecurity=False).hexdigest()  # as allure-pytest does, so that history finds it
    moment = round(time.time() * 1000)
    result = TestResult(uuid=str(uuid.uuid4()), name=name, fullName=full_name, start=moment, stop=moment, status="broken")
    result.historyId = result.testCaseId = identity
    result.statusDetails = StatusDetails(message=f"its worker was lost: {message}")
    result.labels = [Label(name=LabelType.SUITE, value=full_name.partition("#")[0]), Label(name=LabelType.FRAMEWORK, value="pytest")]
    write: Any = AllureFileLogger
    write(folder).report_result(result)


def step_of(row: AnnotationRow) -> Any:
    """Return an event as an Allure step: real start and end, what was asked for and what was delivered."""
    from allure_commons.model2 import Parameter, StatusDetails, TestStepResult  # noqa: PLC0415 - only where Allure is on

    asked = f" {_amount(row.requested_mean, row.unit)}" if row.requested_mean is not None else ""
    got = f", delivered {_amount(row.delivered_mean, row.unit)}" if row.delivered_mean is not None else ""
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


def _amount(value: float, unit: str) -> str:
    if unit in ("bytes", "bytes_per_s"):
        return f"{value / 2**20:.1f} MiB" + ("/s" if unit == "bytes_per_s" else "")
    return f"{value:.2f} {'%' if unit == 'percent' else 'operations/s' if unit == 'operations_per_s' else unit}"


def _milliseconds(utc_text: str) -> int:
    return int(datetime.fromisoformat(utc_text).timestamp() * 1000)

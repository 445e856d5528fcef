"""Allure: a test's experiments in its result, as steps, parameters, attachments and metrics."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from twin_harness.errors import in_a_line
from twin_harness.plugin import allure_files
from twin_harness.plugin.allure_files import milliseconds
from twin_harness.plugin.state import state_of
from twin_harness.quantity import event_quantity
from twin_harness.system.clock import monotonic_s, utc_s

if TYPE_CHECKING:
    import pytest

    from twin_harness.plugin.state import PluginState, TestState
    from twin_harness.runs.recording import Recording
    from twin_harness.runs.records import AnnotationRow

_LEAST_WAIT_S = 0.1
_STATUS = {
    "completed": "passed",
    "stopped": "skipped",
    "skipped": "skipped",
    "aborted": "broken",
    "failed": "failed",
}


def is_on(config: pytest.Config) -> bool:
    """Tell whether allure-pytest is installed and writes results in this session."""
    return bool(
        getattr(config.option, "allure_report_dir", None)
    ) and config.pluginmanager.has_plugin("allure_listener")


def attach(config: pytest.Config, test: TestState) -> str:
    """Add what a test's experiments were to its Allure result; return a sentence if that failed.

    Waiting for the machine and every event are steps with their real times; host, part of the
    machine and seed are parameters; each experiment leaves its timeline, its samples, its plan and
    its annotations, each of at most 1 MiB, and its figures as metrics.
    """
    if not test.recordings or not is_on(config):
        return ""
    listener: Any = config.pluginmanager.get_plugin("allure_listener")
    result = listener.allure_logger.get_test(None)
    if result is None:
        return ""
    rows = [row for recording in test.recordings for row in recording.rows]
    starts = [milliseconds(row.start_time) for row in rows if row.start_time]
    result.start = min([result.start, *starts])
    steps = [_waiting_step(*wait) for wait in test.waits if wait[1] - wait[0] >= _LEAST_WAIT_S]
    steps += [step_of(row) for row in rows if row.start_time and row.end_time]
    if test.variant.name:
        for step in steps:
            step.name = f"{test.variant.name}: {step.name}"
    result.steps.extend(sorted(steps, key=lambda step: step.start))
    # The first run of a pair has added its parameters already.
    known = {parameter.name for parameter in result.parameters}
    result.parameters.extend(
        parameter
        for parameter in _parameters(test.recordings[0], state_of(config))
        if parameter.name not in known
    )
    for recording in test.recordings:
        try:
            for body, name, kind, ending in allure_files.attachments(recording):
                listener.attach_data(body, f"{name} of {recording.name}", kind, ending)
            allure_files.write_metrics(config.option.allure_report_dir, result.uuid, recording)
        except Exception as error:  # noqa: BLE001 - drawing may raise anything
            return f"not all of {recording.name} is in Allure: {in_a_line(error)}"
    return ""


def note_unneeded(config: pytest.Config) -> None:
    """Say in the running test's Allure result why nothing ran; allure-pytest writes one anyway."""
    if not is_on(config):
        return
    from allure_commons.model2 import StatusDetails

    listener: Any = config.pluginmanager.get_plugin("allure_listener")
    result = listener.allure_logger.get_test(None)
    if result is not None:
        result.status = "skipped"
        result.statusDetails = StatusDetails(
            message="this pair was not needed: the gate had decided, or no pair was to be replaced"
        )


def _waiting_step(begin_s: float, end_s: float) -> Any:
    """Return a step for the time in which another experiment had the machine."""
    from allure_commons.model2 import TestStepResult

    now_s, now_ms = monotonic_s(), utc_s() * 1000
    start, stop = (round(now_ms - (now_s - instant_s) * 1000) for instant_s in (begin_s, end_s))
    return TestStepResult(
        name=f"waiting for the machine: {end_s - begin_s:.1f} s",
        start=start,
        stop=stop,
        status="passed",
    )


def _parameters(recording: Recording, state: PluginState) -> list[Any]:
    """Return where the test ran and by what it can be repeated.

    All of it is kept out of the history's id: containers and runners have a new name each run, and
    a part of the machine falls to a test by chance, so a test would be a new one every time.
    """
    from allure_commons.model2 import Parameter

    facts = {
        "host": str(recording.machine.get("host", "")),
        "partition": recording.planned.partition,
        "seed": str(state.config.seed),
        "run": state.seat.run_id,
    }
    return [
        Parameter(name=name, value=value, excluded=True)
        for name, value in facts.items()
        if value or name != "partition"
    ]


def report_lost(config: pytest.Config, nodeid: str, message: str) -> None:
    """Write an Allure result for a test whose worker died before it could.

    Args:
        config: pytest's, which knows Allure's results folder.
        nodeid: of the test.
        message: what pytest says of the crash.
    """
    folder = getattr(config.option, "allure_report_dir", None)
    if not folder or not is_on(config):
        return
    from allure_commons.logger import AllureFileLogger
    from allure_commons.model2 import Label, StatusDetails, TestResult
    from allure_commons.types import LabelType

    path, bracket, parameters = nodeid.partition("[")
    file, *classes, function = path.split("::")
    full_name = f"{'.'.join([file.removesuffix('.py').replace('/', '.'), *classes])}#{function}"
    moment = round(utc_s() * 1000)
    result = TestResult(
        uuid=str(uuid.uuid4()),
        name=f"{function}{bracket}{parameters}",
        fullName=full_name,
        start=moment,
        stop=moment,
        status="broken",
    )
    # As allure-pytest does, so that history finds it; of a parametrized test it takes the values,
    # which the controller has not.
    result.testCaseId = hashlib.md5(full_name.encode(), usedforsecurity=False).hexdigest()
    result.historyId = hashlib.md5(
        f"{full_name}{bracket}{parameters}".encode(), usedforsecurity=False
    ).hexdigest()
    result.titlePath = file.split("/")
    result.statusDetails = StatusDetails(message=f"its worker was lost: {message}")
    result.labels = [
        Label(name=LabelType.SUITE, value=full_name.partition("#")[0]),
        Label(name=LabelType.FRAMEWORK, value="pytest"),
    ]
    write: Any = AllureFileLogger
    write(folder).report_result(result)


def step_of(row: AnnotationRow) -> Any:
    """Return an event as an Allure step: its real times, and requested and delivered means."""
    from allure_commons.model2 import Parameter, StatusDetails, TestStepResult

    name = f"{row.event}: {row.shape or row.stressor}"
    if row.requested_mean is not None:
        name += f" {event_quantity(row.requested_mean, row.unit)}"
    if row.delivered_mean is not None:
        name += f", delivered {event_quantity(row.delivered_mean, row.unit)}"
    step = TestStepResult(
        name=name,
        start=milliseconds(row.start_time),
        stop=milliseconds(row.end_time),
        status=_STATUS.get(row.status, "passed"),
    )
    if row.message:
        step.statusDetails = StatusDetails(message=row.message)
    facts = {
        "start error": row.start_error_ms,
        "end error": row.end_error_ms,
        "delivered error": row.delivered_error_percent,
        "settled": row.settled_s,
    }
    units = {"start error": "ms", "end error": "ms", "delivered error": "%", "settled": "s"}
    step.parameters = [
        Parameter(name=name, value=f"{value:.3f} {units[name]}")
        for name, value in facts.items()
        if value is not None
    ]
    return step

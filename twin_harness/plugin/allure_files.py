"""The files beside Allure's results.

Attachments of experiments, metrics, and what is told once a session.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.errors import TwinError, Undecided, in_a_line
from twin_harness.plugin.results_folder import CATEGORIES as CATEGORIES_FILE
from twin_harness.plugin.results_folder import ENVIRONMENT, EXECUTOR, WRITTEN, ResultsFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from twin_harness.runs.folder import RunFolder
    from twin_harness.runs.recording import Recording

MOST_BYTES = 1024 * 1024
_MOST_SAMPLES = 2_000
# What Allure and its adaptors write into a results folder; nothing else is ever removed there.
_STALE = (
    "*-result.json",
    "*-container.json",
    "*-attachment*",
    "*-globals.json",
    "*-perf.json",
    ENVIRONMENT,
    CATEGORIES_FILE,
    EXECUTOR,
    WRITTEN,
)
CATEGORIES = (
    {
        "name": "undecided",
        "matchedStatuses": ["skipped"],
        "messageRegex": ".*(UNDECIDED|errors[.]Undecided).*",
    },
    {
        "name": "stopped by the guard",
        "matchedStatuses": ["failed", "broken"],
        "messageRegex": ".*guard: .*",
    },
    {
        "name": "load not delivered as asked",
        "matchedStatuses": ["failed", "broken"],
        "messageRegex": ".*(against a tolerance of|delivered ).*",
    },
    {
        "name": "regressed at the gate",
        "matchedStatuses": ["failed"],
        "messageRegex": ".*REGRESSED.*",
    },
    {
        "name": "infrastructure",
        "matchedStatuses": ["failed", "broken"],
        "messageRegex": ".*(HarnessFailure|its worker was lost|ExperimentFailed).*",
    },
)
_METRICS = (
    ("cpu_percent mean", "mean", "cpu_percent"),
    ("memory_percent max", "max", "memory_percent"),
    ("disk_write_bytes_per_s mean", "mean", "disk_write_bytes_per_s"),
    ("pressure_cpu_percent mean", "mean", "pressure_cpu_percent"),
    ("probe_wakeup_ms p95", "p95", "probe_wakeup_ms"),
)


def clean_once(config: pytest.Config, *, is_worker: bool) -> None:
    """Do what ``--clean-alluredir`` asks on the controller alone.

    Left to the adaptor, a worker that is restarted would wipe the others' results.
    """
    folder = getattr(config.option, "allure_report_dir", None)
    if (
        not folder
        or not getattr(config.option, "clean_alluredir", False)
        or config.option.collectonly
    ):
        return  # the adaptor cleans nothing either where tests are only collected
    config.option.clean_alluredir = False  # the adaptor looks at it after us
    for pattern in () if is_worker else _STALE:
        for path in Path(folder).glob(pattern):
            with contextlib.suppress(OSError):
                path.unlink()


# -- of an experiment ------------------------------------------------------------------------------


def attachments(recording: Recording) -> Iterator[tuple[bytes, str, str, str]]:
    """Return content, name, media type and ending of what an experiment leaves.

    Timeline, samples, plan, annotations.
    """
    from twin_harness.report.drawing.timelines import timeline_png

    yield timeline_png(recording), "timeline", "image/png", "png"
    yield samples_csv(recording), "samples", "text/csv", "csv"
    yield (
        json.dumps(recording.experiment.to_json(), indent=1).encode(),
        "plan",
        "application/json",
        "json",
    )
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(recording.annotations.columns)
    writer.writerows(row.to_cells() for row in recording.rows)
    yield text.getvalue().encode("utf-8", "backslashreplace"), "annotations", "text/csv", "csv"


def samples_csv(recording: Recording) -> bytes:
    """Return the samples as CSV of at most 1 MiB.

    Every row, or means over as long a window as that takes.
    """
    from twin_harness.dataset.preparation import window_means

    frame, window_s = recording.samples, 0.0
    if len(frame) > _MOST_SAMPLES:
        window_s = max(1.0, (recording.end_s - recording.begin_s) / _MOST_SAMPLES)
    while True:
        if window_s:
            shown = window_means(frame, window_s)
        else:
            shown = frame
        data: bytes = shown.to_csv(float_format="%.6g").encode()
        if len(data) <= MOST_BYTES:
            return data
        window_s = max(1.0, 2 * window_s)


def write_metrics(folder: str, test_id: str, recording: Recording) -> None:
    """Write the figures of an experiment as Allure 3 reads them into its metrics section.

    ``<test>-perf.json``.
    """
    row = next((row for row in recording.rows if row.start_time and row.end_time), None)
    if row:
        moments = {"start": _milliseconds(row.start_time), "stop": _milliseconds(row.end_time)}
    else:
        moments = {}
    figures = [
        (name, value)
        for name, kind, column in _METRICS
        if (value := _figure(recording, kind, column)) is not None
    ]
    figures += [
        (f"{row.event} delivered error percent", row.delivered_error_percent)
        for row in recording.rows
        if row.delivered_error_percent is not None
    ]
    entries = [
        {
            "id": f"{recording.name} {name}",
            "key": f"{recording.name}: {name}",
            "value": round(value, 6),
            **moments,
        }
        for name, value in figures
    ]
    if entries:
        Path(folder, f"{test_id}-{uuid.uuid4().hex[:6]}-perf.json").write_text(
            json.dumps(entries), encoding="utf-8"
        )


def _figure(recording: Recording, kind: str, column: str) -> float | None:
    try:
        if kind == "p95":
            return recording.quantile(column, 0.95)
        if kind == "max":
            return recording.max(column)
        return recording.mean(column)
    except (Undecided, TwinError, KeyError):
        return None


def _milliseconds(utc_text: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(utc_text).timestamp() * 1000)


# -- of a session ----------------------------------------------------------------------------------


def write_session(config: pytest.Config, folder: RunFolder, report: Path | None) -> list[str]:
    """Add environment, categories and executor to the user's own, and attach the session's files, where Allure is on.

    Returns:
        Sentences about what could not be written; a failure here is none of the session's.
    """
    target = getattr(config.option, "allure_report_dir", None)
    if not target or not config.pluginmanager.has_plugin("allure_listener"):
        return []
    results = ResultsFolder(Path(target))
    try:
        results.path.mkdir(parents=True, exist_ok=True)
        results.add(environment(folder), CATEGORIES, executor(dict(os.environ)))
        _attach_files(folder, report)
    except Exception as error:  # noqa: BLE001 - whatever the adaptor raises: the run is closed and stands
        results.sentences.append(f"Allure's results in {target} are not whole: {in_a_line(error)}")
    return results.sentences


def write_gate(config: pytest.Config, text: str) -> None:
    """Write the gate's figures as metrics, where Allure is on.

    A failure is none of the session's.
    """
    target = getattr(config.option, "allure_report_dir", None)
    if target and config.pluginmanager.has_plugin("allure_listener"):
        with contextlib.suppress(OSError):
            Path(target, f"gate-{uuid.uuid4().hex[:6]}-perf.json").write_text(
                text, encoding="utf-8"
            )


def environment(folder: RunFolder) -> dict[str, str]:
    """Return what the overview shows of the machine and the run."""
    machine, state = folder.read_machine(), folder.read_state()
    versions = machine.get("versions") or {}
    return {
        "host": str(machine.get("host", "")),
        "machine": (
            f"{machine.get('cpu_capacity', '?')} CPUs, {machine.get('cpu_model', '?')},"
            f" {machine.get('memory_limit_bytes', 0) / 2**30:.1f} GiB"
        ),
        "kernel": str(machine.get("kernel", "")),
        "fingerprint": str(machine.get("fingerprint", "")),
        "run": folder.run_id,
        "status": str(state.get("status", "")),
        "seed": str(state.get("seed", "")),
        "twin-harness": str(versions.get("twin-harness", "")),
        "python": str(machine.get("python", "")),
        "logger": str(machine.get("scheduling", "")),
    }


def executor(variables: dict[str, str]) -> dict[str, Any]:
    """Return who ran this, from the variables that GitHub Actions, GitLab CI and Jenkins set.

    Empty elsewhere.
    """
    if variables.get("GITHUB_ACTIONS"):
        server, repository, number = (
            variables.get(name, "")
            for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
        )
        name, kind, url = "GitHub Actions", "github", f"{server}/{repository}/actions/runs/{number}"
        build, order = (
            f"{variables.get('GITHUB_WORKFLOW', '')} #{variables.get('GITHUB_RUN_NUMBER', '')}",
            variables.get("GITHUB_RUN_NUMBER", ""),
        )
    elif variables.get("GITLAB_CI"):
        name, kind, url = "GitLab CI", "gitlab", variables.get("CI_JOB_URL", "")
        build, order = (
            f"{variables.get('CI_JOB_NAME', '')} #{variables.get('CI_JOB_ID', '')}",
            variables.get("CI_PIPELINE_IID", ""),
        )
    elif variables.get("JENKINS_URL"):
        name, kind, url = "Jenkins", "jenkins", variables.get("BUILD_URL", "")
        build, order = variables.get("BUILD_TAG", ""), variables.get("BUILD_NUMBER", "")
    else:
        return {}
    return {
        "name": name,
        "type": kind,
        "buildName": build,
        "buildUrl": url,
        **({"buildOrder": int(order)} if order.isdecimal() else {}),
    }


def _attach_files(folder: RunFolder, report: Path | None) -> None:
    """Attach dataset, annotations, plan and report to the session, where the adaptor can (allure-pytest 2.16)."""
    import allure_commons

    attach: Any = getattr(allure_commons._allure, "global_attach", None)  # noqa: SLF001 - allure.global_attach by the name that imports no plugin twice
    if attach is None:
        return
    files = [
        (folder.dataset, "samples", "text/csv", "csv"),
        (folder.annotations, "annotations", "text/csv", "csv"),
        (folder.schedule, "plan", "application/json", "json"),
        *([(report, "EDA report", "text/html", "html")] if report else []),
    ]
    for path, name, kind, ending in files:
        if path.exists():
            attach.file(str(path), name=name, attachment_type=kind, extension=ending)

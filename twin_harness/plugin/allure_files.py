"""The files that experiments and the gate leave beside Allure's results: attachments, metrics."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.errors import TwinError, Undecided

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from twin_harness.gate.verdict import Judgement
    from twin_harness.runs.recording import Recording

MOST_BYTES = 1024 * 1024
_MOST_FLAMES = 10
_MOST_SAMPLES = 2_000
_METRICS = (
    ("cpu_percent mean", "mean", "cpu_percent"),
    ("memory_percent max", "max", "memory_percent"),
    ("disk_write_bytes_per_s mean", "mean", "disk_write_bytes_per_s"),
    ("pressure_cpu_percent mean", "mean", "pressure_cpu_percent"),
    ("probe_wakeup_ms p95", "p95", "probe_wakeup_ms"),
)


def attachments(recording: Recording) -> Iterator[tuple[bytes, str, str, str]]:
    """Yield content, name, media type and ending: timeline, samples, plan, annotations."""
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
    """Return the samples as CSV of at most 1 MiB: every row, or means over longer windows."""
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
    """Write the figures of an experiment for Allure 3's metrics section: ``<test>-perf.json``.

    Args:
        folder: Allure's results folder.
        test_id: uuid of the test's result.
        recording: of the experiment.
    """
    row = next((row for row in recording.rows if row.start_time and row.end_time), None)
    moments = {}
    if row:
        moments = {"start": milliseconds(row.start_time), "stop": milliseconds(row.end_time)}
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


def milliseconds(utc_text: str) -> int:
    """Return an ISO 8601 text as Allure counts time: milliseconds since 1970."""
    return int(datetime.fromisoformat(utc_text).timestamp() * 1000)


def write_gate(config: pytest.Config, judgement: Judgement, folder: Path) -> None:
    """Leave the gate's figures as metrics, its summary and flame graphs as global attachments.

    Only where Allure is on; an allure-pytest before 2.16 knows no global attachments, and a failure
    here is not reported.

    Args:
        config: pytest's.
        judgement: of the session.
        folder: ``gate`` in the run folder; it holds the samples of what was profiled.
    """
    from twin_harness.gate.outputs import allure_metrics

    target = getattr(config.option, "allure_report_dir", None)
    listener: Any = config.pluginmanager.get_plugin("allure_listener")
    if not target or listener is None:
        return
    with contextlib.suppress(OSError):
        Path(target, f"gate-{uuid.uuid4().hex[:6]}-perf.json").write_text(
            allure_metrics(judgement), encoding="utf-8"
        )
        if hasattr(listener, "global_attach_data"):
            for body, name, kind, ending in gate_attachments(judgement, folder):
                listener.global_attach_data(body, name, kind, ending)


def gate_attachments(judgement: Judgement, folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield content, name, media type and ending: the summary, a flame graph for each profile.

    Args:
        judgement: of the session.
        folder: ``gate`` in the run folder.
    """
    from twin_harness.gate.outputs import markdown

    yield markdown(judgement), "twin gate: verdict", "text/markdown", "md"
    if judgement.places is None:
        return
    from twin_harness.gate.profile_files import read_profiles
    from twin_harness.report.drawing.flames import flame_svg

    for test, profile in sorted(read_profiles(folder).items())[:_MOST_FLAMES]:
        svg = flame_svg(*profile.pooled(), f"Difference flame graph of {test}")
        if svg and len(svg) <= MOST_BYTES:
            yield svg, f"twin gate: where {test} spends more", "image/svg+xml", "svg"

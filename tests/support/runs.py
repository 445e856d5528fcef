"""Made-up runs: dataset, plans and annotations as the harness writes them, without load."""

import math
from datetime import UTC, datetime, timedelta

from twin_harness import metrics
from twin_harness.runs.folder import RunFolder
from twin_harness.runs.records import AnnotationRow, PlannedExperiment

ZERO_S = 1000.0
BEGAN = datetime(2026, 1, 2, tzinfo=UTC)
NAMES = [metric.name for metric in metrics.columns((0, 1))]


def csv_row(monotonic_s, **values):
    """One line of a dataset; what is not given is an empty cell."""
    cells = {
        "time": (BEGAN + timedelta(seconds=monotonic_s)).isoformat(timespec="microseconds"),
        "monotonic_s": f"{monotonic_s:.6f}",
        "host": "h",
    }
    cells |= {
        name: "" if isinstance(value, float) and math.isnan(value) else str(value)
        for name, value in values.items()
    }
    return ",".join(cells.get(name, "") for name in NAMES) + "\n"


def write_dataset(folder, lines):
    """Write a dataset of such lines."""
    folder.dataset.write_text(",".join(NAMES) + "\n" + "".join(lines))


def make_folder(data_dir):
    """Make a run folder that has begun within a data folder, and return it."""
    folder = RunFolder.create(data_dir)
    folder.write_state({"status": "COMPLETE"})
    folder.write_machine({"cpus": [0, 1], "cpu_capacity": 2.0, "memory_limit_bytes": 1000})
    return folder


def planned(experiment, zero_s=ZERO_S):
    """An experiment that ran with ``zero_s`` as zero of its events' clock."""
    return PlannedExperiment(
        experiment,
        zero_s - experiment.lead_s,
        zero_s,
        zero_s + experiment.span_s + experiment.tail_s,
        status="COMPLETE",
    )


def annotate(experiment, event_id, zero_s=ZERO_S, **more):
    """The row of an event that ran exactly as planned, unless said otherwise."""
    event = experiment.event(event_id)
    values = {
        "actual_start_s": event.start_s,
        "actual_end_s": event.end_s,
        "start_monotonic_s": zero_s + event.start_s,
        "end_monotonic_s": zero_s + event.end_s,
        "settled_s": 1.0,
    } | more
    return AnnotationRow(
        "run",
        experiment.name,
        event_id,
        event.stressor,
        event.shape.kind,
        event.unit,
        event.start_s,
        event.end_s,
        **values,
    )

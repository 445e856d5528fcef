"""A recording that never was.

The rows of a dataset as the twin foretells them, on the grid that a logger would have sampled.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import Undecided
from twin_harness.metrics import RESOURCE_COLUMNS, columns
from twin_harness.predict.demand import LONGEST_S, demand_of, stacked
from twin_harness.predict.domain import beyond
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.simulate import simulate
from twin_harness.runs.delivery import compare
from twin_harness.runs.frames import LABELS
from twin_harness.runs.recording import Recording
from twin_harness.runs.records import AnnotationRow, PlannedExperiment
from twin_harness.shapes import shape as shapes

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.predict.twin import Twin
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment

_SHORTEST_STEP_S, _LONGEST_STEP_S = 0.05, 1.0


def virtual_columns(
    twin: Twin, experiment: Experiment, interval_s: float
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return when each row would be taken, on the events' clock, and the columns that the twin foretells, (rows,) each.

    Requested comes from the plan, everything else from the model; columns that it knows nothing of
    are not there.

    Args:
        twin: fitted.
        experiment: the plan.
        interval_s: between two rows; the model steps by it, within 0.05 and 1 s.

    Raises:
        Undecided: the plan asks for what the model knows nothing of, lies beyond what it was fitted
            to, or lasts longer than six hours.
    """
    if experiment.duration_s > LONGEST_S:
        msg = (
            f"experiment {experiment.name!r}: {experiment.duration_s:.0f} s; the twin foretells up"
            f" to {LONGEST_S} s, run it on the server"
        )
        raise Undecided(msg)
    step_s = float(np.clip(interval_s, _SHORTEST_STEP_S, _LONGEST_STEP_S))
    demand = demand_of(experiment, twin.capacity_, step_s=step_s)
    if demand.unmodelled:
        msg = (
            f"experiment {experiment.name!r}: the twin knows nothing of"
            f" {', '.join(demand.unmodelled)}; run it on the server"
        )
        raise Undecided(msg)
    if reasons := beyond(demand_of(experiment, twin.capacity_), twin.domain_):
        msg = (
            f"experiment {experiment.name!r} lies beyond what the twin was fitted to:"
            f" {'; '.join(reasons)}; run it on the server, or record such loads"
        )
        raise Undecided(msg)
    found = {
        name: np.broadcast_to(values, (1, 1, demand.seconds))[0, 0]
        for name, values in simulate(
            twin.parameters_[np.newaxis], stacked([demand]), twin.capacity_, step_s=step_s
        ).items()
        if name != "load_share"
    }
    for name in set(COLUMNS) - set(twin.domain_.measured):
        found[name] = np.full(demand.seconds, np.nan)
    limit_bytes = twin.capacity_.memory_bytes
    used_bytes = found["memory_percent"] / 100.0 * limit_bytes
    others = (
        found["cpu_percent"]
        - found["cpu_delivered_percent"]
        - found["cpu_side_percent"]
        - found["harness_cpu_percent"]
    )
    found |= {
        "cpu_requested_percent": (
            demand.channel("cpu_percent") + demand.channel("cpu_total_percent")
        ),
        "memory_requested_bytes": demand.channel("memory_bytes"),
        "disk_requested_bytes_per_s": (
            demand.channel("write_bytes_per_s")
            + demand.channel("sync_bytes_per_s")
            + demand.channel("read_bytes_per_s")
        ),
        "cpu_steal_percent": np.zeros(demand.seconds),
        "cpu_background_percent": others,
        "memory_used_bytes": used_bytes,
        "memory_available_bytes": limit_bytes - used_bytes,
        "lateness_ms": np.zeros(demand.seconds),
        "missed_samples": np.zeros(demand.seconds),
    }
    return demand.ends_s, found


def annotate(
    row: AnnotationRow,
    planned: PlannedExperiment,
    event: Event,
    scale: float,
    samples: pd.DataFrame,
) -> AnnotationRow:
    """Fill in the annotation of an event that begins and ends as planned.

    Args:
        row: with the run's own fields.
        planned: the experiment on the virtual clock.
        event: of it.
        scale: what one unit of its level is in the unit of its columns.
        samples: the rows that were foretold, indexed by seconds on the events' clock, with
            ``dt_s``.
    """
    row.shape, row.unit, row.status = event.shape.kind, event.unit, "completed"
    row.planned_start_s, row.planned_end_s = event.start_s, event.end_s
    row.actual_start_s, row.actual_end_s = event.start_s, event.end_s
    row.start_monotonic_s, row.end_monotonic_s = (
        planned.zero_s + event.start_s,
        planned.zero_s + event.end_s,
    )
    row.start_error_ms, row.end_error_ms = 0.0, 0.0
    row.parameters = json.dumps(
        {"shape": shapes.to_json(event.shape), "options": event.options, "foretold": True}
    )
    row.overlapped = any(
        other.id != event.id and other.start_s < event.end_s and other.end_s > event.start_s
        for other in planned.experiment.events
    )
    if event.stressor in RESOURCE_COLUMNS:
        inside = samples[(samples.index >= event.start_s) & (samples.index <= event.end_s)]
        result = compare(event, scale, inside, row)
        if result is not None:
            row.requested_mean, row.delivered_mean = (
                result.requested_mean / scale,
                result.delivered_mean / scale,
            )
            row.delivered_error_percent, row.delivered_rmse, row.settled_s = (
                result.error_percent,
                result.rmse / scale,
                result.settled_s,
            )
    return row


def virtual_recording(twin: Twin, experiment: Experiment, interval_s: float) -> Recording:
    """Return what would be recorded of one experiment, in a session of its own that leaves no files.

    Raises:
        Undecided: the plan asks for what the model knows nothing of.
    """
    import pandas as pd

    offsets_s, found = virtual_columns(twin, experiment, interval_s)
    planned = PlannedExperiment(
        experiment, 0.0, experiment.lead_s, experiment.duration_s, "twin", "completed"
    )
    samples = pd.DataFrame(
        {"monotonic_s": planned.zero_s + offsets_s, **found}, index=pd.Index(offsets_s, name="t_s")
    )
    for name in (metric.name for metric in columns(()) if metric.name not in samples.columns):
        if name in LABELS:
            samples[name] = ""
        else:
            samples[name] = np.nan
    samples["experiment"] = experiment.name
    samples["dt_s"] = np.diff(
        offsets_s,
        prepend=(
            2 * offsets_s[0] - offsets_s[1] if len(offsets_s) > 1 else offsets_s[0] - interval_s
        ),
    )
    capacity = twin.capacity_
    rows = tuple(
        annotate(
            AnnotationRow(
                run="",
                experiment=experiment.name,
                event=event.id,
                stressor=event.stressor,
                worker="twin",
            ),
            planned,
            event,
            event.scale(capacity.cpus, capacity.memory_bytes),
            samples,
        )
        for event in experiment.events
    )
    machine = {
        "fingerprint": twin.file_.fingerprint,
        "cpu_capacity": capacity.cpus,
        "memory_limit_bytes": capacity.memory_bytes,
        "foretold_by": "twin",
    }
    return Recording.of_rows(planned, rows, samples, machine=machine)

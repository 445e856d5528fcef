"""Virtual recordings: the rows that a logger would have sampled, as the model predicts them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import Undecided
from twin_harness.metrics import RESOURCE_COLUMNS, columns
from twin_harness.predict.demand import LONGEST_S, demand_of, stacked
from twin_harness.predict.domain import extrapolations
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.simulate import simulate
from twin_harness.runs.delivery import compare, fill_delivery
from twin_harness.runs.frames import LABELS
from twin_harness.runs.recording import Recording
from twin_harness.runs.records import AnnotationRow, PlannedExperiment
from twin_harness.shapes import shape as shapes
from twin_harness.system.provenance import PREDICTED_BY

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.predict.demand import Demand
    from twin_harness.predict.fitted_model import FittedModel
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment

_SHORTEST_STEP_S, _LONGEST_STEP_S = 0.05, 1.0


def virtual_columns(
    model: FittedModel, experiment: Experiment, interval_s: float
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the time of each row on the events' clock, and its predicted columns, (rows,) each.

    Requested comes from the plan, everything else from the model; columns that are not modelled are
    absent.

    Args:
        model: the fitted model.
        experiment: the plan.
        interval_s: between two rows; the model steps by it, within 0.05 and 1 s.

    Raises:
        Undecided: the plan asks for what is not modelled, lies beyond what the model was fitted to,
            or lasts longer than six hours.
    """
    step_s = float(np.clip(interval_s, _SHORTEST_STEP_S, _LONGEST_STEP_S))
    demand = _checked_demand(model, experiment, step_s)
    simulated = simulate(
        model.parameters[np.newaxis], stacked([demand]), model.capacity, step_s=step_s
    )
    predicted = {
        name: np.broadcast_to(values, (1, 1, demand.seconds))[0, 0]
        for name, values in simulated.items()
        if name != "load_share"
    }
    # also where a peak is not foretold: a line without noise would pass any limit
    for name in (one for one in COLUMNS if model.doubt(one)):
        predicted[name] = np.full(demand.seconds, np.nan)
    limit_bytes = model.capacity.memory_bytes
    used_bytes = predicted["memory_percent"] / 100.0 * limit_bytes
    others = (
        predicted["cpu_percent"]
        - predicted["cpu_delivered_percent"]
        - predicted["cpu_side_percent"]
        - predicted["harness_cpu_percent"]
    )
    predicted |= {
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
    return demand.ends_s, predicted


def _checked_demand(model: FittedModel, experiment: Experiment, step_s: float) -> Demand:
    """Return what a plan asks for in each step.

    Raises:
        Undecided: as ``virtual_columns``.
    """
    where = f"experiment {experiment.name!r}"
    if experiment.duration_s > LONGEST_S:
        msg = (
            f"{where}: {experiment.duration_s:.0f} s; the twin predicts up to {LONGEST_S} s, run it"
            " on the server"
        )
        raise Undecided(msg)
    demand = demand_of(experiment, model.capacity, step_s=step_s)
    if demand.unmodelled:
        msg = (
            f"{where}: the twin does not model {', '.join(demand.unmodelled)}; run it on the server"
        )
        raise Undecided(msg)
    if reasons := extrapolations(demand_of(experiment, model.capacity), model.domain):
        msg = (
            f"{where} lies beyond what the twin was fitted to:"
            f" {'; '.join(reasons)}; run it on the server, or record such loads"
        )
        raise Undecided(msg)
    return demand


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
        samples: the predicted rows, indexed by seconds on the events' clock, with ``dt_s``.
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
        {"shape": shapes.to_json(event.shape), "options": event.options, "predicted": True}
    )
    row.overlapped = planned.experiment.has_overlap(event)
    if event.stressor in RESOURCE_COLUMNS:
        inside = samples[(samples.index >= event.start_s) & (samples.index <= event.end_s)]
        fidelity = compare(event, scale, inside, row)
        if fidelity is not None:
            fill_delivery(row, fidelity, scale)
    return row


def virtual_recording(model: FittedModel, experiment: Experiment, interval_s: float) -> Recording:
    """Return what would be recorded of one experiment, in a session of its own without files.

    Args:
        model: the fitted model.
        experiment: the plan.
        interval_s: between two samples.

    Raises:
        Undecided: the plan asks for what is not modelled.
    """
    import pandas as pd

    offsets_s, predicted = virtual_columns(model, experiment, interval_s)
    planned = PlannedExperiment(
        experiment, 0.0, experiment.lead_s, experiment.duration_s, "twin", "completed"
    )
    samples = pd.DataFrame(
        {"monotonic_s": planned.zero_s + offsets_s, **predicted},
        index=pd.Index(offsets_s, name="t_s"),
    )
    for name in (metric.name for metric in columns(()) if metric.name not in samples.columns):
        if name in LABELS:
            samples[name] = ""
        else:
            samples[name] = np.nan
    samples["experiment"] = experiment.name
    if len(offsets_s) > 1:
        before_s = 2 * offsets_s[0] - offsets_s[1]
    else:
        before_s = offsets_s[0] - interval_s
    samples["dt_s"] = np.diff(offsets_s, prepend=before_s)
    capacity = model.capacity
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
        "fingerprint": model.fingerprint,
        "cpu_capacity": capacity.cpus,
        "memory_limit_bytes": capacity.memory_bytes,
        PREDICTED_BY: "twin",
    }
    return Recording.of_rows(planned, rows, samples, machine=machine)

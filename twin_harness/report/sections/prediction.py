"""How well the twin predicted this run: its band over what was measured, and drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import TwinError
from twin_harness.metrics import by_name
from twin_harness.report.document import (
    Bullets,
    Cell,
    Notice,
    Paragraph,
    Picture,
    Section,
    Table,
    dash,
    number,
)
from twin_harness.system.provenance import is_predicted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.conditions import Others
    from twin_harness.predict.observation import Observation
    from twin_harness.predict.prediction import Prediction
    from twin_harness.predict.twin import Twin
    from twin_harness.report.evidence import Evidence

_MOST_DRAWN = 12
_JUDGED = (
    "cpu_percent",
    "memory_percent",
    "load1",
    "disk_write_bytes_per_s",
    "pressure_cpu_percent",
    "pressure_io_percent",
    "probe_wakeup_ms",
)
_TEXT = (
    "The twin saw the plan, and where it was measured what others used of the CPUs in each second:"
    " the band is what it predicted of that, the line what was measured. Within a band that is"
    " calibrated lie about 90 % of the seconds of runs that the twin has not seen."
)


def sections(evidence: Evidence) -> tuple[Section, ...]:
    """Return the section on what the twin predicted; none where no model was given.

    Of a run of the twin, that it is one.
    """
    settings = evidence.run.state.get("settings")
    model = settings.get("model") if isinstance(settings, dict) else None
    if is_predicted(evidence.run.machine):
        text = (
            "No machine ran: a twin predicted every value of this run from its plans. Columns that"
            " it does not model are empty."
        )
        return (Section("twin", "Predicted by a twin", (Notice("Predicted:", text),)),)
    if not isinstance(model, str) or not model:
        return ()
    from twin_harness.predict.gathering import gather
    from twin_harness.predict.twin import Twin

    try:
        twin, observations = Twin.load(model), gather([evidence.run])
    except (TwinError, OSError, ValueError) as error:
        return (Section("twin", "What the twin predicted", (Notice("No model:", f"{error}"),)),)
    if not observations:
        return (
            Section(
                "twin",
                "What the twin predicted",
                (Paragraph("No experiment of this run is long enough to be compared."),),
            ),
        )
    if not observations[0].is_of(twin.file_.fingerprint):
        text = (
            f"The model is of machine {twin.file_.fingerprint}, this run of"
            f" {observations[0].fingerprint}: what follows compares two machines."
        )
        return (_section(twin, observations, evidence, (Notice("Another machine:", text),)),)
    return (_section(twin, observations, evidence, ()),)


def _section(
    twin: Twin, observations: list[Observation], evidence: Evidence, notices: tuple[Notice, ...]
) -> Section:
    experiments = {recording.name: recording.experiment for recording in evidence.run.recordings}
    compared = [
        (one, twin.predict(experiments[one.name], demand=one.demand, background=_beside(one)))
        for one in observations
        if one.name in experiments
    ]
    drift_block = _drift(twin, observations)
    table = Table(
        "twin-table",
        _table_caption(compared),
        ("experiment", *(_heading(compared, name) for name in _JUDGED)),
        tuple(
            (Cell(one.name), *(_cell(one, prediction, name) for name in _JUDGED))
            for one, prediction in compared
        ),
    )
    text = _TEXT
    if len(compared) > _MOST_DRAWN:
        text += (
            f" The first {_MOST_DRAWN} of {len(compared)} experiments are drawn; the table holds"
            " all."
        )
    pictures = tuple(
        _picture(number_, one, prediction)
        for number_, (one, prediction) in enumerate(compared[:_MOST_DRAWN])
    )
    return Section(
        "twin",
        "What the twin predicted",
        (*notices, Paragraph(text), drift_block, *pictures, table),
    )


def _beside(one: Observation) -> Others | str:
    """Return what others used meanwhile; a quiet machine where it was not measured."""
    from twin_harness.predict.background_choice import QUIET
    from twin_harness.predict.conditions import Others
    from twin_harness.predict.others import cpu_by_others

    cpu_percent = cpu_by_others([one])
    return QUIET if cpu_percent is None else Others.of_cpu(cpu_percent)


def _table_caption(compared: Sequence[tuple[Observation, Prediction]]) -> str:
    error = "Error of the prediction (RMSE over seconds)"
    has_band = any(_has_band(prediction, name) for _, prediction in compared for name in _JUDGED)
    if has_band:
        return f"{error}, and the share of seconds within the 90 % band"
    return f"{error}; the twin was not calibrated, so it has no band"


def _heading(compared: Sequence[tuple[Observation, Prediction]], name: str) -> str:
    """Return the heading of a column; of a band only where there is one."""
    if any(_has_band(prediction, name) for _, prediction in compared):
        return f"{name} (RMSE, in band)"
    return f"{name} (RMSE)"


def _drift(twin: Twin, observations: list[Observation]) -> Bullets | Paragraph:
    from twin_harness.predict.drift import watch

    if not twin.model_.reference_errors.is_known:
        return Paragraph(
            "Whether this is still the machine that was fitted is not known: that needs ten or more"
            " runs to calibrate by."
        )
    drifted = watch(twin.model_, observations)
    if drifted:
        return Bullets(tuple(drift.sentence for drift in drifted))
    return Paragraph(
        f"No drift over {len(observations)} runs: this is the machine that was fitted."
    )


def _errors(one: Observation, prediction: Prediction, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return errors and whether the measured value is within the band, for seconds both know."""
    from twin_harness.predict.observation import COLUMNS

    index = COLUMNS.index(name)
    measured = one.column(name)
    known = ~np.isnan(measured) & ~np.isnan(prediction.centre[index])
    inside = (measured >= prediction.low[index]) & (measured <= prediction.high[index])
    return (prediction.centre[index] - measured)[known], inside[known]


def _cell(one: Observation, prediction: Prediction, name: str) -> Cell:
    errors, inside = _errors(one, prediction, name)
    if not len(errors):
        return dash("this column was not measured")
    rmse = float(np.sqrt(np.mean(errors**2)))
    metric = by_name(name)
    unit = metric.unit if metric else ""
    if unit == "bytes/s":
        rmse *= 1e-6
    suffix = {"percent": " points", "bytes/s": " MB/s", "1": "", "": ""}.get(unit, f" {unit}")
    text = f"{rmse:.3g}{suffix}"
    return number(f"{text}, {100 * inside.mean():.0f} %" if _has_band(prediction, name) else text)


def _has_band(prediction: Prediction, name: str) -> bool:
    from twin_harness.predict.observation import COLUMNS

    return bool(np.isfinite(prediction.low[COLUMNS.index(name)]).any())


def _picture(order: int, one: Observation, prediction: Prediction) -> Picture:
    from twin_harness.report.drawing.prediction import prediction_png

    errors, inside = _errors(one, prediction, "cpu_percent")
    rmse = float(np.sqrt(np.mean(errors**2))) if len(errors) else float("nan")
    coverage = "its band is unknown"
    if len(inside) > 0 and _has_band(prediction, "cpu_percent"):
        coverage = f"{100 * inside.mean():.0f} % of seconds lie in the band"
    alt = (
        f"Predicted band and measured line of {one.name}: CPU is off by {rmse:.1f} points (RMSE),"
        f" {coverage}."
    )
    beyond = ""
    if prediction.extrapolating:
        beyond = (
            " The plan lies beyond what the twin was fitted to:"
            f" {'; '.join(prediction.extrapolating)}."
        )
    return Picture(
        f"twin-{order}",
        prediction_png(prediction, one),
        alt,
        f"{one.name}: predicted and measured.{beyond}",
        "twin-table",
    )

"""A fitted model as the parts of its file, and back."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.background_part import BackgroundPart
from twin_harness.predict.calibration import Calibration
from twin_harness.predict.calibration_part import CalibrationPart, StagesPart
from twin_harness.predict.demand import Capacity
from twin_harness.predict.fitted_model import FittedModel
from twin_harness.predict.free_run import REGIMES
from twin_harness.predict.local_reach import LocalReach
from twin_harness.predict.model_file import (
    CapacityPart,
    DriftPart,
    ModelFile,
    RunPart,
    SpreadPart,
    TrainingPart,
)
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import NAMES, PARAMETERS
from twin_harness.predict.reference_errors import ReferenceErrors
from twin_harness.predict.spread import Spread
from twin_harness.predict.stages import STAGES
from twin_harness.system.clock import utc_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.fit import Fit
    from twin_harness.predict.observation import Observation


def to_model_file(
    model: FittedModel, fit: Fit, training: Sequence[Observation], kept: Sequence[Observation]
) -> ModelFile:
    """Return a fitted model as its file holds it.

    Args:
        model: fitted.
        fit: its parameters with their standard errors.
        training: the runs that it was fitted to.
        kept: those that calibrated its bands.
    """
    calibration, usual = model.calibration, model.reference_errors
    return ModelFile(
        created=datetime.fromtimestamp(utc_s(), UTC).isoformat(timespec="seconds"),
        fingerprint=model.fingerprint,
        capacity=CapacityPart(cpus=model.capacity.cpus, memory_bytes=model.capacity.memory_bytes),
        parameters=dict(zip(NAMES, map(float, model.parameters), strict=True)),
        errors=dict(zip(NAMES, map(_finite, fit.errors), strict=True)),
        units={parameter.name: parameter.unit for parameter in PARAMETERS},
        unidentified=list(fit.unidentified),
        at_bound=list(fit.at_bound),
        parameter_sets=[
            [float(f"{value:.8g}") for value in row] for row in model.spread.parameter_sets
        ],
        spread=_spread_part(model.spread),
        calibration=CalibrationPart(
            pointwise=_finite_by_name(calibration.pointwise),
            simultaneous=_finite_by_name(calibration.simultaneous),
            runs=calibration.runs,
            stages=_stages_parts(model.local),
            unforetold=None if model.unforetold is None else list(model.unforetold),
        ),
        drift=DriftPart(
            centre=_finite_by_name(usual.centre), deviation=_finite_by_name(usual.deviation)
        ),
        domain=model.domain,
        training=_training_part(training, kept),
        background=BackgroundPart.of(model.background) if model.background else None,
        lineage=model.lineage,
    )


def from_model_file(file: ModelFile) -> FittedModel:
    """Return the model that a file describes."""
    return FittedModel(
        fingerprint=file.fingerprint,
        capacity=Capacity(file.capacity.cpus, file.capacity.memory_bytes),
        parameters=np.array([file.parameters[name] for name in NAMES]),
        unidentified=tuple(file.unidentified),
        plans=len(file.training.plans),
        spread=_spread_of(file),
        calibration=Calibration(
            _by_column(file.calibration.pointwise),
            _by_column(file.calibration.simultaneous),
            file.calibration.runs,
        ),
        reference_errors=ReferenceErrors(
            _by_column(file.drift.centre), _by_column(file.drift.deviation)
        ),
        domain=file.domain,
        local=_local_of(file.calibration),
        unforetold=_tuple_of(file.calibration.unforetold),
        background=file.background.to_background() if file.background else None,
        lineage=file.lineage,
    )


def _training_part(training: Sequence[Observation], kept: Sequence[Observation]) -> TrainingPart:
    lines = sorted(f"{one.run} {one.name} {one.plan}" for one in training)
    return TrainingPart(
        runs=len(training),
        plans=sorted({one.plan for one in training}),
        calibration_plans=sorted({one.plan for one in kept}),
        hash=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    )


def _spread_of(file: ModelFile) -> Spread:
    part = file.spread
    still = np.stack([_by_column(getattr(part, f"still_{regime}")) for regime in REGIMES])
    longest = max((len(run.regimes) for run in part.runs), default=0)
    errors = np.full((len(part.runs), len(COLUMNS), longest), np.nan)
    regimes = np.full((len(part.runs), longest), -1)
    for run, rows, row in zip(part.runs, errors, regimes, strict=True):
        row[: len(run.regimes)] = [int(digit) for digit in run.regimes]
        for index, name in enumerate(COLUMNS):
            rows[index, : len(run.regimes)] = np.array(run.errors[name], dtype=float)
    return Spread(np.array(file.parameter_sets), still, _by_column(part.moving), errors, regimes)


def _spread_part(spread: Spread) -> SpreadPart:
    parts = {f"still_{regime}": _by_name(spread.still[i]) for i, regime in enumerate(REGIMES)}
    runs = []
    for rows, row in zip(spread.errors, spread.regimes, strict=True):
        length = int((row >= 0).sum())
        errors = {
            name: [_finite(value) for value in values[:length]]
            for name, values in zip(COLUMNS, rows, strict=True)
        }
        runs.append(RunPart(regimes="".join(map(str, row[:length])), errors=errors))
    return SpreadPart(**parts, moving=_by_name(spread.moving), runs=runs)


def _stages_parts(local: LocalReach | None) -> dict[str, StagesPart]:
    """Return the reach by stage of each column that has one."""
    if local is None:
        return {}
    return {
        name: StagesPart(
            multiplier=float(local.multipliers[index]),
            below=_rounded(local.sides[0, index]),
            above=_rounded(local.sides[1, index]),
            ensemble_below=list(map(float, local.usual[0, index])),
            ensemble_above=list(map(float, local.usual[1, index])),
        )
        for index, name in enumerate(COLUMNS)
        if not np.isnan(local.sides[0, index]).all()
    }


def _local_of(part: CalibrationPart) -> LocalReach | None:
    if not part.stages:
        return None
    sides = np.full((2, len(COLUMNS), len(STAGES)), np.nan)
    usual, multipliers = np.zeros_like(sides), np.ones(len(COLUMNS))
    for name, stages in part.stages.items():
        index = COLUMNS.index(name)
        sides[:, index] = np.array([stages.below, stages.above], dtype=float)
        usual[:, index] = stages.ensemble_below, stages.ensemble_above
        multipliers[index] = stages.multiplier
    return LocalReach(sides, usual, multipliers)


def _tuple_of(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _rounded(values: np.ndarray) -> list[float | None]:
    """Return values with eight digits, null for NaN."""
    return [None if np.isnan(value) else float(f"{value:.8g}") for value in values]


def _by_name(values: np.ndarray) -> dict[str, float]:
    return dict(zip(COLUMNS, map(float, values), strict=True))


def _finite_by_name(values: np.ndarray) -> dict[str, float | None]:
    return dict(zip(COLUMNS, map(_finite, values), strict=True))


def _by_column(table: dict[str, float] | dict[str, float | None]) -> np.ndarray:
    """Return a table's values in the order of ``COLUMNS``, NaN for null."""
    return np.array([table[name] for name in COLUMNS], dtype=float)


def _finite(value: float) -> float | None:
    if np.isfinite(value):
        return float(value)
    return None

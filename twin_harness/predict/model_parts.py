"""A fitted twin as the parts of its file, and back."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.predict.calibration import Calibration
from twin_harness.predict.model_file import (
    CalibrationPart,
    CapacityPart,
    DriftPart,
    ModelFile,
    RunPart,
    SpreadPart,
    TrainingPart,
)
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import NAMES, PARAMETERS
from twin_harness.predict.uncertainty import REGIMES, Spread
from twin_harness.system.clock import utc_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.observation import Observation
    from twin_harness.predict.twin import Twin


def described(
    twin: Twin, training: Sequence[Observation], kept: Sequence[Observation]
) -> ModelFile:
    """Return a fitted twin as its file holds it.

    Args:
        twin: fitted.
        training: the runs that it was fitted to.
        kept: those that calibrated its bands.
    """
    found = twin.fit_
    plans = sorted({one.plan for one in training})
    digest = hashlib.sha256(
        "\n".join(sorted(f"{one.run} {one.name} {one.plan}" for one in training)).encode()
    ).hexdigest()
    return ModelFile(
        created=datetime.fromtimestamp(utc_s(), UTC).isoformat(timespec="seconds"),
        fingerprint=training[0].fingerprint,
        capacity=CapacityPart(cpus=twin.capacity_.cpus, memory_bytes=twin.capacity_.memory_bytes),
        parameters=dict(zip(NAMES, map(float, twin.parameters_), strict=True)),
        errors={
            name: _known(error)
            for name, error in zip(
                NAMES, found.errors if found else np.full(len(NAMES), np.nan), strict=True
            )
        },
        units={parameter.name: parameter.unit for parameter in PARAMETERS},
        unidentified=list(found.unidentified) if found else [],
        at_bound=list(found.at_bound) if found else [],
        sets=[[float(f"{value:.8g}") for value in row] for row in twin.spread_.parameters],
        spread=_spread_part(twin.spread_),
        calibration=CalibrationPart(
            pointwise={
                name: _known(value) for name, value in _named(twin.calibration_.pointwise).items()
            },
            simultaneous={
                name: _known(value)
                for name, value in _named(twin.calibration_.simultaneous).items()
            },
            runs=twin.calibration_.runs,
        ),
        drift=DriftPart(
            centre={name: _known(value) for name, value in _named(twin.usual_[0]).items()},
            deviation={name: _known(value) for name, value in _named(twin.usual_[1]).items()},
        ),
        domain=twin.domain_,
        training=TrainingPart(
            runs=len(training),
            plans=plans,
            calibration_plans=sorted({one.plan for one in kept}),
            hash=digest,
        ),
    )


def spread_of_file(file: ModelFile) -> Spread:
    """Return what a model leaves open."""
    part = file.spread
    still = np.stack([_by_column(getattr(part, f"still_{regime}")) for regime in REGIMES])
    longest = max((len(run.regimes) for run in part.runs), default=0)
    errors, regimes = (
        np.full((len(part.runs), len(COLUMNS), longest), np.nan),
        np.full((len(part.runs), longest), -1),
    )
    for run, rows, row in zip(part.runs, errors, regimes, strict=True):
        row[: len(run.regimes)] = [int(digit) for digit in run.regimes]
        rows[:, : len(run.regimes)] = [
            [np.nan if value is None else value for value in run.errors[name]] for name in COLUMNS
        ]
    return Spread(np.array(file.sets), still, _by_column(part.moving), errors, regimes)


def calibration_of_file(file: ModelFile) -> Calibration:
    """Return a model's multipliers."""
    part = file.calibration
    return Calibration(_by_column(part.pointwise), _by_column(part.simultaneous), part.runs)


def usual_of_file(file: ModelFile) -> tuple[np.ndarray, np.ndarray]:
    """Return centre and deviation of runs' mean errors."""
    return _by_column(file.drift.centre), _by_column(file.drift.deviation)


def _spread_part(spread: Spread) -> SpreadPart:
    parts = {
        f"still_{regime}": _named(spread.still[number]) for number, regime in enumerate(REGIMES)
    }
    runs = []
    for rows, row in zip(spread.errors, spread.regimes, strict=True):
        length = int((row >= 0).sum())
        told = {
            name: [_known(value) for value in errors[:length]]
            for name, errors in zip(COLUMNS, rows, strict=True)
        }
        runs.append(RunPart(regimes="".join(map(str, row[:length])), errors=told))
    return SpreadPart(**parts, moving=_named(spread.moving), runs=runs)


def _named(values: np.ndarray) -> dict[str, float]:
    return dict(zip(COLUMNS, map(float, values), strict=True))


def _by_column(table: dict[str, float] | dict[str, float | None]) -> np.ndarray:
    return np.array(
        [np.nan if table[name] is None else table[name] for name in COLUMNS], dtype=float
    )


def _known(value: float) -> float | None:
    if np.isfinite(value):
        return float(value)
    return None

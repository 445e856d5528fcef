"""The model as a file.

JSON, checked field by field when it is read, for it may come from anybody.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from twin_harness.errors import InvalidInput
from twin_harness.predict.background_part import BackgroundPart
from twin_harness.predict.calibration_part import CalibrationPart
from twin_harness.predict.demand import CHANNELS, LONGEST_S
from twin_harness.predict.file_part import Part, Size, Text
from twin_harness.predict.free_run import REGIMES
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import HIGH, LOW, NAMES
from twin_harness.schedule.file import read_json
from twin_harness.schedule.validation import refuse, short, validated

# History:
#   1: parameters, sets, spread, calibration, domain, training (no longer read: other parameters)
#   2: other parameters; the errors of runs
#   3: ``sets`` is ``parameter_sets``
#   4: ``background``, what others use; ``lineage``; ``calibration.stages`` and ``.unforetold``
FORMAT = "twin-model/4"
_FORMER = ("twin-model/2", "twin-model/3")
LARGEST_BYTES = 4 * 1024**2
_MOST_SETS, _MOST_PLANS, _MOST_CELLS = 1_000, 100_000, 200_000

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e15)]
Deviations = Annotated[float, Field(ge=-1e9, le=1e9)]
Parameters = list[Literal[NAMES]]  # type: ignore[valid-type]  # NAMES is a tuple of words


class CapacityPart(Part):
    """What 100 percent is."""

    cpus: Annotated[float, Field(gt=0, le=10_000)]
    memory_bytes: Annotated[float, Field(ge=2**20, le=2**60)]


class RunPart(Part):
    """Residuals of one run of the fit, in deviations, second by second.

    Attributes:
        regimes: the noise regime of each second, a digit each.
        errors: by column; null where nothing was measured.
    """

    regimes: Annotated[
        str, Field(min_length=1, max_length=LONGEST_S, pattern=f"^[0-{len(REGIMES) - 1}]+$")
    ]
    errors: dict[str, Annotated[list[Deviations | None], Field(max_length=LONGEST_S)]]


class SpreadPart(Part):
    """See ``spread.Spread``; one number per column, and the residuals of runs."""

    still_rest: dict[str, Positive]
    still_load: dict[str, Positive]
    still_full: dict[str, Positive]
    moving: dict[str, Size]
    runs: Annotated[list[RunPart], Field(max_length=_MOST_SETS)]


class DriftPart(Part):
    """Centre and deviation of runs' mean errors, see ``reference_errors``.

    Null where nothing was measured.
    """

    centre: dict[str, Finite | None]
    deviation: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)] | None]


class DomainPart(Part):
    """What the training runs asked for, and which columns their machine measures.

    Attributes:
        highest: the highest level of each channel.
        together: which resources were loaded together.
        longest_s: the longest run.
        measured: the columns that there is a model of on this machine.
    """

    highest: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    together: list[list[Annotated[str, Field(max_length=40)]]]
    longest_s: Positive
    measured: list[Literal[COLUMNS]]  # type: ignore[valid-type]


class TrainingPart(Part):
    """What the model was fitted to."""

    runs: Annotated[int, Field(ge=1)]
    plans: Annotated[
        list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]], Field(max_length=_MOST_PLANS)
    ]
    calibration_plans: Annotated[
        list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]], Field(max_length=_MOST_PLANS)
    ]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LineagePart(Part):
    """Of a model that was transferred: which model it was made from, and what is still that one's.

    Attributes:
        fingerprint: of the machine of the model before.
        created: when that one was fitted.
        training_hash: of what that one was fitted to.
        at_prior: parameters of which the new machine's runs say less than the model before.
        widened_by: what the bands are multiplied by, for few runs cannot calibrate them.
    """

    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    created: Text
    training_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    at_prior: Parameters
    widened_by: Annotated[float, Field(ge=1, le=100)]


class ModelFile(Part):
    """Everything that a model file holds."""

    format: Literal["twin-model/4"] = "twin-model/4"
    created: Text
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    host: Text = ""
    capacity: CapacityPart
    parameters: dict[str, Finite]
    errors: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)] | None]
    units: dict[str, Text] = Field(default_factory=dict)
    unidentified: Parameters = Field(default_factory=list)
    at_bound: Parameters = Field(default_factory=list)
    parameter_sets: Annotated[list[list[Finite]], Field(min_length=2, max_length=_MOST_SETS)]
    spread: SpreadPart
    calibration: CalibrationPart
    drift: DriftPart
    domain: DomainPart
    training: TrainingPart
    background: BackgroundPart | None = None
    lineage: LineagePart | None = None

    @model_validator(mode="after")
    def _fits_this_version(self) -> ModelFile:
        _check_created(self.created)
        if self.lineage:
            _check_created(self.lineage.created)
            if self.lineage.fingerprint == self.fingerprint:
                refuse("lineage.fingerprint", "is the model's own; expected another machine's")
        _same_names("parameters", self.parameters, NAMES)
        _same_names("errors", self.errors, NAMES)
        for part, names in (
            ("spread", ("still_rest", "still_load", "still_full", "moving")),
            ("calibration", ("pointwise", "simultaneous")),
            ("drift", ("centre", "deviation")),
        ):
            for name in names:
                _same_names(f"{part}.{name}", getattr(getattr(self, part), name), COLUMNS)
        self.calibration.check()
        _check_runs(self.spread.runs)
        if self.background:
            self.background.check()
        _same_names("domain.highest", self.domain.highest, CHANNELS)
        _check_bounds("parameters", [self.parameters[name] for name in NAMES])
        for index, row in enumerate(self.parameter_sets):
            _check_bounds(f"parameter_sets[{index}]", row)
        return self


def _check_runs(runs: list[RunPart]) -> None:
    """Refuse residuals that do not fit their regimes, or that fill memory once padded."""
    cells = len(runs) * max((len(run.regimes) for run in runs), default=0)
    if cells > _MOST_CELLS:
        refuse(
            "spread.runs",
            f"{cells} seconds, were all as long as the longest; expected at most {_MOST_CELLS}",
        )
    for index, run in enumerate(runs):
        _same_names(f"spread.runs[{index}].errors", run.errors, COLUMNS)
        for name, row in run.errors.items():
            if len(row) != len(run.regimes):
                refuse(
                    f"spread.runs[{index}].errors.{name}",
                    f"{len(row)} numbers; expected one for each of {len(run.regimes)} regimes",
                )


def _check_bounds(where: str, row: list[float]) -> None:
    """Refuse a parameter set of another size, or beyond the parameters' bounds."""
    if len(row) != len(NAMES):
        refuse(where, f"{len(row)} numbers; expected {len(NAMES)}")
    values = np.array(row)
    is_outside = (values < LOW - 1e-9 * np.abs(LOW)) | (values > HIGH * (1 + 1e-9))
    if is_outside.any():
        first = int(np.flatnonzero(is_outside)[0])
        refuse(
            f"{where}.{NAMES[first]}",
            f"{row[first]:g} is outside of {LOW[first]:g} to {HIGH[first]:g}",
        )


def _check_created(text: str) -> None:
    try:
        has_zone = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        has_zone = False
    if not has_zone:
        refuse("created", f"{short(text)} is not a time; expected e.g. '2026-11-25T12:00:00+00:00'")


def _same_names(path: str, table: dict[str, Any], names: tuple[str, ...]) -> None:
    if set(table) != set(names):
        odd = min(set(table) ^ set(names))
        problem = "unknown" if odd in table else "missing"
        refuse(path, f"{short(odd)} is {problem}")


def _renamed(data: Any) -> Any:
    """Return the content of a file of an older format as this one has it; others as they are."""
    if not isinstance(data, dict) or data.get("format") not in _FORMER:
        return data
    if data["format"] == _FORMER[0] and "parameter_sets" not in data:
        data = {"parameter_sets" if key == "sets" else key: value for key, value in data.items()}
    return data | {"format": FORMAT}


def read_model(path: str | Path) -> ModelFile:
    """Read a model file.

    Raises:
        InvalidInput: it is missing, too large, no JSON, of a newer version, or not what a model
            holds; one sentence that names file and field.
    """
    source = Path(path)
    if source.is_file() and source.stat().st_size > LARGEST_BYTES:
        msg = (
            f"model {str(path)!r}: {source.stat().st_size} bytes; expected at most {LARGEST_BYTES},"
            " a model has some hundred kilobytes"
        )
        raise InvalidInput(msg)
    data = _renamed(read_json(source, "a model that twin fit has made"))
    if isinstance(data, dict) and data.get("format") != FORMAT:
        if str(data.get("format")).startswith("twin-schedule"):
            msg = (
                f"model {str(path)!r}: this is a schedule; expected a model that twin fit has made,"
                " were the two files swapped?"
            )
            raise InvalidInput(msg)
        msg = (
            f"model {str(path)!r}: format {short(data.get('format'))} is not one this version"
            f" reads; expected {FORMAT!r}, fit it anew or upgrade"
        )
        raise InvalidInput(msg)
    return validated(ModelFile, data, f"model {str(path)!r}")

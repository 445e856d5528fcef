"""Shapes as they are in a file: checked by pydantic, turned into the dataclasses of ``shapes``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    model_validator,
)

from twin_harness.schedule.validation import refuse
from twin_harness.shapes import shape as shapes

# Within these bounds every level, area and mean of a shape is finite.
Number = Annotated[float, Strict(), Field(ge=-1e18, le=1e18, allow_inf_nan=False)]
Positive = Annotated[float, Strict(), Field(ge=1e-6, le=1e9, allow_inf_nan=False)]
Fraction = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]


class FrozenModel(BaseModel):
    """A model of the schedule file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Constant(FrozenModel):
    kind: Literal["constant"]
    level_: Number = Field(alias="level")


class _Ramp(FrozenModel):
    kind: Literal["ramp"]
    from_: Number = Field(alias="from")
    to: Number


class _Steps(FrozenModel):
    kind: Literal["steps"]
    levels: Annotated[list[Number], Field(min_length=1, max_length=10_000)]


class _Sine(FrozenModel):
    kind: Literal["sine"]
    mean: Number
    amplitude: Number
    period_s: Positive
    phase: Number = 0.0


class _Square(FrozenModel):
    kind: Literal["square"]
    low: Number
    high: Number
    period_s: Positive
    duty: Fraction = 0.5


class _Spikes(FrozenModel):
    kind: Literal["spikes"]
    base: Number
    height: Number
    width_s: Positive
    rate_per_minute: Positive
    seed: Annotated[int, Strict(), Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="after")
    def _fits(self) -> _Spikes:
        if self.width_s > 60.0 / self.rate_per_minute:
            refuse(
                "width_s",
                f"{self.width_s:g} s is longer than the {60.0 / self.rate_per_minute:g} s between"
                " two spikes",
            )
        return self


class _Leak(FrozenModel):
    kind: Literal["leak"]
    start: Number
    rate_per_s: Number


class _Trace(FrozenModel):
    kind: Literal["trace"]
    points: Annotated[list[tuple[Number, Number]], Field(max_length=1_000_000)] = Field(
        default_factory=list
    )
    file: str | None = None
    interpolation: Literal["linear", "previous"] = "linear"
    time_scale: Positive = 1.0
    level_scale: Number = 1.0

    @model_validator(mode="after")
    def _rises(self) -> _Trace:
        if not self.points and self.file is None:
            refuse("points", "expected at least one (time, level) point, or a file")
        if self.points and self.points[0][0] < 0:
            refuse(
                "points[0]",
                f"time {self.points[0][0]:g} s is before the start of the event; times begin at 0",
            )
        for index in range(1, len(self.points)):
            if self.points[index][0] <= self.points[index - 1][0]:
                refuse(
                    f"points[{index}]",
                    f"time {self.points[index][0]:g} s does not come after"
                    f" {self.points[index - 1][0]:g} s",
                )
        return self


_AnyShape = _Constant | _Ramp | _Steps | _Sine | _Square | _Spikes | _Leak | _Trace


def _to_shape(model: _AnyShape) -> shapes.Shape:
    return shapes.from_json(model.model_dump(by_alias=True))


def _from_shape(value: object) -> object:
    if isinstance(value, tuple(shapes.SHAPES.values())):
        return shapes.to_json(value)  # type: ignore[arg-type]  # every class in SHAPES is a Shape
    return value


if TYPE_CHECKING:
    ShapeField = shapes.Shape
else:
    ShapeField = Annotated[
        Annotated[_AnyShape, Field(discriminator="kind")],
        BeforeValidator(_from_shape),
        AfterValidator(_to_shape),
        PlainSerializer(shapes.to_json),
    ]


def bounding_levels(shape: shapes.Shape, duration_s: float) -> list[tuple[str, float]]:
    """Return the levels that bound a shape, each with the parameter to blame."""
    direct = {
        "constant": {"level": "level_"},
        "ramp": {"from": "from_", "to": "to"},
        "square": {"low": "low", "high": "high"},
    }
    if shape.kind in direct:
        return [(path, getattr(shape, field)) for path, field in direct[shape.kind].items()]
    if isinstance(shape, shapes.Steps):
        return [(f"levels[{index}]", level) for index, level in enumerate(shape.levels)]
    if isinstance(shape, shapes.Trace):
        return [
            (f"points[{index}]", level * shape.level_scale)
            for index, (_, level) in enumerate(shape.points)
        ]
    first = {"sine": "mean", "spikes": "base", "leak": "start"}[shape.kind]
    second = {"sine": "amplitude", "spikes": "height", "leak": "rate_per_s"}[shape.kind]
    low, high = shape.extremes(duration_s)
    return [(first, getattr(shape, first)), (second, low), (second, high)]

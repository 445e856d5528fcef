"""The calibration of the bands as a part of a model file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from twin_harness.predict.file_part import Part, Size, Text
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.stages import STAGES
from twin_harness.schedule.validation import refuse

Multiplier = Annotated[float, Field(gt=0, le=1e6)]
ByStage = Annotated[list[Size], Field(min_length=len(STAGES), max_length=len(STAGES))]


class StagesPart(Part):
    """See ``local_reach.LocalReach``, of one column; a number for each of ``STAGES``.

    Attributes:
        multiplier: of the sides.
        below: how far errors reach; null where the ensemble's band stands.
        above: likewise.
        ensemble_below: how far the ensemble reaches as a rule.
        ensemble_above: likewise.
    """

    multiplier: Multiplier
    below: Annotated[list[Size | None], Field(min_length=len(STAGES), max_length=len(STAGES))]
    above: Annotated[list[Size | None], Field(min_length=len(STAGES), max_length=len(STAGES))]
    ensemble_below: ByStage
    ensemble_above: ByStage


class CalibrationPart(Part):
    """See ``calibration.Calibration``; null where there were too few runs.

    Attributes:
        pointwise: multipliers by column.
        simultaneous: multipliers by column.
        runs: how many were kept apart.
        stages: of the columns whose band follows the stages of the plan.
        unforetold: columns whose peaks the runs kept apart do not confirm; null where nobody knows.
    """

    pointwise: dict[str, Multiplier | None]
    simultaneous: dict[str, Multiplier | None]
    runs: Annotated[int, Field(ge=0)]
    stages: dict[Text, StagesPart] = Field(default_factory=dict)
    unforetold: list[Text] | None = None

    def check(self) -> None:
        """Refuse columns that are not predicted."""
        for part, told in (("stages", self.stages), ("unforetold", self.unforetold or ())):
            if unknown := sorted(set(told) - set(COLUMNS)):
                refuse(f"calibration.{part}", f"{unknown[0]!r} is not a column that is predicted")

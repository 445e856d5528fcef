"""Held-out runs: those that a model file has not seen and that began after it was written."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.predict.model_file import ModelFile
    from twin_harness.predict.observation import Observation


def check_held_out(file: ModelFile, observations: Sequence[Observation]) -> None:
    """Go on only with runs that the model has not seen and that began after it was written.

    Raises:
        InvalidInput: a run is of a plan that the model was fitted to, is older than it, of another
            machine, or there is none.
    """
    if not observations:
        msg = (
            "score: the folders hold no runs to judge by; expected some of plans that the model was"
            " not fitted to"
        )
        raise InvalidInput(msg)
    seen = {*file.training.plans, *file.training.calibration_plans}
    written = datetime.fromisoformat(file.created)
    for observation in observations:
        where = f"score: {observation.name!r} of run {observation.run}"
        if observation.plan in seen:
            msg = (
                f"{where} is of a plan that the model was fitted to; expected others, leave the"
                " folder out or judge the design: --split S1,S2,S3"
            )
            raise InvalidInput(msg)
        if not observation.is_of(file.fingerprint):
            msg = (
                f"{where} is of machine {observation.fingerprint}, the model of"
                f" {file.fingerprint}; expected runs of the same machine"
            )
            raise InvalidInput(msg)
        if not _is_later(observation, written):
            msg = (
                f"{where} began at {observation.began[:19] or 'an unknown time'}, the model was"
                f" written at {written:%Y-%m-%d %H:%M:%S}; expected later runs"
            )
            raise InvalidInput(msg)


def _is_later(observation: Observation, written: datetime) -> bool:
    try:
        began = datetime.fromisoformat(observation.began)
    except ValueError:
        return False
    return began.tzinfo is not None and began >= written

"""Which background a prediction assumes: quiet, what was recorded, or a recording as it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import InvalidInput
from twin_harness.predict.background_learning import read_trace
from twin_harness.predict.conditions import Others

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from twin_harness.predict.demand import Demand
    from twin_harness.predict.fitted_model import FittedModel
    from twin_harness.predict.starting_time import StartingTime

QUIET, RECORDED = "quiet", "recorded"


def choose(
    model: FittedModel,
    demands: Sequence[Demand],
    background: str | Path | None = None,
    at: StartingTime | None = None,
) -> tuple[Others | None, str]:
    """Return what others use during some plans, and that in words.

    Args:
        model: the fitted model.
        demands: the plans.
        background: ``quiet``, ``recorded``, or a recording of this machine; what the model has
            recorded where it has, unless given.
        at: when the plans begin; needs a recorded background.

    Raises:
        InvalidInput: the model has recorded none, or none at that time, or the recording does not
            fit.
    """
    recorded = model.background
    if background is None:
        background = QUIET if recorded is None and at is None else RECORDED
    if str(background) == QUIET:
        if at is not None:
            msg = (
                f"--at {at}: a quiet machine is the same at any time; leave out --background quiet"
            )
            raise InvalidInput(msg)
        return None, "background quiet: others use what they use at rest"
    if str(background) != RECORDED:
        if at is not None:
            msg = (
                f"--at {at}: a recording goes as it went; leave --at out, or learn from the"
                " recording with twin fit --background"
            )
            raise InvalidInput(msg)
        seconds = max(demand.seconds for demand in demands)
        cpu, write, memory = read_trace(background, model.fingerprint, seconds)
        shape = (len(demands), 1, seconds)
        others = Others(
            np.broadcast_to(cpu, shape),
            np.broadcast_to(write, shape),
            np.broadcast_to(memory, (len(demands), 1)),
        )
        return others, f"background {background}: others as in its first {seconds} s"
    if recorded is None:
        asked = f"--at {at}" if at is not None else "--background recorded"
        msg = (
            f"{asked}: this model has recorded no background; fit it anew with twin fit …"
            " --background RECORDING, of twin log"
        )
        raise InvalidInput(msg)
    words = (
        f"background {recorded.source}: others as in {recorded.seconds / 60:.0f} min of it, on"
        f" average {recorded.mean_percent:.1f} % of the CPUs"
    )
    if at is not None:
        words = f"background {recorded.source}: others as in {recorded.days(at)[1]}"
    return model.recorded_others(demands, at), words

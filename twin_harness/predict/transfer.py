"""A model of one machine made into one of another, by a few minutes of the new machine's runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import InvalidInput
from twin_harness.predict.calibration import Calibration
from twin_harness.predict.gathering import check_machines
from twin_harness.predict.model_file import LineagePart
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.parameters import NAMES
from twin_harness.predict.prior import Prior
from twin_harness.predict.twin import Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from twin_harness.predict.observation import Observation

# Few runs cannot calibrate a band. What it spans is what these runs leave over and what the prior
# leaves open; runs that the fit has not seen lie further out by about this much.
WIDENED_BY = 1.25
_TOLD = 0.5  # of the prior's width: a standard error below it is of the new machine's runs
_MOST_BUSY_PERCENT = 30.0
_FEWEST_RUNS = 4


def transfer(
    twin: Twin,
    observations: Sequence[Observation],
    progress: Callable[[str], None] = lambda _: None,
    background: Sequence[str | Path] = (),
) -> Twin:
    """Return a twin of another machine, with that of the first as its prior.

    Args:
        twin: fitted, of another machine.
        observations: runs of the new machine, a probe of two minutes or more.
        progress: called with a sentence for each start of the fit.
        background: recordings of the new machine without load.

    Raises:
        InvalidInput: the runs are of several machines, of the twin's own, too few, or others were
            busy during them.
    """
    _check(twin, observations)
    before = twin.file_
    errors = np.array([before.errors[name] for name in NAMES], dtype=float)
    prior = Prior.of_machine(twin.model_.parameters, errors)
    found = Twin(twin.starts).fit_observations(
        [replace(one, name=f"probe {one.name}") for one in observations],
        progress,
        background,
        prior=prior,
    )
    calibration = twin.model_.calibration
    model = replace(
        found.model_,
        unidentified=(),
        calibration=Calibration(
            np.full(len(COLUMNS), WIDENED_BY),
            WIDENED_BY * np.clip(calibration.simultaneous / calibration.pointwise, 1.0, 1e5),
            0,
        ),
        unforetold=twin.model_.unforetold,
        lineage=LineagePart(
            fingerprint=before.fingerprint,
            created=before.created,
            training_hash=before.training.hash,
            at_prior=list(_at_prior(found, prior)),
            widened_by=WIDENED_BY,
        ),
    )
    return found.with_model(model, observations)


def _check(twin: Twin, observations: Sequence[Observation]) -> None:
    if len(observations) < _FEWEST_RUNS:
        msg = (
            f"transfer: {len(observations)} runs of the new machine are too few; expected"
            f" {_FEWEST_RUNS} or more, record some with twin transfer --probe"
        )
        raise InvalidInput(msg)
    try:
        check_machines(observations)
    except InvalidInput as error:
        msg = f"transfer:{str(error).removeprefix('fit:')}; or name the runs of one machine"
        raise InvalidInput(msg.replace("fit a twin for each", "transfer to each")) from None
    if observations[0].is_of(twin.file_.fingerprint):
        msg = (
            f"transfer: the runs are of {twin.file_.fingerprint}, the machine that the model is of"
            " already; expected runs of another machine, or use twin fit"
        )
        raise InvalidInput(msg)
    busy = {
        one.name: float(np.nanmean(one.others_cpu_percent))
        for one in observations
        if one.others_cpu_percent is not None and not np.isnan(one.others_cpu_percent).all()
    }
    name = max(busy, key=lambda one: busy[one], default="")
    if name and busy[name] > _MOST_BUSY_PERCENT:
        msg = (
            f"transfer: others used {busy[name]:.0f} % of the CPUs during {name!r}; expected"
            f" {_MOST_BUSY_PERCENT:.0f} % at most, record the probe again when the machine is less"
            " busy"
        )
        raise InvalidInput(msg)


def _at_prior(found: Twin, prior: Prior) -> tuple[str, ...]:
    """Return the parameters of which the runs tell less than the prior."""
    if found.fit_ is None:
        return NAMES
    return tuple(
        name
        for name, error, width in zip(NAMES, found.fit_.errors, prior.widths, strict=True)
        if np.isnan(error) or error > _TOLD * width
    )

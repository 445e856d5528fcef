"""Gathering: observations from run folders, checked, and divided to fit and to calibrate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.dataset.preparation import assign
from twin_harness.errors import InvalidInput, UnreadableRun
from twin_harness.predict.observation import observe
from twin_harness.system.provenance import is_predicted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin_harness.predict.observation import Observation
    from twin_harness.runs.recording import Recording
    from twin_harness.runs.run import Run

FEWEST_RUNS, FEWEST_PLANS = 6, 3
# Different plans: three tenths of them are nine, the fewest that show where nine tenths lie.
CALIBRATED_FROM = 30
_CALIBRATION_SHARE = 0.3


def gather(
    runs: Sequence[Run], report: Callable[[str], None] = lambda _: None
) -> list[Observation]:
    """Return every experiment of some runs on a grid of seconds, each once.

    Args:
        runs: run folders, as ``load`` returns them.
        report: called with a sentence for each that cannot be used and is left out.
    """
    observations: list[Observation] = []
    seen: set[tuple[str, str]] = set()
    for run in runs:
        earlier: Recording | None = None
        if is_predicted(run.machine):
            report(
                f"{run.path.name} was predicted by a twin and is left out: a model learns from the"
                " machine alone"
            )
            continue
        for recording in run.recordings:
            before, earlier = earlier, recording
            key = (run.path.name, recording.name)
            if key in seen:
                report(f"{recording.name} of {run.path.name} was given twice and counts once")
                continue
            seen.add(key)
            if recording.planned.partition:
                report(
                    f"{recording.name} of {run.path.name} ran in a part of the machine and is"
                    " left out"
                )
                continue
            try:
                one = observe(recording, before)
                if any(one.began and one.began == other.began for other in observations):
                    report(
                        f"{recording.name} of {run.path.name} began when another run given did: a"
                        " copy of it, which counts once"
                    )
                    continue
                observations.append(one)
            except (InvalidInput, UnreadableRun) as error:
                report(f"left out: {error}")
    return observations


def without_tests(
    observations: Sequence[Observation], report: Callable[[str], None] = lambda _: None
) -> list[Observation]:
    """Return runs without those that a campaign has set aside to judge by."""
    kept = [one for one in observations if one.role != "test"]
    if len(kept) < len(observations):
        report(
            f"{len(observations) - len(kept)} runs of the campaign's test are left out of the fit:"
            " a twin is judged by what it has not seen"
        )
    return kept


def check_machines(observations: Sequence[Observation]) -> None:
    """Go on only with runs of one machine.

    Raises:
        InvalidInput: they are of several.
    """
    if not all(one.is_of(observations[0].fingerprint) for one in observations[1:]):
        machines = sorted({one.fingerprint for one in observations})
        counts = ", ".join(
            f"{name} ({sum(one.fingerprint == name for one in observations)} runs)"
            for name in machines
        )
        msg = (
            f"fit: the runs are of {len(machines)} machines, {counts}; expected those of one, fit a"
            " twin for each"
        )
        raise InvalidInput(msg)


def check_fit(observations: Sequence[Observation]) -> None:
    """Go on only with runs that a model can be fitted to.

    Raises:
        InvalidInput: there are too few runs or plans, or none loads the machine.
    """
    if few := too_few(observations):
        msg = f"fit: {few}, record some with: pytest scenarios/campaign --twin-campaign 10m"
        raise InvalidInput(msg)


def too_few(observations: Sequence[Observation]) -> str:
    """Return why no model can be fitted to some runs, in words; empty where one can."""
    plans = len({one.plan for one in observations})
    if len(observations) < FEWEST_RUNS or plans < FEWEST_PLANS:
        return (
            f"{len(observations)} runs of {plans} different plans are too few; expected"
            f" {FEWEST_RUNS} of {FEWEST_PLANS} or more"
        )
    if not any(one.stressors for one in observations):
        return (
            f"none of the {len(observations)} runs loads the machine; expected cpu, memory or disk"
            " load"
        )
    return ""


def sides_of(observations: Sequence[Observation]) -> tuple[list[Observation], list[Observation]]:
    """Return the runs to fit and those to calibrate by."""
    kept = [one for one in observations if one.role == "calibrate"]
    rest = [one for one in observations if one.role != "calibrate"]
    if kept or len({one.plan for one in rest}) < CALIBRATED_FROM:
        return rest, kept
    sides = assign(
        [one.plan for one in rest],
        {"train": 1.0 - _CALIBRATION_SHARE, "calibrate": _CALIBRATION_SHARE},
    )
    return [one for one in rest if sides[one.plan] == "train"], [
        one for one in rest if sides[one.plan] == "calibrate"
    ]

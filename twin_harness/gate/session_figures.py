"""What one session gave: of each measure the mean over its runs, with the machine it is of."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, isfinite, log
from typing import TYPE_CHECKING, Any

from twin_harness.gate.trials import family_of
from twin_harness.system.machine import known_fingerprints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.measures import Measure
    from twin_harness.gate.trials import Trial
    from twin_harness.runs.folder import RunFolder


@dataclass(frozen=True)
class SessionFigures:
    """What one session gave: of each measure the mean over its runs.

    Attributes:
        run: id of the run.
        start: of the run, UTC.
        fingerprint: of the machine.
        versions: of the libraries.
        values: mean by measure name (geometric on a ratio scale).
        counts: runs by measure name.
        schedules: experiment hash by test.
        faults: why a measure has no value, by name.
        level: number of the accepted level.
        known_as: other fingerprints of the same machine; kept in no file.
    """

    run: str
    start: str
    fingerprint: str
    versions: dict[str, str] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    schedules: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    level: int = 0
    known_as: tuple[str, ...] = ()

    def is_of(self, fingerprint: str) -> bool:
        """Tell whether the session ran on the machine of that fingerprint."""
        return fingerprint in (self.fingerprint, *self.known_as)

    def to_json(self) -> dict[str, Any]:
        """Return what a baseline keeps of it."""
        return {name: value for name, value in vars(self).items() if name != "known_as"}


def figures_of(folder: RunFolder, trials: Sequence[Trial]) -> SessionFigures:
    """Return the figures of a session from its trials, with the machine of its run folder."""
    state, machine = folder.read_state(), folder.read_machine()
    values: dict[str, float] = {}
    counts: dict[str, int] = {}
    faults: dict[str, str] = {}
    for measure in family_of(measure for trial in trials for measure in trial.measures):
        same_test = [trial for trial in trials if trial.test == measure.test]
        fault = _fault_of(measure, same_test)
        if fault:
            faults[measure.name] = fault
            continue
        figures = [trial.values[measure.short_name] for trial in same_test]
        if measure.scale == "ratio":
            mean = exp(sum(map(log, figures)) / len(figures))
        else:
            mean = sum(figures) / len(figures)
        if not isfinite(mean):
            faults[measure.name] = f"the mean of {measure.short_name} is {mean!r}"
            continue
        values[measure.name], counts[measure.name] = mean, len(figures)
    schedules: dict[str, str] = {}
    for trial in trials:
        if schedules.setdefault(trial.test, trial.schedule) != trial.schedule:
            schedules[trial.test] = "several"
    versions = {
        str(name): str(version) for name, version in (machine.get("versions") or {}).items()
    }
    fingerprint, *others = known_fingerprints(machine)
    start = str(state.get("start", ""))
    return SessionFigures(
        folder.run_id,
        start,
        fingerprint,
        versions,
        values,
        counts,
        schedules,
        faults,
        known_as=tuple(others),
    )


def _fault_of(measure: Measure, trials: Sequence[Trial]) -> str:
    """Return why the trials of a measure's test give no mean of it; empty where they do."""
    reasons = [reason for trial in trials if (reason := trial.fault(measure))]
    figures = [trial.values[measure.short_name] for trial in trials if not trial.fault(measure)]
    if measure.scale == "ratio" and any(value <= 0 for value in figures):
        return (
            f"{measure.short_name} is {min(figures):g}; expected a figure above 0 (a ratio is"
            " formed)"
        )
    if reasons:
        return reasons[0]
    if not figures:
        return f"{measure.short_name} was not recorded"
    return ""

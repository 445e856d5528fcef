"""What runs of gated tests gave: noted in the run folder, and read back from all workers."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput, TwinError, Undecided
from twin_harness.gate.measures import OF_TESTS
from twin_harness.plugin import undecided
from twin_harness.plugin.gate_items import is_gated, is_interleaved, measures_of, test_name
from twin_harness.plugin.gate_turns import fold_all, fold_one
from twin_harness.plugin.state import state_of, test_state
from twin_harness.system.clock import monotonic_s

if TYPE_CHECKING:
    import pytest

    from twin_harness.gate.environment import Environment
    from twin_harness.gate.measures import Measure
    from twin_harness.gate.trials import Trial
    from twin_harness.plugin.state import PluginState, TestState
    from twin_harness.runs.folder import RunFolder
    from twin_harness.session.session import Session


def known_trials(state: PluginState) -> list[Trial]:
    """Return what has been measured so far, by all workers, and in the run that is resumed."""
    from twin_harness.gate.trials import Trial
    from twin_harness.runs.folder import RunFolder

    if state.seat.run_dir.is_dir():
        entries = RunFolder(state.seat.run_dir).read_gate()["trials"]
    else:
        entries = []
    if state.config.gate_resume:
        entries = [*RunFolder.open(state.config.gate_resume).read_gate()["trials"], *entries]
    return [Trial.from_json(entry) for entry in entries]


def family(state: PluginState, trials: list[Trial]) -> list[Measure]:
    """Return the family that is judged: what was declared, and what tests recorded besides."""
    from twin_harness.gate.trials import family_of

    measured = [measure for trial in trials for measure in trial.measures]
    units = {measure.name: measure.unit for measure in measured if measure.unit}
    declared = [
        replace(measure, unit=measure.unit or units.get(measure.name, ""))
        for measure in _declared(state)
    ]
    return family_of([*measured, *declared])


def _declared(state: PluginState) -> list[Measure]:
    """Return what the gated tests of this session declare.

    Under pytest-xdist the controller has collected nothing, and reads it.
    """
    from twin_harness.gate.measures import Measure as _Measure
    from twin_harness.runs.folder import RunFolder

    if state.declared or not state.seat.run_dir.is_dir():
        return state.declared
    return [
        _Measure(**measure) for measure in RunFolder(state.seat.run_dir).read_gate()["declared"]
    ]


def note_trial(item: pytest.Item, report: pytest.TestReport) -> None:
    """Keep what a run of a gated test gave: after its call, or after a set-up that failed."""
    is_the_last_word = report.when == "call" or (report.when == "setup" and not report.passed)
    if not is_gated(item) or not is_the_last_word:
        return
    state, test = state_of(item.config), test_state(item)
    if state.session is None:  # it was skipped, or there could be no session; pytest says why
        return
    folder, worker = state.session.folder, state.session.seat.worker
    try:
        trials = _trials_of(item, test, report, state)
        if not folder.has_gate(worker):
            declared = [measure.to_json() for measure in state.declared]
            folder.append_trial(worker, {"declared": declared})
        if test.replaced:
            folder.append_trial(worker, {"replaced": list(test.replaced)})
        for trial in trials:
            folder.append_trial(worker, trial.to_json())
        _write_profile(folder, test, trials)
        test.has_trial = True
    except (OSError, TwinError) as error:
        if report.failed:  # it says already what is wrong
            return
        report.outcome = "failed"
        report.longrepr = f"what {test_name(item)} measured could not be kept for the gate: {error}"


def _write_profile(folder: RunFolder, test: TestState, trials: list[Trial]) -> None:
    """Keep what the profiler saw of both variants, where it ran and the pair is whole."""
    if not test.stacks or any("" in trial.faults for trial in trials):
        return
    from twin_harness.gate.profile_files import profile_name, profile_text

    for side, trial in enumerate(trials):
        text = profile_text(trial.test, test.stacks.get(trial.variant, ""))
        folder.gate_output(profile_name(trial.test, trial.pair, side), text)


def _trials_of(
    item: pytest.Item, test: TestState, report: pytest.TestReport, state: PluginState
) -> list[Trial]:
    """Return what a run gave: one trial, or one of each variant where they took turns."""
    trial = _trial_of(item, test, report, state)
    variants = state.config.variants
    if not (is_interleaved(item) and variants):
        return [trial]
    base, candidate, faults, folded = fold_all(test)
    if report.outcome != "passed":
        faults = {**trial.faults, "": trial.faults[""] + _alone(report)}
    faults = {**trial.faults, **faults}
    common = replace(trial, faults=faults, folded=folded)
    return [
        replace(common, variant=variants[0].name, position=0, values=base),
        replace(common, variant=variants[1].name, position=1, values=candidate),
    ]


def _alone(report: pytest.TestReport) -> str:
    """Return a hint where the set-up of both variants failed."""
    if report.when != "setup" or not report.failed:
        return ""
    return " (both variants are alive at once: each needs a port and files of its own)"


def _trial_of(
    item: pytest.Item, test: TestState, report: pytest.TestReport, state: PluginState
) -> Trial:
    from twin_harness.gate.trials import Trial

    measures = measures_of(item)
    values, faults = _recorded_values(test)
    if test.slices_planned and not state.config.variants:
        of_one, more = fold_one(test)
        values, faults = {**values, **of_one}, {**faults, **more}
    if report.outcome != "passed":
        faults[""] = f"its test {report.outcome}: {undecided.reason_line(report)}"
    elif test.subtest_faults:  # pytest fails the test later on, where it counts them
        faults[""] = f"its test failed: {test.subtest_faults[0]}"
    elif reason := _lack_of_room(test):
        faults[""] = reason
    for measure in measures:
        if measure.metric in OF_TESTS and "" not in faults:
            try:
                values[measure.short_name] = _memory_peak(state.session, test)
            except TwinError as error:
                faults[measure.short_name] = str(error)
        if measure.statistic and "" not in faults:
            try:
                values[measure.short_name] = _figure(measure, test)
            except TwinError as error:
                faults[measure.short_name] = str(error)
    end_s = monotonic_s()
    environment = _environment(state.session, test, end_s)
    recorded = [*(measure for measure, _ in test.recorded.values()), *test.turned.values()]
    by_name = {measure.name: measure for measure in [*measures, *recorded]}
    return Trial(
        test=test_name(item),
        variant=test.variant.name,
        pair=test.pair,
        position=test.position,
        measures=tuple(by_name.values()),
        values=values,
        faults=faults,
        schedule=_schedule_of(test),
        environment=environment,
        begin_s=test.begin_s,
        end_s=end_s,
        tries=test.tries,
    )


def _memory_peak(session: Session | None, test: TestState) -> float:
    """Return the most memory that what the test has started held; see ``peak_since``.

    Raises:
        Undecided: it is not known.
    """
    from twin_harness.system.memory_peak import peak_since

    others = {process.pid for process in session.board.processes()} if session else set()
    peak = peak_since(test.present, others, test.ended)
    if peak is None:
        msg = "memory_peak_bytes: the kernel does not say what pytest's process held at most"
        raise Undecided(msg)
    return float(peak)


def _recorded_values(test: TestState) -> tuple[dict[str, float], dict[str, str]]:
    """Return what a test recorded by itself, by short name: the values, and why others are none."""
    values, faults = {}, {}
    for measure, value in test.recorded.values():
        if isfinite(value):
            values[measure.short_name] = value
        else:
            reason = test.faults.get(measure.metric) or f"{measure.short_name} is {value!r}"
            faults[measure.short_name] = reason
    return values, faults


def _environment(session: Session | None, test: TestState, end_s: float) -> Environment:
    """Return what else the machine did during a test, as far as the dataset can be read."""
    from twin_harness.gate.environment import Environment as _Environment
    from twin_harness.runs.frames import read_frame
    from twin_harness.system.own_time import started_cpu_ns

    if session is None or not (valid_bytes := session.board.dataset_state()[0]):
        return _Environment()
    lasted_s, started_percent = end_s - test.begin_s, 0.0
    if test.begin_cpu_ns and lasted_s > 0:
        spent_s = (started_cpu_ns() - test.begin_cpu_ns) / 1e9
        started_percent = 100.0 * spent_s / (lasted_s * session.machine.cpu_capacity)
    # A test shorter than a sample has the one before it.
    begin_s = min(test.begin_s, end_s - 2 * session.config.interval_s)
    with (
        contextlib.suppress(OSError, TwinError),
        session.folder.open_dataset(valid_bytes) as dataset,
    ):
        frame = read_frame(dataset, begin_s, end_s, session.machine.partition)
        return _Environment.of(frame, started_percent)
    return _Environment()


def _lack_of_room(test: TestState) -> str:
    """Return why the machine could not deliver a load of the test.

    What was measured then is of a machine that others filled.
    """
    for recording in test.recordings:
        for event in recording.experiment.events:
            with contextlib.suppress(TwinError):
                if reason := recording.lack_of_room(event.id):
                    return f"event {event.id!r}: {reason}"
    return ""


def _figure(measure: Measure, test: TestState) -> float:
    """Return a measure's value in the recording that has its window, or in the first one."""
    recordings = [
        recording
        for recording in test.recordings
        if not measure.window or any(row.event == measure.window for row in recording.rows)
    ]
    if not recordings:
        msg = f"{measure.short_name}: the test recorded no experiment"
        if measure.window:
            msg += f" with event {measure.window!r}"
        raise InvalidInput(msg)
    return measure.value(recordings[0])


def _schedule_of(test: TestState) -> str:
    """Return the hash of the experiment that was planned, or of all of them; empty without any."""
    hashes = [experiment.hash() for experiment in test.planned]
    if len(hashes) == 1:
        return hashes[0]
    if hashes:
        return hashlib.sha256(" ".join(hashes).encode()).hexdigest()
    return ""

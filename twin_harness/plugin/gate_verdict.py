"""The gate at the end of a session, on the controller: judge the trials, set the exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from twin_harness.errors import InvalidInput, TwinError
from twin_harness.plugin.gate_files import write
from twin_harness.plugin.gate_trials import family, known_trials

if TYPE_CHECKING:
    from twin_harness.gate.session_figures import SessionFigures
    from twin_harness.gate.trials import Trial
    from twin_harness.gate.verdict import Judgement
    from twin_harness.plugin.state import PluginState
    from twin_harness.session.config import TwinConfig

_MOST_NAMED = 5


def check_files(settings: TwinConfig) -> None:
    """Look at the files that the gate's options name, before anything runs.

    Raises:
        pytest.UsageError: a baseline cannot be read, or the run that is to be resumed was of other
        variants, seed or machine; one sentence.
    """
    try:
        baselines = [Path(settings.gate)] if settings.gate else []
        if settings.gate_save and Path(settings.gate_save).exists():
            baselines.append(Path(settings.gate_save))
        for path in baselines:
            from twin_harness.gate.baseline import Baseline

            Baseline.read(path)
        if settings.gate_resume:
            _check_resumed(settings)
    except TwinError as error:
        raise pytest.UsageError(str(error)) from None


def _check_resumed(settings: TwinConfig) -> None:
    from twin_harness.runs.folder import RunFolder
    from twin_harness.system.machine import inspect_machine, is_same_machine

    folder = RunFolder.open(settings.gate_resume)
    before, ours = folder.read_state().get("settings") or {}, settings.to_record()
    for name in ("variants", "seed", "gate_pairs", "gate_profile"):
        if json.dumps(before.get(name, False)) != json.dumps(ours[name]):
            msg = (
                f"--twin-gate-resume: {folder.path} ran with other {name}; expected the same"
                " options as then, or a new run"
            )
            raise InvalidInput(msg)
    machine = inspect_machine(folder.path)
    if not is_same_machine(folder.read_machine(), machine.to_json()):
        msg = (
            f"--twin-gate-resume: {folder.path} is of another machine than this one"
            f" ({machine.fingerprint}); start a new run"
        )
        raise InvalidInput(msg)


def is_distributed(config: pytest.Config) -> bool:
    """Tell whether workers of pytest-xdist run the tests."""
    return bool(getattr(config.option, "dist", "no") != "no")


def finish(session: pytest.Session, state: PluginState) -> None:
    """Judge a session that had gated tests, or was asked to."""
    settings = state.config
    if state.refusal:
        if is_distributed(session.config):  # where there are no workers, pytest has said it
            state.gate_lines = [f"ERROR: {state.refusal}"]
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
        return
    if not _is_to_be_judged(session, state):
        return
    trials: list[Trial] = []
    judgement, fault = None, ""
    try:
        trials = known_trials(state)
        judgement = judge(state, trials)
    except (OSError, TwinError, ValueError) as error:
        fault = str(error)
    if _is_asked(settings) and session.exitstatus in (
        pytest.ExitCode.OK,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    ):
        session.exitstatus = _exit_code(settings, judgement, fault, has_trials=bool(trials))
    if fault and settings.gate_save:
        state.gate_lines = [f"not saved: {fault}"]
    elif fault:
        state.gate_lines = [f"UNDECIDED: the gate could not judge: {fault}"]
    try:  # whatever cannot be written: the verdict, and the exit code with it, stands
        write(session.config, state, trials, judgement)
    except (OSError, TwinError, ValueError) as error:
        state.gate_lines.append(f"not everything about the gate could be written: {error}")
    state.gate_lines += _tries_line(trials)


def _is_asked(settings: TwinConfig) -> bool:
    """Tell whether an option asks for a verdict, or for a session to be saved."""
    return bool(settings.variants or settings.gate or settings.gate_save)


def _is_to_be_judged(session: pytest.Session, state: PluginState) -> bool:
    """Tell whether a session had gated tests, or was asked to be judged and has run."""
    folder = state.seat.run_dir
    has_trials = state.may_touch_run() and folder.is_dir() and any(folder.glob("gate.*.jsonl"))
    if session.config.option.collectonly or not (has_trials or _is_asked(state.config)):
        return False
    # Otherwise nothing was collected, or could not be: pytest says why.
    has_run = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return has_trials or bool(state.config.gate_resume) or has_run


def _tries_line(trials: list[Trial]) -> list[str]:
    """Return which tests were run again: their figures are not those of a first try."""
    again = sorted({trial.test for trial in trials if trial.tries > 1})
    if not again:
        return []
    names = ", ".join(again[:_MOST_NAMED])
    return [f"{len(again)} gated tests were run again, and the last try of each counts: {names}"]


def _exit_code(
    settings: TwinConfig, judgement: Judgement | None, fault: str, *, has_trials: bool
) -> pytest.ExitCode:
    """Return pytest's exit code of a session whose tests have passed."""
    if settings.gate_save:
        if fault:
            return pytest.ExitCode.TESTS_FAILED
        return pytest.ExitCode.OK
    is_bad = judgement is not None and judgement.status == "REGRESSED"
    is_open = judgement is None or judgement.status == "UNDECIDED"
    if is_bad or (is_open and settings.undecided == "fail"):
        return pytest.ExitCode.TESTS_FAILED
    if has_trials:
        return pytest.ExitCode.OK
    return pytest.ExitCode.NO_TESTS_COLLECTED


def judge(state: PluginState, trials: list[Trial]) -> Judgement | None:
    """Return the judgement of pairs, or against a baseline; None where nothing was asked."""
    from twin_harness.gate.baseline import Baseline
    from twin_harness.gate.baseline_verdict import judge_run
    from twin_harness.gate.paired_verdict import judge_all
    from twin_harness.gate.profile_files import with_places

    settings = state.config
    measures = family(state, trials)
    if settings.variants:
        names = (settings.variants[0].name, settings.variants[1].name)
        judgement = judge_all(
            trials, names, measures, length=settings.gate_length, seed=settings.seed
        )
        if settings.gate_profile:
            runs = [Path(run) for run in (settings.gate_resume, state.seat.run_dir) if run]
            judgement = with_places(judgement, *(run / "gate" for run in runs))
    elif settings.gate:
        baseline = Baseline.read(Path(settings.gate))
        judgement = judge_run(baseline, session_figures(state, trials), measures)
    else:
        if settings.gate_save:
            state.gate_lines = save(state, trials)
        return None
    where = {
        "run": f"{settings.data_dir}/{state.seat.run_id}",
        "baseline": settings.gate,
        "has_report": settings.has_report,
    }
    return replace(judgement, facts={**judgement.facts, **where})


def session_figures(state: PluginState, trials: list[Trial]) -> SessionFigures:
    """Return what this session gave, with the machine that gave it."""
    from twin_harness.gate.session_figures import figures_of
    from twin_harness.runs.folder import RunFolder

    return figures_of(RunFolder(state.seat.run_dir), trials)


def save(state: PluginState, trials: list[Trial]) -> list[str]:
    """Add this session to the baseline and return what is said of it.

    Raises:
        InvalidInput: the session is of another machine, or is surely worse or better than the
            baseline: that moves only by ``accept``.
    """
    from twin_harness.gate.baseline import Baseline
    from twin_harness.gate.baseline_verdict import add_session

    path, figures = Path(state.config.gate_save), session_figures(state, trials)
    if path.exists():
        before = Baseline.read(path)
    else:
        before = Baseline(figures.fingerprint)
    after, lines = add_session(before, figures, family(state, trials), str(path))
    after.write(path)
    return lines

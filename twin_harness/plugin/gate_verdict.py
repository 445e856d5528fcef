"""The gate at the end of a session, on the controller.

Judge what the trials gave, write it for everybody who reads it, set the exit code.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from twin_harness.errors import InvalidInput, TwinError
from twin_harness.plugin import allure_files
from twin_harness.plugin.gate import family, known_trials

if TYPE_CHECKING:
    from twin_harness.gate.baseline import SessionFigures
    from twin_harness.gate.trials import Trial
    from twin_harness.gate.verdict import Judgement
    from twin_harness.plugin.state import PluginState
    from twin_harness.session.config import TwinConfig

_WIDEST = 120
_MOST_NAMED = 5


def check_files(settings: TwinConfig) -> None:
    """Look at the files that the gate's options name, before anything runs.

    Raises:
        pytest.UsageError: a baseline cannot be read, or the run that is to be resumed was of other
        variants, seed or machine; one sentence.
    """
    try:
        for name in filter(
            None, (settings.gate, settings.gate_save if Path(settings.gate_save).exists() else "")
        ):
            from twin_harness.gate.baseline import Baseline

            Baseline.read(Path(name))
        if settings.gate_resume:
            _check_resumed(settings)
    except TwinError as error:
        raise pytest.UsageError(str(error)) from None


def _check_resumed(settings: TwinConfig) -> None:
    from twin_harness.runs.folder import RunFolder
    from twin_harness.system.machine import inspect_machine, is_same_machine

    folder = RunFolder.open(settings.gate_resume)
    before, ours = folder.read_state().get("settings") or {}, settings.to_record()
    for name in ("variants", "seed", "gate_pairs"):
        if json.dumps(before.get(name)) != json.dumps(ours[name]):
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
    settings, folder = state.config, state.seat.run_dir
    is_asked = bool(settings.variants or settings.gate or settings.gate_save)
    if state.refusal:  # where there are no workers, pytest has said it
        if is_distributed(session.config):
            state.gate_lines = [f"ERROR: {state.refusal}"]
        else:
            state.gate_lines = []
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
        return
    has_trials = state.may_touch_run() and folder.is_dir() and any(folder.glob("gate.*.jsonl"))
    if session.config.option.collectonly or not (has_trials or is_asked):
        return
    if (
        not has_trials
        and not settings.gate_resume
        and session.exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    ):
        return  # nothing was collected, or could not be: pytest says why
    trials: list[Trial] = []
    judgement, fault = None, ""
    try:
        trials = known_trials(state)
        judgement = judge(state, trials)
        if judgement is not None:
            told = {
                "run": f"{settings.data_dir}/{state.seat.run_id}",
                "baseline": settings.gate,
                "has_report": settings.has_report,
            }
            judgement = replace(judgement, facts={**judgement.facts, **told})
    except (OSError, TwinError, ValueError) as error:
        fault = str(error)
    if is_asked and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = _exit_code(settings, judgement, fault, has_trials=bool(trials))
    if fault:
        state.gate_lines = [
            (
                f"not saved: {fault}"
                if settings.gate_save
                else f"UNDECIDED: the gate could not judge: {fault}"
            )
        ]
    try:  # whatever cannot be written: the verdict, and the exit code with it, stands
        _write(session.config, state, trials, judgement)
    except (OSError, TwinError, ValueError) as error:
        state.gate_lines.append(f"not everything about the gate could be written: {error}")
    state.gate_lines += _tries_line(trials)


def _tries_line(trials: list[Trial]) -> list[str]:
    """Return which tests were run again, so that nobody takes their figures for those of a first try."""
    again = sorted({trial.test for trial in trials if trial.tries > 1})
    if not again:
        return []
    return [
        (
            f"{len(again)} gated tests were run again, and the last try of each counts:"
            f" {', '.join(again[:_MOST_NAMED])}"
        )
    ]


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
    from twin_harness.gate.trials import judge_all

    settings = state.config
    measures = family(state, trials)
    if settings.variants:
        names = (settings.variants[0].name, settings.variants[1].name)
        return judge_all(trials, names, measures, planned=settings.gate_pairs, seed=settings.seed)
    if settings.gate:
        return Baseline.read(Path(settings.gate)).judge(session_figures(state, trials), measures)
    if settings.gate_save:
        state.gate_lines = save(state, trials)
    return None


def session_figures(state: PluginState, trials: list[Trial]) -> SessionFigures:
    """Return what this session gave, with the machine that gave it."""
    from twin_harness.gate.baseline import figures_of
    from twin_harness.runs.folder import RunFolder

    return figures_of(RunFolder(state.seat.run_dir), trials)


def save(state: PluginState, trials: list[Trial]) -> list[str]:
    """Add this session to the baseline and return what is said of it.

    Raises:
        InvalidInput: the session is of another machine, or is surely worse or better than the
            baseline: that moves only by ``accept``.
    """
    from twin_harness.gate.baseline import Baseline, added

    path, figures, measures = (
        Path(state.config.gate_save),
        session_figures(state, trials),
        family(state, trials),
    )
    if path.exists():
        before = Baseline.read(path)
    else:
        before = Baseline(figures.fingerprint)
    after, lines = added(before, figures, measures, str(path))
    after.write(path)
    return lines


def _write(
    config: pytest.Config, state: PluginState, trials: list[Trial], judgement: Judgement | None
) -> None:
    """Write gate.json and, of a judgement, everything else."""
    from twin_harness.gate import outputs
    from twin_harness.runs.folder import RunFolder

    is_old = (
        bool(state.config.gate_resume) and not state.seat.run_dir.is_dir()
    )  # nothing was left to run, so there is no run of this session
    if is_old:
        folder = RunFolder.open(state.config.gate_resume)
    else:
        folder = RunFolder(state.seat.run_dir)
    if judgement:
        judged = judgement.to_json()
    else:
        judged = {"status": "RECORDED", "mode": "recorded"}
    if folder.path.is_dir():
        declared = [measure.to_json() for measure in family(state, trials)]
        folder.write_gate(
            {**judged, "declared": declared, "trials": [trial.to_json() for trial in trials]}
        )
    if judgement is None:
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    width = min(_WIDEST, getattr(getattr(reporter, "_tw", None), "fullwidth", 80))
    state.gate_lines = outputs.terminal_lines(judgement, width)
    if is_old:
        state.gate_lines.append(
            f"nothing was left to run: this is the verdict of {folder.path}, and stands there"
        )
    if folder.path.is_dir():
        folder.gate_output("summary.md", outputs.markdown(judgement))
        folder.gate_output("github-action-benchmark.json", outputs.github_benchmark(judgement))
        folder.gate_output("bencher.json", outputs.bencher(judgement))
    allure_files.write_gate(config, outputs.allure_metrics(judgement))
    _add_junit_properties(config, outputs.junit_properties(judgement))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        state.gate_lines += outputs.error_commands(judgement)
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(outputs.markdown(judgement))


def _add_junit_properties(config: pytest.Config, properties: list[tuple[str, str]]) -> None:
    """Add properties to the JUnit file's suite.

    Pytest's own fixture for it does nothing under pytest-xdist.
    """
    from _pytest.junitxml import xml_key

    if (xml := config.stash.get(xml_key, None)) is not None:
        for name, value in properties:
            xml.add_global_property(name, value)

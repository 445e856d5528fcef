"""What is written of the gate: gate.json, summaries, trackers' files, Allure, JUnit, GitHub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.plugin import allure_files
from twin_harness.plugin.gate_trials import family

if TYPE_CHECKING:
    import pytest

    from twin_harness.gate.trials import Trial
    from twin_harness.gate.verdict import Judgement
    from twin_harness.plugin.state import PluginState

_WIDEST = 120


def write(
    config: pytest.Config, state: PluginState, trials: list[Trial], judgement: Judgement | None
) -> None:
    """Write gate.json and, of a judgement, everything else.

    Args:
        config: pytest's.
        state: of the plugin; it gets the lines for the terminal.
        trials: what the gated tests gave, of a resumed session also before.
        judgement: of these trials; None where they were only recorded.

    Raises:
        OSError, TwinError, ValueError: something cannot be written.
    """
    from twin_harness.gate import outputs
    from twin_harness.gate.terminal import terminal_lines
    from twin_harness.runs.folder import RunFolder

    # Where nothing was left to run, there is no run of this session.
    is_old = bool(state.config.gate_resume) and not state.seat.run_dir.is_dir()
    if is_old:
        folder = RunFolder.open(state.config.gate_resume)
    else:
        folder = RunFolder(state.seat.run_dir)
    verdict: dict[str, Any] = {"status": "RECORDED", "mode": "recorded"}
    if judgement:
        verdict = judgement.to_json()
    if folder.path.is_dir():
        declared = [measure.to_json() for measure in family(state, trials)]
        folder.write_gate(
            {**verdict, "declared": declared, "trials": [trial.to_json() for trial in trials]}
        )
    if judgement is None:
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    width = min(_WIDEST, getattr(getattr(reporter, "_tw", None), "fullwidth", 80))
    state.gate_lines = terminal_lines(judgement, width)
    if is_old:
        state.gate_lines.append(
            f"nothing was left to run: this is the verdict of {folder.path}, and stands there"
        )
    if folder.path.is_dir():
        folder.gate_output("summary.md", outputs.markdown(judgement))
        folder.gate_output("github-action-benchmark.json", outputs.github_benchmark(judgement))
        folder.gate_output("bencher.json", outputs.bencher(judgement))
    allure_files.write_gate(config, judgement, folder.path / "gate")
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

"""The hooks: ten lines at most, each calls a function that takes data."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from twin_harness.errors import TwinError
from twin_harness.plugin import allure, options, terminal, undecided
from twin_harness.plugin.collection import replay_alone
from twin_harness.plugin.markers import marker_lines
from twin_harness.plugin.state import STATE, TEST, PluginState, state_of
from twin_harness.plugin.status import STDERR

if TYPE_CHECKING:
    from collections.abc import Generator


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options."""
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options once, and keep a way to the terminal before output is captured."""
    config.stash[STATE] = PluginState(options.read_config(config))
    config.stash[STDERR] = os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2)
    config.add_cleanup(lambda: os.close(config.stash[STDERR]))
    for line in marker_lines():
        config.addinivalue_line("markers", line)
    if state_of(config).config.schedule:
        replay_alone(config)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Say what is planned, before any load."""
    return terminal.plan_lines(config, items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Raise in the call phase what the test's experiment ran into."""
    test = item.stash.get(TEST, None)
    if test is not None and test.fault is not None:
        raise test.fault


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell UNDECIDED and one-sentence failures, and hand experiments to Allure. Innermost, so that others see the result."""
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, TwinError):
        undecided.phrase(report, call.excinfo.value, state_of(item.config))
    if call.when == "call" and TEST in item.stash:
        allure.attach_recordings(item.config, item.stash[TEST].recordings)
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Show UNDECIDED tests as U."""
    return undecided.status_of(report)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Close the session: merge, write, report."""
    terminal.close_session(state_of(session.config), is_interrupted=exitstatus == pytest.ExitCode.INTERRUPTED)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say where everything is, and what could not be decided."""
    terminal.write_summary(terminalreporter, state_of(config))

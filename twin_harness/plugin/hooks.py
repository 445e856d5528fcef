"""The hooks: ten lines at most, each calls a function that takes data."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from twin_harness.errors import InvalidInput, TwinError
from twin_harness.plugin import (
    allure,
    allure_session,
    controller,
    gate_items,
    gate_pairs,
    gate_trials,
    gate_verdict,
    options,
    terminal,
    tries,
    undecided,
    workers,
)
from twin_harness.plugin.markers import marker_lines
from twin_harness.plugin.plan_lines import plan_lines
from twin_harness.plugin.planned import fault_of
from twin_harness.plugin.requested import PAIR, parameters_of, requests
from twin_harness.plugin.schedule_items import ExperimentItem, campaign_alone, replay_alone
from twin_harness.plugin.state import STATE, TEST, PluginState, state_of
from twin_harness.session.status import StatusLine

if TYPE_CHECKING:
    from collections.abc import Generator


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options."""
    options.add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options once, and keep a way to the terminal before output is captured."""
    allure_session.clean_once(config, is_worker=workers.is_worker(config))
    settings, seat = workers.read_place(config)
    config.stash[STATE] = PluginState(settings, seat, StatusLine.on(_terminal_descriptor(config)))
    config.pluginmanager.register(tries.TryHooks(), "twin_harness_tries")
    for line in marker_lines():
        config.addinivalue_line("markers", line)
    if settings.schedule:
        replay_alone(config)
    elif settings.campaign:
        campaign_alone(config)
    if not workers.is_worker(config):
        gate_verdict.check_files(settings)
        config.pluginmanager.register(controller.ControllerHooks(config), "twin_harness_controller")
        config.pluginmanager.register(controller.GateHooks(), "twin_harness_gate")
        if config.pluginmanager.hasplugin("xdist"):
            config.pluginmanager.register(workers.WorkerHooks(config), "twin_harness_workers")


def _terminal_descriptor(config: pytest.Config) -> int:
    """Return a descriptor of the terminal that capturing leaves alone, closed with the session."""
    descriptor = os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2)
    config.add_cleanup(lambda: os.close(descriptor))
    return descriptor


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Say what is planned, before any load."""
    return plan_lines(config, items)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin the status line; gw0 leaves the plan's lines for the controller, which has no items.

    It does so before xdist reports that it has collected.
    """
    state = state_of(session.config)
    is_used = any(
        requests(item, "_twin_session") or isinstance(item, ExperimentItem)
        for item in session.items
    )
    if is_used and not session.config.option.collectonly:
        # What reads the samples takes about a second of CPU time to load: here it is beside no
        # load, and no test has replaced a clock or datetime yet, which pandas would not survive.
        import_module("pandas")
    is_distributed = bool(getattr(session.config.option, "dist", "no") != "no")
    if (
        not workers.is_worker(session.config)
        and not session.config.option.collectonly
        and (is_used or is_distributed)
    ):
        state.status.follow(state.seat.run_dir / "run.json", state.may_touch_run)
    elif state.seat.worker == "gw0":
        lines = plan_lines(session.config, session.items)
        if state.refusal:
            lines = [f"{workers.REFUSAL}{state.refusal}", *lines]
        workers.write_lines(state.seat, lines)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where variants are compared, keep the gated tests alone, pair by pair."""
    gate_items.choose_items(config, items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a whole pair where an item is one."""
    if PAIR in parameters_of(item):
        return gate_pairs.run_pair(item, nextitem)
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse an item whose late mark is wrong; take the machine before a gated one's service."""
    if fault := fault_of(item):
        raise InvalidInput(fault)
    gate_pairs.take_machine(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Give the machine back when the service is gone."""
    try:
        return (yield)
    finally:
        gate_pairs.give_machine_back(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Raise in the call phase what the test's experiment ran into."""
    test = item.stash.get(TEST, None)
    if test is not None and test.fault is not None:
        raise test.fault


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Phrase UNDECIDED and one-sentence failures, and hand experiments to Allure.

    Innermost, so that others see the result.
    """
    report = yield
    error = None
    if call.excinfo is not None:
        error = call.excinfo.value
    if isinstance(error, TwinError):
        undecided.phrase(report, error, state_of(item.config).config)
    if tries.note_subtest(item, report, error):
        return report  # what is kept of a test is kept once, with its own report
    tries.take_up_subtests(item, report, state_of(item.config).config)
    if TEST in item.stash:
        test = item.stash[TEST]
        state_of(item.config).status.clear()
        report.duration, test.waited_s = max(0.0, report.duration - test.waited_s), 0.0
        if call.when == "call" and (fault := allure.attach(item.config, test)):
            state_of(item.config).status.write_line(fault)
    gate_trials.note_trial(item, report)
    return report


def pytest_report_teststatus(
    report: pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Show UNDECIDED tests as U."""
    return undecided.status_of(report)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the session on a worker; the controller has closed it by then."""
    state = config.stash.get(STATE, None)
    if state is not None and state.session is not None:
        state.session.leave()
        state.session = None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say where everything is, and what could not be decided."""
    terminal.write_summary(terminalreporter, state_of(config))

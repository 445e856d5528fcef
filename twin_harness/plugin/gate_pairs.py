"""One item, one pair: both runs of it, under each variant, with the machine to themselves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol

from twin_harness.gate.measures import OF_TESTS
from twin_harness.plugin import allure
from twin_harness.plugin.gate_items import is_gated, is_interleaved, measures_of, pair_of, test_name
from twin_harness.plugin.gate_trials import family, known_trials
from twin_harness.plugin.markers import name_of
from twin_harness.plugin.running import open_session
from twin_harness.plugin.state import TEST, TestState, state_of, test_state
from twin_harness.system.clock import monotonic_s

if TYPE_CHECKING:
    from twin_harness.plugin.state import PluginState

_QUIET_S, _MINUTES_FROM_S = 10.0, 120.0


def run_pair(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run both halves of a pair: set-up, call and teardown under each variant, in the drawn order.

    One set of reports for pytest.

    A pair that is not wanted (done before, stopped for good, a spare that nothing needs) leaves no
    trace.
    """
    state, number, name = state_of(item.config), pair_of(item), test_name(item)
    if not _is_wanted(state, item, name, number):
        allure.note_unneeded(item.config)
        _tear_down(item, nextitem)
        return True
    _show_progress(state, number)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    if is_interleaved(item):
        kept = _run_in_turns(item, number, nextitem)
    else:
        kept = _run_both(item, number, nextitem)
    _give_machine_back(state)
    for report in kept:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _run_in_turns(
    item: pytest.Item, number: int, nextitem: pytest.Item | None
) -> list[pytest.TestReport]:
    """Run a pair whose variants are alive at once: one run of it, for both."""
    item.stash[TEST] = TestState(pair=number, position=1, is_begun=False)
    return runtestprotocol(item, log=False, nextitem=nextitem)


def _run_both(
    item: pytest.Item, number: int, nextitem: pytest.Item | None
) -> list[pytest.TestReport]:
    """Run a pair whose variants have a run each."""
    from twin_harness.gate.pairs import order_of

    state, name = state_of(item.config), test_name(item)
    is_candidate_first = order_of(state.config.seed, name, state.config.gate_length)[number]
    if is_candidate_first:
        variants = state.config.variants[::-1]
    else:
        variants = state.config.variants
    kept: list[pytest.TestReport] = []
    for position, variant in enumerate(variants):
        item.stash[TEST] = TestState(
            variant=variant, pair=number, position=position, is_begun=False
        )
        if position:
            getattr(item, "_initrequest")()  # noqa: B009 - private: fixtures anew
        is_last = position == len(variants) - 1
        # After the first half the item alone is torn down: the chain of its parent stays.
        following: Any = nextitem if is_last else item.parent
        kept = runtestprotocol(item, log=False, nextitem=following)
        if not all(report.passed for report in kept):
            if not is_last:
                _tear_down(item, nextitem)
            break
    return kept


def _tear_down(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Tear down what the next item does not need, as pytest's own protocol ends.

    Reported only when it fails.

    Not by the teardown hook: other plugins expect an item there that has been set up.
    """
    state = item.session._setupstate  # noqa: SLF001 - pytest has no public way to tear down early
    call = pytest.CallInfo.from_call(lambda: state.teardown_exact(nextitem), when="teardown")
    report = pytest.TestReport.from_item_and_call(item, call)
    if report.failed:
        item.ihook.pytest_runtest_logreport(report=report)


def take_machine(item: pytest.Item) -> None:
    """Before a gated test is set up.

    Have the logger run and the machine to ourselves, so that a service starts and warms up alone.

    Raises:
        TwinError: there is no session, no logger or no machine to be had.
    """
    if not is_gated(item):
        return
    session, test = open_session(item.config), test_state(item)
    # After a session is there: on Windows there is none, nor what these import.
    from twin_harness.system.load_tree import descendants
    from twin_harness.system.memory_peak import faults_of_ended, forget_peak
    from twin_harness.system.own_time import started_cpu_ns

    session.ensure_logger()
    session.admission.hold(name_of(item.name))
    test.note_waits(session.admission.take_waits())
    if any(measure.metric in OF_TESTS for measure in measures_of(item)):
        forget_peak()  # the peak of the user's own process is left alone where nobody asks for it
        test.ended = faults_of_ended()
        test.present = frozenset(descendants(os.getpid()))
    test.begin_s, test.begin_cpu_ns = monotonic_s(), started_cpu_ns()


def give_machine_back(item: pytest.Item) -> None:
    """After a gated test is torn down.

    Between the two runs of a pair nobody else has the machine.
    """
    test = item.stash.get(TEST, None)
    if is_gated(item) and test is not None and (test.pair < 0 or test.position):
        _give_machine_back(state_of(item.config))


def _give_machine_back(state: PluginState) -> None:
    if state.session is not None:
        state.session.admission.release()


def _show_progress(state: PluginState, number: int) -> None:
    """Say how many pairs are done and how long the rest may take, when a new one begins.

    One worker alone does.
    """
    now_s = monotonic_s()
    if state.seat.worker not in ("main", "gw0") or number in state.pairs_begun:
        return
    state.pairs_begun.setdefault(number, now_s)
    first, first_s = next(iter(state.pairs_begun.items()))
    done, pairs = number - first, state.config.gate_length.least
    if done > 0 and now_s - first_s > _QUIET_S and number < pairs:
        left_s = (now_s - first_s) / done * (pairs - number)
        state.status.write_line(
            f"gate: {number} of {pairs} pairs done, about {_time_text(left_s)} left, not counting"
            " waits for the machine"
        )


def _time_text(seconds: float) -> str:
    if seconds < _MINUTES_FROM_S:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min"


def _is_wanted(state: PluginState, item: pytest.Item, name: str, number: int) -> bool:
    from twin_harness.gate.stopping import find_ending, is_wanted

    length = state.config.gate_length
    has_others = state.seat.worker != "main"
    if number >= length.least and state.session is not None and has_others:
        # a spare, or a longer session, is decided on when no worker's pair is under way any more
        state.session.admission.hold(name_of(item.name))
        state.session.admission.release()
    trials = known_trials(state)
    names = (state.config.variants[0].name, state.config.variants[1].name)
    measures = family(state, trials)
    tests = list({measure.test for measure in measures} | {name})
    return (
        is_wanted(trials, names, name, number, length, tests)
        and find_ending(trials, names, measures, length).pairs is None
    )

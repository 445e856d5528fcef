"""Tries and subtests: a try begins anew, and a subtest is a part of its test."""

from contextlib import contextmanager

import pytest

from tests.support.items import Item, config_of, report_of
from twin_harness.errors import Undecided
from twin_harness.gate.variant import Variant
from twin_harness.plugin import tries, undecided
from twin_harness.plugin.state import TEST, TestState
from twin_harness.session.config import TwinConfig


@pytest.fixture
def item(tmp_path):
    """A test that was set up once."""
    item = Item("test_it", config_of(tmp_path))
    item.stash[TEST] = TestState(variant=Variant("base"), pair=3, position=1)
    return item


def test_next_try_keeps_its_pair_and_nothing_else(item):
    """Fault, figures and verdict of a try do not reach the next; its trial is replaced."""
    before = item.stash[TEST]
    before.fault, before.has_trial, before.subtest_faults = ValueError("x"), True, ["x"]
    before.recorded["x"] = None
    tries.begin(item)
    test = item.stash[TEST]
    assert (test.variant.name, test.pair, test.position, test.tries) == ("base", 3, 1, 2)
    assert (test.fault, test.recorded, test.subtest_faults) == (None, {}, [])
    assert test.replaced == (before.begin_s,)
    tries.begin(item)
    assert item.stash[TEST].replaced == (before.begin_s,)  # the second try left no trial
    assert item.stash[TEST].tries == 3


def test_second_run_of_a_pair_is_no_try(item):
    """A state that was made for a run counts from its set-up on."""
    item.stash[TEST] = test = TestState(is_begun=False)
    tries.begin(item)
    assert item.stash[TEST] is test
    assert test.is_begun
    assert test.tries == 1


def test_test_without_state_has_none_by_a_try(tmp_path):
    """A test that has nothing to do with experiments keeps that."""
    item = Item("test_it", config_of(tmp_path))
    tries.begin(item)
    assert TEST not in item.stash


@contextmanager
def in_call(item):
    """The phase in which a test is called."""
    phase = tries.TryHooks().pytest_runtest_call(item)
    next(phase)
    yield
    phase.close()


def test_report_within_a_phase_is_a_subtest_s(item):
    """What comes while the test is called is a part of it; afterwards it is its own report."""
    report = report_of("failed", longrepr="it is wrong")
    assert not tries.note_subtest(item, report, None)
    with in_call(item):
        assert tries.note_subtest(item, report, None)
    assert tries.is_subtest(report)
    assert item.stash[TEST].subtest_faults == ["it is wrong"]
    assert not tries.note_subtest(item, report_of(), None)
    assert not tries.is_subtest(report_of())


def test_test_with_an_undecided_subtest_is_undecided(item):
    """Where none of its subtests failed; one that failed beside it fails as pytest has it."""
    with in_call(item):
        tries.note_subtest(item, report_of("skipped", longrepr="no"), Undecided("no room"))
        tries.note_subtest(item, report_of("skipped", longrepr="no"), Undecided("another"))
    report = report_of()
    tries.take_up_subtests(item, report, TwinConfig())
    assert undecided.reason_of(report) == "no room"
    item.stash[TEST].subtest_faults.append("it is wrong")
    report = report_of()
    tries.take_up_subtests(item, report, TwinConfig())
    assert report.passed
    assert undecided.reason_of(report) == ""


def test_undecided_subtests_fail_their_test_where_they_are_to(item):
    """With --twin-undecided=fail a fault that is UNDECIDED is the verdict itself."""
    settings = TwinConfig(undecided="fail")
    sentence = "UNDECIDED: no room (and --twin-undecided=fail)"
    with in_call(item):
        tries.note_subtest(item, report_of("failed", longrepr=sentence), Undecided("no room"))
    report = report_of()
    tries.take_up_subtests(item, report, settings)
    assert report.outcome == "passed"
    assert report.longrepr == sentence


def test_trip_in_a_subtest_is_its_test_s(item):
    """The controller counts a test whose subtest the guard stopped, once."""
    tripped = report_of("failed", longrepr="guard")
    undecided.note_trip(tripped)
    with in_call(item):
        tries.note_subtest(item, tripped, None)
    report = report_of()
    tries.take_up_subtests(item, report_of(when="setup"), TwinConfig())
    tries.take_up_subtests(item, report, TwinConfig())
    assert undecided.has_tripped(report)

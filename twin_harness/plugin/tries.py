"""The tries of a test: each begins anew, whoever runs it again, and subtests are a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from twin_harness.errors import Undecided
from twin_harness.plugin import undecided
from twin_harness.plugin.state import TEST, test_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin_harness.session.config import TwinConfig

_IN_PHASE = pytest.StashKey[bool]()
_SUBTEST = "twin_is_subtest"


class TryHooks:
    """Registered wherever tests run.

    Reruns, loops and repetitions call pytest's protocol again, each in a way of its own; all of
    them set the test up again. Subtests (pytest 9, pytest-subtests, ``TestCase.subTest``) have a
    report made while the phase that they are part of goes on.
    """

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Begin a try."""
        begin(item)
        return (yield from _phase(item))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Note that the test is called."""
        return (yield from _phase(item))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """Note that the test is torn down."""
        return (yield from _phase(item))


def begin(item: pytest.Item) -> None:
    """Give a test that is set up again a state in which nothing of its earlier try is left."""
    before = item.stash.get(TEST, None)
    if before is not None and before.is_begun:
        item.stash[TEST] = before.next_try()
    elif before is not None:
        before.is_begun = True


def _phase(item: pytest.Item) -> Iterator[None]:
    item.stash[_IN_PHASE] = True
    try:
        return (yield)
    finally:
        item.stash[_IN_PHASE] = False


def note_subtest(item: pytest.Item, report: pytest.TestReport, error: BaseException | None) -> bool:
    """Tell whether a report is a subtest's, and keep what it says for the report of its test.

    pytest copies a report with all its attributes, also from worker to controller, so that ours is
    known there.

    Args:
        item: the test whose phase may be under way.
        report: the one just made; a subtest's is marked as such.
        error: the exception that it reports; None where there is none.
    """
    if not item.stash.get(_IN_PHASE, False):
        return False
    setattr(report, _SUBTEST, True)
    if report.failed:
        test_state(item).subtest_faults.append(undecided.reason_line(report))
    if isinstance(error, Undecided) and test_state(item).subtest_verdict is None:
        test_state(item).subtest_verdict = error
    if undecided.has_tripped(report):
        test_state(item).has_tripped = True
    return True


def is_subtest(report: pytest.TestReport) -> bool:
    """Tell whether a report is a subtest's; it may come from a worker."""
    return bool(getattr(report, _SUBTEST, False))


def take_up_subtests(item: pytest.Item, report: pytest.TestReport, settings: TwinConfig) -> None:
    """Have a test whose subtests could not all be decided be UNDECIDED itself.

    One that failed beside them fails, as pytest has it.

    Args:
        item: the test.
        report: its own; only that of the call phase is changed.
        settings: whether UNDECIDED is to fail.
    """
    test = item.stash.get(TEST, None)
    if test is None or report.when != "call":
        return
    if (
        test.subtest_verdict is not None
        and report.passed
        and not _failed_otherwise(test.subtest_faults, settings)
    ):
        undecided.phrase(report, test.subtest_verdict, settings)
    if test.has_tripped and not undecided.has_tripped(report):
        undecided.note_trip(report)


def _failed_otherwise(faults: list[str], settings: TwinConfig) -> bool:
    """Tell whether a subtest failed for another reason than that an UNDECIDED one is to fail."""
    return any(
        settings.undecided != "fail" or not fault.startswith("UNDECIDED: ") for fault in faults
    )

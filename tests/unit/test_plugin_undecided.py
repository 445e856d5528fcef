"""How our exceptions look in pytest's reports: a sentence, and the letter U for UNDECIDED."""

import pytest

from tests.support.items import report_of
from twin_harness.errors import ExperimentAborted, FidelityMissed, InvalidInput, Undecided
from twin_harness.plugin import undecided
from twin_harness.session.config import TwinConfig


def phrased(error, **settings):
    report = report_of("failed", longrepr="a traceback")
    undecided.phrase(report, error, TwinConfig(**settings))
    return report


def test_undecided_counts_as_skipped_with_its_reason():
    """The report says where and why, and its verdict travels in the properties."""
    report = phrased(Undecided("column 'x' is empty"))
    assert report.outcome == "skipped"
    assert report.longrepr == ("test_x.py", 3, "UNDECIDED: column 'x' is empty")
    assert report.user_properties == [("twin_verdict", "UNDECIDED: column 'x' is empty")]
    assert undecided.reason_of(report) == "column 'x' is empty"
    assert undecided.status_of(report) == ("undecided", "U", ("UNDECIDED", {"yellow": True}))


def test_undecided_can_fail():
    """With --twin-undecided=fail it fails, and its reason is still known."""
    report = phrased(Undecided("no room"), undecided="fail")
    assert report.outcome == "failed"
    assert report.longrepr == "UNDECIDED: no room (and --twin-undecided=fail)"
    assert undecided.reason_of(report) == "no room"
    assert undecided.status_of(report) is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InvalidInput("level: 130 is above 100"), "InvalidInput: level: 130 is above 100"),
        (FidelityMissed("cpu-0 delivered 30"), "cpu-0 delivered 30"),
    ],
)
def test_failure_is_one_sentence(error, sentence):
    """An error of ours is shown without a traceback, and the test stays failed."""
    report = phrased(error)
    assert (report.outcome, report.longrepr) == ("failed", sentence)
    assert undecided.reason_of(report) == ""
    assert not undecided.has_tripped(report)


def test_trip_of_the_guard_travels_in_the_report():
    """The controller learns from a worker's report that the guard stopped an experiment."""
    report = phrased(ExperimentAborted("guard: memory_available fell"))
    assert undecided.has_tripped(report)
    assert report.longrepr == "ExperimentAborted: guard: memory_available fell"


@pytest.mark.parametrize(
    ("longrepr", "line"),
    [
        (("test_x.py", 3, "Skipped: no"), "Skipped: no"),
        ("first\nsecond", "first"),
        ("", "no reason given"),
        ("x" * 400, "x" * 300),
    ],
)
def test_reason_is_one_line(longrepr, line):
    """Why a test did not pass is told in a line of at most 300 characters."""
    assert undecided.reason_line(report_of("failed", longrepr=longrepr)) == line


def test_other_tests_are_left_alone():
    """A skip that is nobody's verdict keeps its letter."""
    assert undecided.status_of(report_of("skipped", longrepr=("f", 1, "Skipped: no"))) is None

"""UNDECIDED and one-sentence failures: how our exceptions look in pytest's reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.errors import ExperimentAborted, FidelityMissed, Undecided

if TYPE_CHECKING:
    import pytest

    from twin_harness.errors import TwinError
    from twin_harness.session.config import TwinConfig

PROPERTY = "twin_verdict"
_UNDECIDED = "UNDECIDED: "
TRIPPED = "the guard stopped it"


def phrase(report: pytest.TestReport, error: TwinError, settings: TwinConfig) -> None:
    """Give a report the sentence of one of our exceptions.

    An UNDECIDED one counts as skipped unless it is to fail.

    Args:
        report: is changed in place.
        error: the exception that it reports.
        settings: whether UNDECIDED is to fail.
    """
    if isinstance(error, ExperimentAborted):
        note_trip(report)
    if not isinstance(error, Undecided):
        report.longrepr = f"{type(error).__name__}: {error}"
        if isinstance(error, FidelityMissed):
            report.longrepr = str(error)
        return
    report.user_properties.append((PROPERTY, f"UNDECIDED: {error}"))
    if settings.undecided == "fail":
        report.longrepr = f"UNDECIDED: {error} (and --twin-undecided=fail)"
        return
    path, line, _ = report.location
    report.outcome = "skipped"
    report.longrepr = (path, line or 0, f"UNDECIDED: {error}")


def reason_of(report: pytest.TestReport) -> str:
    """Return why a test is UNDECIDED, also on a worker's report; empty when it is not."""
    for verdict in _verdicts(report):
        if verdict.startswith(_UNDECIDED):
            return verdict.removeprefix(_UNDECIDED)
    return ""


def note_trip(report: pytest.TestReport) -> None:
    """Say in a report that the guard stopped an experiment of its test."""
    report.user_properties.append((PROPERTY, TRIPPED))


def reason_line(report: pytest.TestReport) -> str:
    """Return why a test, or a subtest, did not pass, in a line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if isinstance(report.longrepr, tuple):
        text = str(report.longrepr[2])
    elif crash:
        text = str(crash.message)
    else:
        text = report.longreprtext
    return (text.strip().splitlines() or ["no reason given"])[0][:300]


def has_tripped(report: pytest.TestReport) -> bool:
    """Tell whether the guard stopped a test's experiment."""
    return TRIPPED in _verdicts(report)


def _verdicts(report: pytest.TestReport) -> list[str]:
    return [
        str(value) for name, value in getattr(report, "user_properties", ()) if name == PROPERTY
    ]


def status_of(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Return category, letter and word of an UNDECIDED test; None for every other."""
    if report.skipped and reason_of(report):
        return "undecided", "U", ("UNDECIDED", {"yellow": True})
    return None

"""UNDECIDED and one-sentence failures: how our exceptions look in pytest's reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.errors import FidelityMissed, Undecided

if TYPE_CHECKING:
    import pytest

    from twin_harness.errors import TwinError
    from twin_harness.plugin.state import PluginState

PROPERTY = "twin_verdict"


def phrase(report: pytest.TestReport, error: TwinError, state: PluginState) -> None:
    """Give a report the sentence of one of our exceptions; an UNDECIDED one counts as skipped unless it is to fail."""
    if not isinstance(error, Undecided):
        kind = "" if isinstance(error, FidelityMissed) else f"{type(error).__name__}: "
        report.longrepr = f"{kind}{error}"
        return
    state.undecided.append((report.nodeid, str(error)))
    report.user_properties.append((PROPERTY, f"UNDECIDED: {error}"))
    if state.config.undecided == "fail":
        report.longrepr = f"UNDECIDED: {error} (and --twin-undecided=fail)"
        return
    path, line, _ = report.location
    report.outcome = "skipped"
    report.longrepr = (path, line or 0, f"UNDECIDED: {error}")


def is_undecided(report: pytest.TestReport) -> bool:
    """Tell whether a report is of an UNDECIDED test."""
    return any(name == PROPERTY for name, _ in getattr(report, "user_properties", ()))


def status_of(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Return category, letter and word of an UNDECIDED test; None for every other."""
    if report.skipped and report.when in ("setup", "call") and is_undecided(report):
        return "undecided", "U", ("UNDECIDED", {"yellow": True})
    return None

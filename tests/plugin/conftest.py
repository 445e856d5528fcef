"""Fixtures of the plugin tests: a small foreign project, run by pytester."""

import pytest


@pytest.fixture
def project(pytester, monkeypatch):
    """A foreign project: its own rootdir, nothing of ours but the installed plugin.

    Its loads are short and other workers are at work: what is delivered is what ``tests/real``
    looks at.
    """
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]\ntwin_tolerance = none\n")
    return pytester


@pytest.fixture
def run(project):
    """Run pytest on the project in a process of its own, without report unless asked for."""

    def run(*arguments, report=False):
        extra = () if report else ("--twin-no-report",)
        return project.runpytest_subprocess("-p", "no:cacheprovider", *extra, *arguments)

    return run

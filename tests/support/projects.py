"""Fixtures: a small foreign project made by pytester, and ways to run pytest on it."""

import pytest

QUIET = ("-p", "no:cacheprovider")


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
    """Run pytest on the project, without report unless asked for.

    The session is in this process, which has its libraries loaded already; its workers, logger and
    loads are processes of their own as ever. How pytest is begun is looked at in ``tests/foreign``.
    """

    def run(*arguments, report=False):
        extra = () if report else ("--twin-no-report",)
        return project.runpytest_inprocess(*QUIET, *extra, *arguments)

    return run


@pytest.fixture
def run_apart(project):
    """Run pytest on the project in a process of its own: for what stderr itself is told."""

    def run_apart(*arguments):
        return project.runpytest_subprocess(*QUIET, *arguments)

    return run_apart


@pytest.fixture
def run_here(project):
    """Run pytest on the project in this process: for what ends before a session begins."""

    def run_here(*arguments):
        return project.runpytest_inprocess(*QUIET, *arguments)

    return run_here

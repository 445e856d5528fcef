"""Fixtures of the plugin tests: a small foreign project, run by pytester."""

import pytest

pytest_plugins = ["pytester"]

IDLE = """
import pytest
from twin_harness import plan, cpu, constant

@pytest.mark.experiment(lead_s=0.2, tail_s=0.2)
def test_idle(recording):
    assert recording.max("cpu_delivered_percent") == 0
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """A foreign project: its own rootdir, nothing of ours but the installed plugin."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]\n")
    return pytester


@pytest.fixture
def run(project):
    """Run pytest on the project in a process of its own, without report unless asked for."""

    def run(*arguments, report=False):
        extra = () if report else ("--twin-no-report",)
        return project.runpytest_subprocess("-p", "no:cacheprovider", *extra, *arguments)

    return run

"""Lab policy: the plugin and the fixtures of this server, and how many workers ``-n auto`` is."""

import pytest

pytest_plugins = [
    "twin_harness.plugin",
    "fixtures.telemetry",
    "fixtures.loads",
    "fixtures.limits",
    "fixtures.services",
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Make ``-n auto`` one worker.

    Experiments take turns on the machine, so more of them would only wait.
    """
    return 1

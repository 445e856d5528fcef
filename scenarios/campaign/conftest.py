"""The campaign loads this machine for up to hours.

It is collected where --twin-campaign asks for it, and nowhere else.
"""


def pytest_ignore_collect(config):
    """Leave this folder out unless a campaign is asked for."""
    return None if config.getoption("--twin-campaign") or config.getini("twin_campaign") else True

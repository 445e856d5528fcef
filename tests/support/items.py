"""Stand-ins for what pytest hands to the plugin: configuration, items and reports."""

from types import SimpleNamespace

import pytest

from twin_harness.plugin.state import STATE, PluginState
from twin_harness.session.config import TwinConfig
from twin_harness.session.seat import Seat


class Status:
    """Keeps the sentences that a status line would write."""

    def __init__(self):
        self.sentences = []

    def write_line(self, sentence):
        self.sentences.append(sentence)

    def clear(self):
        pass

    def close(self):
        pass


def config_of(tmp_path, *, worker="main", option=None, **settings):
    """A pytest configuration with the plugin's state; the run folder is not there yet."""
    settings = TwinConfig(**settings)
    seat = Seat(
        str(tmp_path / "data"),
        str(tmp_path / "reports"),
        "20260101T000000Z-abcdef",
        f"twin-harness-{tmp_path.name}.board",
        1,
        worker,
        "pytest",
    )
    config = SimpleNamespace(
        stash=pytest.Stash(),
        option=SimpleNamespace(**{"collectonly": False, "dist": "no", **(option or {})}),
        rootpath=tmp_path,
        hook=SimpleNamespace(pytest_deselected=lambda items: None),
        pluginmanager=SimpleNamespace(
            get_plugin=lambda name: None,
            getplugin=lambda name: None,
            has_plugin=lambda name: False,
        ),
    )
    config.stash[STATE] = PluginState(settings, seat, Status())
    return config


def ours():
    """A function that stands in this package, as the functions of our fixtures do."""


ours.__module__ = "twin_harness.plugin.fixtures"


class Item:
    """A collected test function: its marks, its fixtures and its parameters.

    Fixtures in ``theirs`` are the project's own of that name.
    """

    def __init__(self, name, config, *, marks=(), fixtures=(), theirs=(), params=None):
        self.name = name
        self.nodeid = f"test_x.py::{name}"
        self.config = config
        self.location = ("test_x.py", 0, name)
        self.stash = pytest.Stash()
        self.fixturenames = [*fixtures, *theirs]
        self.marks = [mark.mark for mark in marks]
        definitions = {name: [SimpleNamespace(func=ours)] for name in fixtures}
        definitions |= {name: [SimpleNamespace(func=lambda: None)] for name in theirs}
        self._fixtureinfo = SimpleNamespace(name2fixturedefs=definitions)
        if params is not None:
            self.callspec = SimpleNamespace(params=params)

    def iter_markers(self, name):
        return (mark for mark in reversed(self.marks) if mark.name == name)

    def get_closest_marker(self, name):
        return next(self.iter_markers(name), None)


def report_of(outcome="passed", when="call", longrepr=None, nodeid="test_x.py::test_it"):
    """A test report without sections."""
    return pytest.TestReport(
        nodeid, ("test_x.py", 3, "test_it"), {}, outcome, longrepr, when, user_properties=[]
    )

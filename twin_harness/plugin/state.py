"""The plugin's state: one object in ``config.stash``, and one on each test item."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from twin_harness.config import TwinConfig
    from twin_harness.plugin.status import StatusLine
    from twin_harness.recording import Recording
    from twin_harness.schedule import Experiment
    from twin_harness.session import Session


@dataclass
class TestState:
    """What one test has to do with experiments.

    Attributes:
        recordings: what was recorded in it, in order.
        fault: what its experiment ran into during set-up; raised in the call phase.
    """

    __test__ = False
    recordings: list[Recording] = field(default_factory=list)
    fault: Exception | None = None


@dataclass
class PluginState:
    """What one pytest session has to do with experiments.

    Attributes:
        config: the options, checked.
        session: open from the first use of a fixture on.
        drawn: random experiments by marker arguments, drawn once at collection.
        undecided: (test, reason) of every UNDECIDED test.
        report: path of the EDA report, once written.
    """

    config: TwinConfig
    session: Session | None = None
    status: StatusLine | None = None
    drawn: dict[str, tuple[Experiment, ...]] = field(default_factory=dict)
    undecided: list[tuple[str, str]] = field(default_factory=list)
    report: Path | None = None
    closing_lines: list[str] = field(default_factory=list)


STATE = pytest.StashKey[PluginState]()
TEST = pytest.StashKey[TestState]()


def state_of(config: pytest.Config) -> PluginState:
    """Return the plugin's state."""
    return config.stash[STATE]


def test_state(item: pytest.Item) -> TestState:
    """Return a test's state; a new one at first."""
    return item.stash.setdefault(TEST, TestState())


test_state.__test__ = False  # type: ignore[attr-defined]  # no test, whatever its name

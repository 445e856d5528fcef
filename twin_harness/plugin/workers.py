"""Under pytest-xdist: the controller names the session, workers join it, lost ones are named.

Everything crosses as plain strings and numbers: the seat in ``workerinput``, facts of tests in
``user_properties``, the rest in shards.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.gate.variant import hide_variants
from twin_harness.plugin import allure, options
from twin_harness.plugin.state import state_of
from twin_harness.session.config import TwinConfig
from twin_harness.session.seat import Seat

if TYPE_CHECKING:
    import pytest

    from twin_harness.plugin.state import PluginState

_KEY = "twin_harness"
REFUSAL = "refused: "
_CAREFULLY = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)  # Windows has neither


def is_worker(config: pytest.Config) -> bool:
    """Tell whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def read_place(config: pytest.Config) -> tuple[TwinConfig, Seat]:
    """Return configuration and seat.

    From the controller on a worker, from options and chance on the controller.

    Raises:
        pytest.UsageError: an option is wrong (on the controller, which reads them before there are
        workers).
    """
    if is_worker(config):
        workerinput: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]  # is_worker
        place = json.loads(workerinput[_KEY])
        seat = replace(Seat(**place["seat"]), worker=workerinput["workerid"])
        return TwinConfig.from_json(place["config"]), seat
    settings = options.read_config(config)
    command = " ".join(
        ["pytest", *hide_variants([str(word) for word in config.invocation_params.args])]
    )
    return settings, Seat.draw(settings, config.rootpath, command)


def lines_file(seat: Seat) -> Path:
    """Return where gw0 leaves the plan's lines for the controller."""
    folder = Path("/dev/shm")
    if not folder.is_dir():
        folder = Path(tempfile.gettempdir())
    return folder / f"{seat.board.removesuffix('.board')}.lines"


def write_lines(seat: Seat, lines: list[str]) -> None:
    """Leave lines for the controller, if there are any, in a file that is made for us alone."""
    if not lines:
        return
    try:
        descriptor = os.open(
            lines_file(seat), os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CAREFULLY, 0o600
        )
    except OSError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


def take_lines(seat: Seat) -> list[str]:
    """Return the lines that gw0 left, once."""
    try:
        descriptor = os.open(lines_file(seat), os.O_RDONLY | _CAREFULLY)
    except OSError:
        return []
    with os.fdopen(descriptor, encoding="utf-8") as file:
        lines = file.read().splitlines()
    remove_lines(seat)
    return lines


def remove_lines(seat: Seat) -> None:
    """Remove the file, if it is there."""
    with contextlib.suppress(OSError):
        lines_file(seat).unlink()


class WorkerHooks:
    """The hooks that pytest-xdist calls on the controller; registered only where xdist is."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @property
    def _state(self) -> PluginState:
        return state_of(self._config)

    def pytest_configure_node(self, node: Any) -> None:  # xdist's WorkerController
        """Hand a worker its seat."""
        node.workerinput[_KEY] = json.dumps(
            {"config": self._state.config.to_json(), "seat": self._state.seat.to_json()}
        )

    def pytest_xdist_node_collection_finished(self, node: Any) -> None:  # xdist's WorkerController
        """Print what is planned, from the file that gw0 wrote before it reported its collection."""
        lines: list[str] = []
        if node.gateway.id == "gw0":
            lines = take_lines(self._state.seat)
        if lines and lines[0].startswith(REFUSAL):
            self._state.refusal = lines.pop(0).removeprefix(REFUSAL)
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if lines and reporter is not None:
            for line in ["", *lines]:
                reporter.write_line(line)

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Remember a worker that was lost."""
        if error:
            self._state.lost.append(
                f"worker {node.gateway.id} was lost: {str(error).splitlines()[0][:200]}"
            )

    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Give the test of a crashed worker a result in Allure: the worker could not."""
        allure.report_lost(self._config, crashitem, str(report.longrepr))

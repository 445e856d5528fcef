"""Controller and workers: the seat, the plan's lines, lost workers, all as plain data."""

import json
import os
from types import SimpleNamespace

import pytest

from tests.support.items import config_of, report_of
from twin_harness.gate.variant import Variant
from twin_harness.plugin import workers
from twin_harness.plugin.state import state_of


@pytest.fixture
def config(tmp_path):
    """A controller's configuration; its lines file is removed afterwards."""
    config = config_of(tmp_path)
    yield config
    workers.remove_lines(state_of(config).seat)


def node(name):
    return SimpleNamespace(gateway=SimpleNamespace(id=name), workerinput={"workerid": name})


def test_worker_gets_settings_and_seat(tmp_path):
    """What the controller hands over is what the worker reads, with its own name."""
    variants = (Variant("base"), Variant("candidate", (("WORK", "110"),)))
    config = config_of(tmp_path, variants=variants, interval_s=0.5)
    gw1 = node("gw1")
    workers.WorkerHooks(config).pytest_configure_node(gw1)
    assert json.loads(gw1.workerinput["twin_harness"])  # plain data
    worker = SimpleNamespace(workerinput=gw1.workerinput)
    assert workers.is_worker(worker)
    assert not workers.is_worker(config)
    settings, seat = workers.read_place(worker)
    assert settings == state_of(config).config
    assert seat.worker == "gw1"
    assert seat.run_dir == state_of(config).seat.run_dir


def test_lines_are_taken_once(config):
    """What gw0 leaves is read once, by its owner alone, and gone."""
    seat = state_of(config).seat
    workers.write_lines(seat, [])
    assert not workers.lines_file(seat).exists()
    workers.write_lines(seat, ["twin: one", "twin: two"])
    assert os.stat(workers.lines_file(seat)).st_mode & 0o777 == 0o600
    workers.write_lines(seat, ["another file is not overwritten"])
    assert workers.take_lines(seat) == ["twin: one", "twin: two"]
    assert workers.take_lines(seat) == []


def test_link_is_not_followed(config, tmp_path):
    """A link that stands where the lines would be is neither written nor read through."""
    seat = state_of(config).seat
    target = tmp_path / "target"
    target.write_text("theirs")
    workers.lines_file(seat).symlink_to(target)
    workers.write_lines(seat, ["ours"])
    assert target.read_text() == "theirs"
    assert workers.take_lines(seat) == []


def test_controller_prints_the_lines_of_gw0_once(config):
    """Other workers' collections print nothing, and a refusal is kept, not printed."""
    printed = []
    config.pluginmanager.get_plugin = lambda name: SimpleNamespace(write_line=printed.append)
    hooks, seat = workers.WorkerHooks(config), state_of(config).seat
    workers.write_lines(seat, ["refused: too few pairs", "twin: 1 experiments planned"])
    hooks.pytest_xdist_node_collection_finished(node("gw1"))
    assert printed == []
    hooks.pytest_xdist_node_collection_finished(node("gw0"))
    assert printed == ["", "twin: 1 experiments planned"]
    assert state_of(config).refusal == "too few pairs"
    hooks.pytest_xdist_node_collection_finished(node("gw0"))
    assert len(printed) == 2


def test_lost_worker_is_named(config):
    """A worker that ended by itself is no loss; one that was killed is named in a line."""
    hooks = workers.WorkerHooks(config)
    hooks.pytest_testnodedown(node("gw0"), None)
    hooks.pytest_testnodedown(node("gw1"), "Not properly terminated\nand more")
    hooks.pytest_handlecrashitem("test_x.py::test_it", report_of("failed", longrepr="crashed"))
    assert state_of(config).lost == ["worker gw1 was lost: Not properly terminated"]

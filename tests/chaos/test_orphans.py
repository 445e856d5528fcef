"""A worker outlives its controller by seconds: what it begins in that time must not outlast it."""

import os
import subprocess
from dataclasses import replace

import pytest

from tests.chaos.victim import BOARDS
from twin_harness.errors import HarnessFailure
from twin_harness.session.config import TwinConfig
from twin_harness.session.seat import Seat
from twin_harness.session.session import Session
from twin_harness.system import reaper


def boards_of(seat):
    stem = seat.board.removesuffix(".board")
    return sorted(name for name in os.listdir(BOARDS) if name.startswith(f"{stem}."))


@pytest.fixture
def orphan(tmp_path):
    """The seat of a worker whose controller has ended; boards of it are removed afterwards."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    config = TwinConfig(has_report=False, data_dir=str(tmp_path / "data"))
    seat = replace(Seat.draw(config, tmp_path, "test"), controller_pid=gone.pid, worker="gw0")
    yield config, seat
    for name in boards_of(seat):
        (BOARDS / name).unlink()


def test_session_is_not_made_for_a_controller_that_is_gone(orphan):
    """A worker that would make the session of a dead controller gets a sentence.

    No board is left that nobody would ever remove.
    """
    config, seat = orphan
    with pytest.raises(HarnessFailure, match="controller"):
        Session.open(config, seat)
    reaper.reap(BOARDS)
    assert boards_of(seat) == []

"""A session in parts, without load.

Who holds the machine, when it lets go, and what a dead logger leaves.
"""

import os
import signal
import subprocess
import sys

import pytest

from twin_harness.control.outcome import describe_trip
from twin_harness.control.runner_parallel import Admission
from twin_harness.errors import HarnessFailure
from twin_harness.session.config import TwinConfig
from twin_harness.session.seat import Seat
from twin_harness.session.session import Session
from twin_harness.system import machine_lock, reaper
from twin_harness.system.machine_lock import MACHINE, RESOURCES, MachineLock, open_lock
from twin_harness.telemetry import start

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="parts take two CPUs")


@pytest.fixture
def session(tmp_path, monkeypatch):
    """An open session in two parts, whose lock files are its own."""
    monkeypatch.setattr(machine_lock, "lock_folders", lambda: (str(tmp_path),))
    config = TwinConfig(parts=2, has_report=False, data_dir=str(tmp_path / "data"))
    made = Session.open(config, Seat.draw(config, tmp_path, "test"))
    yield made
    made.close()


def is_free(folder):
    """Whether nobody has the machine."""
    lock = open_lock(MACHINE, [str(folder)])
    try:
        return lock.try_take()
    finally:
        lock.close()


def test_machine_is_let_go_when_the_logger_does_not_start(session, tmp_path, monkeypatch):
    """A failed start leaves nothing locked.

    The next try fails the same way and waits for nobody.
    """
    monkeypatch.setattr(
        start, "start_child", lambda *_, **__: (_ for _ in ()).throw(OSError("no memory"))
    )
    for _ in range(2):
        with pytest.raises(OSError, match="no memory"):
            session.ensure_logger()
        assert is_free(tmp_path)


def test_death_of_the_logger_is_told_once_and_its_pid_forgotten(session):
    """Under the logger's lock one worker notes the death; a second death is too many."""
    session.board.logger_pid = 4_000_000
    assert session.sampling.prepare_start()  # the machine is held for all parts
    assert session.board.logger_pid == 0
    assert session.sampling.prepare_start()
    assert len(session.folder.read_notes("partial")) == 1
    session.board.logger_pid = 4_000_001
    with pytest.raises(HarnessFailure, match="has died twice"):
        session.sampling.prepare_start()
    session.board.logger_pid = 0
    session.sampling.machine_lock.release()


@pytest.mark.parametrize("is_registered", [False, True])
def test_a_process_is_killed_as_the_logger_only_where_it_is_one(session, is_registered):
    """The pid on the board of a logger that is gone may be a stranger's by now: it stays."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        if is_registered:
            reaper.register(session.board.path, process.pid, "logger")
        session.board.logger_pid = process.pid
        session.sampling.kill_logger()
        session.board.logger_pid = 0
        process.stdin.close()  # a stranger ends by itself
        assert process.wait(10.0) == (-signal.SIGKILL if is_registered else 1)


def test_load_keeps_the_machine_taken_when_the_logger_is_gone(tmp_path):
    """A worker has a share of the machine that its load inherits.

    A session that wants all of it waits, one more part does not queue.
    """
    folders = [str(tmp_path)]
    logger, other = MachineLock(folders), MachineLock(folders)
    logger.take(shared_resources=RESOURCES)
    worker = Admission(lambda _: None, folders, part=open_lock("part", folders))
    worker.join()
    assert worker.has_joined
    assert len(worker.descriptors) == 2
    logger.release()
    worker.release()  # the end of a test: a part is kept
    assert not is_free(tmp_path)
    turnstile = open_lock(machine_lock.TURNSTILE, folders)
    turnstile.take()  # somebody waits for the machine
    logger.take(shared_resources=RESOURCES, is_ours_already=worker.has_joined)
    assert logger.is_held
    assert not other.is_held


def test_trip_says_when_the_last_load_was_gone():
    """From the last look that found the limit kept to the end of the last process.

    What is not known is not told.
    """
    tripped = {
        "reason": "memory_available fell",
        "clean_s": 10.0,
        "killed_s": 10.06,
        "dead_s": 10.11,
    }
    assert describe_trip(tripped) == "guard: memory_available fell; no load 110 ms after it at most"
    assert "not all load was gone a second later" in describe_trip({**tripped, "dead_s": None})

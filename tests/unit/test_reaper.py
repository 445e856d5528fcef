"""What is reaped: what a dead session registered, and what nobody registered or uses."""

import os
import subprocess
import sys

import pytest

from twin_harness import board as board_module
from twin_harness.board import Board, board_folders
from twin_harness.control import reaper
from twin_harness.registry import register, registry_path

STEM = "twin-harness-0123456789abcdef"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A folder for boards, the only one."""
    folder = tmp_path / "shm"
    folder.mkdir()
    for module in (board_module, reaper):
        monkeypatch.setattr(module, "board_folders", lambda: [folder])
    return folder


@pytest.fixture
def ended():
    """The pid of a process that is there now and can be ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with process:
        yield process
        process.kill()


def end(process):
    """End a process, and be its last word."""
    process.kill()
    process.wait()


def age(path, seconds, monkeypatch):
    """Let a file look old: its change time cannot be set."""
    real = os.stat

    def stat(name, **more):
        found = real(name, **more)
        if name != path.name:
            return found
        return os.stat_result(
            (*found[:9], found.st_ctime - seconds), {"st_ctime": found.st_ctime - seconds}
        )

    monkeypatch.setattr(reaper.os, "stat", stat)


def make_session(shared, pid, workings):
    """Leave what a session leaves.

    Board, registry, the file of a long plan, the plan's lines, temporary files.
    """
    board = Board.create(f"{STEM}.board")
    register(board.path, pid, "controller", workings_dir=str(workings))
    board.close()
    for ending in ("plan0", "plan63", "lines"):
        (shared / f"{STEM}.{ending}").write_text("")
    (shared / "twin-harness-other.txt").write_text("")


def test_all_that_a_dead_session_named_goes(shared, ended, tmp_path):
    """And nothing else that stands beside it."""
    workings = tmp_path / "twin-log-abcd_123"
    workings.mkdir()
    for name in (
        "metrics.csv",
        "logger.json",
        "logger.lock",
        "dataset.csv",
        ".logger.json.0123abcd",
    ):
        (workings / name).write_text("")
    make_session(shared, ended.pid, workings)
    assert reaper.reap() == []  # it lives
    end(ended)
    done = reaper.reap()
    assert [path.name for path in shared.iterdir()] == ["twin-harness-other.txt"]
    assert not workings.exists()
    assert f"removed {workings}" in done
    assert reaper.reap() == []


@pytest.mark.parametrize("name", ["lab", "twin-log-", "twin-log-abcdefgh-mine"])
def test_a_folder_that_bears_no_name_of_ours_stays(shared, ended, tmp_path, name):
    """Whatever a registry says of it."""
    workings = tmp_path / name
    workings.mkdir()
    (workings / "metrics.csv").write_text("mine")
    make_session(shared, ended.pid, workings)
    end(ended)
    reaper.reap()
    assert (workings / "metrics.csv").exists()


def test_a_file_that_is_not_ours_keeps_its_folder(shared, ended, tmp_path):
    """Ours go, the other one stays, and so the folder; a link is not followed."""
    workings, other = tmp_path / "twin-log-abcdefgh", tmp_path / "other"
    workings.mkdir()
    other.write_text("mine")
    (workings / "metrics.csv").symlink_to(other)
    (workings / "notes.txt").write_text("mine")
    (workings / "logger.json").write_text("")
    make_session(shared, ended.pid, workings)
    end(ended)
    reaper.reap()
    assert sorted(path.name for path in workings.iterdir()) == ["metrics.csv", "notes.txt"]
    assert other.read_text() == "mine"


@pytest.mark.parametrize(
    ("seconds", "is_open", "is_reaped"), [(61, False, True), (61, True, False), (0, False, False)]
)
def test_a_board_without_registry_goes_once_it_is_old_and_nobody_has_it_open(
    shared, monkeypatch, seconds, is_open, is_reaped
):
    """A session killed as it began left it, or an older ``twin log``; one in use stays."""
    board = Board.create(f"{STEM}.board")
    if not is_open:
        board.close()
    age(board.path, seconds, monkeypatch)
    assert bool(reaper.reap()) == is_reaped
    assert board.path.exists() != is_reaped
    if is_open:
        board.close()


@pytest.mark.parametrize(("hours", "is_reaped"), [(23, False), (25, True)])
def test_lines_of_a_session_without_a_board_wait_a_day(shared, monkeypatch, hours, is_reaped):
    """Its first test with a load may come late."""
    path = shared / f"{STEM}.lines"
    path.write_text("")
    age(path, hours * 3600, monkeypatch)
    reaper.reap()
    assert path.exists() != is_reaped


def test_boards_are_looked_for_wherever_they_may_be_made(tmp_path, monkeypatch, ended):
    """Where /dev/shm cannot be had a board stands elsewhere: it is found there."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert tmp_path in board_folders()
    monkeypatch.setattr(reaper, "board_folders", lambda: [tmp_path / "nowhere", tmp_path])
    (tmp_path / f"{STEM}.board").write_text("")
    register(tmp_path / f"{STEM}.board", ended.pid, "controller")
    end(ended)
    assert reaper.reap() == [
        f"removed {tmp_path / STEM}.{ending}" for ending in ("board", "registry")
    ]


def test_a_registry_of_a_process_without_workings_reads_in_every_version(shared):
    """The key stands only where there is something to remove."""
    path = shared / f"{STEM}.board"
    register(path, os.getpid(), "controller", "/scratch")
    assert '"workings_dir"' not in registry_path(path).read_text()
    register(path, os.getpid(), "controller", workings_dir="/tmp/twin-log-abcdefgh")
    assert '"workings_dir": "/tmp/twin-log-abcdefgh"' in registry_path(path).read_text()

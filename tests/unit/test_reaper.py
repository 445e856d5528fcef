"""What is reaped: what a dead session registered, and what nobody registered or uses."""

import json
import os
import subprocess
import sys

import pytest

from twin_harness.system import board_file, reaper
from twin_harness.system import registry as registry_module
from twin_harness.system.board import Board
from twin_harness.system.board_file import board_folders
from twin_harness.system.registry import INITIAL_NAMESPACE, register, registry_path

STEM = f"twin-harness-{os.getpid():016x}"  # another worker may have its board open
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A folder for boards, the only one."""
    folder = tmp_path / "shm"
    folder.mkdir()
    for module in (board_file, reaper):
        monkeypatch.setattr(module, "board_folders", lambda: [folder])
    be_in(INITIAL_NAMESPACE, monkeypatch)  # wherever the tests run
    return folder


def be_in(namespace, monkeypatch, boot="this-boot"):
    """Be in a PID namespace, and in a boot."""
    for module in (registry_module, reaper):
        monkeypatch.setattr(module, "pid_namespace", lambda: namespace)
    monkeypatch.setattr(registry_module, "boot_id", lambda: boot)


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


CONTAINER = 4026532001


@pytest.mark.parametrize(
    ("here", "there"),
    [(INITIAL_NAMESPACE, CONTAINER), (CONTAINER, INITIAL_NAMESPACE), (CONTAINER, CONTAINER + 1)],
)
def test_a_session_of_another_pid_namespace_is_left_alone(
    shared, monkeypatch, ended, tmp_path, here, there
):
    """Its pids are other processes here: nothing is killed, and no file of it goes, however old."""
    workings = tmp_path / "twin-log-abcdefgh"
    workings.mkdir()
    be_in(there, monkeypatch)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as host:
        make_session(shared, ended.pid, workings)
        register(shared / f"{STEM}.board", host.pid, "host")
        before = sorted(shared.iterdir())
        end(ended)
        be_in(here, monkeypatch)
        assert reaper.reap() == []
        assert sorted(shared.iterdir()) == before
        assert workings.exists()
        assert host.poll() is None
        be_in(there, monkeypatch)
        assert f"killed host {host.pid}, left by a session that is gone" in reaper.reap()
    assert [path.name for path in shared.iterdir()] == ["twin-harness-other.txt"]


@pytest.mark.parametrize(
    ("here", "there", "is_older", "is_reaped"),
    [
        (INITIAL_NAMESPACE, INITIAL_NAMESPACE, False, True),
        (INITIAL_NAMESPACE, CONTAINER, True, True),
        (CONTAINER, CONTAINER + 1, True, True),
        (INITIAL_NAMESPACE, CONTAINER, False, False),  # systemd-nspawn makes a boot id of its own
        (CONTAINER, INITIAL_NAMESPACE, False, False),
    ],
)
def test_a_session_of_another_boot_is_dead(
    shared, monkeypatch, tmp_path, here, there, is_older, is_reaped
):
    """Whoever has its pids by now, a process that looks the same among them, is not killed."""
    be_in(there, monkeypatch, "boot-before")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        make_session(shared, os.getpid(), tmp_path / "nowhere")
        path = shared / f"{STEM}.board"
        register(path, other.pid, "logger")
        be_in(here, monkeypatch)
        if is_older:
            monkeypatch.setattr(reaper, "_uptime_s", lambda: -1.0)
        assert not reaper.is_role_alive(path, "logger")
        done = reaper.reap()
        assert bool(done) == is_reaped
        assert [line for line in done if line.startswith("killed")] == []
        assert path.exists() != is_reaped
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize(("here", "is_reaped"), [(INITIAL_NAMESPACE, True), (CONTAINER, False)])
def test_a_registry_of_an_older_version_is_still_read(
    shared, monkeypatch, ended, tmp_path, here, is_reaped
):
    """It says not whose pids it holds: the initial namespace takes them for its own, no other."""
    make_session(shared, ended.pid, tmp_path / "nowhere")
    path = registry_path(shared / f"{STEM}.board")
    entry = json.loads(path.read_text())
    del entry["pid_namespace"], entry["boot_id"]
    path.write_text(json.dumps(entry) + "\n")
    be_in(here, monkeypatch)
    assert reaper.is_role_alive(shared / f"{STEM}.board", "controller")
    assert reaper.reap() == []
    end(ended)
    assert bool(reaper.reap()) == is_reaped


@pytest.mark.parametrize(
    ("here", "uptime_s", "is_reaped"),
    [
        (INITIAL_NAMESPACE, 1e9, True),
        (0, 1e9, True),  # no namespaces to be had
        (CONTAINER, 1e9, False),
        (CONTAINER, 3600.0, True),
    ],
)
@pytest.mark.parametrize("ending", ["board", "lines"])
def test_what_nobody_registered_is_judged_where_every_process_is_seen(
    shared, monkeypatch, here, uptime_s, is_reaped, ending
):
    """In a container its age says nothing: who has it open may be out of sight, in this boot."""
    path = shared / f"{STEM}.{ending}"
    path.write_text("")
    age(path, 90_000, monkeypatch)
    be_in(here, monkeypatch)
    monkeypatch.setattr(reaper, "_uptime_s", lambda: uptime_s)
    assert bool(reaper.reap()) == is_reaped
    assert path.exists() != is_reaped


def test_an_entry_says_its_namespace_and_its_boot(shared, monkeypatch):
    """As the kernel numbers them."""
    monkeypatch.undo()
    path = shared / f"{STEM}.board"
    register(path, os.getpid(), "controller")
    entry = json.loads(registry_path(path).read_text())
    assert entry["pid_namespace"] == os.stat("/proc/self/ns/pid").st_ino
    assert f"pid:[{entry['pid_namespace']}]" == os.readlink("/proc/self/ns/pid")
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        assert entry["boot_id"] == file.read().strip()

"""A scratch filesystem that stops answering under load.

The guard sees on, the session ends and says which folder, and only what is there is lost.
"""

import errno
import mmap
import os
import shlex
import subprocess
import sys
import time

import pytest

from tests.chaos.faults import judge_dataset
from tests.chaos.mounts import require_root
from tests.chaos.mute_filesystem import mute_filesystem
from tests.chaos.victim import tracebacks
from twin_harness import load
from twin_harness.system.available_memory import AvailableMemory

ENDS_S = 40.0
GIB = 2**30
CPU = """
import pytest
from twin_harness import cpu

@pytest.mark.experiment(cpu(20, duration_s=20), name="test_load", lead_s=0.5, tail_s=0.5)
def test_load(recording):
    pass
"""
DISK = CPU.replace("import cpu", "import cpu, disk").replace(
    "cpu(20, duration_s=20)",
    "cpu(20, duration_s=20), disk(2e6, duration_s=20, file_bytes=16 * 2**20)",
)
OPENS = """
import sys
from pathlib import Path
from twin_harness.session.config import TwinConfig
from twin_harness.errors import HarnessFailure
from twin_harness.session.seat import Seat
from twin_harness.session.session import Session

config = TwinConfig(data_dir=sys.argv[1])
try:
    Session.open(config, Seat.draw(config, Path.cwd(), "test"))
except HarnessFailure as error:
    print(error)
"""


@pytest.fixture
def mute(tmp_path):
    """A filesystem that answers until it is told not to."""
    require_root()
    try:
        with mute_filesystem(tmp_path / "scratch") as mounted:
            yield mounted
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        pytest.skip(error.strerror)


def entering(mute, project):
    """Return a shell command that runs what follows where the filesystem is seen."""
    return f'exec {shlex.join(mute.entering(project))} "$@"'


@pytest.fixture
def loaded(make_victim, mute, tmp_path):
    """Start a session whose scratch is there, and return it once its load runs."""

    def make(kinds, tests, *arguments):
        victim = make_victim(
            f"--twin-scratch-dir={mute.path}",
            *arguments,
            tests=tests,
            limit=entering(mute, tmp_path / "project"),
            name="project",
        )
        victim.start()
        victim.wait_for_load(kinds)
        return victim

    return make


def end_of(victim):
    """Wait for the session's end and return exit code, output, annotations and run."""
    code = victim.wait(ENDS_S)
    assert code is not None, (
        f"the session did not end within {ENDS_S:g} s:\n{victim.text()[-3000:]}"
    )
    run = load(victim.run_folder())
    assert not tracebacks(victim.text()), victim.text()[-4000:]
    assert victim.files_on_tmpfs() == []
    return code, victim.text(), {row.event: row for row in run.folder.read_annotations()}, run


@pytest.mark.parametrize("how", ["hang", "deaf"])
def test_guard_ends_the_load_and_names_the_folder(loaded, mute, how):
    """Rows go on to the end with one empty column.

    The note says since when, and the event says why it was ended.
    """
    victim = loaded(["cpu"], CPU)
    mute.hang(how)
    code, _, rows, run = end_of(victim)
    message = (
        f"guard: disk_free cannot be read in {mute.path}: it has not answered for 5 s; no load "
    )
    assert (code, rows["cpu-0"].status) == (1, "aborted")
    assert rows["cpu-0"].message.startswith(message), rows["cpu-0"].message
    assert judge_dataset(run.samples).endswith("rows")
    last = run.samples.tail(3)
    assert last["disk_used_percent"].isna().all()
    assert last["memory_percent"].notna().all()
    assert any(
        f"the filesystem of {mute.path} has not answered since" in note
        for note in run.state["notes"]
    )


def test_memory_trips_the_guard_while_the_disk_is_silent(loaded, mute):
    """Memory falls after the filesystem went silent: the guard ends the load for that, at once."""
    available = AvailableMemory()
    floor_bytes = available.read_bytes() - GIB
    if floor_bytes < GIB:
        pytest.skip("less than 2 GiB available here")
    victim = loaded(
        ["cpu"], CPU, f"--twin-guard=memory_available={floor_bytes // 2**20}MiB,disk_free=1MiB"
    )
    mute.hang()
    time.sleep(0.3)
    with mmap.mmap(
        -1, 3 * GIB // 2, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    ):
        code, _, rows, _ = end_of(victim)
    assert (code, rows["cpu-0"].status) == (1, "aborted")
    assert rows["cpu-0"].message.startswith("guard: memory_available fell to "), rows[
        "cpu-0"
    ].message


@pytest.mark.parametrize("guard", ["disk_free=1MiB", "off"])
def test_disk_load_on_it_is_given_up(loaded, mute, guard):
    """With and without a guard the session ends and says which folder does not answer.

    It holds no lock and no output.
    """
    tests = DISK if guard != "off" else DISK.replace("duration_s=20", "duration_s=4")
    victim = loaded(["cpu", "disk"], tests, f"--twin-guard={guard}")
    mute.hang()
    code, text, rows, _ = end_of(victim)
    assert code == 1
    assert str(mute.path) in rows["disk-0"].message, rows["disk-0"].message
    assert rows["disk-0"].status in ("aborted", "failed")
    for process in victim.processes().values():  # what the filesystem holds has nothing of ours
        assert process.state == "D", process
        links = [
            os.readlink(f"/proc/{process.pid}/fd/{name}")
            for name in os.listdir(f"/proc/{process.pid}/fd")
        ]
        assert not [link for link in links if str(victim.project) in link or "lock" in link], links
    victim.limit = ""
    code, text = victim.run_next()  # elsewhere, while it is silent still
    assert code == 0, text[-2000:]


def test_session_that_begins_on_it_is_refused_in_a_sentence(make_victim, mute, tmp_path):
    """Nothing is started, and the sentence names the folder and what to do."""
    mute.hang()
    project = tmp_path / "project"
    victim = make_victim(
        f"--twin-scratch-dir={mute.path}", tests=CPU, limit=entering(mute, project), name="project"
    ).start()
    assert victim.wait(ENDS_S) == 1
    assert f"{mute.path}: its filesystem has not answered for 5 s" in victim.text()
    assert "name a folder on another filesystem with --twin-scratch-dir" in victim.text()
    assert not tracebacks(victim.text()), victim.text()[-4000:]


def test_session_whose_data_would_be_there_is_refused_in_a_sentence(mute, tmp_path):
    """Before its first touch, and the sentence names the option."""
    mute.hang()
    words = [*mute.entering(tmp_path), sys.executable, "-c", OPENS, str(mute.path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        text, _ = process.communicate(timeout=ENDS_S)
    finally:
        process.kill()
    assert (
        text
        == f"{mute.path}: its filesystem has not answered for 5 s (a lost network server, or a FUSE"
        " program that hangs); name a folder on another filesystem with --twin-data-dir, or"
        " repair this"
        " one\n"
    )


@pytest.mark.parametrize("mode", [(), ("-n", "2")], ids=["plain", "n2"])
def test_pytest_whose_data_would_be_there_ends_with_the_sentence(mute, tmp_path, mode):
    """Neither the status line nor the end of the session waits for the folder."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pytest.ini").write_text("[pytest]\n")
    (project / "test_it.py").write_text(CPU)
    mute.hang()
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--twin-data-dir={mute.path}",
        *mode,
    ]
    process = subprocess.Popen(
        [*mute.entering(project), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=project,
    )
    try:
        text, _ = process.communicate(timeout=2 * ENDS_S)
    finally:
        process.kill()
    assert process.returncode == 1, text
    assert f"{mute.path}: its filesystem has not answered for 5 s" in text
    assert "name a folder on another filesystem with --twin-data-dir" in text

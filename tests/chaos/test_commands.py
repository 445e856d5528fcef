"""Commands of ``twin`` that end in every way a command can.

Nothing of them is left after the next ``twin clean``.
"""

import fcntl
import os
import secrets
import signal
import subprocess
import sys
import time

import pytest

from tests.chaos.victim import BOARDS, TOKEN, hearing_signals, processes_with

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="boards on tmpfs, processes in /proc"
)
TWIN = [sys.executable, "-m", "twin_harness.cli"]
PATIENCE_S = 30.0
COMMANDS = {
    "log": "log --interval 0.05",
    "log to a file": "log --interval 0.05 --out metrics.csv",
    "overhead": "overhead --rounds 6 --block 0.5",
    "stress": 'stress disk --level 1e6 --duration 20 --options {"file_bytes":1048576}',
}
SIGNALS = ("KILL", "TERM", "HUP", "INT")
BY_SIGNAL = [(command, name) for command in COMMANDS for name in SIGNALS]


def board_of(pid):
    """Return the name that the files of a command's board begin with, or None."""
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return None
    for descriptor in descriptors:
        try:
            name = os.readlink(f"/proc/{pid}/fd/{descriptor}").rpartition("/")[2]
        except OSError:
            continue
        if name.startswith("twin-harness-") and name.endswith(".board"):
            return name.removesuffix(".board")
    return None


def wait_for(look, patience_s=PATIENCE_S):
    """Return what a look gives, once that is something."""
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        if found := look():
            return found
        time.sleep(0.02)
    return look()


class Lab:
    """A folder to work in, and the commands begun there."""

    def __init__(self, path):
        self.path = path
        self.token = secrets.token_hex(8)
        (path / "tmp").mkdir()
        self.environment = {**os.environ, "TMPDIR": str(path / "tmp"), TOKEN: self.token}
        self.begun = []

    def begin(self, line, **more):
        """Begin a command in a session of its own."""
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        words = [*TWIN, *line.split(" ")]
        with hearing_signals():
            process = subprocess.Popen(
                words, cwd=self.path, env=self.environment, start_new_session=True, **more
            )
        self.begun.append(process)
        return process

    def clean(self):
        """Run ``twin clean`` here."""
        words = [*TWIN, "clean"]
        subprocess.run(words, cwd=self.path, check=True, capture_output=True, timeout=PATIENCE_S)

    def left(self, stem):
        """Return all that is left of a command.

        Files beside its board, temporary files, scratch files, processes.
        """
        boards = [name for name in os.listdir(BOARDS) if name.startswith(f"{stem}.")]
        temporary = os.listdir(self.path / "tmp")
        scratch = [path.name for path in self.path.rglob(".twin-harness-*")]
        running = [f"process {pid}" for pid in processes_with(self.token)]
        return [*boards, *temporary, *scratch, *running]


@pytest.fixture
def lab(tmp_path):
    """A folder to work in; what was begun there is ended afterwards."""
    lab = Lab(tmp_path)
    yield lab
    for process in lab.begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize(("command", "name"), BY_SIGNAL, ids=[f"{c}-{s}" for c, s in BY_SIGNAL])
def test_nothing_is_left_of_a_command_that_a_signal_ended(lab, command, name):
    """Asked to end it removes what it has made itself; killed, the next ``twin clean`` does."""
    process = lab.begin(COMMANDS[command])
    stem = wait_for(lambda: board_of(process.pid))
    assert stem, process.communicate()
    time.sleep(1.0)  # logger and load come up
    stem = board_of(process.pid) or stem  # overhead makes one a block
    process.send_signal(signal.Signals[f"SIG{name}"])
    _, complaints = process.communicate(timeout=PATIENCE_S)
    if name == "KILL":
        lab.clean()
    assert wait_for(lambda: not lab.left(stem), 10.0), (lab.left(stem), complaints.decode())
    assert b"Traceback" not in complaints
    assert process.returncode == {"KILL": -9}.get(name, 0 if command.startswith("log") else 130)


def test_a_log_ends_with_its_reader_and_leaves_nothing(lab):
    """As every tool before head does: at once, quietly, with 141."""
    process = lab.begin("log --interval 0.05")
    assert process.stdout.readline().startswith(b"time,")
    stem = board_of(process.pid)
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 141
    assert process.stderr.read() == b""
    assert lab.left(stem) == []


def test_a_log_that_nobody_reads_ends_on_time_and_is_whole_once_it_is_read(lab):
    """What a slow reader has not taken waits; sampling ends when it was to end."""
    process = lab.begin("log --interval 0.01 --duration 1.5")
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    stem = wait_for(lambda: board_of(process.pid))
    assert wait_for(lambda: not [path for path in os.listdir(BOARDS) if path.startswith(stem)])
    assert process.poll() is None  # more than the pipe holds
    text = process.stdout.read().decode()
    assert process.wait(PATIENCE_S) == 0
    heading, *rows = text.splitlines()
    assert len(rows) > 100
    assert {row.count(",") for row in rows} == {heading.count(",")}
    assert lab.left(stem) == []

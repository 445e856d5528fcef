"""A pytest session that is to be harmed.

In a project of its own, watched from outside, and cleaned up whatever became of it.

Every process of it carries a token in its environment, which children inherit. So /proc tells what
belongs to it, without any bookkeeping of the harness, and nothing else on the machine is ever
signalled.
"""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import pids_with
from twin_harness import load
from twin_harness.errors import TwinError
from twin_harness.system.board import Board
from twin_harness.system.board_layout import LIVE, PLAN_SLOTS

TOKEN = "TWIN_CHAOS_TOKEN"
PATIENCE_S = (
    300.0  # a session may have to wait for the machine while others have it; that is no fault
)
BOARDS = Path("/dev/shm")
STRESSORS = ("cpu", "memory", "disk")
WHOLE_RUN = {
    "system_metrics_dataset.csv",
    "system_metrics_dataset.parquet",
    "datapackage.json",
    "annotations.csv",
    "schedule.json",
    "machine.json",
    "run.json",
}

# The project names the board of its session in a file, so that what is left of it can be told apart
# from other sessions' boards.
CONFTEST = """
import pathlib
import pytest

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    from twin_harness.plugin.state import state_of
    if not hasattr(config, "workerinput"):
        with pathlib.Path("boards.txt").open("a") as file:
            file.write(state_of(config).seat.board + "\\n")
"""
LOADED = """
import pytest
from twin_harness import cpu, disk, memory

@pytest.mark.experiment(
    cpu(20, duration_s=6),
    memory(64 * 2**20, unit="bytes", duration_s=6),
    disk(2e6, duration_s=6, file_bytes=16 * 2**20),
    lead_s=0.5,
    tail_s=0.5,
)
def test_load(recording):
    pass

@pytest.mark.experiment(lead_s=0.2, tail_s=0.2)
def test_after(recording):
    pass
"""
NEXT = """
import pytest
from twin_harness import cpu

@pytest.mark.experiment(cpu(20, duration_s=0.5), lead_s=0.4, tail_s=0.2)
def test_next(recording):
    assert len(recording.samples) >= 3
"""


@dataclass(frozen=True)
class Process:
    """A process as /proc shows it; equal only to the very same process."""

    pid: int
    parent: int
    group: int
    state: str
    start_ticks: int
    command: str

    def is_alive(self):
        """Whether the same process still runs; a zombie does not."""
        now = look_at(self.pid)
        return now is not None and now.start_ticks == self.start_ticks and now.state not in "ZX"

    def is_load(self):
        """Whether it is a child of a load host: it does the loading."""
        return "twin_harness.stress" in self.command and self.pid != self.group


def look_at(pid):
    """Return a process, or None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        command = (
            Path(f"/proc/{pid}/cmdline")
            .read_bytes()
            .replace(b"\0", b" ")
            .decode("utf-8", "replace")
            .strip()
        )
    except OSError:
        return None
    fields = stat.rpartition(") ")[2].split()
    return Process(pid, int(fields[1]), int(fields[2]), fields[0], int(fields[19]), command)


def processes_with(token):
    """Return every living process whose environment holds the token, by pid.

    Zombies have none any more.
    """
    looks = [look_at(pid) for pid in pids_with(TOKEN, token)]
    return {process.pid: process for process in looks if process is not None}


@dataclass(frozen=True)
class Window:
    """When a running experiment's load is planned, on CLOCK_MONOTONIC, and its runner's pid."""

    zero_s: float
    end_s: float


class Victim:
    """A project and one pytest session in it.

    Args:
        project: an empty folder.
        arguments: for pytest.
        tests: the content of its test file.
        limit: a shell command to run before pytest, such as ``ulimit -n 30``.
    """

    def __init__(self, project, arguments=(), tests=LOADED, limit=""):
        self.project = project
        self.token = secrets.token_hex(8)
        self.output = project / "output.txt"
        project.mkdir(parents=True, exist_ok=True)
        (project / "pytest.ini").write_text("[pytest]\ntwin_tolerance = none\n")
        (project / "conftest.py").write_text(CONFTEST)
        (project / "test_it.py").write_text(tests)
        (project / "test_next.py").write_text(NEXT)
        self._arguments = list(arguments)
        self.limit = limit
        self._board = None
        self.process = None
        self.started_s = None

    # -- its life ----------------------------------------------------------------------------------

    def _command(self, *arguments):
        guard = "--twin-guard=memory_available=5%,disk_free=100MiB"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--twin-no-report",
            guard,
            *arguments,
        ]
        return ["sh", "-c", f'{self.limit} && exec "$@"', "sh", *command] if self.limit else command

    def _environment(self):
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "COV_"))
        }
        return inherited | {TOKEN: self.token, "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self):
        """Start pytest on ``test_it.py``."""
        with self.output.open("wb") as file, hearing_signals():
            self.process = subprocess.Popen(
                self._command("test_it.py", *self._arguments),
                cwd=self.project,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started_s = time.monotonic()
        return self

    def wait(self, patience_s=PATIENCE_S):
        """Wait for pytest to end and return its exit code; None when it does not."""
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return None

    def run_next(self, *arguments):
        """Run ``test_next.py`` in the same project, and return its exit code and what it said."""
        command = self._command("test_next.py", "-q", *arguments)
        done = subprocess.run(
            command,
            cwd=self.project,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def text(self):
        """Return what the session has said so far."""
        return self.output.read_text(errors="replace")

    def clean_up(self):
        """Kill what is left of it, by pid and only what bears the token, and remove its board."""
        for _ in range(3):
            for pid in processes_with(self.token):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        if self.process is not None:
            self.process.wait()
        if self._board is not None:
            self._board.close()
        for name in self.files_on_tmpfs():
            (BOARDS / name).unlink(missing_ok=True)

    # -- what it consists of -----------------------------------------------------------------------

    def processes(self):
        """Return its living processes by pid."""
        return processes_with(self.token)

    def loads(self):
        """Return its load processes, hosts left out."""
        return [process for process in self.processes().values() if process.is_load()]

    def by_role(self):
        """Return its living processes by role.

        Load processes under their kind of stressor, or ``stressor`` before the board names it.
        """
        kinds, processes = self._kinds(), self.processes()
        roles = {}
        for process in processes.values():
            role = self._role(process, kinds)
            parent = processes.get(process.parent)
            if (
                role in ("logger", "guard")
                and parent is not None
                and self._role(parent, kinds) == role
            ):
                role = f"asker of {role}"  # a fork of it, see deadline.SpaceWatch
            roles.setdefault(role, []).append(process)
        return roles

    def _role(self, process, kinds):
        command = process.command
        if process.pid == self.process.pid:
            return "controller"
        if "twin_harness.telemetry" in command:
            return command.split()[-1]
        if "twin_harness.control.guard" in command:
            return "guard"
        if "twin_harness.stress" in command:
            return kinds.get(process.pid, "stressor") if process.is_load() else "host"
        return "worker" if process.parent == self.process.pid else "other"

    def runner_of_load(self):
        """Return the pid of the process that runs the experiment: the parent of the load host."""
        return self.by_role()["host"][0].parent

    def _kinds(self):
        """Return the kind of each live load process, as the board has it."""
        board = self.board()
        if board is None:
            return {}
        return {
            process.pid: process.kind.removesuffix("_buffered")
            for process in board.processes()
            if process.state == LIVE and process.kind != "harness"
        }

    def board(self):
        """Return the session's board, None before there is one.

        It stays readable when the session has removed it.
        """
        if self._board is None:
            with contextlib.suppress(TwinError, OSError):
                path = load(self.project / "data" / "latest").state.get("board")
                self._board = Board.open(path) if path else None
        return self._board

    # -- where it is -------------------------------------------------------------------------------

    def run_folder(self):
        """Return the newest run folder; None before there is one."""
        latest = self.project / "data" / "latest"
        return latest.resolve() if latest.exists() else None

    def window(self, name="test_load"):
        """Return when the load of an experiment runs; None while it does not."""
        board = self.board()
        for slot in range(PLAN_SLOTS if board is not None else 0):
            plan = board.read_plan(slot)
            if plan and plan["experiment"] == name and plan["events"]:
                return Window(
                    plan["zero_s"],
                    plan["zero_s"]
                    + max(event["start_s"] + event["duration_s"] for event in plan["events"]),
                )
        return None

    def wait_for_load(self, kinds=STRESSORS):
        """Wait until every kind of stressor of ``test_load`` runs, and return its window."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s and self.process.poll() is None:
            window = self.window()
            if window and time.monotonic() > window.zero_s and set(kinds) <= self.by_role().keys():
                return window
            time.sleep(0.02)
        msg = (
            f"the load did not come within {PATIENCE_S:g} s; the session"
            f" said:\n{self.text()[-3000:]}"
        )
        raise AssertionError(msg)

    # -- what is left of it ------------------------------------------------------------------------

    def files_on_tmpfs(self):
        """Return the names of its boards, side files, registries and plan lines still on tmpfs."""
        boards = self.project / "boards.txt"
        stems = (
            [line.removesuffix(".board") for line in boards.read_text().split()]
            if boards.exists()
            else []
        )
        return sorted(
            name for name in os.listdir(BOARDS) for stem in stems if name.startswith(f"{stem}.")
        )

    def scratch_files(self):
        """Return what stands in the scratch folders of its runs."""
        return sorted(
            str(path.relative_to(self.project)) for path in self.project.glob("data/*/scratch/*")
        )

    def workings(self, folder):
        """Return the names in a run folder that a finished run does not have."""
        return sorted({path.name for path in folder.iterdir()} - WHOLE_RUN)


@contextlib.contextmanager
def hearing_signals():
    """Have children start with SIGINT and SIGHUP at their default.

    Behind ``&`` and ``nohup`` they are ignored, and that is inherited.
    """
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def gone_after_s(processes, patience_s):
    """Return after how many seconds no process is alive any more, and how many still are."""
    begin_s = time.monotonic()
    while True:
        left = [process for process in processes if process.is_alive()]
        passed_s = time.monotonic() - begin_s
        if not left or passed_s > patience_s:
            return passed_s, left
        time.sleep(0.01)


def sleep_until(instant_s):
    """Sleep until an instant of CLOCK_MONOTONIC."""
    time.sleep(max(0.0, instant_s - time.monotonic()))


def tracebacks(text):
    """Return the lines of an output that show the inside of something instead of a sentence.

    Pytest says where Ctrl-C came, which is fine.
    """
    inside = (
        r"Traceback \(most"
        r" recent|INTERNALERROR|twin_harness/[\w/]+\.py:\d+|site-packages/.*\.py:\d+: "
    )
    return [
        line
        for line in text.splitlines()
        if re.search(inside, line) and not line.endswith(": KeyboardInterrupt")
    ]

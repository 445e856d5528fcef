"""Programs as load: run from start to end, accounted with all they start, never left behind."""

import json
import sys

import pytest

from tests.support.quick_plans import plan
from twin_harness import command, custom
from twin_harness.errors import ExperimentFailed
from twin_harness.schedule import event_options
from twin_harness.system.load_tree import marked_processes

# A program that leaves: a grandchild in a session of its own burns CPU, and the program itself ends
# at once.
DAEMON = """
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            pass
    os._exit(0)
os.wait()
"""
BUSY = "while True: pass"


@pytest.fixture
def session(open_session):
    return open_session(may_run_commands=True)


def account_of(recording):
    row = recording.annotation("command-0")
    return row, recording.annotations["parameters"].map(json.loads).iloc[0].get("account", {})


@pytest.mark.parametrize("program", [BUSY, DAEMON], ids=["plain", "daemon"])
def test_command_is_accounted_and_stopped(session, program):
    """CPU time, also of a daemon left behind, stands in row and side column; nothing runs on."""
    recording = session.runner.run(plan(command([sys.executable, "-c", program], duration_s=2.0)))
    row, account = account_of(recording)
    assert (row.status, row.shape, row.unit, row.requested_mean) == ("completed", "", "", None)
    assert marked_processes(session.board.path.stem) == []
    assert account["cpu_s"] > 0.5
    assert account["resident_peak_bytes"] > 2**20
    side_s = (
        recording.mean("cpu_side_percent")
        / 100
        * session.machine.cpu_capacity
        * (recording.end_s - recording.begin_s)
    )
    assert side_s == pytest.approx(account["cpu_s"], abs=0.3)
    assert row.actual_end_s == pytest.approx(2.0, abs=0.2)
    assert row.release_s < 1.0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            [sys.executable, "-c", "import sys; print('no such device'); sys.exit(3)"],
            "ended with code 3: no such device",
        ),
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"], "died of SIGSEGV"),
    ],
    ids=["code", "signal"],
)
def test_command_that_fails_says_why(session, argv, message):
    with pytest.raises(ExperimentFailed, match=message):
        session.runner.run(plan(command(argv, duration_s=3.0)))


def test_command_that_ends_early_is_completed(session):
    """What ends by itself without an error has done its work; its row says when."""
    recording = session.runner.run(plan(command(["sleep", "0.5"], duration_s=3.0)))
    row, account = account_of(recording)
    assert row.status == "completed"
    assert 0.4 < row.actual_end_s < 1.5
    assert account["exit_code"] == 0


def test_command_gets_no_variables_but_those_named(session, monkeypatch, tmp_path):
    """What is not named stays here; values stand in no file of the run."""
    monkeypatch.setenv("LAB_SHARED", "for-the-load")
    monkeypatch.setenv("LAB_SECRET", "for-nobody")
    code = "import os, sys; open(sys.argv[1], 'w').write(repr(dict(os.environ)))"
    session.runner.run(
        plan(
            command(
                [sys.executable, "-c", code, str(tmp_path / "seen")],
                duration_s=3.0,
                env=["LAB_SHARED"],
            )
        )
    )
    seen = (tmp_path / "seen").read_text()
    assert "for-the-load" in seen
    assert "for-nobody" not in seen
    assert "PYTEST_CURRENT_TEST" not in seen
    written = b"".join(
        path.read_bytes() for path in session.folder.path.rglob("*") if path.is_file()
    )
    assert b"for-the-load" not in written


CUSTOM = """
import time

class Sockets:
    def __init__(self, load):
        self.load = load
        if load.options.get("fails"):
            raise OSError(111, "no port")

    def prepare(self):
        pass

    def follow(self, report_start):
        report_start()
        while time.monotonic() < self.load.end_s and not self.load.is_stopping:
            sum(range(20_000))
            time.sleep(0.005)
        self.load.account = {"highest": self.load.highest()}

    def release(self):
        pass
"""


def test_project_s_own_stressor_runs(session, tmp_path, monkeypatch):
    """A custom stressor is imported in the load host alone, and its CPU time is side load.

    It is led through its life like ours.
    """
    (tmp_path / "lab_sockets.py").write_text(CUSTOM)
    folder = tmp_path / "lab_sockets-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-sockets\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[twin_harness.stressors]\nsockets = lab_sockets:Sockets\nbroken = lab_sockets:Missing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    event_options.custom_stressors.cache_clear()
    try:
        recording = session.runner.run(
            plan(custom("sockets", 40, duration_s=1.5, unit="connections"))
        )
        row = recording.annotation("sockets-0")
        assert (row.status, row.unit, row.requested_mean) == ("completed", "connections", 40.0)
        assert '"highest": 40.0' in row.parameters
        assert "lab_sockets" not in sys.modules
        assert recording.during("sockets-0").mean("cpu_side_percent") > 0.5
        with pytest.raises(ExperimentFailed, match="no port"):
            session.runner.run(plan(custom("sockets", 40, duration_s=1.5, fails=True)))
        with pytest.raises(
            ExperimentFailed, match="stressor 'broken' cannot be loaded: AttributeError"
        ):
            session.runner.run(plan(custom("broken", 40, duration_s=1.5)))
    finally:
        event_options.custom_stressors.cache_clear()

"""Nothing harms the machine and nothing is left.

Guard, faults, interrupts, and what the child processes are made of.
"""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.support.processes import our_processes
from twin_harness import cpu, load, memory, plan
from twin_harness.control import preflight
from twin_harness.errors import ExperimentAborted, ExperimentFailed, HarnessFailure, InvalidInput
from twin_harness.system.board_layout import LIVE
from twin_harness.system.child import child_environment

HEAVY = {
    "numpy",
    "pandas",
    "pydantic",
    "hypothesis",
    "pytest",
    "matplotlib",
    "subprocess",
    "random",
    "hashlib",
}
MODULES = {
    "twin_harness.stress.load_host": (HEAVY, "psutil"),
    "twin_harness.telemetry.psutil_logger": (HEAVY, "psutil"),
    "twin_harness.telemetry.probe": (HEAVY, "psutil"),
    "twin_harness.control.guard": (HEAVY, "psutil"),
}


@pytest.mark.parametrize("module", MODULES)
def test_child_processes_are_small(module):
    """Host, logger, probe and guard import nothing heavy, and stay within 20 MiB."""
    heavy, extra = MODULES[module]
    code = (
        f"import sys, {module}\nrss = int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        f"print(sorted(({heavy!r} | {{{extra!r}}}) & set(sys.modules)), rss / 2**20)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-s", "-c", code],
        env=child_environment("psutil"),
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    names, _, mib = done.stdout.strip().rpartition(" ")
    assert names == "[]"
    assert float(mib) <= 20


def test_guard_stops_all_load(open_session, monkeypatch):
    """When a floor is crossed the load is dead within 200 ms, and the event says why.

    The session goes on.
    """
    session = open_session(guard="memory_available=99.9%")
    monkeypatch.setattr(preflight, "check", lambda *_, **__: [])
    with pytest.raises(
        ExperimentAborted,
        match=(
            r"aborted: cpu-0: guard: memory_available fell to \d+ MiB, below the floor of \d+ MiB;"
            r" no load \d+ ms after it at most"
        ),
    ):
        session.runner.run(plan(cpu(30, duration_s=5), lead_s=0.5))
    (row,) = session.recorder.rows_of("experiment")
    assert row.status in ("aborted", "skipped")
    assert not any("twin_harness.stress" in line for line in our_processes().values())
    monkeypatch.undo()
    assert session.runner.run(plan(lead_s=0.2, tail_s=0.2, name="after")).name == "after"


def test_preflight_refuses_what_the_guard_would_stop(open_session):
    """More memory than there is above the floor is refused by path and figure beforehand."""
    session = open_session(guard="memory_available=50%")
    with pytest.raises(
        InvalidInput,
        match=(
            r"memory events ask for \d+ MiB at .* expected at most \d+ MiB.*lower the level or"
            r" --twin-guard"
        ),
    ):
        session.runner.run(plan(memory(60, duration_s=1)))
    assert session.folder.read_plans() == []


def test_killed_stressor_fails_its_experiment_and_keeps_the_recording(session):
    """A load process that is killed makes the event failed, with the signal's name.

    What was recorded until then is kept.
    """
    victims = []

    def kill_one(*_):
        plan_now = session.board.read_plan(0)
        if victims or plan_now is None or time.monotonic() < plan_now["zero_s"] + 1:
            return
        pids = [
            process.pid
            for process in session.board.processes()
            if process.kind == "cpu" and process.state == LIVE and process.pid
        ]
        victims.extend(pids[:1])
        for pid in pids[:1]:
            os.kill(pid, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill_one)
    signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
    with pytest.raises(
        ExperimentFailed, match="failed: cpu-0: a load process died of SIGKILL"
    ) as caught:
        session.runner.run(plan(cpu(20, duration_s=20)))
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert victims
    assert (
        caught.value.recording.annotation("cpu-0").actual_end_s < 10
    )  # not the 20 s that the surviving process would have gone on for
    assert caught.value.recording.during("cpu-0").mean("cpu_delivered_percent") > 5
    assert not any("twin_harness.stress" in line for line in our_processes().values())


def test_killed_load_host_takes_its_children_along(session):
    """When the load host is killed no load is left half a second later, and the event says so."""

    def kill_host(*_):
        plan_now = session.board.read_plan(0)
        if plan_now is None or time.monotonic() < plan_now["zero_s"] + 0.5:
            return
        for pid, line in our_processes().items():
            if "twin_harness.stress" in line and psutil.Process(pid).ppid() == os.getpid():
                os.kill(pid, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill_host)
    signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
    with pytest.raises(ExperimentFailed, match="the load was stopped because its load host died"):
        session.runner.run(plan(cpu(20, duration_s=20)))
    signal.setitimer(signal.ITIMER_REAL, 0)
    deadline_s = time.monotonic() + 0.5
    while time.monotonic() < deadline_s and any(
        "twin_harness.stress" in line for line in our_processes().values()
    ):
        time.sleep(0.02)
    assert not any("twin_harness.stress" in line for line in our_processes().values())


def test_stopped_guard_ends_the_load(session):
    """A guard that is suspended sees nothing.

    The load does not go on without it, and the sentence names the process.
    """
    stopped = []

    def stop_guard(*_):
        plan_now = session.board.read_plan(0)
        if stopped or plan_now is None or time.monotonic() < plan_now["zero_s"] + 0.5:
            return
        for pid, line in our_processes().items():
            if "twin_harness.control.guard" in line and psutil.Process(pid).ppid() == os.getpid():
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)

    signal.signal(signal.SIGALRM, stop_guard)
    signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
    with pytest.raises(
        HarnessFailure,
        match=(
            r"^the guard \(process \d+\) is stopped, by a signal or a debugger, so nothing watches"
            r" memory"
        ),
    ):
        session.runner.run(plan(cpu(10, duration_s=20)))
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert stopped
    assert not any(
        "twin_harness" in line for pid, line in our_processes().items() if pid in stopped
    )


def test_killed_logger_makes_the_run_partial(session):
    """A logger that died is replaced once, and the run says PARTIAL.

    The next experiment has all its samples.
    """
    session.runner.run(plan(lead_s=0.3, tail_s=0.3))
    os.kill(session.board.logger_pid, signal.SIGKILL)
    time.sleep(0.2)
    recording = session.runner.run(plan(lead_s=0.5, tail_s=0.5))
    assert len(recording.samples) >= 8
    session.close()
    run = load(session.folder.path)
    assert run.status == "PARTIAL"
    assert "died and was replaced; samples between are missing" in run.state["partial"][0]


def test_interrupt_leaves_a_usable_run(tmp_path):
    """Ctrl-C stops the load at once, and everything is written.

    The status is ABORTED, and no process is left.
    """
    (tmp_path / "test_it.py").write_text(
        "import pytest\nfrom twin_harness import cpu\n@pytest.mark.experiment(cpu(20,"
        " duration_s=60))\ndef test_it(recording): pass\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "--twin-no-report"],
        cwd=tmp_path,
        start_new_session=True,
    )
    latest = tmp_path / "data" / "latest"
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s and not (latest / "plan.main.jsonl").exists():
        time.sleep(0.05)
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 2
    run = load(latest)
    assert run.status == "ABORTED"
    (row,) = run.folder.read_annotations()
    assert row.status == "stopped"
    assert 1 < row.actual_end_s < 30
    assert run.recordings[0].during("cpu-0").mean("cpu_delivered_percent") > 5
    assert not any(str(tmp_path) in line for line in our_processes().values())
    assert json.loads((latest / "run.json").read_text())["board"] is None


def test_twin_run_repeats_a_schedule_and_leaves_the_same_files(tmp_path, session):
    """`twin run data/latest/schedule.json` repeats a run without pytest.

    With the same experiments and the same files.
    """
    session.runner.run(plan(cpu(20, duration_s=1), name="a b", lead_s=0.4, tail_s=0.3))
    session.close()
    twin = [sys.executable, "-m", "twin_harness.cli"]
    done = subprocess.run(
        [*twin, "run", str(session.folder.schedule), "--no-report"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "a b/cpu-0" in done.stdout
    first, second = session.folder.path, (tmp_path / "data" / "latest").resolve()
    assert first != second
    assert {path.name for path in first.iterdir()} == {path.name for path in second.iterdir()}
    hashes = [
        [planned.experiment.hash() for planned in load(folder).folder.read_plans()]
        for folder in (first, second)
    ]
    assert hashes[0] == hashes[1]

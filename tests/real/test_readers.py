"""Whoever reads a run's output, and however he stops.

Every experiment runs, the data is whole, and what was not shown is said.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from twin_harness import cpu, load
from twin_harness import plan as plan_of
from twin_harness.schedule import model as schedule

PATIENCE_S = 120.0
TWIN = [sys.executable, "-m", "twin_harness.cli"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes and /dev/full of Linux")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A folder with a plan of two short experiments, at rest: how a load went is not asked here."""
    monkeypatch.chdir(tmp_path)
    plans = [plan_of(name=name, lead_s=0.4, tail_s=0.4) for name in "ab"]
    schedule.Schedule.of(*plans).write("plan.json")
    return tmp_path


def run(line="run plan.json --no-report", **more):
    """Run a command to its end, and return its exit code and stderr."""
    more = {"stderr": subprocess.PIPE, **more}
    process = subprocess.Popen([*TWIN, *line.split()], start_new_session=True, **more)
    try:
        _, complaints = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, (complaints or b"").decode()


def judge(lab, note):
    """The run is whole, and says itself what was not shown."""
    run_ = load(lab / "data" / "latest")
    assert run_.status == "COMPLETE"
    assert [recording.name for recording in run_.recordings] == ["a", "b"]
    notes = [text for text in run_.state["notes"] if text.startswith("stdout: ")]
    expected = f"stdout: {note}; what was to be shown there is not, and the run went on to its end"
    assert notes == ([expected] if note else [])


def test_a_reader_that_went_away_shortens_no_run(lab):
    """As with ``| head -1``: exit code 0 because all went, and stderr says what was not shown."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    code, complaints = run(stdout=write_end)
    os.close(write_end)
    assert code == 0
    assert "twin: stdout: its reader went away; 5 lines were not written\n" in complaints
    judge(lab, "its reader went away")


def test_a_full_pipe_neither_shortens_nor_holds_up_a_run(lab):
    """Neither stdout nor stderr is read: the run ends while they are still full.

    Then they are read.
    """
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(write_end, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write_end, b"." * 4096)
    os.set_blocking(write_end, True)
    words = [*TWIN, "run", "plan.json", "--no-report"]
    process = subprocess.Popen(words, stdout=write_end, stderr=write_end, start_new_session=True)
    os.close(write_end)
    try:
        for _ in range(int(PATIENCE_S * 10)):
            with suppress(OSError, ValueError):
                if json.loads((lab / "data/latest/run.json").read_bytes())["status"] != "RUNNING":
                    break
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
                break
        assert process.poll() is None  # it waits for its reader, with nothing left to do
        judge(lab, "")
        with os.fdopen(read_end, "rb") as pipe:
            text = pipe.read().decode()
        assert process.wait(PATIENCE_S) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert "1 of 2  a" in text
    assert "2 of 2  b" in text


def test_stdout_on_a_full_disk_is_said_and_costs_no_run(lab):
    """The exit code is the run's; but data for a machine that cannot be written is a failure."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        code, complaints = run(stdout=full)
        assert code == 0
        assert "twin: stdout: No space left on device; 5 lines were not written\n" in complaints
        judge(lab, "No space left on device")
        code, complaints = run("run plan.json --no-report --json", stdout=full)
        assert code == 1
        assert "twin: stdout: No space left on device; " in complaints


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_cost_no_run_and_no_file(lab, closed):
    """Their numbers go to no other file, and the exit code is the run's."""
    words = f"{' '.join(TWIN)} run plan.json --no-report {closed}"
    done = subprocess.run(["sh", "-c", words], capture_output=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done
    run_ = load(lab / "data" / "latest")
    assert run_.status == "COMPLETE"
    assert [recording.name for recording in run_.recordings] == ["a", "b"]
    assert len(run_.samples) > 5
    assert ("2 of 2  b" in done.stdout.decode()) == (closed == "2>&-")
    if closed == ">&-":
        assert "twin: stdout: it is closed; 5 lines were not written\n" in done.stderr.decode()


def test_a_run_that_is_interrupted_shows_its_rows(lab):
    """What was delivered until then stands in the table as in annotations.csv."""
    plan = plan_of(cpu(10, duration_s=60), name="long", lead_s=0.2, tail_s=0.2)
    schedule.Schedule.of(plan).write("long.json")
    words = [*TWIN, "run", "long.json", "--no-report"]
    # Where pytest itself was begun in the background of a script, SIGINT is ignored, and inherited.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    signal.signal(signal.SIGINT, before)
    try:
        for _ in range(int(PATIENCE_S * 10)):
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
                break
            rows = lab / "data" / "latest" / "system_metrics_dataset.csv"
            if rows.exists() and b",cpu-0," in rows.read_bytes():
                break
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 130
    (row,) = [line for line in out.decode().splitlines() if line.startswith("long/cpu-0")]
    assert row.endswith("stopped")

"""Real load in a process that forks, threads, kills its children and has many descriptors.

It runs as in any other.
"""

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.support.processes import our_processes
from twin_harness import cpu, load, memory, plan


def quick(*events, **more):
    return plan(*events, lead_s=0.2, tail_s=0.2, **more)


def test_loads_of_two_threads_run_at_once(session):
    """Both complete, each with a load host of its own, and their times overlap."""
    with ThreadPoolExecutor(2) as pool:
        found = list(
            pool.map(
                session.runner.run,
                (quick(cpu(10, duration_s=1), name="a"), quick(memory(1, duration_s=1), name="b")),
            )
        )
    assert [row.status for recording in found for row in recording.rows] == [
        "completed",
        "completed",
    ]
    first, second = (recording.planned for recording in found)
    assert max(first.zero_s, second.zero_s) < min(first.end_s, second.end_s)
    session.admission.release()
    assert session.admission.take(quick()) is True  # the machine was let go, once for both
    session.close()
    assert load(session.folder.path).status == "COMPLETE"
    assert (session.folder.path / "annotations.csv").read_text().count("\nrun,") == 0


def test_load_goes_on_when_the_thread_that_began_it_has_ended(session):
    """The kernel's death signal follows the starting thread.

    A pool's thread may end while the block is still open.
    """
    recordings = []
    background = session.runner.background(quick(cpu(10, duration_s=30)), recordings)
    starter = threading.Thread(target=background.__enter__)
    starter.start()
    starter.join()
    time.sleep(0.5)
    background.__exit__(None, None, None)
    assert [row.status for row in recordings[0].rows] == ["completed"]


def test_fork_inside_a_load_neither_keeps_the_machine_nor_the_load(session):
    """After the block the load is gone and the next experiment begins, while the fork lives."""
    recordings = []
    with session.runner.background(quick(cpu(10, duration_s=30)), recordings):
        fork = multiprocessing.get_context("fork").Process(
            target=time.sleep, args=(60,), daemon=True
        )
        fork.start()
        time.sleep(0.3)
    session.admission.release()
    try:
        assert session.admission.take(quick()) is True
        assert fork.is_alive()
    finally:
        fork.kill()
        fork.join()


def test_suite_that_kills_all_children_loses_no_sample(session):
    """After each experiment all children of this process are killed, as some suites do.

    The run is COMPLETE.
    """
    for _ in range(3):
        session.runner.run(quick())
        for process in psutil.Process().children(recursive=True):
            process.kill()
    session.close()
    run = load(session.folder.path)
    assert (run.status, run.state["partial"]) == ("COMPLETE", [])
    assert run.samples["probe_wakeup_ms"].notna().mean() > 0.5


def test_load_runs_beside_thousands_of_descriptors(session):
    """select(2) knows none above 1,023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("so many descriptors are not permitted here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        recording = session.runner.run(quick(cpu(10, duration_s=0.5)))
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [row.status for row in recording.rows] == ["completed"]


def test_load_runs_where_clocks_are_frozen(session, monkeypatch):
    """With frozen clocks in the test's process the experiment goes on, and rows bear real time.

    They are time.monotonic, time.time and time.sleep.
    """
    for name in ("monotonic", "time"):
        monkeypatch.setattr(time, name, lambda: 1_577_836_800.0)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    recording = session.runner.run(quick(cpu(10, duration_s=0.5)))
    monkeypatch.undo()
    (row,) = recording.rows
    assert row.status == "completed"
    assert row.start_time[:4] == time.strftime("%Y", time.gmtime())


REFUSE_PIDFD = """
import ctypes, os, struct, sys
# pidfd_open: EPERM; all others: allowed
lines = ((0x20, 0, 0, 0), (0x15, 0, 1, 434), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000))
data = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
libc = ctypes.CDLL(None)
program = Program(4, ctypes.addressof(data))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit(77)
os.execv(sys.executable, [sys.executable, "-m", "twin_harness.cli", *sys.argv[1:]])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp(2) is Linux's")
def test_load_runs_and_ends_where_the_kernel_refuses_process_descriptors(tmp_path):
    """Where seccomp answers EPERM to pidfd_open, the load runs, is recorded, and none is left."""
    words = [
        sys.executable,
        "-c",
        REFUSE_PIDFD,
        "stress",
        "cpu",
        "--level",
        "10",
        "--duration",
        "0.5",
        "--tolerance",
        "none",
    ]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("no seccomp filter may be set here")
    assert done.returncode == 0, done.stderr
    assert "completed" in done.stdout
    assert not [line for line in our_processes().values() if str(tmp_path) in line]
    status = json.loads((tmp_path / "data" / "latest" / "run.json").read_text())["status"]
    assert status == "COMPLETE"

"""Processes of our own: their environment, how they are talked to, and how they end."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import twin_harness
from twin_harness.system import child

PACKAGE_HOME = str(Path(twin_harness.__file__).resolve().parent.parent)
ECHO = (  # a module of the standard library that reads JSON to the end of stdin and writes it
    "json.tool"
)


def test_a_child_s_environment_finds_the_package(monkeypatch):
    """PYTHONPATH is the standard library and the package's home, whatever the caller had."""
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    *before, home = child.child_environment()["PYTHONPATH"].split(os.pathsep)
    assert home == PACKAGE_HOME
    assert before == child.standard_library()
    assert str(Path(os.__file__).parent) in before


def test_a_child_s_environment_finds_its_libraries():
    """The homes of named libraries follow, each once, whether loaded yet or not."""
    folders = child.child_environment("psutil", "pytest", "psutil")["PYTHONPATH"].split(os.pathsep)
    assert folders[len(child.standard_library())] == PACKAGE_HOME
    assert len(set(folders)) == len(folders)
    assert any((Path(folder) / "psutil").is_dir() for folder in folders)


def test_a_library_that_is_missing_adds_no_folder(monkeypatch, tmp_path):
    """What cannot be found is left out, and the working folder has nothing to do with it."""
    monkeypatch.chdir(tmp_path)
    assert child.child_environment("no_such_library") == child.child_environment()


def test_a_child_does_not_inherit_what_belongs_to_the_session(monkeypatch):
    """Variables of coverage and pytest stay behind, others go along."""
    monkeypatch.setenv("COV_CORE_SOURCE", "x")
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "x")
    monkeypatch.setenv("TWIN_OTHER", "x")
    names = child.child_environment().keys()
    assert not [name for name in names if name.startswith(("COV_", "PYTEST_"))]
    assert "TWIN_OTHER" in names


def test_a_child_is_handed_its_message_as_one_line():
    """The message arrives whole on stdin, in a session of its own; closing stdin ends it."""
    process = child.start_child(ECHO, {"plan": ["ü", "x" * 5000]})
    assert os.getsid(process.pid) == process.pid
    process.stdin.close()
    assert json.loads(process.stdout.read()) == {"plan": ["ü", "x" * 5000]}
    child.end_child(process, 5.0)
    assert process.returncode == 0


def test_a_process_that_is_gone_is_told_nothing():
    """Sending to a process that has ended, or whose pipe is closed, returns False."""
    process = child.start_child("this", {})
    process.stdout.read()
    process.wait()
    assert child.send_line(process, {"a": "x" * 100_000}) is False
    child.close_pipes(process)
    assert child.send_line(process, {}) is False


def test_a_child_that_does_not_stop_is_killed():
    """After the patience its whole group goes, and it is reaped."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-S",
            "-c",
            "import signal, sys; print('ready', flush=True); signal.pause()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        bufsize=0,
    )
    assert process.stdout.readline() == b"ready\n"
    child.end_child(process, 0.01)
    assert process.returncode == -signal.SIGKILL


def test_killing_a_group_that_is_gone_is_fine():
    """A group without members is no error."""
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    child.kill_group(process.pid)


def test_a_watch_tells_the_end_of_a_process():
    """The descriptor becomes readable when the process ends, and not before."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    watch = child.watch_process(process.pid)
    if watch is None:
        pytest.skip("no pidfd here")
    assert select.select([watch], [], [], 0)[0] == []
    process.stdin.close()
    process.wait()
    assert select.select([watch], [], [], 5)[0] == [watch]
    os.close(watch)


def test_a_process_that_is_gone_cannot_be_watched():
    """The caller learns at once that it came too late."""
    process = subprocess.Popen(["true"])
    process.wait()
    if not hasattr(os, "pidfd_open"):
        pytest.skip("no pidfd here")
    with pytest.raises(ProcessLookupError):
        child.watch_process(process.pid)


def test_without_pidfds_nothing_is_watched(monkeypatch):
    """An older kernel or another system gives None."""
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    assert child.watch_process(os.getpid()) is None


@pytest.mark.skipif(sys.platform != "linux", reason="prctl and oom_score_adj are Linux's")
def test_a_load_process_ties_its_life_and_stands_first_to_be_killed():
    """After both calls the kernel holds SIGKILL for the parent's end and the highest score."""
    code = (
        "import ctypes; from twin_harness.system import child; child.die_with_parent();"
        " child.be_first_to_kill(); number = ctypes.c_int(); ctypes.CDLL(None).prctl(2,"
        " ctypes.byref(number)); print(number.value,"
        " open('/proc/self/oom_score_adj').read().strip())"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": PACKAGE_HOME},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["9", "1000"]


@pytest.mark.parametrize(
    "error", [PermissionError(1, "not permitted"), AttributeError("no scheduler")]
)
def test_without_the_right_to_real_time_nothing_happens(monkeypatch, error):
    """A refusal by the kernel, or a system without classes, is told as False and is no error."""

    def refuse(*_):
        raise error

    monkeypatch.setattr(os, "sched_setscheduler", refuse, raising=False)
    assert child.run_in_real_time() is False
    child.run_as_ordinary()


def test_without_an_oom_score_nothing_happens(monkeypatch):
    """A system without the file is no error."""

    def refuse(*_):
        raise FileNotFoundError

    monkeypatch.setattr(os, "open", refuse)
    child.be_first_to_kill()


def test_a_child_that_cannot_be_killed_is_left_to_the_kernel(monkeypatch):
    """One that a filesystem holds is waited for once more, and then no longer.

    Its parent goes on.
    """
    monkeypatch.setattr(child, "KILLED_PATIENCE_S", 0.01)
    monkeypatch.setattr(child, "kill_group", lambda _: None)
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", "import signal; signal.pause()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    child.end_child(process, 0.01)
    assert process.returncode is None
    process.kill()
    process.wait()

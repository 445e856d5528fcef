"""What the process of a user does to us by accident, and what its limits do.

Each works, or is one sentence that names the limit.
"""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from twin_harness.cli import main
from twin_harness.control import process_findings
from twin_harness.control.annotations import AnnotationRecorder
from twin_harness.errors import HarnessFailure, advise, as_harness_failure
from twin_harness.runs.folder import RunFolder
from twin_harness.session import opening
from twin_harness.session.config import TwinConfig
from twin_harness.session.seat import Seat
from twin_harness.session.session import Session
from twin_harness.stress import children
from twin_harness.stress.children import cause_of_end
from twin_harness.system import child
from twin_harness.system.board import Board
from twin_harness.system.board_layout import PLAN_SLOTS
from twin_harness.system.machine_lock import LockPlace

THREADS = 8


def at_once(what):
    """Do something in eight threads that begin together, and return what each came to."""
    barrier = threading.Barrier(THREADS)

    def one(number):
        barrier.wait()
        return what(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


@pytest.fixture
def quick_switches():
    """Have threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_of_one_process_claim_slots_of_their_own(quick_switches):
    """The kernel's lock is of the descriptor, which threads share.

    Plans and processes get a slot each all the same.
    """
    board = Board.create()
    try:
        slots = at_once(lambda number: [board.publish_plan({"n": [number] * 50}) for _ in range(8)])
        assert len({slot for of_thread in slots for slot in of_thread}) == 8 * THREADS == PLAN_SLOTS
        claims = at_once(
            lambda number: [board.claim_process(os.getpid(), "cpu", plan=number) for _ in range(20)]
        )
        assert len({slot for of_thread in claims for slot in of_thread}) == 20 * THREADS
    finally:
        board.close(unlink=True)


def test_threads_of_one_process_write_one_shard(tmp_path, quick_switches):
    """One heading, every row whole, and no experiment's end undoes another one's beginning."""
    folder = RunFolder.create(tmp_path)
    recorder = AnnotationRecorder(folder, "host")

    def record(number):
        recorder.begin_experiment(f"e{number}", 0.0)
        for event in range(5):
            recorder.record(recorder.new_row(f"e{number}", f"cpu-{event}", "cpu"))
        if number:
            recorder.end_experiment(f"e{number}")

    at_once(record)
    lines = (folder.path / "annotations.main.csv").read_text().splitlines()
    assert sum(line.startswith("run,") for line in lines) == 1
    assert len(folder.read_annotations()) == 5 * THREADS
    assert [name for name, _ in recorder._experiments] == ["e0"]


@pytest.mark.parametrize("name", ["enum", "typing", "select", "json", "signal"])
def test_no_backport_takes_the_place_of_the_standard_library(tmp_path, monkeypatch, name):
    """A user's module with the name of a library is not what a child imports.

    Backports and students' files bear such names.
    """
    (tmp_path / f"{name}.py").write_text("raise AttributeError('a backport')\n")
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    code = (
        f"import sys, beside, {name}, math;"
        f" print(beside.__file__, {name}.__spec__.origin, sys.path[0])"
    )
    words = [sys.executable, "-S", "-s", "-P", "-c", code]
    done = subprocess.run(
        words,
        env=child.child_environment("beside"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    beside, found, first = done.stdout.split()
    assert beside == str(tmp_path / "beside" / "__init__.py")
    # some builds of Python have select within
    assert found == "built-in" or Path(found).is_relative_to(Path(os.__file__).parent)
    assert first != str(tmp_path)


def test_children_keep_to_the_standard_library_and_leave_interactive_settings_behind(monkeypatch):
    """Its folders come first, and no variable makes a child wait at a prompt."""
    monkeypatch.setenv("PYTHONINSPECT", "1")
    monkeypatch.setenv("PYTHONHOME_OF_SOMEBODY", "x")
    environment = child.child_environment("psutil")
    assert "PYTHONINSPECT" not in environment
    assert environment["PYTHONHOME_OF_SOMEBODY"] == "x"
    home = str(Path(os.__file__).parent)
    folders = environment["PYTHONPATH"].split(os.pathsep)
    assert folders.index(home) < folders.index(str(Path(child.__file__).parents[2]))


@pytest.mark.parametrize(
    ("code", "limits", "cpu_s", "sentence"),
    [
        (3, (-1, -1), 0.0, "a load process ended with code 3"),
        (
            -signal.SIGKILL,
            (-1, -1),
            5.0,
            (
                "a load process died of SIGKILL"
                " (the kernel ran out of memory, or another process sent it)"
            ),
        ),
        (
            -signal.SIGKILL,
            (3, 3),
            0.5,
            (
                "a load process died of SIGKILL"
                " (the kernel ran out of memory, or another process sent it)"
            ),
        ),
        (
            -signal.SIGKILL,
            (3, 3),
            2.95,
            (
                "a load process died of SIGKILL after 3.0 s of CPU time, all that a process may"
                " have here; raise ulimit -t"
            ),
        ),
        (
            -signal.SIGXCPU,
            (3, -1),
            3.02,
            (
                "a load process died of SIGXCPU after 3.0 s of CPU time, all that a process may"
                " have here; raise ulimit -t"
            ),
        ),
        (
            -signal.SIGXFSZ,
            (-1, -1),
            0.0,
            (
                "a load process died of SIGXFSZ: its file became longer than files may be here;"
                " raise ulimit -f"
            ),
        ),
        (
            -signal.SIGSEGV,
            (-1, -1),
            0.0,
            "a load process died of SIGSEGV (it was killed, or another process sent it)",
        ),
    ],
)
def test_why_a_load_process_died_names_the_limit(monkeypatch, code, limits, cpu_s, sentence):
    """CPU time and file length are limits of the process, not a want of memory."""
    monkeypatch.setattr(children.resource, "getrlimit", lambda _: limits)
    assert cause_of_end(code, cpu_s) == sentence


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EAGAIN, "raise pids.max of the control group, or ulimit -u"),
        (errno.EMFILE, "raise ulimit -n"),
        (errno.EFBIG, "raise ulimit -f"),
        (errno.ENOSPC, "free some space"),
        (errno.ENOLCK, "use a folder on a local filesystem"),
        (errno.EIO, "look at the space, the descriptors and the rights of the data folder"),
    ],
)
def test_what_the_system_refused_to_the_harness_is_told_by_its_number(number, advice):
    """Processes, descriptors, file length, space and locks each have their own way out."""
    assert advise(OSError(number, os.strerror(number))).endswith(advice) or advise(
        OSError(number, "")
    ).startswith(advice)
    with (
        pytest.raises(
            HarnessFailure, match=f"the harness could not go on: {os.strerror(number)}; "
        ),
        as_harness_failure(),
    ):
        raise OSError(number, os.strerror(number))


def test_session_that_finds_no_descriptor_says_so_wherever_it_opens_one(monkeypatch, tmp_path):
    """Also while it looks for what others left, before anything of its own."""

    def refuse():
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(opening.reaper, "reap", refuse)
    config = TwinConfig(data_dir=str(tmp_path))
    with pytest.raises(HarnessFailure, match="raise ulimit -n"):
        Session.open(config, Seat.draw(config, tmp_path, "test"))


def test_board_longer_than_files_may_be_says_so(monkeypatch):
    """It is ulimit -f, not the folder, is what is in the way."""

    def refuse(*_):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(
        HarnessFailure,
        match=(
            r"the load board takes 1\.1 MiB, more than a file of this process may have; .* raise"
            r" ulimit -f"
        ),
    ):
        Board.create()


def test_session_is_not_opened_by_a_clock_that_stands(monkeypatch, tmp_path):
    """The library libfaketime can freeze the kernel's clock for a process.

    One sentence, instead of a wait for ever.
    """
    monkeypatch.setattr(opening, "is_standing", lambda: True)
    config = TwinConfig(data_dir=str(tmp_path))
    with pytest.raises(
        HarnessFailure,
        match=r"the clock of this process stands still .* set FAKETIME_DONT_FAKE_MONOTONIC=1",
    ):
        Session.open(config, Seat.draw(config, tmp_path, "test"))


def findings():
    return {finding.topic: finding for finding in process_findings.examine_process()}


def test_doctor_says_what_a_session_would_run_into(monkeypatch):
    """Each fallback and each refusal above has its line, with what is poorer or what to do."""

    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def no_lock():
        raise HarnessFailure("no lock for this machine: expected one")

    monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)
    monkeypatch.setattr(
        process_findings, "find_lock_place", lambda: LockPlace("/own", is_for_all_users=False)
    )
    monkeypatch.setattr(
        resource,
        "getrlimit",
        lambda name: (102_400 if name == resource.RLIMIT_FSIZE else resource.RLIM_INFINITY, -1),
    )
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/faketime/libfaketime.so.1")
    seen = findings()
    assert not any(finding.is_fine for finding in seen.values())
    assert seen["machine lock"].found == "in /own, which not every user of the machine can use"
    assert (
        seen["process watch"].found
        == "pidfd_open is refused (Operation not permitted): kernel before 5.3, or a seccomp filter"
    )
    assert (
        seen["process watch"].advice == "the end of a session is noticed within 0.2 s, not at once"
    )
    assert seen["limits"].found == "102400 bytes a file (ulimit -f)"
    assert seen["clock"].found == "libfaketime is loaded"
    monkeypatch.setattr(process_findings, "find_lock_place", no_lock)
    assert findings()["machine lock"].found == "no lock for this machine: expected one"


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_closed_standard_stream_changes_no_exit_code(tmp_path, stream):
    """A complaint that nobody can read is no error, and no file gets the stream's number."""
    code = (
        f"import os, sys; os.close({stream}); import twin_harness.cli as cli;"
        " sys.exit(cli.main(['log', '--duration', '0']))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False
        ).returncode
        == 2
    )
    words = [
        "sh",
        "-c",
        f'exec "$0" -m twin_harness.cli log --duration 0 {stream}>&-',
        sys.executable,
    ]
    assert (
        subprocess.run(
            words, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).returncode
        == 2
    )
    assert main(["log", "--duration", "0"]) == 2

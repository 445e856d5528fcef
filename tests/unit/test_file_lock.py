"""Locks and pipes in a process that forks.

A fork keeps none of them, and a lock that nobody inherits is let go for all copies.
"""

import ctypes
import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from twin_harness.control.runner_parallel import Admission
from twin_harness.errors import HarnessFailure
from twin_harness.system import child, forks
from twin_harness.system.file_lock import FileLock
from twin_harness.system.folder_lock import locked
from twin_harness.system.machine_lock import MACHINE, MachineLock, open_lock


@pytest.fixture
def fork():
    """Fork a process that lives until the test is over, and return what it had open, by path."""
    pids = []

    def make():
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            names = (
                os.readlink(f"/proc/self/fd/{number}")
                for number in os.listdir("/proc/self/fd")
                if os.path.lexists(f"/proc/self/fd/{number}")
            )
            os.write(write_end, "\n".join(names).encode())
            os.close(write_end)
            signal.pause()
        os.close(write_end)
        pids.append(pid)
        with os.fdopen(read_end, "rb") as file:
            return file.read().decode().split("\n")

    yield make
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def is_free(path):
    """Whether somebody else could take the lock of a file or folder now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_a_fork_keeps_no_lock_of_the_machine(tmp_path, fork):
    """A process forked while the machine is taken holds none of its files.

    The machine is free once we let go.
    """
    lock = MachineLock([str(tmp_path)])
    lock.take(shared_resources=["cpu", "memory"])
    assert not [name for name in fork() if str(tmp_path) in name]
    lock.release()
    assert all(is_free(path) for path in tmp_path.iterdir())


def test_a_fork_while_folders_and_parts_are_locked_keeps_none(tmp_path, fork):
    """Neither the lock of a data folder, nor of a part of the machine."""
    part = open_lock("part", [str(tmp_path)])
    part.take()
    admission = Admission(lambda _: None, [str(tmp_path)], part=part)
    with locked(tmp_path):
        opened = fork()
        assert not is_free(tmp_path)
    assert not [name for name in opened if str(tmp_path) in name]
    assert is_free(tmp_path)
    assert admission.descriptors == (part.descriptor,)
    part.release()
    assert is_free(tmp_path / "twin-harness.part.lock")


def test_a_fork_does_not_believe_that_it_has_the_machine(tmp_path):
    """In the fork nothing is held, and letting go there changes nothing here."""
    lock = MachineLock([str(tmp_path)])
    lock.take()
    pid = os.fork()
    if pid == 0:
        is_held = lock.is_held
        lock.release(is_load_gone=True)
        os._exit(1 if is_held else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert lock.is_held
    assert not is_free(tmp_path / "twin-harness.machine.lock")
    lock.release()


def test_a_fork_does_not_keep_a_child_of_ours_alive(fork):
    """Closing stdin ends a child although a process was forked while it was open."""
    process = child.start_child("json.tool", {})
    opened = fork()
    for pipe in (process.stdin, process.stdout):
        assert os.readlink(f"/proc/self/fd/{pipe.fileno()}") not in opened
    process.stdin.close()
    assert process.stdout.read() == b"{}\n"
    child.end_child(process, 5.0)
    assert process.returncode == 0


@pytest.mark.parametrize("is_load_gone", [True, False])
def test_what_a_c_library_forks_keeps_the_lock_only_while_load_may_have_it(tmp_path, is_load_gone):
    """Such a fork runs no hook.

    Once all load has ended the lock is taken from every copy; before that it stays with the load.
    """
    lock = MachineLock([str(tmp_path)])
    lock.take()
    libc = ctypes.CDLL(None)
    pid = libc.fork()
    if pid == 0:
        libc.pause()
        os._exit(0)
    try:
        lock.release(is_load_gone=is_load_gone)
        assert is_free(tmp_path / "twin-harness.machine.lock") is is_load_gone
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("ends", "is_let_go"),
    [
        ((), True),
        ((True,), True),
        ((True, True), True),
        ((True, False), False),
        ((True, None), False),
    ],
)
def test_the_machine_is_taken_from_all_copies_only_when_all_load_ended_by_itself(
    tmp_path, monkeypatch, ends, is_let_go
):
    """Processes that a load host left behind hold the machine rightly.

    The host was killed, or still runs in a thread.
    """
    seen = []
    monkeypatch.setattr(
        MachineLock, "release", lambda self, *, is_load_gone=False: seen.append(is_load_gone)
    )
    admission = Admission(lambda _: None, [str(tmp_path)])
    for is_clean in ends:
        admission.note_load()
        if is_clean is not None:
            admission.note_load_gone(is_clean=is_clean)
    admission.release()
    assert seen == [is_let_go]


def test_what_was_closed_is_not_closed_again_in_a_fork(tmp_path):
    """The number of a descriptor that was closed may be somebody else's by the time of a fork."""
    lock = FileLock(os.open(tmp_path, os.O_RDONLY), "it")
    number = lock.descriptor
    lock.close()
    other = os.open(tmp_path, os.O_RDONLY)
    assert other == number
    lock.close()
    pid = os.fork()
    if pid == 0:
        try:
            os.fstat(number)
        except OSError:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(other)
    assert lock not in forks._ours


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.parametrize("what", ["machine", "data folder"])
def test_a_filesystem_that_cannot_lock_is_named(tmp_path, monkeypatch, number, what):
    """One sentence with the file and the reason, whatever is to be locked."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    take = {
        "machine": MachineLock([str(tmp_path)]).take,
        "data folder": locked(tmp_path).__enter__,
    }[what]
    with pytest.raises(HarnessFailure) as failure:
        take()
    assert str(failure.value).endswith(
        f"cannot be locked ({os.strerror(number)}): its filesystem has no locks, or none are left;"
        " put it on a local filesystem"
    )
    assert str(tmp_path) in str(failure.value)


def test_a_lock_that_is_taken_is_not_an_error(tmp_path):
    """Whoever tries without waiting learns that it is taken."""
    first, second = (open_lock(MACHINE, [str(tmp_path)]) for _ in range(2))
    assert first.try_take()
    assert not second.try_take()
    first.release()
    assert second.try_take()
    second.release()


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
def test_our_own_processes_inherit_what_is_passed_on(tmp_path):
    """Executed processes are no forks of the user's: load keeps the machine taken."""
    lock = MachineLock([str(tmp_path)])
    lock.take()
    load = subprocess.Popen(["sleep", "60"], pass_fds=lock.descriptors)
    lock.release()
    assert not is_free(tmp_path / "twin-harness.machine.lock")
    load.kill()
    load.wait()
    assert is_free(tmp_path / "twin-harness.machine.lock")

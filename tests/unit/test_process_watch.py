"""A process's end is noticed with and without a pidfd.

Also by a number that select(2) does not know.
"""

import errno
import os
import resource
import subprocess

import pytest

from twin_harness.system import child
from twin_harness.system.process_watch import LOOK_EVERY_S, ProcessWatch

REFUSALS = [errno.ENOSYS, errno.EPERM, errno.EMFILE]


@pytest.fixture(
    params=[None, *REFUSALS], ids=["pidfd", *(errno.errorcode[number] for number in REFUSALS)]
)
def kernel(request, monkeypatch):
    """A kernel that gives descriptors of processes, or refuses them."""
    if request.param is not None:

        def refuse(*_):
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)
    elif not hasattr(os, "pidfd_open"):
        pytest.skip("no pidfd here")
    return request.param


def end_of(watch):
    return watch.has_ended(child.readable_of(watch.descriptors, 0.0))


def test_the_end_of_a_process_is_noticed(kernel):
    """It runs, then it is a zombie that nobody has waited for, then it is gone.

    It has ended from the second on.
    """
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    watch = ProcessWatch([os.getpid(), process.pid])
    assert not end_of(watch)
    assert watch.shortened(None) == (None if kernel is None else LOOK_EVERY_S)
    assert watch.shortened(0.01) == 0.01
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert end_of(watch)
    process.wait()
    assert end_of(watch)
    for descriptor in watch.descriptors:
        os.close(descriptor)


def test_a_process_that_is_gone_already_has_ended(kernel):
    """Whoever comes too late learns it at once."""
    process = subprocess.Popen(["true"])
    process.wait()
    assert end_of(ProcessWatch([process.pid]))


def test_another_process_of_that_number_is_not_the_one(kernel, monkeypatch):
    """Without a pidfd, a number that was given again is known by the time of its birth."""
    if kernel is None:
        pytest.skip("the descriptor is of the process, not of its number")
    watch = ProcessWatch([os.getpid()])
    watch._unseen[os.getpid()] -= 1
    assert end_of(watch)


def test_a_process_that_is_hidden_is_looked_for_by_a_signal(kernel, monkeypatch):
    """/proc may hide other users' processes: one that may not be signalled lives."""
    if kernel is None:
        pytest.skip("no need to look")
    watch = ProcessWatch([os.getpid()])
    watch._unseen[os.getpid()] = None
    assert not end_of(watch)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert not end_of(watch)


def test_high_descriptors_are_read(tmp_path):
    """A test's process may have thousands of descriptors open.

    Select(2) refuses those above 1,023.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("so many descriptors are not permitted here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    read_end, write_end = os.pipe()
    high = os.dup2(read_end, 2000)
    try:
        assert child.readable_of([high], 0.0) == []
        os.write(write_end, b"x")
        assert child.readable_of([high], 0.0) == [2000]
        os.read(high, 1)
        os.close(write_end)
        assert child.readable_of([high], 0.0) == [2000]  # the end of the stream can be read, too
    finally:
        os.close(high)
        os.close(read_end)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

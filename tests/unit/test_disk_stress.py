"""The file of a disk event: its space is set aside, on every kind of filesystem."""

import errno
import os

import pytest

from twin_harness.stress import disk_stress
from twin_harness.stress.disk_stress import open_scratch_file

SIZE_BYTES = 1 << 20


class Libc:
    """A libc whose fallocate answers with these errors in turn, then with success."""

    def __init__(self, *errors):
        self._errors = list(errors)
        self.number = 0

    def fallocate64(self, *_):
        self.number = self._errors.pop(0) if self._errors else 0
        return -1 if self.number else 0


@pytest.fixture
def answering(monkeypatch):
    def make(*errors):
        libc = Libc(*errors)
        monkeypatch.setattr(disk_stress.ctypes, "CDLL", lambda *_, **__: libc)
        monkeypatch.setattr(disk_stress.ctypes, "get_errno", lambda: libc.number)

    return make


def made(folder, **options):
    descriptor = open_scratch_file(
        str(folder), {"file_bytes": SIZE_BYTES, "direct": False, "operation": "write", **options}
    )
    status = os.fstat(descriptor)
    os.close(descriptor)
    return status.st_size, status.st_blocks * 512


@pytest.mark.parametrize(
    "number", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM], ids=errno.errorcode.get
)
def test_file_is_written_where_its_space_cannot_be_set_aside(answering, tmp_path, number):
    """ext2, ext3, NFS before 4.2 and a seccomp filter: every block is there before the load."""
    answering(number)
    size_bytes, held_bytes = made(tmp_path)
    assert size_bytes == SIZE_BYTES
    assert held_bytes >= SIZE_BYTES


def test_interrupted_call_is_made_again(answering, tmp_path):
    answering(errno.EINTR, errno.EINTR)
    assert made(tmp_path) == (0, 0)  # the call that did nothing said that it had


def test_missing_space_is_an_error(answering, tmp_path):
    answering(errno.ENOSPC)
    with pytest.raises(OSError, match="No space left on device"):
        made(tmp_path)


def test_space_is_set_aside(tmp_path):
    """By the real call, where this filesystem has it, or by writing."""
    assert made(tmp_path)[0] == SIZE_BYTES

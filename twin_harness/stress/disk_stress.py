"""Controlled disk load: bytes reach the device at the rate asked for.

Direct I/O (O_DIRECT) with an aligned buffer, or buffered writes that are fsynced within the event:
what stays in the page cache is no disk load. The file is bounded, used as a ring, and has no name:
whatever dies, nothing is left behind.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
import time
from typing import TYPE_CHECKING

from twin_harness.shapes.spikes import draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.stress.load import Load

CATCH_UP_S = 0.5
_LONGEST_SLEEP_S = 0.020
_PREPARE_BLOCK_BYTES = 4 * 1024**2
_CANNOT_ALLOCATE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM)  # the last is a seccomp filter's


def open_scratch_file(
    folder: str, options: dict[str, object], look: Callable[[], object] = lambda: None
) -> int:
    """Make the nameless file of a disk event and return its descriptor.

    It is filled where it will be read.

    Args:
        folder: where it goes.
        options: of the event, defaults filled in.
        look: called between two blocks of filling, which may take long; what it raises ends it.

    Raises:
        OSError: the filesystem is full, read-only, or does not do direct I/O; ``strerror`` says
            which.
    """
    size_bytes = int(str(options["file_bytes"]))
    flags = os.O_RDWR | os.O_CLOEXEC
    if options["direct"] and hasattr(os, "O_DIRECT"):
        flags |= os.O_DIRECT
    descriptor = _open_nameless(folder, flags)
    try:
        is_allocated = _allocate(descriptor, size_bytes)
        if options["operation"] != "write" or not is_allocated:
            _fill(descriptor, size_bytes, look)
            os.fsync(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _allocate(descriptor: int, size_bytes: int) -> bool:
    """Set the file's space aside by fallocate(2).

    Return whether the filesystem can (ext2, ext3, NFS before 4.2 cannot).

    Not by posix_fallocate: where the filesystem cannot, glibc writes a byte into each block, which
    a file open for direct I/O refuses with EINVAL (sysdeps/posix/posix_fallocate.c).

    Raises:
        OSError: there is no space.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    allocate = getattr(libc, "fallocate64", None) or libc.fallocate  # musl has one name for both
    while allocate(descriptor, 0, ctypes.c_int64(0), ctypes.c_int64(size_bytes)):
        number = ctypes.get_errno()
        if number in _CANNOT_ALLOCATE:
            return False
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
    return True


def sync_filesystem(descriptor: int) -> None:
    """Write out what others left dirty on a file's filesystem, lest it be taken for our load."""
    if sys.platform == "linux":
        ctypes.CDLL(None).syncfs(descriptor)


def _open_nameless(folder: str, flags: int) -> int:
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(folder, flags | os.O_TMPFILE, 0o600)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
                raise
    path = os.path.join(folder, f".twin-harness-{os.getpid()}-{os.urandom(8).hex()}")
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    os.unlink(path)
    return descriptor


def _fill(descriptor: int, size_bytes: int, look: Callable[[], object]) -> None:
    with mmap.mmap(-1, _PREPARE_BLOCK_BYTES) as block:
        block.write(os.urandom(_PREPARE_BLOCK_BYTES))
        for offset in range(0, size_bytes, _PREPARE_BLOCK_BYTES):
            with memoryview(block)[: min(_PREPARE_BLOCK_BYTES, size_bytes - offset)] as part:
                os.pwrite(descriptor, part, offset)
            look()


class DiskStress:
    """Disk load; the load's unit is bytes per second.

    Args:
        load: what to follow.
        descriptor: the file from ``open_scratch_file``.
        count_fsynced: called with the bytes that have reached the device, in buffered mode.
    """

    def __init__(self, load: Load, descriptor: int, count_fsynced: Callable[[int], None]) -> None:
        self._load = load
        self._descriptor = descriptor
        self._count_fsynced = count_fsynced
        self._block_bytes = int(load.options["block_bytes"])
        self._blocks = int(load.options["file_bytes"]) // self._block_bytes
        self._buffer: mmap.mmap | None = None

    def prepare(self) -> None:
        """Make an aligned buffer of bytes that do not compress."""
        self._buffer = mmap.mmap(-1, self._block_bytes)
        self._buffer.write(os.urandom(self._block_bytes))

    def follow(self, report_start: Callable[[], None]) -> None:
        """Follow the load.

        Raises:
            OSError: the device refused, or moved less than a block.
        """
        load, block_bytes = self._load, self._block_bytes
        is_buffered = not load.options["direct"]
        fsync_every_bytes = int(load.options["fsync_every_bytes"])
        done_bytes = synced_bytes = 0
        forgiven_bytes = 0.0
        report_start()
        while (now_s := time.monotonic()) < load.end_s and not load.is_stopping:
            missing_bytes = load.area(now_s) - forgiven_bytes - done_bytes
            level = load.level(now_s)
            # Half a block early and half a block late: what has been moved is the plan, rounded to
            # blocks, at every moment.
            if missing_bytes < block_bytes / 2:
                if level > 0:
                    wait_s = (block_bytes / 2 - missing_bytes) / level
                else:
                    wait_s = _LONGEST_SLEEP_S
                time.sleep(max(0.0, min(wait_s, _LONGEST_SLEEP_S, load.end_s - now_s)))
                continue
            forgiven_bytes += max(0.0, missing_bytes - max(block_bytes, level * CATCH_UP_S))
            self._move_block(done_bytes // block_bytes)
            done_bytes += block_bytes
            if is_buffered and done_bytes - synced_bytes >= fsync_every_bytes:
                synced_bytes = self._sync(done_bytes)
            took_s = time.monotonic() - now_s
            if missing_bytes >= 2 * block_bytes:  # still behind: the time went to the device
                load.starved_s += took_s
            elif level > 0:  # on time, but the device held the block longer than planned
                load.starved_s += max(0.0, took_s - block_bytes / level)
        if is_buffered and synced_bytes < done_bytes:
            self._sync(done_bytes)

    def _move_block(self, count: int) -> None:
        options = self._load.options
        if options["pattern"] == "random":
            block = int(draw(0, count) * self._blocks)
        else:
            block = count % self._blocks
        is_write = options["operation"] == "write" or (
            options["operation"] == "mixed" and count % 2 == 0
        )
        offset = block * self._block_bytes
        if self._buffer is None:
            msg = "prepare() comes before follow()"
            raise RuntimeError(msg)
        if is_write:
            moved = os.pwrite(self._descriptor, self._buffer, offset)
        else:
            moved = os.preadv(self._descriptor, [self._buffer], offset)
        if moved != self._block_bytes:
            raise OSError(errno.EIO, f"moved {moved} of {self._block_bytes} bytes")

    def _sync(self, done_bytes: int) -> int:
        os.fdatasync(self._descriptor)
        self._count_fsynced(done_bytes)
        return done_bytes

    def release(self) -> None:
        """Close the file, and with it give its space back."""
        os.close(self._descriptor)

"""The file of the load board: made on tmpfs, mapped by every process of a session, and removed."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from twin_harness.errors import HarnessFailure, advise
from twin_harness.system.board_layout import HEAD, MAGIC, NEVER_SEEN, PROBES, SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin_harness.system.board_layout import Field


def board_folders() -> list[Path]:
    """Return where a board may be made, the first choice first.

    It is looked for in all of them when it has to be removed.
    """
    runtime_dir = Path(os.environ.get("XDG_RUNTIME_DIR") or "/run")
    return [Path("/dev/shm"), runtime_dir, Path("/tmp")]


class BoardFile:
    """A mapped board file.

    Attributes:
        path: where it stands.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, SIZE)
        self._entering = threading.Lock()

    @classmethod
    def create(cls, name: str = "") -> Self:
        """Make a board on tmpfs that this user alone can read, under a random name unless given.

        Raises:
            HarnessFailure: there is no tmpfs to put it on.
        """
        folders = board_folders()
        for folder in folders:
            path = folder / (name or f"twin-harness-{os.urandom(8).hex()}.board")
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            try:
                descriptor = os.open(path, flags, 0o600)
            except OSError:
                continue
            try:
                # A hole on a full tmpfs would be a bus error at the first write.
                os.posix_fallocate(descriptor, 0, SIZE)
            except OSError as error:
                os.close(descriptor)
                path.unlink()
                if error.errno == errno.EFBIG:
                    msg = (
                        f"the load board takes {SIZE / 2**20:.1f} MiB, more than a file of this"
                        f" process may have; {advise(error)}"
                    )
                    raise HarnessFailure(msg) from None
                continue
            board = cls(path, descriptor)
            board._map[: len(MAGIC)] = MAGIC
            for probe in PROBES:
                HEAD[f"{probe}_seen"].write(board._map, NEVER_SEEN)
            return board
        msg = (
            f"no folder for the load board: expected one of {', '.join(map(str, folders))} to be"
            " writable; mount a tmpfs there"
        )
        raise HarnessFailure(msg)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Map an existing board.

        Raises:
            HarnessFailure: it is gone, or the file is not a board.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            msg = (
                f"load board {str(path)!r} cannot be opened ({error.strerror}); the session that"
                " owned it has ended"
            )
            raise HarnessFailure(msg) from None
        if os.fstat(descriptor).st_size == SIZE and os.pread(descriptor, len(MAGIC), 0) == MAGIC:
            return cls(Path(path), descriptor)
        os.close(descriptor)
        msg = (
            f"load board {str(path)!r} is not a board of this version; end the session that uses it"
        )
        raise HarnessFailure(msg)

    def close(self, *, unlink: bool = False) -> None:
        """Unmap the board; the session that created it also unlinks it."""
        self._map.close()
        os.close(self._descriptor)
        if unlink:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def _claiming(self) -> Iterator[None]:
        """Hold the board's claim lock: for a few microseconds, while a slot changes its owner."""
        # Threads of one process share the descriptor, and so would share the kernel's lock.
        with self._entering:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _renew(self, generation: Field) -> None:
        """Put another number in a generation, by which readers notice a change.

        A random one, not the next: two writers at a time must never leave the number that a reader
        knows.
        """
        generation.write(self._map, int.from_bytes(os.urandom(8), "little"))

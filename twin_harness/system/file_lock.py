"""A lock on a file (flock(2)): held by an open file description, so by all who inherited it.

Closing the descriptor lets go only when the last copy is closed. A fork of the user's closes its
copy (``forks``), but one that a C library has made does not, so ``release`` also unlocks, which
lets go for all copies: of a lock that nobody is meant to inherit, or whose heirs are known to have
ended.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from twin_harness.errors import HarnessFailure
from twin_harness.system.forks import close_in_forks, keep_in_forks

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked: scenarios can be written there
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable

_IS_TAKEN = (errno.EWOULDBLOCK, errno.EACCES)


class FileLock:
    """An open descriptor that locks are taken on; forks of this process do not keep it.

    Args:
        descriptor: open, of a file or folder; it is ours from now on.
        what: what it locks, as a sentence names it.
    """

    def __init__(self, descriptor: int, what: str) -> None:
        self.descriptor = descriptor
        self._what = what
        close_in_forks(self)

    def fileno(self) -> int:
        """Return its descriptor, for whoever takes a file object; -1 once it is closed."""
        return self.descriptor

    def take(self, *, is_shared: bool = False, on_wait: Callable[[], None] = lambda: None) -> None:
        """Take it, waiting for it; ``on_wait`` is called before a wait.

        Raises:
            HarnessFailure: this filesystem cannot lock.
        """
        if not self.try_take(is_shared=is_shared):
            on_wait()
            self._flock(fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX)

    def try_take(self, *, is_shared: bool = False) -> bool:
        """Take it if it is free, and return whether it was.

        Raises:
            HarnessFailure: this filesystem cannot lock.
        """
        try:
            self._flock((fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _flock(self, operation: int) -> None:
        try:
            fcntl.flock(self.descriptor, operation)
        except OSError as error:
            if error.errno in _IS_TAKEN:
                raise BlockingIOError(*error.args) from None
            msg = (
                f"{self._what} cannot be locked ({error.strerror}): its filesystem has no locks, or"
                " none are left; put it on a local filesystem"
            )
            raise HarnessFailure(msg) from None

    def release(self) -> None:
        """Let go, also for whoever has inherited it, and close it."""
        if self.descriptor >= 0:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_UN)
            except OSError:
                pass  # closing lets go as well
            finally:
                self.close()

    def close(self) -> None:
        """Close it; processes that inherited it keep the lock. A second time does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        keep_in_forks(self)
        if descriptor >= 0:
            os.close(descriptor)

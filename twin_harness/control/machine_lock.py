"""The machine's locks: who may load it now, over all workers, sessions and users.

flock'd files that are opened without following links and never read or written, so that what they hold does not matter and no death
leaves anything behind: the kernel lets go when the last process that has the descriptor is gone. Load hosts inherit it, so the machine
stays taken while any load is left.

A waiter holds the turnstile while it waits for the machine. Whoever releases the machine and wants it again has to pass the turnstile
first, behind the waiter, so that nobody is overtaken for ever.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from typing import TYPE_CHECKING

from twin_harness.errors import HarnessFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MACHINE, TURNSTILE = "machine", "turnstile"
_AFTER_RELEASE_S = 0.02
RESOURCES = ("cpu", "disk", "memory")


def lock_folders() -> tuple[str, ...]:
    """Return where lock files may stand, the first choice first."""
    named = os.environ.get("XDG_RUNTIME_DIR")
    return ("/run/lock", "/var/lock", *([named] if named else []))


def open_lock(name: str, folders: Sequence[str] | None = None) -> int:
    """Return a descriptor of a lock file, made if need be; it is inherited only where it is passed on.

    Raises:
        HarnessFailure: none of the folders lets us have one.
    """
    tried = tuple(folders or lock_folders())
    for folder in tried:
        path = os.path.join(folder, f"twin-harness.{name}.lock")  # noqa: PTH118 - a string for os.open
        # Another user's file in a sticky folder may not be opened for creating (fs.protected_regular): reading is enough for flock.
        for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
            try:
                descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
            except OSError:
                continue
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
            os.close(descriptor)
    msg = f"no lock for this machine: expected one of {', '.join(tried)} to be writable; set XDG_RUNTIME_DIR to a folder of yours"
    raise HarnessFailure(msg)


class MachineLock:
    """The machine, taken by this process.

    Args:
        folders: where lock files stand; None takes the system's.
        on_wait: called when the machine is not free, before waiting.
    """

    def __init__(self, folders: Sequence[str] | None = None, on_wait: Callable[[], None] | None = None) -> None:
        self._folders = folders
        self._on_wait = on_wait or (lambda: None)
        self._descriptors: list[int] = []
        self._released_s = 0.0

    @property
    def is_held(self) -> bool:
        """Whether the machine is taken by us."""
        return bool(self._descriptors)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What load processes inherit."""
        return tuple(self._descriptors)

    def take(self, *, shared_resources: Sequence[str] | None = None, is_ours_already: bool = False) -> None:
        """Take the machine, waiting for it in turn; nothing happens when it is held already.

        Args:
            shared_resources: None takes the whole machine; else it is shared with others that use other resources.
            is_ours_already: our session has a share of it, so that who waits at the turnstile waits for us: we do not queue behind him.

        Raises:
            HarnessFailure: there is no place for lock files.
        """
        if self.is_held:
            return
        # flock wakes its waiters, who then try again: who has just let go leaves them the time to.
        time.sleep(max(0.0, self._released_s + _AFTER_RELEASE_S - time.monotonic()))
        turnstile = open_lock(TURNSTILE, self._folders)
        taken: list[int] = []
        try:
            if not is_ours_already:
                self._wait_for(turnstile, fcntl.LOCK_EX)
            taken.append(open_lock(MACHINE, self._folders))
            self._wait_for(taken[-1], fcntl.LOCK_EX if shared_resources is None else fcntl.LOCK_SH)
            for resource in sorted(set(shared_resources or ())):
                taken.append(open_lock(resource, self._folders))
                self._wait_for(taken[-1], fcntl.LOCK_EX)
        except BaseException:
            for descriptor in taken:
                os.close(descriptor)
            raise
        finally:
            os.close(turnstile)
        self._descriptors = taken

    def _wait_for(self, descriptor: int, operation: int) -> None:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            self._on_wait()
            fcntl.flock(descriptor, operation)

    def release(self) -> None:
        """Let go; load processes that inherited the lock keep it until they end."""
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            os.close(descriptor)
        if descriptors:
            self._released_s = time.monotonic()

"""The machine's locks: who may load it now, over all workers, sessions and users.

flock'd files that are opened without following links and never read or written, so that what they
hold does not matter and no death leaves anything behind: the kernel lets go when the last process
that has the descriptor is gone. Load hosts inherit it, so the machine stays taken while any load is
left.

A waiter holds the turnstile while it waits for the machine. Whoever releases the machine and wants
it again has to pass the turnstile first, behind the waiter, so that nobody is overtaken for ever.

All users of a machine must come to the same files. So the folder is the first in a list that
*anybody* may write to, whatever the rights of who asks: root, who may write to /run/lock where it
is root's alone (Fedora), would else meet nobody there.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.errors import HarnessFailure
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.file_lock import FileLock
from twin_harness.system.lock_holders import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MACHINE, TURNSTILE = "machine", "turnstile"
_AFTER_RELEASE_S = 0.02
RESOURCES = ("cpu", "disk", "memory")
_ALL_READ = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
# /run/lock is missing in Alpine's image, where /var/lock points at it. /dev/shm comes before /tmp:
# services have a /tmp of their own.
_PUBLIC_FOLDERS = ("/run/lock", "/var/lock", "/dev/shm", "/tmp")


def is_public(folder: str) -> bool:
    """Tell whether every user may make a file in a folder, and nobody may remove another one's."""
    try:
        mode = Path(folder).stat().st_mode
    except OSError:
        return False
    return (
        stat.S_ISDIR(mode) and mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH | stat.S_ISVTX
    )


def lock_folders() -> tuple[str, ...]:
    """Return where lock files may stand, the first choice first.

    Folders that all users share, then those that not all can write to.
    """
    folders = sorted(_PUBLIC_FOLDERS, key=lambda folder: not is_public(folder))
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR")
    if runtime_dir:
        folders.append(runtime_dir)
    return tuple(folders)


@dataclass(frozen=True)
class LockPlace:
    """Where the machine's lock stands, and whether every user of the machine comes to it."""

    folder: str
    is_for_all_users: bool


def find_lock_place(folders: Sequence[str] | None = None) -> LockPlace:
    """Return where this user's sessions lock the machine.

    Raises:
        HarnessFailure: nowhere, or its filesystem cannot lock.
    """
    lock = open_lock(MACHINE, folders)
    try:
        if lock.try_take():
            lock.release()
        folder = os.path.dirname(lock.path)
        return LockPlace(folder, is_public(folder))
    finally:
        lock.close()


class MachineFile(FileLock):
    """One of the lock files, open.

    Attributes:
        path: where it stands.
    """

    def __init__(self, descriptor: int, path: str) -> None:
        super().__init__(descriptor, f"the machine's lock {path}")
        self.path = os.path.realpath(path)


def open_lock(name: str, folders: Sequence[str] | None = None) -> MachineFile:
    """Return a lock file, open and made if need be.

    Its descriptor is inherited only where it is passed on.

    Raises:
        HarnessFailure: none of the folders lets us have one, or another user's cannot be read.
    """
    tried = tuple(folders or lock_folders())
    for folder in tried:
        path = os.path.join(folder, f"twin-harness.{name}.lock")
        descriptor = _open_regular(path)
        if descriptor is not None:
            return MachineFile(descriptor, path)
    msg = (
        f"no lock for this machine: expected one of {', '.join(tried)} to be writable; set"
        " XDG_RUNTIME_DIR to a folder of yours"
    )
    raise HarnessFailure(msg)


def _open_regular(path: str) -> int | None:
    """Return a descriptor of a lock file.

    None where its folder is to be passed over, by us and so by all users.

    Raises:
        HarnessFailure: it is there and another user's, who lets nobody read it: in another folder
            we would meet nobody.
    """
    # Another user's file in a sticky folder may not be opened for creating (fs.protected_regular):
    # reading is enough for flock.
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        try:
            descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        except OSError as error:
            refusal = error
            continue
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        _let_all_read(descriptor, status)
        return descriptor
    if refusal.errno == errno.EACCES and _is_regular(path):
        msg = (
            f"the machine's lock {path} belongs to another user and cannot be read; have its owner"
            f" or root run: chmod a+r {path}"
        )
        raise HarnessFailure(msg)
    return None


def _let_all_read(descriptor: int, status: os.stat_result) -> None:
    """Undo what a strict umask has taken from a lock file of ours.

    Who cannot read it would lock another one.

    An empty file with one name only: what somebody has linked there under this name may be any file
    of ours, and holds something.
    """
    is_ours = status.st_uid == os.geteuid() and status.st_nlink == 1 and status.st_size == 0
    if is_ours and status.st_mode & _ALL_READ != _ALL_READ:
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode) | _ALL_READ)


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


class MachineLock:
    """The machine, taken by this process.

    Args:
        folders: where lock files stand; None takes the system's.
        on_wait: called with who has the machine when it is not free, before waiting and now and
            then while waiting.
    """

    def __init__(
        self, folders: Sequence[str] | None = None, on_wait: Callable[[str], None] | None = None
    ) -> None:
        self._folders = folders
        self._on_wait = on_wait or (lambda _: None)
        self._locks: list[MachineFile] = []
        self._released_s = 0.0

    @property
    def is_held(self) -> bool:
        """Whether the machine is taken by us; never in a fork of who has taken it."""
        return any(lock.descriptor >= 0 for lock in self._locks)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What load processes inherit."""
        return tuple(lock.descriptor for lock in self._locks if lock.descriptor >= 0)

    def take(
        self, *, shared_resources: Sequence[str] | None = None, is_ours_already: bool = False
    ) -> None:
        """Take the machine, waiting for it in turn; nothing happens when it is ours already.

        Args:
            shared_resources: None takes the whole machine; else it is shared with others that use
                other resources.
            is_ours_already: our session has a share of it, so that who waits at the turnstile waits
                for us: we do not queue behind him.

        Raises:
            HarnessFailure: there is no place for lock files, or a process that we have forked holds
                the machine.
        """
        if self.is_held:
            return
        # flock wakes its waiters, who then try again: who has just let go leaves them the time to.
        sleep_s(self._released_s + _AFTER_RELEASE_S - monotonic_s())
        turnstile = open_lock(TURNSTILE, self._folders)
        taken: list[MachineFile] = []
        try:
            taken.append(open_lock(MACHINE, self._folders))
            with Waiting(self._on_wait) as waiting:
                if not is_ours_already:
                    # Who waits there waits for the machine in the end.
                    waiting.take(turnstile, taken[0].path)
                waiting.take(taken[0], taken[0].path, is_shared=shared_resources is not None)
                for resource in sorted(set(shared_resources or ())):
                    taken.append(open_lock(resource, self._folders))
                    waiting.take(taken[-1], taken[-1].path)
        except BaseException:
            for lock in taken:
                lock.release()
            raise
        finally:
            turnstile.release()
        self._locks = taken

    def release(self, *, is_load_gone: bool = False) -> None:
        """Let go; load processes that inherited the lock keep it until they end.

        Args:
            is_load_gone: all load that inherited it has ended and been waited for: let go also for
                copies in forks that nobody knows of.
        """
        locks, self._locks = self._locks, []
        for lock in locks:
            if is_load_gone:
                lock.release()
            else:
                lock.close()
        if locks:
            self._released_s = monotonic_s()

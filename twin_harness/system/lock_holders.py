"""Who holds a lock file, by /proc, and how a wait for it is reported, at once and every minute."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from twin_harness.errors import HarnessFailure
from twin_harness.system.clock import monotonic_s, sleep_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from twin_harness.system.file_lock import FileLock

AGAIN_EVERY_S = 60.0
_FORK_PATIENCE_S = 10.0
_POLL_S = 0.05
_LONGEST_COMMAND = 60
_OUR_LOAD = "twin_harness.stress"


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock: taken by itself, or inherited from ``taker``."""

    pid: int
    taker: int


def holders_of(path: str) -> list[Holder]:
    """Return who holds a lock on a file, as far as we may look.

    fdinfo names the locks of each descriptor, and who took them (proc(5)). A process of another
    mount namespace, as in a container, has another file by the same name.
    """
    holders = []
    our_mounts = _mounts_of(Path("/proc/self"))
    for folder in Path("/proc").glob("[0-9]*"):
        if _mounts_of(folder) != our_mounts:
            continue
        try:
            links = list((folder / "fd").iterdir())
        except OSError:
            continue  # it has ended, or is another user's
        takers = [taker for link in links if (taker := _taker(folder, link, path)) is not None]
        if takers:
            holders.append(Holder(int(folder.name), takers[0]))
    return holders or _holders_by_inode(path)


def _mounts_of(folder: Path) -> str:
    """Return the mount namespace of a process; empty where that is hidden."""
    try:
        return str((folder / "ns" / "mnt").readlink())
    except OSError:
        return ""


def _taker(folder: Path, link: Path, path: str) -> int | None:
    """Return who took the lock that a descriptor holds on a file.

    It is known by the file's name: asking the file itself may hang (a lost NFS server).
    """
    try:
        if str(link.readlink()) != path:
            return None
        lines = (folder / "fdinfo" / link.name).read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    locks = [line.split() for line in lines if line.startswith("lock:") and "FLOCK" in line]
    if locks:
        return int(locks[0][5])
    return None


def _holders_by_inode(path: str) -> list[Holder]:
    """Return who took a lock on a file, by the kernel's own list.

    It alone shows another user's process, which may have ended since.
    """
    try:
        status = Path(path).stat()
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    taken = [line.split() for line in lines if "->" not in line]
    ours = [words for words in taken if words[1:2] == ["FLOCK"] and words[5] == place]
    pids = [int(words[4]) for words in ours if words[4].isdecimal()]
    return [Holder(pid, pid) for pid in pids if pid]


def command_of(pid: int) -> str:
    """Return a process's command line, shortened; nothing when it is gone or hidden."""
    try:
        data = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    words = data.replace(b"\0", b" ").decode("utf-8", "replace").strip()
    if len(words) <= _LONGEST_COMMAND:
        return words
    return f"{words[: _LONGEST_COMMAND - 1]}…"


def describe(holders: list[Holder]) -> str:
    """Return who holds the lock, to stand in a sentence; nothing when nobody is found."""
    if not holders:
        return ""
    first = next((holder for holder in holders if holder.pid == holder.taker), holders[0])
    command = command_of(first.pid)
    words = f"process {first.pid}"
    if command:
        words += f", {command}"
    if len(holders) > 1:
        words += f" and {len(holders) - 1} more"
    return f" ({words})"


class Waiting:
    """A wait for locks: reported when it begins, and again every minute, with who holds them.

    Args:
        report: is called with who holds it, as ``describe`` words it.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._path = ""
        self._report = report
        self._is_over = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()

    def take(self, lock: FileLock, path: str, *, is_shared: bool = False) -> None:
        """Take a lock, waiting for it in turn; ``path`` is the file whose holder keeps us waiting.

        Args:
            lock: what is taken.
            path: its file, or that of another lock whose holders keep us waiting: of the turnstile,
                the machine's.
            is_shared: whether others may hold it beside us, shared likewise.

        Raises:
            HarnessFailure: this process, or one that it has forked, is who keeps us waiting.
        """
        if lock.try_take(is_shared=is_shared):
            return
        if not self._path:
            self._path = path
            self._report_holders()
            with contextlib.suppress(RuntimeError):  # no thread is permitted: it is said once
                threading.Thread(
                    target=self._report_again, name="twin-waiting", daemon=True
                ).start()
        self._path = path
        if not self._is_freed_by_us(lock, is_shared=is_shared):
            lock.take(is_shared=is_shared)

    def _report_holders(self) -> None:
        self._report(describe(holders_of(self._path)))

    def _report_again(self) -> None:
        while not self._is_over.wait(AGAIN_EVERY_S):
            self._report_holders()

    def _is_freed_by_us(self, lock: FileLock, *, is_shared: bool) -> bool:
        """Take a lock that is held by us or by forks of ours; return False where it is not.

        Raises:
            HarnessFailure: it is not let go within ten seconds: we would wait for ourselves.
        """
        deadline_s = monotonic_s() + _FORK_PATIENCE_S
        while ours := self._our_holders():
            if lock.try_take(is_shared=is_shared):
                return True
            if monotonic_s() > deadline_s:
                raise HarnessFailure(_sentence_on(ours))
            sleep_s(_POLL_S)
        return False

    def _our_holders(self) -> list[Holder]:
        """Return who holds the lock, if it is we who took it, and none is load of ours.

        Load ends as planned, and is waited for.
        """
        holders = holders_of(self._path)
        if any(holder.taker != os.getpid() for holder in holders):
            return []
        if any(_OUR_LOAD in command_of(holder.pid) for holder in holders):
            return []
        return holders


def _sentence_on(ours: list[Holder]) -> str:
    """Return why waiting for ourselves would never end, and what to do."""
    if any(holder.pid == os.getpid() for holder in ours):
        return (
            f"the machine is held by this process itself (process {os.getpid()}), "
            "in another session or test of it that has not ended; "
            "run experiments through this test's own fixtures"
        )
    return (
        f"the machine is held by a fork of this process{describe(ours)}, "
        "made while a test had the machine; "
        "end it before the next test begins, or start it with subprocess"
    )

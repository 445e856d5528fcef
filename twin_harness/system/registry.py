"""The registry of a board: which processes and folders belong to it, for whoever removes them.

A file beside the board, one JSON line a process: pid, creation time, uid, command line, and where
they mean something: PID namespace and boot. Containers may share the folder of the boards, and a
pid is another process in each. It is written when the board is made, so that no board is without
one for longer than that takes. A version that does not know a key of a line reads none of it, and
leaves that session alone.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from twin_harness.system.clock import sleep_s
from twin_harness.system.procfs import start_ticks

_EXEC_PATIENCE_MS = 200
INITIAL_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO (include/linux/proc_ns.h): of every boot
_NAMESPACE, _BOOT_ID = Path("/proc/self/ns/pid"), Path("/proc/sys/kernel/random/boot_id")


def pid_namespace() -> int:
    """Return the number of our PID namespace; 0 where there is none to read."""
    try:
        return _NAMESPACE.stat().st_ino
    except OSError:
        return 0


def boot_id() -> str:
    """Return what the kernel drew at this boot; empty where it cannot be read.

    Some containers (systemd-nspawn, LXC) are given one of their own.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def sees_every_process() -> bool:
    """Whether we are in the initial PID namespace, or where that cannot be known."""
    return pid_namespace() in (0, INITIAL_NAMESPACE)


@dataclass(frozen=True)
class Registered:
    """A process as it was when it was registered.

    Attributes:
        role: controller, logger, probe, host or guard.
        pid: the process.
        start_ticks: when it began, in clock ticks since boot.
        uid: whose it is.
        command: its command line.
        scratch_dir: where its session's load writes; empty where there is none.
        workings_dir: a folder of temporary files that goes with the session; empty where there is
            none.
        pid_namespace: the PID namespace in which ``pid`` is the process; 0 where that is unknown.
        boot_id: the boot in which it ran; empty where that is unknown.
    """

    role: str
    pid: int
    start_ticks: int
    uid: int
    command: str
    scratch_dir: str = ""
    workings_dir: str = ""
    pid_namespace: int = 0
    boot_id: str = ""

    def is_of_another_boot(self) -> bool:
        """Whether it ran under another boot id than ours."""
        here = boot_id()
        return bool(self.boot_id and here) and self.boot_id != here

    def is_of_another_namespace(self) -> bool:
        """Whether its pid may name another process here.

        Where it does not say whose pid it is (an older version wrote it), only the initial
        namespace takes it for its own.
        """
        here = pid_namespace()
        if not self.pid_namespace or not here:
            return not sees_every_process()
        return self.pid_namespace != here

    def is_alive(self) -> bool:
        """Whether the very same process still runs.

        It does when pid, creation time, uid and command line all match. A controller is alive when
        pid and creation time match: libraries rename processes, and a live session is never reaped.
        Nothing outlives its boot.
        """
        if self.is_of_another_boot():
            return False
        if self.role == "controller":
            return start_ticks(self.pid) == self.start_ticks
        return _identity(self.pid) == (self.start_ticks, self.uid, self.command)


def _identity(pid: int) -> tuple[int, int, str] | None:
    """Return start ticks, user id and command line of a process; None when it is gone."""
    try:
        uid = Path(f"/proc/{pid}").stat().st_uid
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return None
    ticks = start_ticks(pid)
    if ticks is None:
        return None
    return ticks, uid, words.decode("utf-8", "replace").strip()


def registry_path(board: Path) -> Path:
    """Return where the registry of a board's session stands."""
    return board.with_suffix(".registry")


def register(
    board: Path, pid: int, role: str, scratch_dir: str = "", workings_dir: str = ""
) -> bool:
    """Register a process of ours and return whether it is there; a gone one needs no entry.

    Args:
        board: of its session.
        pid: the process.
        role: controller, logger, probe, host or guard.
        scratch_dir: where the session's load writes.
        workings_dir: a folder of temporary files that goes with the session.
    """
    identity = _identity(pid)
    for _ in range(_EXEC_PATIENCE_MS):
        if identity is None or identity[2]:
            break
        sleep_s(0.001)  # the command line is empty for a moment while the process is executed
        identity = _identity(pid)
    if identity is None:
        return False
    place = (pid_namespace(), boot_id())
    entry = asdict(Registered(role, pid, *identity, scratch_dir, workings_dir, *place))
    if not workings_dir:
        del entry["workings_dir"]
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(registry_path(board), flags, 0o600)
    try:
        os.write(descriptor, (json.dumps(entry) + "\n").encode())
    finally:
        os.close(descriptor)
    return True


def read_registry(folder: int, name: str) -> list[Registered]:
    """Return a registry's entries, given the folder's descriptor.

    A file that is not ours or not regular has none.
    """
    try:
        descriptor = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder
        )
    except OSError:
        return []
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            return []
        entries = []
        for line in file.read(1 << 20).split(b"\n")[:-1]:
            try:
                entries.append(Registered(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return entries


def is_role_alive(board: Path, role: str) -> bool:
    """Tell whether any process that a session registered under a role still runs."""
    folder = os.open(board.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        entries = read_registry(folder, registry_path(board).name)
    finally:
        os.close(folder)
    return any(entry.role == role and entry.is_alive() for entry in entries)

"""What a death left behind, found and removed: by ``twin clean`` and by every new session.

Each session keeps a registry on tmpfs, one JSON line a process: pid, creation time, uid, command line. A process is killed only if all
four still match; a file is removed only if its name is of our pattern, it is ours, and its session's controller is gone. Folders are
opened once and files unlinked relative to the descriptor, links not followed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from twin_harness import deadline
from twin_harness.clock import sleep_s
from twin_harness.load_tree import kill_marked
from twin_harness.procfs import start_ticks

BOARD_NAME = re.compile(r"twin-harness-[0-9a-f]{16}\.(board|plan\d{1,2}|registry|lines)")
_EXEC_PATIENCE_MS = 200
SCRATCH_NAME = re.compile(r"\.twin-harness-\d+-[0-9a-f]{16}")


@dataclass(frozen=True)
class Registered:
    """A process as it was when it was registered; role is controller, logger, probe, host or guard."""

    role: str
    pid: int
    start_ticks: int
    uid: int
    command: str
    scratch_dir: str = ""

    def is_alive(self) -> bool:
        """Whether the very same process still runs: pid, creation time, uid and command line all match.

        A controller is alive when pid and creation time match: libraries rename processes, and a live session is never reaped.
        """
        if self.role == "controller":
            return start_ticks(self.pid) == self.start_ticks
        return _describe(self.pid) == (self.start_ticks, self.uid, self.command)


def _describe(pid: int) -> tuple[int, int, str] | None:
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return None
    ticks = start_ticks(pid)
    return (ticks, uid, command) if ticks is not None else None


def registry_path(board: Path) -> Path:
    """Return where the registry of a board's session stands."""
    return board.with_suffix(".registry")


def register(board: Path, pid: int, role: str, scratch_dir: str = "") -> bool:
    """Register a process of ours and return whether it is there; one that is gone already needs no entry."""
    found = _describe(pid)
    for _ in range(_EXEC_PATIENCE_MS):
        if found is None or found[2]:
            break
        sleep_s(0.001)  # the command line is empty for a moment while the process is executed
        found = _describe(pid)
    if found is None:
        return False
    line = json.dumps(asdict(Registered(role, pid, *found, scratch_dir))) + "\n"
    descriptor = os.open(registry_path(board), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
    return True


def _read(folder: int, name: str) -> list[Registered]:
    """Return a registry's entries; none for a file that is not ours or not regular."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
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
        return any(entry.role == role and entry.is_alive() for entry in _read(folder, registry_path(board).name))
    finally:
        os.close(folder)


def reap(folder: Path = Path("/dev/shm"), ended_board: str = "") -> list[str]:  # noqa: S108 - where boards stand
    """Kill and remove what sessions left whose controller is gone; return a sentence for each thing done.

    Args:
        folder: where boards stand.
        ended_board: the board of our own session, which is over although its controller lives, because its run folder is lost.
    """
    done: list[str] = []
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return done
    try:
        names = [name for name in os.listdir(descriptor) if BOARD_NAME.fullmatch(name)]
        for name in sorted(name for name in names if name.endswith(".registry")):
            entries = _read(descriptor, name)
            controllers = [entry for entry in entries if entry.role == "controller"]
            is_over = bool(controllers) and not any(entry.is_alive() for entry in controllers)
            if not is_over and name.removesuffix(".registry") != ended_board.removesuffix(".board"):
                continue
            done += _kill_left(entries)
            if count := kill_marked(f"{name.removesuffix('.registry')}."):
                done.append(f"killed {count} processes of commands that a session ran as load which is gone")
            done += _remove_scratch(entries)
            stem = name.removesuffix(".registry")
            done += [f"removed {folder / other}" for other in names if other.startswith(f"{stem}.") and _unlink(descriptor, other)]
    finally:
        os.close(descriptor)
    return done


def _kill_left(entries: list[Registered]) -> list[str]:
    done = []
    for entry in entries:
        if entry.role != "controller" and entry.uid == os.getuid() and entry.is_alive():
            try:
                os.kill(entry.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            done.append(f"killed {entry.role} {entry.pid}, left by a session that is gone")
    return done


def _remove_scratch(entries: list[Registered]) -> list[str]:
    done = []
    for scratch_dir in sorted({entry.scratch_dir for entry in entries if entry.scratch_dir}):
        try:
            done += deadline.ask("twin_harness.control.reaper:remove_scratch_files", scratch_dir)
        except deadline.Unanswered as error:
            done.append(f"{error}; scratch files of a session that is gone may be left there")
        except OSError:
            continue
    return done


def remove_scratch_files(scratch_dir: str) -> list[str]:
    """Remove the files of our pattern that are ours; return a sentence for each. A filesystem that hangs hangs this.

    Raises:
        OSError: the folder is not there.
    """
    descriptor = os.open(scratch_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        names = [name for name in os.listdir(descriptor) if SCRATCH_NAME.fullmatch(name)]
        return [f"removed {scratch_dir}/{name}" for name in names if _unlink(descriptor, name)]
    finally:
        os.close(descriptor)


def _unlink(folder: int, name: str) -> bool:
    """Remove a regular file of ours, relative to an open folder; return whether it was there."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            return False
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    return True

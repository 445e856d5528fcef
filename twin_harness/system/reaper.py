"""What a killed session left behind, removed by ``twin clean`` and by every new session.

Each session keeps a registry on tmpfs, one JSON line a process: pid, creation time, uid, command
line. A process is killed only if all four still match; a file is removed only if its name is of our
pattern, it is ours, and its session's controller is gone. Folders are opened once and files
unlinked relative to the descriptor, links not followed.

Containers may share these folders. What a session of another PID namespace registered cannot be
judged from here and stays: the next session over there removes it. What nobody registered is
judged by age and by who has it open in the initial namespace alone, which sees every process;
elsewhere it stays, unless it is older than this boot.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import time
from pathlib import Path

from twin_harness.system import deadline
from twin_harness.system.board_file import board_folders
from twin_harness.system.clock import utc_s
from twin_harness.system.load_tree import kill_marked
from twin_harness.system.registry import (
    INITIAL_NAMESPACE,
    Registered,
    is_role_alive,
    pid_namespace,
    read_registry,
    register,
    registry_path,
    sees_every_process,
)

__all__ = ["is_role_alive", "reap", "register", "registry_path"]

BOARD_NAME = re.compile(r"twin-harness-[0-9a-f]{16}\.(board|plan\d{1,2}|registry|lines)")
SCRATCH_NAME = re.compile(r"\.twin-harness-\d+-[0-9a-f]{16}")
WORKINGS_NAME = re.compile(r"twin-(log|overhead)-[0-9a-z_]{8}")
_WORKINGS = re.compile(r"\.?(metrics|dataset)\.csv|\.?logger\.(json|lock)(\.[0-9a-f]{8})?")
# A board is registered at once and stays open; the lines of a session that has no board yet may
# wait for its first load for long.
_UNREGISTERED_S, _LINES_S = 60.0, 86_400.0


def reap(folder: Path | None = None, ended_board: str = "") -> list[str]:
    """Kill and remove what sessions left whose controller is gone; return a sentence for each.

    Args:
        folder: where boards stand; None looks at every folder in which a board may have been made.
        ended_board: the board of our own session, which is over although its controller lives,
            because its run folder is lost.
    """
    done: list[str] = []
    for place in (folder,) if folder is not None else board_folders():
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            done += _reap_in(place, descriptor, ended_board)
        finally:
            os.close(descriptor)
    return done


def _reap_in(folder: Path, descriptor: int, ended_board: str) -> list[str]:
    done: list[str] = []
    names = sorted(name for name in os.listdir(descriptor) if BOARD_NAME.fullmatch(name))
    registered = {name.removesuffix(".registry") for name in names if name.endswith(".registry")}
    for stem in sorted(registered):
        entries = read_registry(descriptor, f"{stem}.registry")
        is_of_before = _is_older_than_boot(descriptor, f"{stem}.registry")
        if any(_is_out_of_sight(entry, is_of_before=is_of_before) for entry in entries):
            continue
        controllers = [entry for entry in entries if entry.role == "controller"]
        is_over = bool(controllers) and not any(entry.is_alive() for entry in controllers)
        if not is_over and stem != ended_board.removesuffix(".board"):
            continue
        done += _kill_left(entries)
        if count := kill_marked(f"{stem}."):
            done.append(
                f"killed {count} processes of load commands, left by a session that is gone"
            )
        done += _remove_scratch(entries)
        done += _remove_workings(entries)
        for name in names:
            if name.startswith(f"{stem}.") and _unlink(descriptor, name):
                done.append(f"removed {folder / name}")
    others = [name for name in names if name.partition(".")[0] not in registered]
    return done + _remove_unregistered(folder, descriptor, others)


def _is_out_of_sight(entry: Registered, *, is_of_before: bool) -> bool:
    """Tell whether a process may run where its pid says nothing to us.

    Another boot id alone does not mean another boot: a container may have been given its own. It
    does between two processes of the initial namespace, or where the registry is older than this
    boot.
    """
    if entry.is_of_another_boot():
        is_on_host = entry.pid_namespace == pid_namespace() == INITIAL_NAMESPACE
        return not (is_on_host or is_of_before)
    return entry.is_of_another_namespace()


def _is_older_than_boot(folder: int, name: str) -> bool:
    return hasattr(time, "CLOCK_BOOTTIME") and _age_s(folder, name) > _uptime_s()


def _uptime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _remove_unregistered(folder: Path, descriptor: int, names: list[str]) -> list[str]:
    """Remove what no registry names.

    Of a session that died as it began, or of a version whose ``twin log`` kept none.
    """
    old = []
    for name in names:
        if name.endswith(".lines"):
            patience_s = _LINES_S
        else:
            patience_s = _UNREGISTERED_S
        is_done = sees_every_process() or _is_older_than_boot(descriptor, name)
        if is_done and _age_s(descriptor, name) > patience_s:
            old.append(name)
    if not old:
        return []
    used = {name.partition(".")[0] for name in _open_boards()}
    old = [name for name in old if name.partition(".")[0] not in used]
    return [f"removed {folder / name}" for name in old if _unlink(descriptor, name)]


def _age_s(folder: int, name: str) -> float:
    try:
        return utc_s() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_ctime
    except OSError:
        return 0.0


def _open_boards() -> set[str]:
    """Return the names of the boards that any process we may look at has open."""
    names = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # not ours, or gone meanwhile
            for link in os.listdir(process / "fd"):
                with contextlib.suppress(OSError):  # closed meanwhile
                    name = os.readlink(process / "fd" / link).rpartition("/")[2]
                    if BOARD_NAME.fullmatch(name):
                        names.add(name)
    return names


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
            done += deadline.ask("twin_harness.system.reaper:remove_scratch_files", scratch_dir)
        except deadline.Unanswered as error:
            done.append(f"{error}; scratch files of a session that is gone may be left there")
        except OSError:
            continue
    return done


def remove_scratch_files(scratch_dir: str) -> list[str]:
    """Remove the files of our pattern that are ours; return a sentence for each.

    A filesystem that hangs hangs this.

    Raises:
        OSError: the folder is not there.
    """
    descriptor = os.open(scratch_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        names = [name for name in os.listdir(descriptor) if SCRATCH_NAME.fullmatch(name)]
        return [f"removed {scratch_dir}/{name}" for name in names if _unlink(descriptor, name)]
    finally:
        os.close(descriptor)


def _remove_workings(entries: list[Registered]) -> list[str]:
    """Remove the folders of temporary files that sessions named.

    Ours, of our pattern, with nothing in them but our files.
    """
    done = []
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    for workings_dir in {entry.workings_dir for entry in entries}:
        if not WORKINGS_NAME.fullmatch(Path(workings_dir).name):
            continue
        try:
            descriptor = os.open(workings_dir, flags)
        except OSError:
            continue
        try:
            if os.fstat(descriptor).st_uid == os.getuid():
                for name in os.listdir(descriptor):
                    if _WORKINGS.fullmatch(name):
                        _unlink(descriptor, name)
        finally:
            os.close(descriptor)
        with contextlib.suppress(OSError):  # something else stands in it
            os.rmdir(workings_dir)
            done.append(f"removed {workings_dir}")
    return done


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

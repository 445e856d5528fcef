"""Starting the logger and the probe of a run: once, by whoever comes first, under a lock in the run folder."""

from __future__ import annotations

import fcntl
import json
import os
import select
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twin_harness.child import start_child
from twin_harness.errors import HarnessFailure
from twin_harness.registry import registry_path

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from twin_harness.board import Board

_MODULE = "twin_harness.telemetry"
START_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Telemetry:
    """What the logger of a run is told.

    Attributes:
        dataset, account, lock: files of the run folder. board: path of the load board.
        interval_s: between two samples. controller_pid: the process that it ends with. machine: content of ``machine.json``.
        source: where samples come from: auto, procfs or psutil. probe_disk: probe the scratch folder. probe_service: its address, if any.
        on_start: told pid and role of each process that is started.
        before_start: called before the logger is started, by one worker at a time; the descriptors that it returns the logger holds while it lives.
    """

    dataset: Path
    account: Path
    lock: Path
    board: Path
    interval_s: float
    controller_pid: int
    machine: dict[str, Any]
    source: str = "auto"
    probe_disk: bool = False
    probe_service: str = ""
    on_start: Callable[[int, str], object] = lambda _pid, _role: None
    before_start: Callable[[], tuple[int, ...]] = tuple

    def _settings(self) -> dict[str, Any]:
        return {
            "dataset": str(self.dataset),
            "account": str(self.account),
            "board": str(self.board),
            "interval_s": self.interval_s,
            "controller_pid": self.controller_pid,
            "machine": self.machine,
            "source": self.source,
            "probe_disk": self.probe_disk,
            "probe_service": self.probe_service,
            "outlives_starter": True,
        }

    def ensure_logger(self) -> subprocess.Popen[bytes] | None:
        """Start the logger unless one lives, and return it once it samples; None when somebody else's lives.

        The living logger holds the lock through a descriptor it inherits, so the lock tells whether one lives.

        Raises:
            HarnessFailure: it does not come up.
        """
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            process = start_child(_MODULE, self._settings(), title="logger", libraries=("psutil",), pass_fds=(descriptor, *self.before_start()))
        finally:
            os.close(descriptor)
        self.on_start(process.pid, "logger")
        _await_ready(process)
        return process

    def has_logger(self) -> bool:
        """Tell whether a logger lives, whoever started it."""
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def start_probe(self) -> subprocess.Popen[bytes]:
        """Start the probe."""
        process = start_child(_MODULE, self._settings(), title="probe")
        self.on_start(process.pid, "probe")
        return process


def remove_registered(board: Board) -> None:
    """Remove a board, and the registry last.

    While it stands, a death in between leaves nothing that nobody finds.
    """
    board.close(unlink=True)
    registry_path(board.path).unlink(missing_ok=True)


def _await_ready(process: subprocess.Popen[bytes]) -> None:
    """Wait for the logger's first line.

    Raises:
        HarnessFailure: it ended, or says nothing for 20 s.
    """
    output = process.stdout
    is_telling = output is not None and bool(select.select([output], [], [], START_PATIENCE_S)[0])
    line = output.readline() if is_telling and output is not None else b""
    if not line or json.loads(line).get("state") != "ready":
        process.kill()
        msg = f"the telemetry logger did not start (exit code {process.wait()}); its own message stands above, on stderr"
        raise HarnessFailure(msg)

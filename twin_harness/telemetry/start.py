"""Starting the logger and the probe of a run.

Once, by whoever comes first, under a lock in the run folder.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from twin_harness.errors import HarnessFailure
from twin_harness.system.child import close_pipes, kill_group, readable_of, start_child
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.file_lock import FileLock
from twin_harness.system.process_watch import ProcessWatch
from twin_harness.system.registry import registry_path

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from twin_harness.system.board import Board
    from twin_harness.system.telemetry_messages import (
        LoggerSettings,
        MachineFacts,
        ProbeSettings,
        TelemetryReady,
        TelemetrySettings,
    )

_MODULE = "twin_harness.telemetry"
START_PATIENCE_S = 20.0
_POLL_S = 0.005


@dataclass(frozen=True)
class Telemetry:
    """The settings of a run's logger and probe, and what starts the two.

    Attributes:
        dataset: file of the run folder that the logger appends to.
        account: file for its account of itself.
        lock: file that is locked while a logger lives.
        board: path of the load board.
        interval_s: between two samples.
        controller_pid: the process that both end with.
        machine: content of ``machine.json``.
        source: where samples come from: auto, procfs or psutil.
        probe_disk: probe the scratch folder.
        probe_service: address of the service to probe, if any.
        on_start: called with pid and role of each process that is started.
        leaves_parent: have both processes be nobody's children, for a starter whose children others
            may kill.
        before_start: called before the logger is started, by one worker at a time; the descriptors
            that it returns the logger holds while it lives.
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
    leaves_parent: bool = False
    before_start: Callable[[], tuple[int, ...]] = tuple

    def _settings(self) -> TelemetrySettings:
        return {
            "board": str(self.board),
            "controller_pid": self.controller_pid,
            "machine": cast("MachineFacts", self.machine),  # JSON turns its tuples into lists
            "leaves_parent": self.leaves_parent,
        }

    def logger_settings(self) -> LoggerSettings:
        """Return the first line of the logger."""
        return {
            **self._settings(),
            "dataset": str(self.dataset),
            "account": str(self.account),
            "interval_s": self.interval_s,
            "source": self.source,
        }

    def probe_settings(self) -> ProbeSettings:
        """Return the first line of the probe."""
        return {
            **self._settings(),
            "probe_disk": self.probe_disk,
            "probe_service": self.probe_service,
            "outlives_starter": True,
        }

    def ensure_logger(self) -> TelemetryProcess | None:
        """Start the logger unless one lives, and return it once it samples.

        None when somebody else's lives.

        The living logger holds the lock through a descriptor it inherits, so the lock tells whether
        one lives.

        Raises:
            HarnessFailure: it does not come up.
        """
        lock = FileLock(
            os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600),
            str(self.lock),
        )
        try:
            if not lock.try_take():
                return None
            descriptors = (lock.descriptor, *self.before_start())
            starter = start_child(
                _MODULE,
                self.logger_settings(),
                title="logger",
                libraries=("psutil",),
                pass_fds=descriptors,
            )
        finally:
            lock.close()
        return self._await_ready(starter, "logger")

    def has_logger(self) -> bool:
        """Return whether a logger lives, whoever started it."""
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        lock = FileLock(descriptor, str(self.lock))
        if not lock.try_take():
            lock.close()
            return True
        lock.release()
        return False

    def start_probe(self) -> TelemetryProcess:
        """Start the probe.

        Raises:
            HarnessFailure: it does not come up.
        """
        starter = start_child(_MODULE, self.probe_settings(), title="probe")
        return self._await_ready(starter, "probe")

    def _await_ready(self, starter: subprocess.Popen[bytes], role: str) -> TelemetryProcess:
        """Wait for the first line of a process, register it, and return it.

        Raises:
            HarnessFailure: it ended, or says nothing for 20 s.
        """
        output = starter.stdout
        line = b""
        if output is not None and readable_of([output.fileno()], START_PATIENCE_S):
            line = output.readline()
        if not line:
            kill_group(starter.pid)
            code = starter.wait()
            close_pipes(starter)
            how = f" (exit code {code})" if code else ""
            msg = (
                f"the telemetry {role} did not start{how}; its own message stands above, on stderr"
            )
            raise HarnessFailure(msg)
        ready: TelemetryReady = json.loads(line)
        process = TelemetryProcess(starter, ready["pid"])
        self.on_start(process.pid, role)
        return process


def remove_registered(board: Board) -> None:
    """Remove a board, and the registry last.

    While it stands, a death in between leaves nothing that nobody finds.
    """
    board.close(unlink=True)
    registry_path(board.path).unlink(missing_ok=True)


class TelemetryProcess:
    """The logger or the probe, a child of ours or nobody's.

    Then a suite that kills all children of pytest after each test leaves it alone.

    Args:
        starter: the process that was started and has left it behind; its group and the ends of its
            pipes are this one's.
        pid: of the process itself.
    """

    def __init__(self, starter: subprocess.Popen[bytes], pid: int) -> None:
        self._starter = starter
        self._watch = ProcessWatch([pid])
        self.pid = pid

    @property
    def returncode(self) -> int | None:
        """Its exit code as far as it is known: nobody's child counts as having ended well."""
        return self._starter.returncode

    def poll(self) -> int | None:
        """Return None while it lives.

        It is reaped where it has become our child again (of a subreaper, of process 1).
        """
        if not self._watch.has_ended(readable_of(self._watch.descriptors, 0.0)):
            self._starter.poll()
            return None
        if self.pid != self._starter.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
        return self._starter.wait()

    def end(self, patience_s: float) -> None:
        """Wait for it to end, as it has been asked to, and kill it after ``patience_s``."""
        if self._starter.stdin is not None:
            self._starter.stdin.close()
        deadline_s = monotonic_s() + patience_s
        while self.poll() is None and monotonic_s() < deadline_s:
            sleep_s(_POLL_S)
        if self.poll() is None:
            kill_group(self._starter.pid)
        self._starter.wait()
        close_pipes(self._starter)
        for descriptor in self._watch.descriptors:
            os.close(descriptor)
        self._watch = ProcessWatch(())

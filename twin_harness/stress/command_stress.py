"""Any program as a load.

Started at the event's start, stopped at its end with everything that it started.

The process that follows the event is the program's supervisor, never the program itself. Orphans of
the program's tree become the supervisor's children (prctl(2), PR_SET_CHILD_SUBREAPER), so that a
daemon does not get away; and every process of the tree carries a mark in its environment, by which
the load host, the guard and the next session find what outlived its supervisor.

What the tree costs is the kernel's account: CPU clocks of what lives, and of what was waited for
(getrusage(2), RUSAGE_CHILDREN).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from twin_harness.stress.load import LoadFailed
from twin_harness.system.child import die_with_parent, readable_of
from twin_harness.system.load_tree import MARK, descendants, send
from twin_harness.system.procfs import (
    children_of,
    process_cpu_ns,
    process_io_bytes,
    resident_bytes,
    waited_for_ns,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.stress.load import Load

POLL_S = 0.02
TERM_PATIENCE_S = 0.25
_PR_SET_CHILD_SUBREAPER = 36
_TAIL_BYTES = 400
KILL_PATIENCE_S = 3.0
_COST_SHARE = 20
_NOT_STARTED = 127


class CommandStress:
    """A program as load; it has no level.

    Args:
        load: what to follow; its options hold argv, cwd and env.
        environment: all variables that the program gets.
        publish: called with the CPU time of the whole tree, in ns, as it grows.
    """

    def __init__(
        self, load: Load, environment: dict[str, str], publish: Callable[[int], None]
    ) -> None:
        self._load = load
        self._environment = environment
        self._publish = publish
        self._pid = 0
        self._output = -1
        self._tail = b""
        self._exit_code: int | None = None
        self._peak_bytes = 0
        self._io_bytes = (0, 0)
        self._cpu_ns = 0
        self._next_look_s = 0.0

    def prepare(self) -> None:
        """Become the parent of orphans, and the one that outlives the load host.

        Nobody else would know what the program has started.
        """
        die_with_parent(signal.SIGTERM)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def follow(self, report_start: Callable[[], None]) -> None:
        """Run the program until the event's end, or until it and all that it started have ended.

        Raises:
            LoadFailed: it could not be started, or ended with an error.
        """
        load = self._load
        report_start()
        self._start()
        while not load.is_stopping and (remaining_s := load.end_s - time.monotonic()) > 0:
            self._read_output(min(POLL_S, remaining_s))
            if time.monotonic() >= self._next_look_s:
                self._account()
            self._reap()
            if self._exit_code is not None and not children_of(os.getpid()):
                break
        if self._exit_code not in (None, 0):
            self._read_output(0.0)
            if self._exit_code > 0:
                how = f"ended with code {self._exit_code}"
            else:
                how = f"died of {signal.Signals(-self._exit_code).name}"
            msg = f"the command {self._load.options['argv'][0]!r} {how}"
            output = self._tail.decode("utf-8", "replace").strip().splitlines()
            if output:
                msg += f": {output[-1][:200]}"
            raise LoadFailed(msg)

    def _start(self) -> None:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        supervisor = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._become_the_program(write_end, supervisor)
        os.close(write_end)
        os.set_blocking(read_end, False)
        self._output = read_end

    def _become_the_program(self, output: int, supervisor: int) -> None:
        try:
            die_with_parent()
            if os.getppid() != supervisor:
                os._exit(_NOT_STARTED)
            os.setpgid(0, 0)  # what it sends to its own group (kill 0) is its own affair
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            options: dict[str, Any] = self._load.options
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.closerange(3, min(1 << 16, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
            os.chdir(options["cwd"])
            program, words = options["program"], options["argv"]
            os.execve(program, words, self._environment)  # noqa: S606 - the user allowed it
        except OSError as error:
            os.write(2, f"{error.filename or options['argv'][0]}: {error.strerror}\n".encode())
        finally:
            os._exit(_NOT_STARTED)

    # -- the tree ----------------------------------------------------------------------------------

    def _account(self) -> None:
        """Publish what the tree has spent so far.

        A process's account holds that of children which it has waited for.
        """
        begin_s = time.monotonic()
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        total_ns = int((ended.ru_utime + ended.ru_stime) * 1e9)
        resident, reads, writes = 0, 0, 0
        tree = descendants(os.getpid())
        for pid in tree:
            total_ns += (process_cpu_ns(pid) or 0) + waited_for_ns(pid)
            resident += resident_bytes(pid) or 0
        for pid in (os.getpid(), *tree):
            read, written = process_io_bytes(pid) or (0, 0)
            reads, writes = reads + read, writes + written
        self._peak_bytes = max(self._peak_bytes, resident)
        self._io_bytes = max(self._io_bytes[0], reads), max(self._io_bytes[1], writes)
        self._cpu_ns = max(self._cpu_ns, total_ns)
        self._publish(self._cpu_ns)
        # A look at a large tree takes its time: a twentieth of it at most.
        self._next_look_s = time.monotonic() + max(
            POLL_S, _COST_SHARE * (time.monotonic() - begin_s)
        )

    def _reap(self) -> None:
        """Wait for what has ended: the program, and orphans of its tree."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid:
                self._exit_code = os.waitstatus_to_exitcode(status)

    def _read_output(self, timeout_s: float) -> None:
        """Read what the program says, lest it block, and keep the end of it."""
        if self._output < 0:
            time.sleep(timeout_s)
            return
        deadline_s = time.monotonic() + timeout_s
        while readable_of([self._output], deadline_s - time.monotonic()):
            data = os.read(self._output, 1 << 16)
            if not data:
                os.close(self._output)
                self._output = -1
                return
            self._tail = (self._tail + data)[-_TAIL_BYTES:]
            if time.monotonic() >= deadline_s:
                return

    def release(self) -> None:
        """Stop the whole tree: ask, then kill until nothing is left."""
        if self._pid == 0:
            return
        for pid in descendants(os.getpid()):
            send(pid, signal.SIGTERM)
            send(pid, signal.SIGCONT)
        deadline_s = time.monotonic() + TERM_PATIENCE_S
        while (tree := descendants(os.getpid())) and time.monotonic() < deadline_s:
            self._read_output(0.005)
            self._account()
            self._reap()
        deadline_s = time.monotonic() + KILL_PATIENCE_S
        while tree and time.monotonic() < deadline_s:
            for pid in tree:
                send(pid, signal.SIGKILL)
            self._reap()
            time.sleep(0.002)
            tree = descendants(os.getpid())
        if tree:
            self._load.note = (
                f"{len(tree)} processes of the command could not be stopped: they belong to another"
                " user"
            )
        self._reap()
        self._account()
        self._load.account = {
            "cpu_s": round(self._cpu_ns / 1e9, 6),
            "resident_peak_bytes": self._peak_bytes,
            "read_bytes": self._io_bytes[0],
            "write_bytes": self._io_bytes[1],
            "exit_code": self._exit_code,
        }


def environment_of(mark: str, given: dict[str, str]) -> dict[str, str]:
    """Return a program's variables.

    The search path, home and locale, those that were asked for, and the mark of its event.
    """
    usual = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER")
        if name in os.environ
    }
    return {**usual, **given, MARK: mark}

"""The runner's line to the load host and the guard of one experiment.

Start, ready, zero, what happened, stop.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.errors import HarnessFailure
from twin_harness.system.child import close_pipes, end_child, readable_of, send_line, start_child
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.load_tree import end_load, kill_marked
from twin_harness.system.procfs import process_state
from twin_harness.system.registry import register

if TYPE_CHECKING:
    import subprocess

READY_PATIENCE_S = 120.0
_STOP_PATIENCE_S = 2.0


class HostLink:
    """A load host and its guard.

    Args:
        plan: what the host is told; ``watch_pids`` is completed by the guard's pid.
        limits: what the guard is told; None runs without one.
        locks: descriptors of the machine's locks, which the load inherits.
    """

    def __init__(
        self, plan: dict[str, Any], limits: dict[str, Any] | None, locks: tuple[int, ...] = ()
    ) -> None:
        board = Path(plan["board"])
        self._stem, self._has_commands = board.stem, bool(plan["environments"])
        # The kernel's death signal follows the thread that starts a process. One of a pool may end
        # while the load is meant to go on; our own end, and the controller's, both are watched in
        # any case.
        tie = {"dies_with_starter": threading.current_thread() is threading.main_thread()}
        if limits:
            self._guard = start_child(
                "twin_harness.control.guard", {**limits, **tie, "starter_pid": os.getpid()}
            )
        else:
            self._guard = None
        plan = {
            **plan,
            "watch_pids": [*plan["watch_pids"], *([self._guard.pid] if self._guard else [])],
            **tie,
        }
        try:
            self._host = start_child(
                "twin_harness.stress", {**plan, "locks": locks}, pass_fds=locks
            )
        except OSError:
            if self._guard:
                end_child(self._guard, _STOP_PATIENCE_S)
            raise
        register(board, self._host.pid, "host", plan["scratch_dir"])
        if self._guard:
            register(board, self._guard.pid, "guard")
            send_line(self._guard, {"group": self._host.pid})
        self._buffers: dict[int, bytes] = {
            _output(process): b"" for process in (self._host, self._guard) if process
        }
        self.is_over = self._is_done = False
        self.tripped: dict[str, Any] | None = None

    def await_ready(self) -> None:
        """Wait until host and guard are prepared, or the guard has stopped it all.

        Raises:
            HarnessFailure: one of them did not come up.
        """
        missing = {_output(process) for process in (self._host, self._guard) if process}
        deadline_s = monotonic_s() + READY_PATIENCE_S
        while missing:
            for descriptor, message in self._read(max(0.0, deadline_s - monotonic_s())):
                if message["state"] == "ready":
                    missing.discard(descriptor)
                else:
                    self._hear_guard(message)
            if self.tripped is not None:
                return
            if self.is_over or monotonic_s() > deadline_s:
                if _output(self._host) in missing:
                    who = "load host"
                else:
                    who = "guard"
                self.close()
                msg = f"the {who} did not start; its own message stands above, on stderr"
                raise HarnessFailure(msg)

    def begin(self, zero_s: float, plan_slot: int) -> None:
        """Give the events' clock its zero on CLOCK_MONOTONIC."""
        send_line(self._host, {"zero_s": zero_s, "plan_slot": plan_slot})

    def poll(self, timeout_s: float) -> list[dict[str, Any]]:
        """Return what host and guard said within ``timeout_s``.

        ``is_over`` and ``tripped`` are up to date afterwards.
        """
        messages = []
        for _, message in self._read(timeout_s):
            if message["state"] in ("tripped", "dead"):
                self._hear_guard(message)
            elif message["state"] == "done":
                self.is_over = self._is_done = True
            else:
                messages.append(message)
        return messages

    def _hear_guard(self, message: dict[str, Any]) -> None:
        if message["state"] == "tripped":
            self.tripped = message
        elif message["state"] == "dead" and self.tripped is not None:
            self.tripped["dead_s"] = message["dead_s"]

    def await_dead_load(self, patience_s: float) -> None:
        """Once the guard has tripped: wait until it says when the last of the load was gone."""
        deadline_s = monotonic_s() + patience_s
        while self.tripped is not None and "dead_s" not in self.tripped:
            left_s = deadline_s - monotonic_s()
            is_last_look = (
                self.has_guard_died or left_s <= 0
            )  # it says so, and ends: what it said may still be unread
            self.poll(0.0 if is_last_look else left_s)
            if is_last_look:
                return

    def _read(self, timeout_s: float) -> list[tuple[int, dict[str, Any]]]:
        if not self._buffers:
            sleep_s(timeout_s)
            return []
        found = []
        for descriptor in readable_of(self._buffers, timeout_s):
            data = os.read(descriptor, 1 << 16)
            if not data:
                del self._buffers[descriptor]
                self.is_over = self.is_over or descriptor == _output(self._host)
                continue
            *lines, self._buffers[descriptor] = (self._buffers[descriptor] + data).split(b"\n")
            found += [(descriptor, json.loads(line)) for line in lines]
        return found

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that were started: the load host, and the guard where there is one."""
        return (self._host.pid, *([self._guard.pid] if self._guard else []))

    @property
    def host_pid(self) -> int:
        """The load host, which is also the number of its process group."""
        return self._host.pid

    @property
    def is_clean(self) -> bool:
        """Whether the host has said that all is done, and ended by itself, after all that it had started; known once the link is closed.

        Its exit code alone does not tell: where SIGCHLD is ignored every child seems to have ended
        well.
        """
        return self._is_done and self._host.returncode == 0

    @property
    def has_guard_died(self) -> bool:
        """Whether there was a guard and it is gone."""
        return self._guard is not None and self._guard.poll() is not None

    @property
    def guard_pid(self) -> int:
        """The guard's process; 0 where there is none."""
        if self._guard is not None:
            return self._guard.pid
        return 0

    @property
    def is_guard_stopped(self) -> bool:
        """Whether the guard is suspended (state T or t of proc(5)).

        It sees nothing then, and is not dead.
        """
        return self._guard is not None and process_state(self._guard.pid) in ("T", "t")

    def ask_to_stop(self, why: str) -> None:
        """Ask the host to end all load; it says how each event ended."""
        send_line(self._host, {"stop": True, "why": why})

    def close(self) -> None:
        """End host and guard, whatever state they are in, and reap them.

        No load is left afterwards.
        """
        if self._host.poll() is None and not self.is_over:
            end_load(
                self._host.pid, f"{self._stem}.{self._host.pid}." if self._has_commands else ""
            )
        elif self._has_commands:
            kill_marked(f"{self._stem}.{self._host.pid}.")
        end_child(self._host, _STOP_PATIENCE_S)
        close_pipes(self._host)
        if self._guard:
            end_child(self._guard, _STOP_PATIENCE_S)
            close_pipes(self._guard)


def _output(process: subprocess.Popen[bytes]) -> int:
    if process.stdout:
        return process.stdout.fileno()
    return -1

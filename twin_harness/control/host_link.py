"""The runner's line to the load host and the guard of one experiment.

Start, ready, zero, what happened, stop.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from twin_harness.errors import HarnessFailure
from twin_harness.system.child import close_pipes, end_child, readable_of, send_line, start_child
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.guard_messages import (
    DeadAnswer,
    GroupLine,
    GuardAnswer,
    GuardPlan,
    GuardStart,
    TrippedAnswer,
)
from twin_harness.system.load_messages import (
    EventAnswer,
    HostAnswer,
    HostPlan,
    HostStart,
    StopLine,
    ZeroLine,
)
from twin_harness.system.load_tree import end_load, kill_marked
from twin_harness.system.procfs import process_state
from twin_harness.system.registry import register

if TYPE_CHECKING:
    import subprocess

READY_PATIENCE_S = 120.0
_STOP_PATIENCE_S = 2.0
_Answer: TypeAlias = HostAnswer | GuardAnswer


class HostLink:
    """A load host and its guard, both started; ``HostLink.start`` starts them.

    Args:
        host: the load host.
        guard: its guard; None where nothing is watched.
        mark: the beginning of the mark of every program that the host runs; empty where it runs
            none.

    Attributes:
        is_over: the host has said that all is done, or has closed its end of the line.
        tripped: what the guard said when a limit was crossed.
    """

    def __init__(
        self,
        host: subprocess.Popen[bytes],
        guard: subprocess.Popen[bytes] | None,
        mark: str = "",
    ) -> None:
        self._host = host
        self._guard = guard
        self._mark = mark
        self._buffers: dict[int, bytes] = {_output(process): b"" for process in self._processes}
        self.is_over = self._is_done = False
        self.tripped: TrippedAnswer | None = None

    @classmethod
    def start(
        cls, plan: HostPlan, limits: GuardPlan | None, locks: tuple[int, ...] = ()
    ) -> HostLink:
        """Start a load host and its guard.

        Args:
            plan: the host's; ``watch_pids`` is completed by the guard's pid.
            limits: the guard's; None starts none.
            locks: descriptors of the machine's locks, which the load inherits.

        Raises:
            OSError: the kernel refuses a process.
        """
        # The kernel's death signal follows the thread that starts a process. One of a pool may end
        # while the load is meant to go on; our own end, and the controller's, both are watched in
        # any case.
        dies_with_starter = threading.current_thread() is threading.main_thread()
        watch_pids, guard = plan["watch_pids"], None
        if limits is not None:
            guard_start: GuardStart = {
                **limits,
                "dies_with_starter": dies_with_starter,
                "starter_pid": os.getpid(),
            }
            guard = start_child("twin_harness.control.guard", guard_start)
            watch_pids = [*watch_pids, guard.pid]
        host_start: HostStart = {
            **plan,
            "watch_pids": watch_pids,
            "dies_with_starter": dies_with_starter,
            "locks": list(locks),
        }
        try:
            host = start_child("twin_harness.stress", host_start, pass_fds=locks)
        except OSError:
            if guard is not None:
                end_child(guard, _STOP_PATIENCE_S)
            raise
        board, mark = Path(plan["board"]), ""
        register(board, host.pid, "host", plan["scratch_dir"])
        if guard is not None:
            register(board, guard.pid, "guard")
            group: GroupLine = {"group": host.pid}
            send_line(guard, group)
        if plan["environments"]:
            mark = f"{board.stem}.{host.pid}."
        return cls(host, guard, mark)

    @property
    def _processes(self) -> tuple[subprocess.Popen[bytes], ...]:
        if self._guard is None:
            return (self._host,)
        return (self._host, self._guard)

    def await_ready(self) -> None:
        """Wait until host and guard are prepared, or the guard has stopped it all.

        Raises:
            HarnessFailure: one of them did not come up.
        """
        missing = {_output(process) for process in self._processes}
        deadline_s = monotonic_s() + READY_PATIENCE_S
        while missing:
            for descriptor, message in self._read(max(0.0, deadline_s - monotonic_s())):
                if message["state"] == "ready":
                    missing.discard(descriptor)
                elif message["state"] in ("tripped", "dead"):
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
        line: ZeroLine = {"zero_s": zero_s, "plan_slot": plan_slot}
        send_line(self._host, line)

    def poll(self, timeout_s: float) -> list[EventAnswer]:
        """Return what the host said of events within ``timeout_s``.

        ``is_over`` and ``tripped`` are up to date afterwards.
        """
        answers: list[EventAnswer] = []
        for _, message in self._read(timeout_s):
            if message["state"] in ("started", "ended"):
                answers.append(message)
            elif message["state"] in ("tripped", "dead"):
                self._hear_guard(message)
            elif message["state"] == "done":
                self.is_over = self._is_done = True
            # What is left is "ready", read late where the guard tripped before.
        return answers

    def _hear_guard(self, message: TrippedAnswer | DeadAnswer) -> None:
        if message["state"] == "tripped":
            self.tripped = message
        elif self.tripped is not None:
            self.tripped["dead_s"] = message["dead_s"]

    def await_dead_load(self, patience_s: float) -> None:
        """Once the guard has tripped: wait until it says when the last of the load was gone."""
        deadline_s = monotonic_s() + patience_s
        while self.tripped is not None and "dead_s" not in self.tripped:
            left_s = deadline_s - monotonic_s()
            # A guard that says so ends: its last line may still be unread.
            is_last_look = self.has_guard_died or left_s <= 0
            self.poll(0.0 if is_last_look else left_s)
            if is_last_look:
                return

    def _read(self, timeout_s: float) -> list[tuple[int, _Answer]]:
        if not self._buffers:
            sleep_s(timeout_s)
            return []
        messages: list[tuple[int, _Answer]] = []
        for descriptor in readable_of(self._buffers, timeout_s):
            data = os.read(descriptor, 1 << 16)
            if not data:
                del self._buffers[descriptor]
                self.is_over = self.is_over or descriptor == _output(self._host)
                continue
            *lines, self._buffers[descriptor] = (self._buffers[descriptor] + data).split(b"\n")
            messages += [(descriptor, json.loads(line)) for line in lines]
        return messages

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that were started: the load host, and the guard where there is one."""
        return tuple(process.pid for process in self._processes)

    @property
    def host_pid(self) -> int:
        """The load host, which is also the number of its process group."""
        return self._host.pid

    @property
    def is_clean(self) -> bool:
        """Whether the host said that all is done, and ended by itself; known once it is closed.

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
        line: StopLine = {"stop": True, "why": why}
        send_line(self._host, line)

    def close(self) -> None:
        """End host and guard, whatever state they are in, and reap them.

        No load is left afterwards.
        """
        if self._host.poll() is None and not self.is_over:
            end_load(self._host.pid, self._mark)
        elif self._mark:
            kill_marked(self._mark)
        for process in self._processes:
            end_child(process, _STOP_PATIENCE_S)
            close_pipes(process)


def _output(process: subprocess.Popen[bytes]) -> int:
    if process.stdout:
        return process.stdout.fileno()
    return -1

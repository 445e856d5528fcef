"""The load processes that a host has forked: begun, listened to, killed when late, reaped."""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from twin_harness.stress.hosted_event import Child
from twin_harness.stress.load import follow
from twin_harness.system.board_processes import UNCOUNTED
from twin_harness.system.child import be_first_to_kill, die_with_parent
from twin_harness.system.load_tree import kill_marked, send
from twin_harness.system.procfs import process_cpu_ns, process_io_bytes, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, KeysView

    from twin_harness.stress.hosted_event import HostedEvent
    from twin_harness.stress.load import Load, Stressor
    from twin_harness.system.board import Board
    from twin_harness.system.load_messages import HostPlan, ProcessLine

OVERSTAY_S = 0.5
HELD_S = 1.0  # a killed process that writes to a healthy disk ends with the write
KILLED_S = 60.0
RELEASE_S_PER_GIB = 0.5
COMMAND_RELEASE_S = 4.0  # a program may hold gigabytes, which take their time to be freed
_OF_CPU_LIMIT = 0.9  # the kernel counts ticks for the limit, 3 % more than the clock in one try


class Children:
    """The load processes of one host.

    Args:
        plan: the host's.
        events: all of the plan.
        board: the load board.
        mark: the beginning of the mark of every command's processes.
        answers: the host's line to the runner, which no load process keeps.
    """

    def __init__(
        self,
        plan: HostPlan,
        events: list[HostedEvent],
        board: Board,
        mark: str,
        answers: int,
    ) -> None:
        self._plan = plan
        self._events = events
        self._board = board
        self._mark = mark
        self._answers = answers
        self._by_pipe: dict[int, Child] = {}

    def __len__(self) -> int:
        return len(self._by_pipe)

    def __iter__(self) -> Iterator[Child]:
        return iter(list(self._by_pipe.values()))

    @property
    def pipes(self) -> KeysView[int]:
        """What is readable once a child has something to say, or has ended."""
        return self._by_pipe.keys()

    # -- the beginning -----------------------------------------------------------------------------

    def fork(
        self, event: HostedEvent, load: Load, make: Callable[[int], Stressor], plan_slot: int
    ) -> None:
        """Fork a load process.

        Args:
            event: what it carries, or a share of it.
            load: its share.
            make: makes its stressor there, given its slot on the board.
            plan_slot: the board's slot of the experiment.

        Raises:
            OSError: the kernel refuses a process.
        """
        kind = _kind_of(event)
        base = UNCOUNTED
        if kind == "cpu":
            base = 0
        slot = self._board.claim_process(0, kind, plan=plan_slot, event=event.index, base=base)
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        sys.stdout.flush()
        host = os.getpid()
        # Until the child has a handler of its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            pid = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            self._board.free_process(slot)
            os.close(read_end)
            os.close(write_end)
            raise
        if pid == 0:
            os.close(read_end)
            self._leave_files_of_others(event)
            self._live_as_child(load, lambda: make(slot), write_end, host)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.close(write_end)
        if event.descriptor is not None:
            # The child's alone: closing it may take as long as the disk likes.
            os.close(event.descriptor)
            event.descriptor = None
        self._board.set_pid(slot, pid)
        release_s = 0.0
        if kind == "memory":
            release_s = load.highest() / 2**30 * RELEASE_S_PER_GIB
        elif kind == "command":
            release_s = COMMAND_RELEASE_S
        child = Child(pid, slot, read_end, event, load.end_s + OVERSTAY_S + release_s)
        self._by_pipe[read_end] = child
        event.children.append(child)
        event.forks += 1

    def _leave_files_of_others(self, event: HostedEvent) -> None:
        """Hold no scratch file of another event.

        A filesystem that hangs would keep us from ending.
        """
        for other in self._events:
            if other is not event and other.descriptor is not None:
                os.close(other.descriptor)

    def _live_as_child(
        self, load: Load, make: Callable[[], Stressor], pipe: int, host: int
    ) -> NoReturn:
        """Be a load process; never returns into the host's code."""
        code = 1
        try:
            die_with_parent()
            if os.getppid() != host:  # it died before the kernel knew that we go with it
                os._exit(1)
            be_first_to_kill()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda *_: setattr(load, "is_stopping", True))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            # Neither the runner's line nor a free number that the next file would get.
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 0)
            os.dup2(nothing, 1)
            os.close(self._answers)
            gc.disable()
            code = follow(make, load, pipe)
        finally:
            os._exit(code)

    # -- under way ---------------------------------------------------------------------------------

    def read(self, pipe: int) -> list[tuple[Child, ProcessLine]]:
        """Return what a child says; one that has ended says nothing, and is reaped."""
        child = self._by_pipe[pipe]
        data = os.read(pipe, 4096)
        if not data:
            self._reap(child)
            return []
        *lines, child.buffer = (child.buffer + data).split(b"\n")
        return [(child, json.loads(line)) for line in lines]

    def set_base(self, child: Child) -> None:
        """Say on the board what of a child's account, as it stands now, is not load."""
        self._board.set_base(child.slot, self._present_account(child))

    def _present_account(self, child: Child) -> int:
        """Return resident bytes or I/O bytes before the load's start."""
        kind = child.event.plan["stressor"]
        if kind == "memory":
            return resident_bytes(child.pid) or 0
        if kind == "disk" and self._plan["is_scratch_memory"]:
            return UNCOUNTED
        if kind == "disk":
            return sum(process_io_bytes(child.pid) or (0, 0))
        return 0

    # -- the end -----------------------------------------------------------------------------------

    def _reap(self, child: Child) -> None:
        """Leave the kernel's last account on the board, then reap."""
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        cpu_ns = self._leave(child)
        _, status = os.waitpid(child.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        event = child.event
        if event.plan["stressor"] == "command":
            kill_marked(f"{self._mark}{event.index}.")  # what outlived its supervisor
        if not child.has_said_end:
            event.ends_s.append(time.monotonic())
        if code != 0 and event.is_sound:
            event.fail(cause_of_end(code, cpu_ns / 1e9))
            # An event of which a part is gone is not the one that was asked for.
            event.end_children()

    def _leave(self, child: Child) -> int:
        """Listen to a child no longer, leave its account on the board, and return its CPU ns."""
        os.close(child.pipe)
        del self._by_pipe[child.pipe]
        cpu_ns = process_cpu_ns(child.pid) or 0
        self._board.end_process(child.slot, cpu_ns, sum(process_io_bytes(child.pid) or (0, 0)))
        child.event.children.remove(child)
        return cpu_ns

    def kill_late(self) -> None:
        """Kill those that are beyond their time; go on without those that were killed before."""
        now_s = time.monotonic()
        for child in self:
            if now_s < child.kill_at_s:
                continue
            is_on_disk = child.event.plan["stressor"] == "disk"
            if child.is_killed and is_on_disk:
                self._give_up(child)
                continue
            if child.event.is_sound:
                child.event.fail("a load process overstayed its deadline and was killed")
            send(child.pid, signal.SIGKILL)
            child.is_killed = True
            child.kill_at_s = now_s + (HELD_S if is_on_disk else KILLED_S)

    def _give_up(self, child: Child) -> None:
        """Go on without a killed process that the filesystem holds: it ends when that answers."""
        self._leave(child)
        child.event.ends_s.append(time.monotonic())
        child.event.message = (
            f"scratch folder {self._plan['scratch_dir']} does not answer"
            "; a load process was killed, and ends when it does"
        )

    def kill_all(self) -> None:
        """Kill every child; nobody reads how it ended."""
        for child in self:
            send(child.pid, signal.SIGKILL)


def _kind_of(event: HostedEvent) -> str:
    """Return how the board accounts for an event's processes."""
    kind = event.plan["stressor"]
    if event.maker is not None:
        return "custom"
    if kind == "disk" and not event.plan["options"]["direct"]:
        return "disk_buffered"
    return kind


def cause_of_end(code: int, cpu_s: float) -> str:
    """Return why a load process ended, given its exit code and the CPU time that it had."""
    if code > 0:
        return f"a load process ended with code {code}"
    name = signal.Signals(-code).name
    soft_s, hard_s = resource.getrlimit(resource.RLIMIT_CPU)
    if -code == signal.SIGXCPU:
        limit_s = soft_s
    else:
        limit_s = hard_s
    # Both limits are usually one, and the kernel then looks at the hard one first, which kills
    # (kernel/time/posix-cpu-timers.c).
    if (
        -code in (signal.SIGXCPU, signal.SIGKILL)
        and limit_s != resource.RLIM_INFINITY
        and cpu_s > limit_s * _OF_CPU_LIMIT
    ):
        return (
            f"a load process died of {name} after {cpu_s:.1f} s of CPU time, all that a process may"
            " have here; raise ulimit -t"
        )
    if -code == signal.SIGXFSZ:
        return (
            f"a load process died of {name}: its file became longer than files may be here; raise"
            " ulimit -f"
        )
    if -code == signal.SIGKILL:
        killer = "the kernel ran out of memory"
    else:
        killer = "it was killed"
    return f"a load process died of {name} ({killer}, or another process sent it)"

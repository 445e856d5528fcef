"""The load host: one process an experiment, which forks a child per event and CPU and answers for all of them.

Protocol. stdin: the plan as one JSON line; then ``{"zero_s": …, "plan_slot": …}`` once everything
is prepared; ``{"stop": true}``, or the end of stdin, ends all load. stdout, JSON lines: ``{"state":
"ready"}``; per event ``started`` and ``ended`` with what really happened; ``done``.

Each child: forked → prepared → started at an absolute time → follows its level → released. The host
ties their lives to its own and its own to the controller's and the guard's, stands them first in
line for the OOM killer, kills one that overstays, and leaves the kernel's last account of each on
the board before it reaps it.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

from twin_harness.errors import advise
from twin_harness.shapes import shape as shapes
from twin_harness.stress.command_stress import CommandStress, environment_of
from twin_harness.stress.cpu_stress import CpuStress, Team
from twin_harness.stress.custom import find_stressor
from twin_harness.stress.disk_stress import DiskStress, open_scratch_file, sync_filesystem
from twin_harness.stress.load import Load, Stressor, follow
from twin_harness.stress.mem_stress import MemoryStress
from twin_harness.system.board import Board
from twin_harness.system.board_processes import UNCOUNTED
from twin_harness.system.child import (
    be_first_to_kill,
    die_with_parent,
    read_line,
    readable_of,
    run_on,
)
from twin_harness.system.load_tree import descendants, kill_marked, send
from twin_harness.system.process_watch import ProcessWatch
from twin_harness.system.procfs import process_cpu_ns, process_io_bytes, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ARM_S = 0.25
OVERSTAY_S = 0.5
HELD_S = 1.0  # a killed process that writes to a healthy disk ends with the write
RELEASE_S_PER_GIB = 0.5
COMMAND_RELEASE_S = 4.0  # a program may hold gigabytes, which take their time to be freed
STOP_PATIENCE_S = 0.5
_OF_CPU_LIMIT = 0.9  # the kernel counts ticks for the limit, 3 % more than the clock in one try


@dataclass
class _Child:
    """A forked load process."""

    pid: int
    slot: int
    pipe: int
    event: _Event
    kill_at_s: float
    buffer: bytes = b""
    is_killed: bool = False
    final_line: dict[str, Any] | None = None


@dataclass
class _Event:
    """An event of the plan and what has become of it."""

    index: int
    plan: dict[str, Any]
    descriptor: int | None = None
    maker: Callable[[Load], Stressor] | None = None
    is_forked: bool = False
    forks: int = 0
    children: list[_Child] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)
    releases_s: list[float] = field(default_factory=list)
    starved_s: float = 0.0
    note: str = ""
    account: dict[str, Any] = field(default_factory=dict)
    status: str = "completed"
    message: str = ""
    is_told: bool = False


class _Stopping(Exception):
    """The host was told to stop while it prepared."""


class LoadHost:
    """The host of one experiment.

    Args:
        plan: the first line of stdin; see ``control/runner.py``, which writes it.
        answers: the descriptor that the runner reads.
    """

    def __init__(self, plan: dict[str, Any], answers: int = 1) -> None:
        self._plan = plan
        self._answers = answers
        self._board = Board.open(plan["board"])
        self._events = [_Event(index, event) for index, event in enumerate(plan["events"])]
        self._children: dict[int, _Child] = {}
        self._zero_s = 0.0
        self._plan_slot = 0
        self._is_stopping = False
        self._input = b""
        if plan.get("is_pinned"):
            run_on(plan["cpus"])  # what it forks stays in this part of the machine
        self._own_slot = self._board.claim_process(os.getpid(), "harness", plan=plan.get("part", 0))
        self._wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._was_signalled = False
        signal.signal(
            signal.SIGTERM, lambda *_: setattr(self, "_was_signalled", True)
        )  # the wake-up pipe ends the poll
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self._mark = f"{self._board.path.stem}.{os.getpid()}."
        self._has_commands = any(event["stressor"] == "command" for event in plan["events"])
        self._watch = ProcessWatch(plan["watch_pids"])

    def run(self) -> int:
        """Prepare, run every event, and return an exit code."""
        try:
            self._prepare()
            self._tell({"state": "ready"})
            self._await_zero()
            while self._children or not self._is_over():
                self._fork_due_events()
                self._wait(self._next_deadline_s())
                self._kill_overstayers()
                self._tell_ended()
            self._tell({"state": "done"})
        finally:
            for child in list(self._children.values()):
                _kill(child.pid)
            if self._has_commands:
                kill_marked(self._mark)
            self._board.free_process(self._own_slot)
            self._board.close()
        return 0

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            os.write(self._answers, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            end_others(self._mark if self._has_commands else "")

    # -- before the start --------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Make every disk event's file and find projects' stressors.

        An event for which that fails has failed before it began.
        """
        for event in self._events:
            if self._is_stopping:
                return
            try:
                self._prepare_event(event)
            except OSError as error:
                if error.errno == errno.EFBIG:
                    way_out = advise(error)
                else:
                    way_out = "name another one with --twin-scratch-dir"
                event.status, event.message = (
                    "failed",
                    f"scratch folder {self._plan['scratch_dir']}: {error.strerror}; {way_out}",
                )
            except _Stopping:
                return
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a project's own code
                event.status, event.message = (
                    "failed",
                    (
                        f"stressor {event.plan['stressor']!r} cannot be loaded:"
                        f" {type(error).__name__}: {error}"
                    ),
                )
        last = next(
            (event.descriptor for event in reversed(self._events) if event.descriptor is not None),
            None,
        )
        if last is not None:
            sync_filesystem(last)

    def _prepare_event(self, event: _Event) -> None:
        kind = event.plan["stressor"]
        if kind == "disk":
            event.descriptor = open_scratch_file(
                self._plan["scratch_dir"], event.plan["options"], self._look
            )
        elif kind in self._plan.get("custom", {}):
            event.maker = find_stressor(self._plan["custom"][kind], self._plan["custom_path"])

    def _look(self) -> None:
        """See to the runner and to those we live with while a file is filled."""
        self._wait(0.0)
        if self._is_stopping:
            raise _Stopping

    def _await_zero(self) -> None:
        while not self._zero_s and not self._is_stopping:
            self._wait(None)
        self._tell_ended()

    # -- children ----------------------------------------------------------------------------------

    def _is_over(self) -> bool:
        return self._is_stopping or all(event.is_told for event in self._events)

    def _fork_due_events(self) -> None:
        now_s = time.monotonic()
        for event in self._events:
            is_due = now_s >= self._zero_s + event.plan["start_s"] - ARM_S
            if (
                is_due
                and not event.is_forked
                and not self._is_stopping
                and event.status == "completed"
            ):
                event.is_forked = True
                self._fork_event(event)

    def _fork_event(self, event: _Event) -> None:
        """Fork the processes of an event.

        Where the kernel refuses one the event has failed, and those that there are end.
        """
        try:
            for load, make in self._make_stressors(event):
                if not self._is_stopping:
                    self._fork(event, load, make)
        except OSError as error:
            event.status, event.message = (
                "failed",
                f"a load process cannot be started: {error.strerror}; {advise(error)}",
            )
            self._end_children(event.children)

    def _make_stressors(self, event: _Event) -> Iterator[tuple[Load, Callable[[int], Stressor]]]:
        """Return the load of each process of an event, and what makes its stressor there, given the process's slot."""
        plan = event.plan
        shape, start_s = shapes.from_json(plan["shape"]), self._zero_s + plan["start_s"]
        if plan["stressor"] != "cpu":
            load = Load(shape, start_s, plan["duration_s"], plan["scale"], plan["options"])
            yield load, lambda slot: self._make_stressor(event, load, slot)
            return
        cpus = sorted(set(plan["options"].get("cpus") or self._plan["cpus"]))
        team = Team.of(cpus, is_within_quota=self._plan["cpu_capacity"] < len(self._plan["cpus"]))
        for index in range(len(team.cpus)):
            # A child's share of one percent of the machine, in CPU seconds per second.
            scale = plan["scale"] * self._plan["cpu_capacity"] / 100.0 / len(team.cpus)
            load = Load(shape, start_s, plan["duration_s"], scale, plan["options"])
            yield (
                load,
                lambda _, load=load, index=index: CpuStress(load, replace(team, index=index)),
            )  # type: ignore[misc]  # bound now

    def _fork(self, event: _Event, load: Load, make: Callable[[int], Stressor]) -> None:
        kind = event.plan["stressor"]
        if kind == "disk" and not event.plan["options"]["direct"]:
            kind = "disk_buffered"
        if event.maker is not None:
            kind = "custom"
        slot = self._board.claim_process(
            0, kind, plan=self._plan_slot, event=event.index, base=0 if kind == "cpu" else UNCOUNTED
        )
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        sys.stdout.flush()
        host = os.getpid()
        signal.pthread_sigmask(
            signal.SIG_BLOCK, {signal.SIGTERM}
        )  # until the child has a handler of its own
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
            os.close(
                event.descriptor
            )  # the child's alone: closing it may take as long as the disk likes
            event.descriptor = None
        self._board.set_pid(slot, pid)
        if kind == "memory":
            gib = load.highest() / 2**30
        else:
            gib = 0.0
        if kind == "command":
            release_s = COMMAND_RELEASE_S
        else:
            release_s = gib * RELEASE_S_PER_GIB
        child = _Child(pid, slot, read_end, event, load.end_s + OVERSTAY_S + release_s)
        self._children[read_end] = child
        event.children.append(child)
        event.forks += 1

    def _leave_files_of_others(self, event: _Event) -> None:
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
            nothing = os.open(
                os.devnull, os.O_RDWR
            )  # neither the runner's line nor a free number that the next file would get
            os.dup2(nothing, 0)
            os.dup2(nothing, 1)
            os.close(self._answers)
            gc.disable()
            code = follow(make, load, pipe)
        finally:
            os._exit(code)

    def _make_stressor(self, event: _Event, load: Load, slot: int) -> Stressor:
        """Make the stressor of an event that one process carries."""
        kind = event.plan["stressor"]
        if event.maker is not None:
            return event.maker(load)
        if kind == "memory":
            return MemoryStress(
                load, self._plan["memory_floor_bytes"], self._plan["memory_limit_bytes"]
            )
        if kind == "command":
            load.options["cwd"] = load.options["cwd"] or self._plan["scratch_dir"]
            given = self._plan["environments"][event.plan["id"]]
            return CommandStress(
                load,
                environment_of(f"{self._mark}{event.index}.", given),
                lambda total_ns: self._board.publish_self_reported(slot, total_ns),
            )
        # The disk may hold this process for ever: nobody is to wait with it for the machine, or for
        # the end of our output. Every fault goes through the pipe to the host, so nothing is lost.
        os.dup2(1, 2)
        for descriptor in self._plan.get("locks", ()):
            os.close(descriptor)
        is_memory = bool(
            self._plan.get("is_scratch_memory")
        )  # what is written there reaches no device

        def count_fsynced(total_bytes: int) -> None:
            self._board.publish_self_reported(slot, 0 if is_memory else total_bytes)

        return DiskStress(
            load, event.descriptor if event.descriptor is not None else -1, count_fsynced
        )

    # -- waiting -----------------------------------------------------------------------------------

    def _next_deadline_s(self) -> float | None:
        deadlines = [
            self._zero_s + event.plan["start_s"] - ARM_S
            for event in self._events
            if not event.is_forked and event.status == "completed"
        ]
        deadlines += [child.kill_at_s for child in self._children.values()]
        if deadlines:
            return max(0.0, min(deadlines) - time.monotonic())
        return 0.0

    def _wait(self, timeout_s: float | None) -> None:
        """Wait for a child, the runner, or the end of a process we live with; handle what came."""
        watched = (0, self._wake_read, *self._watch.descriptors, *self._children)
        readable = readable_of(
            watched, self._watch.shortened(None if timeout_s is None else timeout_s + 0.001)
        )
        if self._watch.has_ended(readable):
            self._die()
        for descriptor in readable:
            if descriptor == 0:
                self._read_input()
            elif descriptor == self._wake_read:
                os.read(self._wake_read, 4096)
                if self._was_signalled and not self._is_stopping:
                    self._stop("stopped", "the load host was asked to stop")
            else:
                self._read_child(self._children[descriptor])

    def _read_input(self) -> None:
        data = os.read(0, 1 << 16)
        if not data:
            self._die()
        self._input += data
        *lines, self._input = self._input.split(b"\n")
        for line in filter(None, lines):
            message = json.loads(line)
            if message.get("stop"):
                self._stop("stopped", message.get("why", ""))
            else:
                self._zero_s, self._plan_slot = message["zero_s"], message["plan_slot"]

    def _read_child(self, child: _Child) -> None:
        data = os.read(child.pipe, 4096)
        if not data:
            self._reap(child)
            return
        *lines, child.buffer = (child.buffer + data).split(b"\n")
        for line in lines:
            self._hear_child(child, json.loads(line))

    def _hear_child(self, child: _Child, message: dict[str, Any]) -> None:
        event = child.event
        if message["state"] == "prepared":
            self._board.set_base(child.slot, self._present_account(child))
        elif message["state"] == "started":
            event.starts_s.append(message["at_s"])
            if len(event.starts_s) == event.forks:
                self._tell(
                    {"state": "started", "event": event.plan["id"], "start_s": min(event.starts_s)}
                )
        elif message["state"] == "ended":
            child.final_line = message
            event.ends_s.append(message["at_s"])
        elif message["state"] == "released":
            event.releases_s.append(message["at_s"])
            event.starved_s += message["starved_s"]
            event.note = event.note or message["note"]
            event.account |= message["account"]
        else:
            event.status, event.message = message["status"], message["why"]
            self._end_children(event.children)

    def _present_account(self, child: _Child) -> int:
        """Return what of the child's account does not count.

        Resident bytes or I/O bytes before its start.
        """
        kind = child.event.plan["stressor"]
        if kind == "memory":
            return resident_bytes(child.pid) or 0
        if kind == "disk" and self._plan.get("is_scratch_memory"):
            return UNCOUNTED
        if kind == "disk":
            return sum(process_io_bytes(child.pid) or (0, 0))
        return 0

    # -- the end -----------------------------------------------------------------------------------

    def _reap(self, child: _Child) -> None:
        """Leave the kernel's last account on the board, then reap."""
        os.close(child.pipe)
        del self._children[child.pipe]
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        cpu_ns = process_cpu_ns(child.pid) or 0
        self._board.end_process(child.slot, cpu_ns, sum(process_io_bytes(child.pid) or (0, 0)))
        _, status = os.waitpid(child.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        event = child.event
        event.children.remove(child)
        if event.plan["stressor"] == "command":
            kill_marked(f"{self._mark}{event.index}.")  # what outlived its supervisor
        if child.final_line is None:
            event.ends_s.append(time.monotonic())
        if code != 0 and event.status == "completed":
            event.status, event.message = "failed", _cause_of(code, cpu_ns / 1e9)
            self._end_children(
                event.children
            )  # an event of which a part is gone is not the one that was asked for

    def _tell_ended(self) -> None:
        for event in self._events:
            is_finished = (event.is_forked and not event.children) or (
                not event.is_forked and (event.status != "completed" or self._is_stopping)
            )
            if event.is_told or not is_finished:
                continue
            event.is_told = True
            if event.ends_s:
                end_s = max(event.ends_s)
            else:
                end_s = None
            if event.is_forked or event.status != "completed":
                status = event.status
            else:
                status = "skipped"
            self._tell(
                {
                    "state": "ended",
                    "event": event.plan["id"],
                    "start_s": min(event.starts_s) if event.starts_s else None,
                    "end_s": end_s,
                    "release_s": (
                        max(event.releases_s) - end_s
                        if event.releases_s and end_s is not None
                        else None
                    ),
                    "starved_s": event.starved_s,
                    "status": status,
                    "message": event.message or (event.note if status == "completed" else ""),
                    "account": event.account,
                }
            )

    def _kill_overstayers(self) -> None:
        now_s = time.monotonic()
        for child in list(self._children.values()):
            if now_s >= child.kill_at_s:
                if child.is_killed and child.event.plan["stressor"] == "disk":
                    self._give_up(child)
                    continue
                if child.event.status == "completed":
                    child.event.status, child.event.message = (
                        "failed",
                        "a load process overstayed its deadline and was killed",
                    )
                _kill(child.pid)
                is_on_disk = child.event.plan["stressor"] == "disk"
                child.is_killed, child.kill_at_s = True, now_s + (HELD_S if is_on_disk else 60.0)

    def _give_up(self, child: _Child) -> None:
        """Go on without a killed process that the filesystem holds: it ends when that answers."""
        os.close(child.pipe)
        del self._children[child.pipe]
        moved_bytes = sum(process_io_bytes(child.pid) or (0, 0))
        self._board.end_process(child.slot, process_cpu_ns(child.pid) or 0, moved_bytes)
        event = child.event
        event.children.remove(child)
        event.ends_s.append(time.monotonic())
        event.message = f"scratch folder {self._plan['scratch_dir']} does not answer"
        event.message += "; a load process was killed, and ends when it does"

    def _stop(self, status: str, why: str) -> None:
        """End all load: ask first, kill after half a second."""
        self._is_stopping = True
        for child in self._children.values():
            if child.event.status == "completed":
                child.event.status, child.event.message = status, why
        self._end_children(list(self._children.values()))

    @staticmethod
    def _end_children(children: list[_Child]) -> None:
        for child in children:
            child.kill_at_s = min(child.kill_at_s, time.monotonic() + STOP_PATIENCE_S)
            os.kill(child.pid, signal.SIGTERM)

    def _die(self) -> NoReturn:
        """The runner, the controller or the guard is gone: no load without them."""
        end_others(self._mark if self._has_commands else "")


def end_others(mark: str) -> NoReturn:
    """End all load, ourselves last.

    What a command started dies first, for nobody else would find it afterwards.
    """
    if mark:
        for pid in descendants(os.getpid()):
            send(pid, signal.SIGSTOP)
        for pid in descendants(os.getpid()):
            send(pid, signal.SIGKILL)
        kill_marked(mark)
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _cause_of(code: int, cpu_s: float) -> str:
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
    return f"a load process died of {name} ({killer}, or somebody sent it)"


def _kill(pid: int) -> None:
    send(pid, signal.SIGKILL)


def main() -> int:
    """Read the plan from stdin and be its host."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    be_first_to_kill()
    line = read_line(0)
    if not line:
        return 2
    plan = json.loads(line)
    if plan["dies_with_starter"]:
        die_with_parent()
    # What a project's module prints when it is imported goes to stderr, not into the runner's line.
    answers = os.dup(1)
    os.dup2(2, 1)
    return LoadHost(plan, answers).run()

"""The load host: one process an experiment, which forks a child per event and CPU.

Protocol (types in ``system.load_messages``). stdin: the plan as one JSON line, written by
``control.site`` and ``control.host_link``; then ``{"zero_s": …, "plan_slot": …}`` once everything
is prepared; ``{"stop": true}``, or the end of stdin, ends all load. stdout, JSON lines: ``{"state":
"ready"}``; per event ``started`` and ``ended`` with what really happened; ``done``.

Each child: forked → prepared → started at an absolute time → follows its level → released. The host
ties their lives to its own and its own to the controller's and the guard's, stands them first in
line for the OOM killer, kills one that overstays, and leaves the kernel's last account of each on
the board before it reaps it.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from typing import TYPE_CHECKING, NoReturn

from twin_harness.errors import advise
from twin_harness.stress.children import Children
from twin_harness.stress.custom import find_stressor
from twin_harness.stress.disk_stress import open_scratch_file, sync_filesystem
from twin_harness.stress.hosted_event import HostedEvent
from twin_harness.stress.stressors import Stressors
from twin_harness.system.board import Board
from twin_harness.system.child import (
    be_first_to_kill,
    die_with_parent,
    read_line,
    readable_of,
    run_on,
)
from twin_harness.system.load_tree import descendants, kill_marked, send
from twin_harness.system.process_watch import ProcessWatch

if TYPE_CHECKING:
    from twin_harness.stress.hosted_event import Child
    from twin_harness.system.load_messages import HostAnswer, HostLine, HostStart, ProcessLine

ARM_S = 0.25


class _Stopping(Exception):
    """The host was asked to stop while it prepared."""


class LoadHost:
    """The host of one experiment.

    Args:
        plan: the first line of stdin.
        answers: the descriptor that the runner reads.
    """

    def __init__(self, plan: HostStart, answers: int = 1) -> None:
        self._plan = plan
        self._answers = answers
        self._board = Board.open(plan["board"])
        self._events = [HostedEvent(index, event) for index, event in enumerate(plan["events"])]
        self._zero_s = 0.0
        self._plan_slot = 0
        self._is_stopping = False
        self._input = b""
        if plan["is_pinned"]:
            run_on(plan["cpus"])  # what it forks stays in this part of the machine
        self._own_slot = self._board.claim_process(os.getpid(), "harness", plan=plan["part"])
        self._was_signalled = False
        self._wake_read = self._open_wake_up()
        self._watch = ProcessWatch(plan["watch_pids"])
        self._mark = ""
        if any(event["stressor"] == "command" for event in plan["events"]):
            self._mark = f"{self._board.path.stem}.{os.getpid()}."
        self._children = Children(plan, self._events, self._board, self._mark, answers)
        self._stressors = Stressors(plan, self._board, self._mark)

    def _open_wake_up(self) -> int:
        """Have SIGCHLD and SIGTERM end the wait, and return the descriptor that they come by."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_was_signalled", True))
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        return wake_read

    def run(self) -> int:
        """Prepare, run every event, and return an exit code."""
        try:
            self._prepare()
            self._answer({"state": "ready"})
            self._await_zero()
            while self._children or not self._is_over():
                self._fork_due_events()
                self._wait(self._next_deadline_s())
                self._children.kill_late()
                self._report_ended()
            self._answer({"state": "done"})
        finally:
            self._children.kill_all()
            if self._mark:
                kill_marked(self._mark)
            self._board.free_process(self._own_slot)
            self._board.close()
        return 0

    def _answer(self, message: HostAnswer) -> None:
        try:
            os.write(self._answers, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            end_load_and_self(self._mark)

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
                folder = f"scratch folder {self._plan['scratch_dir']}"
                event.fail(f"{folder}: {error.strerror}; {way_out}")
            except _Stopping:
                return
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a project's own code
                name = event.plan["stressor"]
                event.fail(f"stressor {name!r} cannot be loaded: {type(error).__name__}: {error}")
        scratch_files = [event.descriptor for event in self._events if event.descriptor is not None]
        if scratch_files:
            sync_filesystem(scratch_files[-1])

    def _prepare_event(self, event: HostedEvent) -> None:
        plan, kind = self._plan, event.plan["stressor"]
        if kind == "disk":
            event.descriptor = open_scratch_file(
                plan["scratch_dir"], event.plan["options"], self._look
            )
        elif kind in plan["custom"]:
            event.maker = find_stressor(plan["custom"][kind], plan["custom_path"])

    def _look(self) -> None:
        """See to the runner and to those we live with while a file is filled."""
        self._wait(0.0)
        if self._is_stopping:
            raise _Stopping

    def _await_zero(self) -> None:
        while not self._zero_s and not self._is_stopping:
            self._wait(None)
        self._report_ended()

    # -- events ------------------------------------------------------------------------------------

    def _is_over(self) -> bool:
        return self._is_stopping or all(event.is_reported for event in self._events)

    def _fork_due_events(self) -> None:
        now_s = time.monotonic()
        for event in self._events:
            is_due = now_s >= self._zero_s + event.plan["start_s"] - ARM_S
            if is_due and not event.is_forked and not self._is_stopping and event.is_sound:
                event.is_forked = True
                self._fork_event(event)

    def _fork_event(self, event: HostedEvent) -> None:
        """Fork the processes of an event.

        Where the kernel refuses one the event has failed, and those that there are end.
        """
        try:
            for load, make in self._stressors.loads_of(event, self._zero_s):
                if not self._is_stopping:
                    self._children.fork(event, load, make, self._plan_slot)
        except OSError as error:
            event.fail(f"a load process cannot be started: {error.strerror}; {advise(error)}")
            event.end_children()

    def _report_ended(self) -> None:
        for event in self._events:
            if event.is_forked:
                is_finished = not event.children
            else:
                is_finished = not event.is_sound or self._is_stopping
            if is_finished and not event.is_reported:
                event.is_reported = True
                self._answer(event.answer())

    # -- waiting -----------------------------------------------------------------------------------

    def _next_deadline_s(self) -> float:
        deadlines_s = [
            self._zero_s + event.plan["start_s"] - ARM_S
            for event in self._events
            if not event.is_forked and event.is_sound
        ]
        deadlines_s += [child.kill_at_s for child in self._children]
        if deadlines_s:
            return max(0.0, min(deadlines_s) - time.monotonic())
        return 0.0

    def _wait(self, timeout_s: float | None) -> None:
        """Wait for a child, the runner, or the end of a process we live with; handle what came."""
        watched = (0, self._wake_read, *self._watch.descriptors, *self._children.pipes)
        if timeout_s is not None:
            timeout_s += 0.001
        readable = readable_of(watched, self._watch.shortened(timeout_s))
        if self._watch.has_ended(readable):
            end_load_and_self(self._mark)  # no load without the runner, controller and guard
        for descriptor in readable:
            if descriptor == 0:
                self._read_input()
            elif descriptor == self._wake_read:
                os.read(self._wake_read, 4096)
                if self._was_signalled and not self._is_stopping:
                    self._stop("the load host was asked to stop")
            else:
                for child, line in self._children.read(descriptor):
                    self._hear(child, line)

    def _read_input(self) -> None:
        data = os.read(0, 1 << 16)
        if not data:
            end_load_and_self(self._mark)
        self._input += data
        *lines, self._input = self._input.split(b"\n")
        for line in filter(None, lines):
            message: HostLine = json.loads(line)
            if "stop" in message:
                self._stop(message["why"])
            else:
                self._zero_s, self._plan_slot = message["zero_s"], message["plan_slot"]

    def _hear(self, child: Child, line: ProcessLine) -> None:
        event = child.event
        if line["state"] == "prepared":
            self._children.set_base(child)
        elif line["state"] == "started":
            event.starts_s.append(line["at_s"])
            if len(event.starts_s) == event.forks:
                start_s = min(event.starts_s)
                self._answer({"state": "started", "event": event.plan["id"], "start_s": start_s})
        elif line["state"] == "ended":
            child.has_said_end = True
            event.ends_s.append(line["at_s"])
        elif line["state"] == "released":
            event.take_release(line)
        else:
            event.status, event.message = line["status"], line["why"]
            event.end_children()

    # -- the end -----------------------------------------------------------------------------------

    def _stop(self, why: str) -> None:
        """End all load: ask first, kill after half a second."""
        self._is_stopping = True
        for child in self._children:
            if child.event.is_sound:
                child.event.status, child.event.message = "stopped", why
            child.ask_to_end()


def end_load_and_self(mark: str) -> NoReturn:
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


def main() -> int:
    """Read the plan from stdin and be its host."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    be_first_to_kill()
    line = read_line(0)
    if not line:
        return 2
    plan: HostStart = json.loads(line)
    if plan["dies_with_starter"]:
        die_with_parent()
    # What a project's module prints when it is imported goes to stderr, not into the runner's line.
    answers = os.dup(1)
    os.dup2(2, 1)
    return LoadHost(plan, answers).run()

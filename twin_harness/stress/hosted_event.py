"""An event of a load host's plan: its load processes, and what has become of it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.stress.load import Load, Stressor
    from twin_harness.system.load_messages import EndedAnswer, EventPlan, ReleasedLine

STOP_PATIENCE_S = 0.5


@dataclass
class Child:
    """A forked load process.

    Attributes:
        pid: the process.
        slot: its slot on the load board.
        pipe: the host's end of its pipe.
        event: what it carries, or a share of it.
        kill_at_s: when it is killed unless it has ended, on CLOCK_MONOTONIC.
        buffer: the beginning of its next line.
        is_killed: it has been, and is not gone yet.
        has_said_end: it has said when its load ended.
    """

    pid: int
    slot: int
    pipe: int
    event: HostedEvent
    kill_at_s: float
    buffer: bytes = b""
    is_killed: bool = False
    has_said_end: bool = False

    def ask_to_end(self) -> None:
        """Ask it to end its load; it is killed half a second later."""
        self.kill_at_s = min(self.kill_at_s, time.monotonic() + STOP_PATIENCE_S)
        os.kill(self.pid, signal.SIGTERM)


@dataclass
class HostedEvent:
    """An event of the plan and what has become of it.

    Attributes:
        index: its place in the plan.
        plan: what was asked for.
        descriptor: the scratch file of a disk event, until its process is forked.
        maker: makes the stressor of a project's own.
        is_forked: its processes have been started.
        forks: how many of them.
        children: those that have not been reaped.
        starts_s: when each began, on CLOCK_MONOTONIC.
        ends_s: when each ended its load.
        releases_s: when each had given its resource back.
        starved_s: how long they waited for the resource while behind.
        note: what the annotation says of a load that went well.
        account: further figures of the stressor.
        status: completed, until something else is known.
        message: why it is something else.
        is_reported: the runner knows how it ended.
    """

    index: int
    plan: EventPlan
    descriptor: int | None = None
    maker: Callable[[Load], Stressor] | None = None
    is_forked: bool = False
    forks: int = 0
    children: list[Child] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)
    releases_s: list[float] = field(default_factory=list)
    starved_s: float = 0.0
    note: str = ""
    account: dict[str, Any] = field(default_factory=dict)
    status: str = "completed"
    message: str = ""
    is_reported: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether nothing has gone wrong with it yet."""
        return self.status == "completed"

    def fail(self, message: str) -> None:
        """Count it as failed, for that reason."""
        self.status, self.message = "failed", message

    def take_release(self, line: ReleasedLine) -> None:
        """Take up what one of its processes says at its end."""
        self.releases_s.append(line["at_s"])
        self.starved_s += line["starved_s"]
        self.note = self.note or line["note"]
        self.account |= line["account"]

    def end_children(self) -> None:
        """Ask all of its processes to end; they are killed half a second later."""
        for child in self.children:
            child.ask_to_end()

    def answer(self) -> EndedAnswer:
        """Return its end as the runner reads it."""
        start_s = end_s = release_s = None
        if self.starts_s:
            start_s = min(self.starts_s)
        if self.ends_s:
            end_s = max(self.ends_s)
        if self.releases_s and end_s is not None:
            release_s = max(self.releases_s) - end_s
        status, message = self.status, self.message
        if not self.is_forked and self.is_sound:
            status = "skipped"
        if status == "completed":
            message = message or self.note
        return {
            "state": "ended",
            "event": self.plan["id"],
            "start_s": start_s,
            "end_s": end_s,
            "release_s": release_s,
            "starved_s": self.starved_s,
            "status": status,
            "message": message,
            "account": self.account,
        }

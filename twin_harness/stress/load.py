"""What a load process is asked to follow, and what every stressor must be able to do."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from twin_harness.system.child import run_as_ordinary, run_in_real_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.shapes.shape import Shape
    from twin_harness.system.load_messages import ProcessLine, ReleasedLine

_PATIENCE_S = 0.02


class LoadAborted(Exception):
    """The load stopped itself because going on would harm the machine."""


class LoadFailed(Exception):
    """The load could not go on; the message says why."""


@dataclass
class Load:
    """The part of one event that one process carries.

    Attributes:
        shape: level over time.
        start_s: absolute start on CLOCK_MONOTONIC.
        duration_s: planned length.
        scale: what one unit of level is in the stressor's own unit (CPU seconds per second, bytes,
            bytes per second).
        options: the event's options, defaults filled in.
        is_stopping: set from outside when the event is to end early.
        starved_s: how long the process waited for its resource while it was behind: for a CPU, by
            the kernel's account; for memory to be filled; for the device.
        note: what the annotation should say of a load that went well.
        account: further figures for the annotation's parameters.
    """

    shape: Shape
    start_s: float
    duration_s: float
    scale: float
    options: dict[str, Any] = field(default_factory=dict)
    is_stopping: bool = False
    starved_s: float = 0.0
    note: str = ""
    account: dict[str, Any] = field(default_factory=dict)

    @property
    def end_s(self) -> float:
        """The planned end on CLOCK_MONOTONIC."""
        return self.start_s + self.duration_s

    def level(self, now_s: float) -> float:
        """Return the level asked for at an instant on CLOCK_MONOTONIC, in the stressor's unit."""
        since_s = min(max(now_s - self.start_s, 0.0), self.duration_s)
        return self.shape.level(since_s, self.duration_s) * self.scale

    def area(self, now_s: float) -> float:
        """Return what was asked for up to an instant, in the stressor's unit × seconds."""
        since_s = min(max(now_s - self.start_s, 0.0), self.duration_s)
        return self.shape.area(since_s, self.duration_s) * self.scale

    def highest(self) -> float:
        """Return the highest level of the event, in the stressor's unit."""
        return self.shape.extremes(self.duration_s)[1] * self.scale

    def wait_for_start(self) -> bool:
        """Sleep until the start; return False when asked to stop before it."""
        while not self.is_stopping:
            remaining_s = self.start_s - time.monotonic()
            if remaining_s <= 0:
                return True
            if remaining_s >= 2 * _PATIENCE_S:
                remaining_s = min(remaining_s - _PATIENCE_S, _PATIENCE_S)
            time.sleep(remaining_s)
        return False


class Stressor(Protocol):
    """One way to load one resource, in a process of its own.

    The load host calls ``prepare`` when the process is made, ``follow`` at the start, and
    ``release`` at the end, always.
    """

    def prepare(self) -> None:
        """Do what may take time, so that the load can begin at once."""
        ...

    def follow(self, report_start: Callable[[], None]) -> None:
        """Follow the load until its end or until it is stopping.

        Call ``report_start`` just before the first unit of work.

        Raises:
            LoadAborted: going on would harm the machine.
            OSError: the resource refused.
        """
        ...

    def release(self) -> None:
        """Give everything back."""
        ...


def _describe(error: Exception) -> tuple[str, str]:
    """Return what becomes of an event whose load raised, and why."""
    if isinstance(error, LoadAborted):
        return "aborted", str(error)
    if isinstance(error, LoadFailed):
        return "failed", str(error)
    if isinstance(error, MemoryError):
        return (
            "failed",
            "the kernel refused the memory (overcommit or an address space limit); ask for less",
        )
    if isinstance(error, OSError):
        return "failed", f"{error.strerror or error} (errno {error.errno})"
    return "failed", f"{type(error).__name__}: {error}"


def _send(pipe: int, line: ProcessLine) -> None:
    os.write(pipe, json.dumps(line).encode() + b"\n")


def _send_if_heard(pipe: int, line: ProcessLine) -> None:
    """Send a line; a host that is gone hears nothing, and the release is still to come."""
    with contextlib.suppress(BrokenPipeError):
        _send(pipe, line)


def follow(make: Callable[[], Stressor], load: Load, pipe: int) -> int:
    """Lead one load through its life, report each step to the host, and return an exit code.

    Args:
        make: makes its stressor.
        load: what the stressor follows.
        pipe: the host's, for a JSON line a step.
    """
    has_begun = False

    def report_start() -> None:
        nonlocal has_begun
        has_begun = True
        _send(pipe, {"state": "started", "at_s": time.monotonic()})

    stressor = None
    try:
        stressor = make()
        stressor.prepare()
        _send_if_heard(pipe, {"state": "prepared", "at_s": time.monotonic()})
        is_real_time = run_in_real_time()
        is_time = load.wait_for_start()
        if is_real_time:
            run_as_ordinary()
        if is_time:
            stressor.follow(report_start)
    except Exception as error:  # noqa: BLE001 - a project's own stressor may raise anything
        now_s, (status, why) = time.monotonic(), _describe(error)
        _send_if_heard(pipe, {"state": "fault", "at_s": now_s, "status": status, "why": why})
    finally:
        if has_begun:
            _send_if_heard(pipe, {"state": "ended", "at_s": time.monotonic()})
        if stressor is not None:
            stressor.release()
        if has_begun:
            released: ReleasedLine = {
                "state": "released",
                "at_s": time.monotonic(),
                "starved_s": load.starved_s,
                "note": load.note,
                "account": load.account,
            }
            _send_if_heard(pipe, released)
    return 0

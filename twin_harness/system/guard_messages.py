"""Message types of the guard: its limits, its one order, its answers.

Each is one JSON line on a pipe. The guard imports this module for annotations alone.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from twin_harness.system.load_messages import ReadyAnswer


class WatchedLimits(TypedDict):
    """The limits that a guard watches.

    Attributes:
        memory_floor_bytes: the least that must stay available; 0 watches nothing.
        memory_limit_bytes: what the control group allows in all; None when it does not bound.
        disk_floor_bytes: the least that must stay free for scratch; 0 watches nothing.
        scratch_dir: the folder whose filesystem is meant.
        temperature_celsius: ceiling; None takes the sensors' own, infinity watches nothing.
        pressure_memory_percent: ceiling; None watches nothing.
        swap_percent: ceiling; None watches nothing.
    """

    memory_floor_bytes: int
    memory_limit_bytes: int | None
    disk_floor_bytes: int
    scratch_dir: str
    temperature_celsius: float | None
    pressure_memory_percent: float | None
    swap_percent: float | None


class GuardPlan(WatchedLimits):
    """What a guard watches, and for whom; written by ``control.site``.

    Attributes:
        board: path of the load board.
        controller_pid: the process that it ends with.
        part: number of the machine's part; 0 where it is whole.
        has_commands: programs run as load, so that their marks are looked for.
        cpus: where the guard runs.
    """

    board: str
    controller_pid: int
    part: int
    has_commands: bool
    cpus: list[int]


class GuardStart(GuardPlan):
    """The first line on a guard's stdin: the plan, and what ``control.host_link`` adds.

    Attributes:
        dies_with_starter: the guard ends with the thread that has started it.
        starter_pid: the process that has, with which it ends, too.
    """

    dies_with_starter: bool
    starter_pid: int


class GroupLine(TypedDict):
    """The second and last line on a guard's stdin.

    Attributes:
        group: process group of the load host.
    """

    group: int


class TrippedAnswer(TypedDict):
    """A limit was crossed and the load killed; guard to runner.

    Attributes:
        reason: which limit, with both figures.
        is_mute: the scratch filesystem does not answer.
        clean_s: when all limits were last found respected, on CLOCK_MONOTONIC.
        killed_s: when the load was killed.
        dead_s: from the guard's next line (``DeadAnswer``), filled in by the runner's side.
    """

    state: Literal["tripped"]
    reason: str
    is_mute: bool
    clean_s: float
    killed_s: float
    dead_s: NotRequired[float | None]


class DeadAnswer(TypedDict):
    """No load works or holds memory any more; guard to runner, after ``tripped``.

    Attributes:
        dead_s: since when, on CLOCK_MONOTONIC; None where some was left after a second.
    """

    state: Literal["dead"]
    dead_s: float | None


GuardAnswer: TypeAlias = ReadyAnswer | TrippedAnswer | DeadAnswer

"""Message types of the load host: its plan, its answers, those of its processes, the board's plan.

Each message is one JSON line on a pipe, and the board's plan the JSON of a plan slot. Who writes
and who reads is said of each. A type costs nothing at run time: load processes import this module
for annotations alone.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict, final


class EventPlan(TypedDict):
    """One event; written by ``control.site``, read by the load host and the logger.

    Attributes:
        id: unique within its experiment.
        stressor: cpu, memory, disk, command, or the name of a project's own.
        start_s: planned start after the experiment's zero.
        duration_s: planned length.
        shape: the load shape, as ``shapes.shape.to_json`` makes it.
        scale: one unit of level in the unit of the dataset's column (percent, bytes, bytes/s).
        options: the stressor's options, defaults filled in.
    """

    id: str
    stressor: str
    start_s: float
    duration_s: float
    shape: dict[str, Any]
    scale: float
    options: dict[str, Any]


class HostPlan(TypedDict):
    """What a load host does; written by ``control.site``.

    Attributes:
        board: path of the load board.
        watch_pids: the processes that the load must not outlive.
        cpus: those that CPU load may use.
        cpu_capacity: how many CPUs are 100 percent.
        scratch_dir: where disk load puts its files.
        is_scratch_memory: what is written there reaches no device.
        is_pinned: the host and its load stay on ``cpus``.
        part: number of the machine's part; 0 where it is whole.
        memory_floor_bytes: the least that must stay available.
        memory_limit_bytes: what the control group allows in all; None when it does not bound.
        custom: entry point of each of the projects' stressors that occur, by name.
        custom_path: where their modules are looked for.
        environments: the caller's variables that a command gets, by event id.
        events: in the order of the experiment.
    """

    board: str
    watch_pids: list[int]
    cpus: list[int]
    cpu_capacity: float
    scratch_dir: str
    is_scratch_memory: bool
    is_pinned: bool
    part: int
    memory_floor_bytes: int
    memory_limit_bytes: int | None
    custom: dict[str, str]
    custom_path: list[str]
    environments: dict[str, dict[str, str]]
    events: list[EventPlan]


class HostStart(HostPlan):
    """The first line on a load host's stdin: the plan, and what ``control.host_link`` adds.

    Attributes:
        dies_with_starter: the host ends with the thread that has started it.
        locks: descriptors of the machine's locks, which the load inherits.
    """

    dies_with_starter: bool
    locks: list[int]


@final
class ZeroLine(TypedDict):
    """The events' clock begins; runner to load host.

    Attributes:
        zero_s: its zero on CLOCK_MONOTONIC.
        plan_slot: the board's slot that holds the experiment.
    """

    zero_s: float
    plan_slot: int


@final
class StopLine(TypedDict):
    """All load is to end; runner to load host.

    Attributes:
        stop: always true.
        why: what the annotations of the stopped events say.
    """

    stop: Literal[True]
    why: str


HostLine: TypeAlias = ZeroLine | StopLine  # every line on a host's stdin after the first


class ReadyAnswer(TypedDict):
    """All is prepared; load host or guard to runner."""

    state: Literal["ready"]


class StartedAnswer(TypedDict):
    """An event has begun on all its processes; load host to runner.

    Attributes:
        event: its id.
        start_s: when the first of them began, on CLOCK_MONOTONIC.
    """

    state: Literal["started"]
    event: str
    start_s: float


class EndedAnswer(TypedDict):
    """What became of an event; load host to runner, or the runner's own word for a lost host.

    Attributes:
        event: its id.
        start_s: when it began on CLOCK_MONOTONIC; None where it did not.
        end_s: when the last of its processes ended; None where none began.
        status: completed, failed, aborted, stopped or skipped.
        message: why, or what is to be noted of a load that went well.
        release_s: how long its resource took to be given back; None where unknown.
        starved_s: how long its processes waited for the resource while behind.
        account: further figures of the stressor.
    """

    state: Literal["ended"]
    event: str
    start_s: float | None
    end_s: float | None
    status: str
    message: str
    release_s: NotRequired[float | None]
    starved_s: NotRequired[float]
    account: NotRequired[dict[str, Any]]


class DoneAnswer(TypedDict):
    """Every event is reported and every process reaped; load host to runner."""

    state: Literal["done"]


EventAnswer: TypeAlias = StartedAnswer | EndedAnswer
HostAnswer: TypeAlias = ReadyAnswer | EventAnswer | DoneAnswer


class StepLine(TypedDict):
    """A load process has come to the next step of its life; load process to load host.

    Attributes:
        state: prepared, started (just before the first unit of work) or ended.
        at_s: when, on CLOCK_MONOTONIC.
    """

    state: Literal["prepared", "started", "ended"]
    at_s: float


class ReleasedLine(TypedDict):
    """A load process has given its resource back; load process to load host.

    Attributes:
        at_s: when, on CLOCK_MONOTONIC.
        starved_s: how long it waited for the resource while behind.
        note: what the annotation says of a load that went well.
        account: further figures of the stressor.
    """

    state: Literal["released"]
    at_s: float
    starved_s: float
    note: str
    account: dict[str, Any]


class FaultLine(TypedDict):
    """A load could not go on; load process to load host.

    Attributes:
        at_s: when, on CLOCK_MONOTONIC.
        status: failed or aborted.
        why: the reason, as the annotation gives it.
    """

    state: Literal["fault"]
    at_s: float
    status: str
    why: str


ProcessLine: TypeAlias = StepLine | ReleasedLine | FaultLine


class BoardPlan(TypedDict):
    """A running experiment on the load board; runner to logger and status line.

    Attributes:
        experiment: its name.
        partition: the machine's part; empty where the machine is whole.
        begin_s: start of its recording on CLOCK_MONOTONIC.
        zero_s: zero of its events.
        end_s: planned end of its recording.
        events: in the order of the experiment.
    """

    experiment: str
    partition: NotRequired[str]
    begin_s: float
    zero_s: float
    end_s: float
    events: list[EventPlan]

"""Message types of logger and probe: settings, the ready line, the logger's account of itself.

Settings and ready line are one JSON line on a pipe, the account is a file. Logger and probe import
this module for annotations alone.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class MachinePart(TypedDict):
    """A part of a machine that is cut into parts.

    Attributes:
        name: as in the column ``partition``.
        cpus: its own.
        cpu_capacity: how many CPUs are 100 percent of it.
    """

    name: str
    cpus: list[int]
    cpu_capacity: float


class MachineFacts(TypedDict):
    """What logger and probe need of ``machine.json``; more may stand there.

    Attributes:
        host: name of the machine.
        cpus: those that the session may use.
        possible_cpus: those that may ever be there; each has a column.
        cpu_capacity: how many CPUs are 100 percent.
        memory_total_bytes: of the machine.
        memory_limit_bytes: what is 100 percent: the total, or a control group's limit below it.
        scratch_dir: the scratch folder.
        scratch_device: the block device below it; empty where there is none.
        parts_of: the machine's parts, where it is cut into some.
    """

    host: str
    cpus: list[int]
    possible_cpus: list[int]
    cpu_capacity: float
    memory_total_bytes: int
    memory_limit_bytes: int
    scratch_dir: str
    scratch_device: str
    parts_of: NotRequired[list[MachinePart]]


class TelemetrySettings(TypedDict):
    """What the first lines on stdin of logger and probe share; written by ``telemetry.start``.

    Attributes:
        board: path of the load board.
        controller_pid: the process that they end with.
        machine: content of ``machine.json``.
        leaves_parent: go on as nobody's child.
    """

    board: str
    controller_pid: int
    machine: MachineFacts
    leaves_parent: bool


class LoggerSettings(TelemetrySettings):
    """The logger's settings.

    Attributes:
        dataset: path of the dataset.
        account: path of the file for the logger's account of itself.
        interval_s: between two samples.
        source: where samples come from: auto, procfs or psutil.
    """

    dataset: str
    account: str
    interval_s: float
    source: str


class ProbeSettings(TelemetrySettings):
    """The probe's settings.

    Attributes:
        probe_disk: write and fsync in the scratch folder, too.
        probe_service: address of the service to ask, too; empty for none.
        outlives_starter: the probe does not end with the thread that has started it.
    """

    probe_disk: bool
    probe_service: str
    outlives_starter: bool


class TelemetryReady(TypedDict):
    """The first and only line of a logger or probe: its figures come from now on.

    Attributes:
        pid: the process that does the work, which may not be the one that was started.
        scheduling: the scheduling class that the logger got.
    """

    state: Literal["ready"]
    pid: int
    scheduling: NotRequired[str]


class LatenessHistogram(TypedDict):
    """How late the samples were.

    Attributes:
        edges_ms: upper edges of all bins but the last.
        counts: samples in each bin.
    """

    edges_ms: list[float]
    counts: list[int]


class LoggerAccount(TypedDict):
    """The logger's account of itself, rewritten while it runs; read when the session closes.

    Attributes:
        scheduling: the scheduling class it had last.
        rows: samples taken.
        missed_samples: moments of the grid without one.
        cpu_seconds: what it has spent.
        wall_seconds: how long it has run.
        mean_sample_cost_us: CPU time of a sample; None without samples.
        worst_lateness_ms: of a sample.
        lateness_histogram: of all samples.
        notes: what could not be measured, a sentence each.
        error: why it ended before it was asked to; empty otherwise.
    """

    scheduling: str
    rows: int
    missed_samples: int
    cpu_seconds: float
    wall_seconds: float
    mean_sample_cost_us: float | None
    worst_lateness_ms: float
    lateness_histogram: LatenessHistogram
    notes: list[str]
    error: str

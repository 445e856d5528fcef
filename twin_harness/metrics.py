"""The registry of the dataset's columns.

Name, unit, definition, valid range and what other tools call the same thing.

Plain data, in the order of the CSV. Everything that names a column (logger, readers, report,
documentation) takes it from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Metric:
    """One column.

    Attributes:
        name: the column's name, which ends in its unit.
        unit: UCUM-like unit; empty for labels.
        definition: one sentence.
        group: identity, contract, cpu, memory, disk, network, pressure, sensor, probe or self.
        minimum, maximum: the valid range; None is unbounded.
        better: ``lower``, ``higher`` or empty when neither is better.
        scale: ``ratio`` (effects are log ratios) or ``difference`` (can be 0: effects are
            differences).
        is_slow: read once a second and repeated.
        psutil, opentelemetry: what they call it; empty when they have no such figure.
    """

    name: str
    unit: str
    definition: str
    group: str
    minimum: float | None = 0.0
    maximum: float | None = None
    better: str = "lower"
    scale: str = "ratio"
    is_slow: bool = False
    psutil: str = ""
    opentelemetry: str = ""


DATASET_VERSION = "twin-dataset/1"
ANNOTATIONS_VERSION = "twin-annotations/1"

IDENTITY: tuple[Metric, ...] = (
    Metric(
        "time",
        "UTC",
        "When the sample was taken, ISO 8601 with microseconds.",
        "identity",
        None,
        better="",
    ),
    Metric("monotonic_s", "s", "The same instant on CLOCK_MONOTONIC.", "identity", better=""),
    Metric("host", "", "Name of the machine.", "identity", None, better=""),
    Metric(
        "partition",
        "",
        "Part of the machine that the row is about; empty for the whole.",
        "identity",
        None,
        better="",
    ),
    Metric(
        "experiment",
        "",
        "Experiments active since the row before, joined by +.",
        "identity",
        None,
        better="",
    ),
    Metric(
        "active_events",
        "",
        "Events active since the row before, joined by +.",
        "identity",
        None,
        better="",
    ),
)

_P, _B, _BS, _N = "percent", "bytes", "bytes/s", "1/s"

CONTRACT: tuple[Metric, ...] = (
    Metric(
        "cpu_requested_percent",
        _P,
        "Mean planned CPU load since the row before.",
        "contract",
        0,
        100,
        "",
    ),
    Metric(
        "cpu_delivered_percent",
        _P,
        "CPU time of the CPU stressors since the row before.",
        "contract",
        0,
        None,
        "",
    ),
    Metric(
        "memory_requested_bytes",
        _B,
        "Mean planned memory load since the row before.",
        "contract",
        better="",
    ),
    Metric(
        "memory_delivered_bytes",
        _B,
        "Resident bytes of the memory stressors.",
        "contract",
        better="",
    ),
    Metric(
        "disk_requested_bytes_per_s",
        _BS,
        "Mean planned disk load since the row before.",
        "contract",
        better="",
    ),
    Metric(
        "disk_delivered_bytes_per_s",
        _BS,
        "Disk I/O of the disk stressors since the row before.",
        "contract",
        better="",
    ),
    Metric(
        "cpu_side_percent",
        _P,
        "CPU time that memory, disk, command and projects' own load cost.",
        "contract",
        scale="difference",
    ),
    Metric(
        "cpu_background_percent",
        _P,
        "CPU time of everybody else: total less steal, delivered, side and harness; means over 1 s"
        " or more count. Within a CPU quota: of everybody else in the control group whose quota"
        " binds.",
        "contract",
        None,
        scale="difference",
    ),
    Metric(
        "harness_cpu_percent",
        _P,
        "CPU time of logger, probe, guard, load hosts and controller.",
        "contract",
        scale="difference",
    ),
)

_CPU_HEAD: tuple[Metric, ...] = (
    Metric(
        "cpu_percent",
        _P,
        "Busy CPU time, steal included, as psutil defines it. Within a CPU quota: what the control"
        " group whose quota binds used of it, and steal; it may exceed 100 in single rows, for a"
        " quota is spent in bursts.",
        "cpu",
        0,
        100,
        psutil="cpu_percent",
        opentelemetry="system.cpu.utilization",
    ),
    Metric(
        "cpu_user_percent",
        _P,
        "CPU time in user mode, nice included; within a CPU quota the control group's.",
        "cpu",
        0,
        100,
        psutil="cpu_times_percent.user",
    ),
    Metric(
        "cpu_system_percent",
        _P,
        "CPU time in the kernel; within a CPU quota the control group's.",
        "cpu",
        0,
        100,
        psutil="cpu_times_percent.system",
    ),
    Metric(
        "cpu_iowait_percent",
        _P,
        "Idle time with I/O outstanding, of the allowed CPUs, also within a CPU quota.",
        "cpu",
        0,
        100,
        scale="difference",
        psutil="cpu_times_percent.iowait",
    ),
    Metric(
        "cpu_steal_percent",
        _P,
        "Time the hypervisor gave to others, of the allowed CPUs, also within a CPU quota.",
        "cpu",
        0,
        100,
        scale="difference",
        psutil="cpu_times_percent.steal",
    ),
    Metric(
        "cpu_irq_percent",
        _P,
        "CPU time in hard and soft interrupts, of the allowed CPUs, also within a CPU quota.",
        "cpu",
        0,
        100,
        scale="difference",
        psutil="cpu_times_percent.irq",
    ),
)
_CPU_TAIL: tuple[Metric, ...] = (
    Metric(
        "cpu_frequency_hz",
        "Hz",
        "Mean frequency of the allowed CPUs that run.",
        "cpu",
        better="",
        is_slow=True,
        psutil="cpu_freq.current",
    ),
    Metric(
        "context_switches_per_s", _N, "Context switches.", "cpu", psutil="cpu_stats.ctx_switches"
    ),
    Metric("interrupts_per_s", _N, "Interrupts served.", "cpu", psutil="cpu_stats.interrupts"),
    Metric(
        "processes_created_per_s",
        _N,
        "Forks.",
        "cpu",
        scale="difference",
        opentelemetry="system.processes.created",
    ),
    Metric("processes_running", "1", "Runnable threads.", "cpu", scale="difference"),
    Metric("processes_blocked", "1", "Threads blocked on I/O.", "cpu", scale="difference"),
    Metric(
        "processes_total",
        "1",
        "Processes that exist.",
        "cpu",
        better="",
        is_slow=True,
        psutil="pids",
        opentelemetry="system.processes.count",
    ),
    Metric(
        "load1",
        "1",
        "Load average over 1 minute.",
        "cpu",
        scale="difference",
        psutil="getloadavg",
        opentelemetry="system.cpu.load_average.1m",
    ),
    Metric(
        "load5",
        "1",
        "Load average over 5 minutes.",
        "cpu",
        scale="difference",
        psutil="getloadavg",
        opentelemetry="system.cpu.load_average.5m",
    ),
    Metric(
        "load15",
        "1",
        "Load average over 15 minutes.",
        "cpu",
        scale="difference",
        psutil="getloadavg",
        opentelemetry="system.cpu.load_average.15m",
    ),
)
MEMORY: tuple[Metric, ...] = (
    Metric(
        "memory_percent",
        _P,
        "(total − available) / total, within the control groups' tightest limit (memory.max,"
        " memory.high).",
        "memory",
        0,
        100,
        psutil="virtual_memory.percent",
        opentelemetry="system.memory.utilization",
    ),
    Metric(
        "memory_used_bytes",
        _B,
        "total − available.",
        "memory",
        psutil="virtual_memory.used",
        opentelemetry="system.memory.usage",
    ),
    Metric(
        "memory_available_bytes",
        _B,
        "Memory that new work can have without swapping, in the machine and in every control group"
        " that bounds it.",
        "memory",
        better="higher",
        psutil="virtual_memory.available",
    ),
    Metric(
        "memory_cached_bytes",
        _B,
        "Page cache and reclaimable slab; within a memory limit the control group's.",
        "memory",
        better="",
        psutil="virtual_memory.cached",
    ),
    Metric(
        "memory_dirty_bytes",
        _B,
        "Pages waiting to be written; within a memory limit the control group's.",
        "memory",
        scale="difference",
    ),
    Metric(
        "memory_writeback_bytes",
        _B,
        "Pages being written; within a memory limit the control group's.",
        "memory",
        scale="difference",
    ),
    Metric(
        "swap_percent",
        _P,
        "Used share of the whole machine's swap; empty without swap.",
        "memory",
        0,
        100,
        scale="difference",
        psutil="swap_memory.percent",
    ),
    Metric(
        "swap_in_bytes_per_s",
        _BS,
        "Pages read back from swap.",
        "memory",
        scale="difference",
        is_slow=True,
        psutil="swap_memory.sin",
    ),
    Metric(
        "swap_out_bytes_per_s",
        _BS,
        "Pages written to swap.",
        "memory",
        scale="difference",
        is_slow=True,
        psutil="swap_memory.sout",
    ),
    Metric("page_faults_per_s", _N, "Page faults, minor and major.", "memory", is_slow=True),
    Metric(
        "major_page_faults_per_s",
        _N,
        "Page faults that needed I/O.",
        "memory",
        scale="difference",
        is_slow=True,
    ),
)
DISK: tuple[Metric, ...] = (
    Metric(
        "disk_read_bytes_per_s",
        _BS,
        "Bytes read, over whole block devices that are stacked on no other.",
        "disk",
        better="",
        scale="difference",
        psutil="disk_io_counters.read_bytes",
        opentelemetry="system.disk.io",
    ),
    Metric(
        "disk_write_bytes_per_s",
        _BS,
        "Bytes written, over the same devices.",
        "disk",
        better="",
        scale="difference",
        psutil="disk_io_counters.write_bytes",
        opentelemetry="system.disk.io",
    ),
    Metric(
        "disk_reads_per_s",
        _N,
        "Reads completed, over the same devices.",
        "disk",
        better="",
        scale="difference",
        psutil="disk_io_counters.read_count",
        opentelemetry="system.disk.operations",
    ),
    Metric(
        "disk_writes_per_s",
        _N,
        "Writes completed, over the same devices.",
        "disk",
        better="",
        scale="difference",
        psutil="disk_io_counters.write_count",
        opentelemetry="system.disk.operations",
    ),
    Metric(
        "disk_busy_percent",
        _P,
        "Time the device under scratch had I/O in flight.",
        "disk",
        0,
        100,
        scale="difference",
        psutil="disk_io_counters.busy_time",
    ),
    Metric(
        "disk_queue_depth",
        "1",
        "Mean I/O requests in flight at the device under scratch.",
        "disk",
        scale="difference",
    ),
    Metric(
        "disk_used_percent",
        _P,
        "Used share of the filesystem under scratch.",
        "disk",
        0,
        100,
        is_slow=True,
        psutil="disk_usage.percent",
        opentelemetry="system.filesystem.utilization",
    ),
)
NETWORK: tuple[Metric, ...] = (
    Metric(
        "network_sent_bytes_per_s",
        _BS,
        "Bytes sent, over interfaces with hardware behind them; else over those stacked on none.",
        "network",
        better="",
        scale="difference",
        psutil="net_io_counters.bytes_sent",
        opentelemetry="system.network.io",
    ),
    Metric(
        "network_received_bytes_per_s",
        _BS,
        "Bytes received, over the same interfaces.",
        "network",
        better="",
        scale="difference",
        psutil="net_io_counters.bytes_recv",
        opentelemetry="system.network.io",
    ),
    Metric(
        "network_errors_per_s",
        _N,
        "Errors in both directions, over the same interfaces.",
        "network",
        scale="difference",
        psutil="net_io_counters.errin",
        opentelemetry="system.network.errors",
    ),
    Metric(
        "network_drops_per_s",
        _N,
        "Packets dropped in both directions, over the same interfaces.",
        "network",
        scale="difference",
        psutil="net_io_counters.dropin",
        opentelemetry="system.network.dropped",
    ),
    Metric(
        "network_loopback_bytes_per_s",
        _BS,
        "Bytes over the loopback interface.",
        "network",
        better="",
        scale="difference",
    ),
)
# Older rows hold more than 100 where the logger was held up between clock and counter: no maximum,
# or they would be emptied, and the lower row after each, which makes up for it, would stand alone.
_WAITED = (
    "Time in which {}, in the whole machine, also within a control group; over the time between its"
    " own two readings, so at most 100."
)
PRESSURE: tuple[Metric, ...] = (
    Metric(
        "pressure_cpu_percent",
        _P,
        _WAITED.format("some task waited for a CPU"),
        "pressure",
        0,
        None,
        scale="difference",
    ),
    Metric(
        "pressure_memory_percent",
        _P,
        _WAITED.format("some task waited for memory"),
        "pressure",
        0,
        None,
        scale="difference",
    ),
    Metric(
        "pressure_io_percent",
        _P,
        _WAITED.format("some task waited for I/O"),
        "pressure",
        0,
        None,
        scale="difference",
    ),
    Metric(
        "pressure_memory_full_percent",
        _P,
        _WAITED.format("all tasks waited for memory"),
        "pressure",
        0,
        None,
        scale="difference",
    ),
    Metric(
        "pressure_io_full_percent",
        _P,
        _WAITED.format("all tasks waited for I/O"),
        "pressure",
        0,
        None,
        scale="difference",
    ),
)
SENSORS: tuple[Metric, ...] = (
    Metric(
        "temperature_celsius",
        "Cel",
        "Hottest CPU sensor between 0 and 150 °C; the board's where there is no other.",
        "sensor",
        None,
        is_slow=True,
        psutil="sensors_temperatures",
    ),
    Metric(
        "power_watts",
        "W",
        "Mean power of the CPU packages, without memory (dram); else of the platform (psys).",
        "sensor",
        is_slow=True,
    ),
)
PROBES: tuple[Metric, ...] = (
    Metric(
        "probe_wakeup_ms",
        "ms",
        "Worst wake-up lateness of an ordinary process since the row before.",
        "probe",
    ),
    Metric(
        "probe_cpu_ms", "ms", "Worst time of a fixed piece of work since the row before.", "probe"
    ),
    Metric(
        "probe_disk_ms",
        "ms",
        "Worst 4 KiB write + fsync since the row before, five a second; empty unless asked for.",
        "probe",
    ),
    Metric(
        "probe_service_ms",
        "ms",
        "Worst request to the service under test since the row before, ten a second, at most 5 s;"
        " empty unless asked for, or refused.",
        "probe",
    ),
)
SELF: tuple[Metric, ...] = (
    Metric("lateness_ms", "ms", "How late the sample was taken.", "self", scale="difference"),
    Metric(
        "missed_samples",
        "1",
        "Grid slots skipped since the row before.",
        "self",
        scale="difference",
    ),
    Metric("sample_cost_us", "us", "CPU time that taking the row before cost.", "self"),
)


def per_cpu(cpu: int) -> Metric:
    """Return the column of one CPU."""
    return Metric(
        f"cpu{cpu}_percent",
        _P,
        f"Busy time of CPU {cpu}, steal included, whoever used it, also within a CPU quota.",
        "cpu",
        0,
        100,
    )


def columns(cpus: tuple[int, ...]) -> tuple[Metric, ...]:
    """Return every column of a dataset in order, given the machine's possible CPUs."""
    per_core = tuple(per_cpu(cpu) for cpu in cpus)
    return (
        IDENTITY
        + CONTRACT
        + _CPU_HEAD
        + per_core
        + _CPU_TAIL
        + MEMORY
        + DISK
        + NETWORK
        + PRESSURE
        + SENSORS
        + PROBES
        + SELF
    )


def by_name(name: str) -> Metric | None:
    """Return the column of that name, of any number of CPUs; None when there is none."""
    for metric in columns(()):
        if metric.name == name:
            return metric
    digits = name.removeprefix("cpu").removesuffix("_percent")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= len("8192")
    if is_number and per_cpu(int(digits)).name == name:
        return per_cpu(int(digits))
    return None


_OF_THE_QUOTA = ("cpu_percent", "cpu_user_percent", "cpu_system_percent")


def is_within_quota(machine: dict[str, Any]) -> bool:
    """Tell whether a control group's CPU quota, not the CPUs, is what 100 percent refers to, given the content of ``machine.json``."""
    capacity, cpus = machine.get("cpu_capacity"), machine.get("cpus")
    return (
        isinstance(capacity, int | float)
        and isinstance(cpus, list | tuple)
        and capacity < len(cpus)
    )


def maximum_of(metric: Metric, machine: dict[str, Any]) -> float | None:
    """Return the highest valid value of a column on a machine.

    Within a quota, single rows of the group's CPU time may exceed 100.
    """
    if metric.name in _OF_THE_QUOTA and is_within_quota(machine):
        return None
    return metric.maximum


RESOURCE_COLUMNS: dict[str, tuple[str, str]] = {
    "cpu": ("cpu_requested_percent", "cpu_delivered_percent"),
    "memory": ("memory_requested_bytes", "memory_delivered_bytes"),
    "disk": ("disk_requested_bytes_per_s", "disk_delivered_bytes_per_s"),
}

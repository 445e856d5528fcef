"""The registry of the dataset's columns: name, unit, definition, valid range, names elsewhere.

Plain data, in the order of the CSV. Everything that names a column (logger, readers, report,
documentation) takes it from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Metric:
    """One column.

    Attributes:
        name: the column's name, which ends in its unit.
        unit: UCUM-like unit; empty for labels.
        definition: one sentence.
        group: identity, contract, cpu, memory, disk, network, pressure, sensor, probe or self.
        minimum: the lowest valid value; None is unbounded.
        maximum: the highest valid value; None is unbounded.
        better: ``lower``, ``higher`` or empty when neither is better.
        scale: ``ratio`` (effects are log ratios) or ``difference`` (can be 0: effects are
            differences).
        is_slow: read once a second and repeated.
        is_later: added once datasets had been recorded without it, which are whole as they are.
        psutil: what psutil calls it; empty when it has no such figure.
        opentelemetry: what OpenTelemetry calls it; empty when it has no such figure.
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
    is_later: bool = False
    psutil: str = ""
    opentelemetry: str = ""


# A column that is added keeps the version (``is_later``); one that changes its meaning, or goes,
# needs a new one.
DATASET_VERSION = "twin-dataset/1"
ANNOTATIONS_VERSION = "twin-annotations/1"

_P, _B, _BS, _N, _D = "percent", "bytes", "bytes/s", "1/s", "difference"
_identity = partial(Metric, group="identity", better="")
_contract = partial(Metric, group="contract")
_cpu = partial(Metric, group="cpu")
_memory = partial(Metric, group="memory")
_disk = partial(Metric, group="disk")
_network = partial(Metric, group="network")
_sensor = partial(Metric, group="sensor")
_probe = partial(Metric, group="probe")
_self = partial(Metric, group="self")

# fmt: off
IDENTITY: tuple[Metric, ...] = (
    _identity("time", "UTC", "When the sample was taken, ISO 8601 with microseconds.",
        minimum=None),
    _identity("monotonic_s", "s", "The same instant on CLOCK_MONOTONIC."),
    _identity("host", "", "Name of the machine.", minimum=None),
    _identity("partition", "", "Part of the machine that the row is about; empty for the whole.",
        minimum=None),
    _identity("experiment", "", "Experiments active since the row before, joined by +.",
        minimum=None),
    _identity("active_events", "", "Events active since the row before, joined by +.",
        minimum=None),
)
CONTRACT: tuple[Metric, ...] = (
    _contract("cpu_requested_percent", _P, "Mean planned CPU load since the row before.",
        maximum=100, better=""),
    _contract("cpu_delivered_percent", _P, "CPU time of the CPU stressors since the row before.",
        better=""),
    _contract("memory_requested_bytes", _B, "Mean planned memory load since the row before.",
        better=""),
    _contract("memory_delivered_bytes", _B, "Resident bytes of the memory stressors.", better=""),
    _contract("disk_requested_bytes_per_s", _BS, "Mean planned disk load since the row before.",
        better=""),
    _contract("disk_delivered_bytes_per_s", _BS, "Disk I/O of the disk stressors since the row"
        " before.", better=""),
    _contract("cpu_side_percent", _P, "CPU time that memory, disk, command and projects' own load"
        " cost.", scale=_D),
    _contract("cpu_background_percent", _P, "CPU time of everybody else: total less steal,"
        " delivered, side and harness; means over 1 s or more count. Within a CPU quota: of"
        " everybody else in the control group whose quota binds.", minimum=None, scale=_D),
    _contract("harness_cpu_percent", _P, "CPU time of logger, probe, guard, load hosts and"
        " controller.", scale=_D),
)
_CPU_HEAD: tuple[Metric, ...] = (
    _cpu("cpu_percent", _P, "Busy CPU time, steal included, as psutil defines it. Within a CPU"
        " quota: what the control group whose quota binds used of it, and steal; it may exceed"
        " 100 in single rows, for a quota is spent in bursts.", maximum=100, psutil="cpu_percent",
        opentelemetry="system.cpu.utilization"),
    _cpu("cpu_user_percent", _P, "CPU time in user mode, nice included; within a CPU quota the"
        " control group's.", maximum=100, psutil="cpu_times_percent.user"),
    _cpu("cpu_system_percent", _P, "CPU time in the kernel; within a CPU quota the control"
        " group's.", maximum=100, psutil="cpu_times_percent.system"),
    _cpu("cpu_iowait_percent", _P, "Idle time with I/O outstanding, of the allowed CPUs, also"
        " within a CPU quota.", maximum=100, scale=_D, psutil="cpu_times_percent.iowait"),
    _cpu("cpu_steal_percent", _P, "Time the hypervisor gave to others, of the allowed CPUs, also"
        " within a CPU quota.", maximum=100, scale=_D, psutil="cpu_times_percent.steal"),
    _cpu("cpu_irq_percent", _P, "CPU time in hard and soft interrupts, of the allowed CPUs, also"
        " within a CPU quota.", maximum=100, scale=_D, psutil="cpu_times_percent.irq"),
)
_CPU_TAIL: tuple[Metric, ...] = (
    _cpu("cpu_frequency_hz", "Hz", "Mean frequency of the allowed CPUs that run.", better="",
        is_slow=True, psutil="cpu_freq.current"),
    _cpu("context_switches_per_s", _N, "Context switches.", psutil="cpu_stats.ctx_switches"),
    _cpu("interrupts_per_s", _N, "Interrupts served.", psutil="cpu_stats.interrupts"),
    _cpu("processes_created_per_s", _N, "Forks.", scale=_D,
        opentelemetry="system.processes.created"),
    _cpu("processes_running", "1", "Runnable threads.", scale=_D),
    _cpu("processes_blocked", "1", "Threads blocked on I/O.", scale=_D),
    _cpu("processes_total", "1", "Processes that exist.", better="", is_slow=True, psutil="pids",
        opentelemetry="system.processes.count"),
    _cpu("load1", "1", "Load average over 1 minute.", scale=_D, psutil="getloadavg",
        opentelemetry="system.cpu.load_average.1m"),
    _cpu("load5", "1", "Load average over 5 minutes.", scale=_D, psutil="getloadavg",
        opentelemetry="system.cpu.load_average.5m"),
    _cpu("load15", "1", "Load average over 15 minutes.", scale=_D, psutil="getloadavg",
        opentelemetry="system.cpu.load_average.15m"),
)
MEMORY: tuple[Metric, ...] = (
    _memory("memory_percent", _P, "(total − available) / total, within the control groups'"
        " tightest limit (memory.max, memory.high).", maximum=100, psutil="virtual_memory.percent",
        opentelemetry="system.memory.utilization"),
    _memory("memory_used_bytes", _B, "total − available.", psutil="virtual_memory.used",
        opentelemetry="system.memory.usage"),
    _memory("memory_available_bytes", _B, "Memory that new work can have without swapping, in the"
        " machine and in every control group that bounds it.", better="higher",
        psutil="virtual_memory.available"),
    _memory("memory_cached_bytes", _B, "Page cache and reclaimable slab; within a memory limit"
        " the control group's.", better="", psutil="virtual_memory.cached"),
    _memory("memory_dirty_bytes", _B, "Pages waiting to be written; within a memory limit the"
        " control group's.", scale=_D),
    _memory("memory_writeback_bytes", _B, "Pages being written; within a memory limit the control"
        " group's.", scale=_D),
    _memory("swap_percent", _P, "Used share of the whole machine's swap; empty without swap.",
        maximum=100, scale=_D, psutil="swap_memory.percent"),
    _memory("swap_in_bytes_per_s", _BS, "Pages read back from swap.", scale=_D, is_slow=True,
        psutil="swap_memory.sin"),
    _memory("swap_out_bytes_per_s", _BS, "Pages written to swap.", scale=_D, is_slow=True,
        psutil="swap_memory.sout"),
    _memory("page_faults_per_s", _N, "Page faults, minor and major.", is_slow=True),
    _memory("major_page_faults_per_s", _N, "Page faults that needed I/O.", scale=_D, is_slow=True),
)
DISK: tuple[Metric, ...] = (
    _disk("disk_read_bytes_per_s", _BS, "Bytes read, over whole block devices that are stacked on"
        " no other.", better="", scale=_D, psutil="disk_io_counters.read_bytes",
        opentelemetry="system.disk.io"),
    _disk("disk_write_bytes_per_s", _BS, "Bytes written, over the same devices.", better="",
        scale=_D, psutil="disk_io_counters.write_bytes", opentelemetry="system.disk.io"),
    _disk("disk_reads_per_s", _N, "Reads completed, over the same devices.", better="", scale=_D,
        psutil="disk_io_counters.read_count", opentelemetry="system.disk.operations"),
    _disk("disk_writes_per_s", _N, "Writes completed, over the same devices.", better="", scale=_D,
        psutil="disk_io_counters.write_count", opentelemetry="system.disk.operations"),
    _disk("disk_busy_percent", _P, "Time the device under scratch had I/O in flight.", maximum=100,
        scale=_D, psutil="disk_io_counters.busy_time"),
    _disk("disk_queue_depth", "1", "Mean I/O requests in flight at the device under scratch.",
        scale=_D),
    _disk("disk_used_percent", _P, "Used share of the filesystem under scratch.", maximum=100,
        is_slow=True, psutil="disk_usage.percent", opentelemetry="system.filesystem.utilization"),
)
NETWORK: tuple[Metric, ...] = (
    _network("network_sent_bytes_per_s", _BS, "Bytes sent, over interfaces with hardware behind"
        " them; else over those stacked on none.", better="", scale=_D,
        psutil="net_io_counters.bytes_sent", opentelemetry="system.network.io"),
    _network("network_received_bytes_per_s", _BS, "Bytes received, over the same interfaces.",
        better="", scale=_D, psutil="net_io_counters.bytes_recv",
        opentelemetry="system.network.io"),
    _network("network_errors_per_s", _N, "Errors in both directions, over the same interfaces.",
        scale=_D, psutil="net_io_counters.errin", opentelemetry="system.network.errors"),
    _network("network_drops_per_s", _N, "Packets dropped in both directions, over the same"
        " interfaces.", scale=_D, psutil="net_io_counters.dropin",
        opentelemetry="system.network.dropped"),
    _network("network_loopback_bytes_per_s", _BS, "Bytes over the loopback interface.", better="",
        scale=_D),
)
# Older rows hold more than 100 where the logger was held up between clock and counter: no maximum,
# or they would be emptied, and the lower row after each, which makes up for it, would stand alone.
PRESSURE: tuple[Metric, ...] = tuple(
    Metric(
        f"pressure_{name}_percent",
        _P,
        f"Time in which {waiting}, in the whole machine, also within a control group; over the time"
        " between its own two readings, so at most 100.",
        "pressure",
        scale=_D,
    )
    for name, waiting in (
        ("cpu", "some task waited for a CPU"),
        ("memory", "some task waited for memory"),
        ("io", "some task waited for I/O"),
        ("memory_full", "all tasks waited for memory"),
        ("io_full", "all tasks waited for I/O"),
    )
)
SENSORS: tuple[Metric, ...] = (
    _sensor("temperature_celsius", "Cel", "Hottest CPU sensor between 0 and 150 °C; the board's"
        " where there is no other.", minimum=None, is_slow=True, psutil="sensors_temperatures"),
    _sensor("power_watts", "W", "Mean power of the CPU packages, without memory (dram); else of"
        " the platform (psys).", is_slow=True),
)
PROBES: tuple[Metric, ...] = (
    _probe("probe_wakeup_ms", "ms", "Worst wake-up lateness of an ordinary process since the row"
        " before."),
    _probe("probe_cpu_ms", "ms", "Worst time of a fixed piece of work since the row before."),
    _probe("probe_disk_ms", "ms", "Worst 4 KiB write + fsync since the row before, five a second;"
        " empty unless asked for."),
    _probe("probe_service_ms", "ms", "Worst request to the service under test since the row"
        " before, ten a second, at most 5 s; empty unless asked for, or refused."),
)
SELF: tuple[Metric, ...] = (
    _self("lateness_ms", "ms", "How late the sample was taken.", scale=_D),
    _self("missed_samples", "1", "Grid slots skipped since the row before.", scale=_D),
    _self("sample_cost_us", "us", "CPU time that taking the row before cost."),
)
# fmt: on


def per_cpu(cpu: int) -> Metric:
    """Return the column of one CPU."""
    about = f"Busy time of CPU {cpu}, steal included, whoever used it, also within a CPU quota."
    return _cpu(f"cpu{cpu}_percent", _P, about, maximum=100)


def columns(cpus: tuple[int, ...]) -> tuple[Metric, ...]:
    """Return every column of a dataset in order, given the machine's possible CPUs."""
    per_core = tuple(per_cpu(cpu) for cpu in cpus)
    host = _CPU_HEAD + per_core + _CPU_TAIL + MEMORY + DISK + NETWORK + PRESSURE + SENSORS
    return IDENTITY + CONTRACT + host + PROBES + SELF


@cache
def _by_name() -> dict[str, Metric]:
    """Return the columns that every machine has; cleaning asks for each one in every part."""
    return {metric.name: metric for metric in columns(())}


def by_name(name: str) -> Metric | None:
    """Return the column of that name, of any number of CPUs; None when there is none."""
    if (known := _by_name().get(name)) is not None:
        return known
    digits = name.removeprefix("cpu").removesuffix("_percent")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= len("8192")
    if is_number and per_cpu(int(digits)).name == name:
        return per_cpu(int(digits))
    return None


_OF_THE_QUOTA = ("cpu_percent", "cpu_user_percent", "cpu_system_percent")


def is_within_quota(machine: Mapping[str, object]) -> bool:
    """Return whether 100 percent is a control group's CPU quota, not the CPUs.

    ``machine`` is the content of ``machine.json``.
    """
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

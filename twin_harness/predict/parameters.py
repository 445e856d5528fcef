"""The grey box's parameters: what each means, in which unit, within which bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name: as the model file has it.
        unit: of its value.
        low: lower physical bound; the fit stays within.
        high: upper physical bound.
        start: where the fit begins; the weak prior is centred on it.
        meaning: what it is of the machine, in words.
        is_log: it is fitted by its logarithm, and its standard error is relative.
    """

    name: str
    unit: str
    low: float
    high: float
    start: float
    meaning: str
    is_log: bool = False


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("background_cpu", "percent", 0.0, 50.0, 0.7, "CPU time of everybody else"),
    Parameter(
        "harness_cpu",
        "percent",
        0.0,
        10.0,
        1.2,
        "CPU time of logger, probe, guard and controller while an experiment runs",
    ),
    Parameter("start_cost", "percent·s", 0.0, 60.0, 5.0, "CPU time of starting a load host"),
    Parameter("end_cost", "percent·s", 0.0, 60.0, 1.0, "CPU time of ending it"),
    Parameter(
        "fill_fresh",
        "bytes/s",
        5e7,
        5e10,
        1.0e9,
        "filling memory that the hypervisor has not backed yet",
        True,
    ),
    Parameter(
        "fill_warm",
        "bytes/s",
        5e7,
        1e11,
        4.0e9,
        "filling memory that was in use a moment ago",
        True,
    ),
    Parameter("warm_idle", "bytes", 1e6, 1e12, 2.0e8, "memory that is backed at rest", True),
    Parameter(
        "warm_for", "s", 0.5, 600.0, 13.0, "how long freed memory stays backed, on average", True
    ),
    Parameter(
        "fresh_first",
        "bytes",
        1e6,
        1e11,
        8.0e8,
        "what a run takes of memory that is not backed before it comes to what is",
        True,
    ),
    Parameter("fill_cpu", "CPUs", 0.2, 2.0, 1.0, "CPU time per second of filling"),
    Parameter(
        "fill_yield",
        "1",
        0.0,
        5.0,
        1.5,
        "by how much CPU load slows filling down: to 1 / (1 + yield × load), a half at least",
    ),
    Parameter("free_cpu", "s/GiB", 0.0, 0.3, 0.02, "CPU time of freeing memory"),
    Parameter("write_cpu", "s/GB", 0.0, 20.0, 0.5, "CPU time of writing"),
    Parameter("read_cpu", "s/GB", 0.0, 20.0, 0.5, "CPU time of reading"),
    Parameter(
        "write_bandwidth", "bytes/s", 1e6, 2e10, 8.0e8, "what the device writes at most", True
    ),
    Parameter("read_bandwidth", "bytes/s", 1e6, 4e10, 1.0e9, "what it reads at most", True),
    Parameter(
        "sync_bandwidth",
        "bytes/s",
        1e6,
        2e10,
        5.0e8,
        "what it writes at most by way of the page cache and fsync",
        True,
    ),
    Parameter("disk_background", "bytes/s", 0.0, 1e9, 3.0e4, "what everybody else writes"),
    Parameter("memory_idle", "percent", 0.0, 95.0, 5.0, "memory in use at rest"),
    Parameter(
        "memory_overhead", "1", 0.9, 1.2, 1.01, "memory in use per byte of the stressors' memory"
    ),
    Parameter("load_idle", "1", 0.0, 64.0, 0.1, "tasks that run or wait for the disk at rest"),
    Parameter("load_start", "1", 0.0, 64.0, 0.1, "their average as an experiment finds it"),
    Parameter("load_cpu", "1", 0.3, 3.0, 1.0, "the same per CPU of load"),
    Parameter("load_fill", "1", 0.0, 5.0, 1.0, "the same while memory is filled"),
    Parameter("load_disk", "1", 0.0, 5.0, 1.0, "the same while the disk is busy"),
    Parameter("cpu_wait_idle", "percent", 0.0, 30.0, 0.2, "CPU pressure at rest"),
    Parameter(
        "cpu_wait_load", "percent", 0.0, 60.0, 4.0, "CPU pressure of CPU load alone, at 100 percent"
    ),
    Parameter(
        "cpu_wait_fill",
        "percent",
        0.0,
        400.0,
        105.0,
        "CPU pressure of filling memory, per share of its time that it waits for a CPU",
    ),
    Parameter("cpu_wait_disk", "percent", 0.0, 100.0, 8.0, "CPU pressure of a busy disk alone"),
    Parameter(
        "cpu_wait_both",
        "percent",
        0.0,
        400.0,
        30.0,
        "CPU pressure of disk load beside CPU load, each at 100 percent",
    ),
    Parameter("io_wait_idle", "percent", 0.0, 30.0, 0.05, "I/O pressure at rest"),
    Parameter(
        "io_wait_direct",
        "percent",
        1.0,
        200.0,
        80.0,
        "I/O pressure of a device kept busy by direct writes",
    ),
    Parameter(
        "io_wait_read",
        "percent",
        1.0,
        200.0,
        80.0,
        "I/O pressure of a device kept busy by direct reads",
    ),
    Parameter(
        "io_wait_sync", "percent", 1.0, 200.0, 95.0, "I/O pressure of a device kept busy by fsync"
    ),
    Parameter(
        "io_wait_bend", "1", 0.5, 1.2, 0.9, "exponent of I/O pressure over how busy the device is"
    ),
    Parameter(
        "io_wait_relief",
        "1",
        0.0,
        1.0,
        0.5,
        "share of I/O pressure that goes while CPUs are kept awake by load",
    ),
    Parameter(
        "wakeup_idle",
        "log ms",
        -7.0,
        7.0,
        -1.5,
        "log of the worst wake-up lateness in a second, at rest",
    ),
    Parameter("wakeup_load", "log ms", 0.0, 8.0, 2.2, "what CPU load adds to it, once it is there"),
    Parameter(
        "wakeup_full",
        "log ms",
        -4.0,
        8.0,
        -0.7,
        "what CPU load that never pauses adds to it instead",
    ),
    Parameter(
        "wakeup_reach", "1", 0.5, 200.0, 12.0, "wake-ups a second that may meet the load", True
    ),
    Parameter("wakeup_wait", "log ms", 0.0, 8.0, 0.5, "what CPU pressure of 100 percent adds"),
    Parameter(
        "work_idle",
        "log ms",
        -7.0,
        7.0,
        -1.9,
        "log of the worst time of a fixed piece of work in a second, at rest",
    ),
    Parameter("work_load", "log ms", -2.0, 8.0, 0.1, "what CPU load of 100 percent adds"),
    Parameter("work_wait", "log ms", 0.0, 8.0, 0.5, "what CPU pressure of 100 percent adds"),
)
NAMES = tuple(parameter.name for parameter in PARAMETERS)
LOW = np.array([parameter.low for parameter in PARAMETERS])
HIGH = np.array([parameter.high for parameter in PARAMETERS])
START = np.array([parameter.start for parameter in PARAMETERS])
_IS_LOG = np.array([parameter.is_log for parameter in PARAMETERS])


def to_fit_scale(values: np.ndarray) -> np.ndarray:
    """Return parameter sets (…, parameters) on the fitting scale: scales by their logarithm."""
    return np.where(_IS_LOG, np.log(np.where(_IS_LOG, values, 1.0)), values)


def from_fit_scale(values: np.ndarray) -> np.ndarray:
    """Return parameter sets on the fitting scale, (…, parameters), in units, within the bounds."""
    return np.clip(np.where(_IS_LOG, np.exp(np.where(_IS_LOG, values, 0.0)), values), LOW, HIGH)

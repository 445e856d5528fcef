"""``twin doctor``: what this machine permits, and what will be poorer for what it does not."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from twin_harness.machine import MEMORY_BACKED, NETWORK_BACKED, inspect_machine
from twin_harness.procfs import ControlGroup, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from twin_harness.machine import Machine


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is fine, what was found, and what to do about it."""

    topic: str
    is_fine: bool
    found: str
    advice: str = ""

    def lines(self) -> list[str]:
        """Return the finding for people."""
        mark = "ok  " if self.is_fine else "poor"
        return [f"{mark}  {self.topic:<18} {self.found}", *([f"      {'':<18} {self.advice}"] if self.advice else [])]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def examine(scratch_dir: Path) -> list[Finding]:
    """Look at the machine; ``scratch_dir`` is where disk load would go."""
    machine = inspect_machine(scratch_dir)
    return [
        Finding("machine", True, f"{machine.host}: {machine.cpu_model}, Linux {machine.kernel}, fingerprint {machine.fingerprint}"),
        _cpus(machine),
        _memory(machine),
        _real_time(machine),
        _scratch(machine),
        _pressure(is_bounded=machine.is_within_quota or machine.group_limit_bytes is not None),
        _direct(scratch_dir),
        _room(),
    ]


def _cpus(machine: Machine) -> Finding:
    found = f"{len(machine.cpus)} allowed of {len(machine.possible_cpus)}; 100 percent is {machine.cpu_capacity:g} CPUs"
    if not machine.is_within_quota:
        return Finding("cpus", True, found)
    group = ControlGroup()
    folder, throttled = group.quota_folder(), group.throttled()
    where = f", the quota of control group {group.name_of(folder)}" if folder else ""
    held = f"; it was held up in {throttled[0]} of {throttled[1]} periods so far" if throttled and throttled[1] else ""
    bursts = "a cgroup quota bounds them: load comes in bursts of the quota's period"
    if group.cpu_use() is None:
        return Finding(
            "cpus",
            False,
            f"{found}{where}{held}",
            f"{bursts}; its CPU time cannot be read (cpuacct is mounted apart, or hidden), so cpu_percent and cpu_background_percent stay empty",
        )
    return Finding("cpus", False, f"{found}{where}{held}", f"{bursts}; cpu_percent and cpu_background_percent are that group's")


def _memory(machine: Machine) -> Finding:
    group = ControlGroup()
    found = f"{machine.memory_limit_bytes / 2**30:.1f} GiB are 100 percent (cgroup version {group.version or 'none'})"
    limit = next(iter(group.memory_limits()), None)
    if machine.group_limit_bytes is not None and limit is not None:
        found = f"{found[:-1]}: {limit.name} of {group.name_of(limit.folder)})"
    if machine.swap_bytes:
        return Finding(
            "memory", False, f"{found}; {machine.swap_bytes / 2**30:.1f} GiB of swap", "memory load may be swapped out; switch swap off for experiments"
        )
    return Finding("memory", True, f"{found}; no swap")


def _real_time(machine: Machine) -> Finding:
    if len(machine.cpus) == 1:
        return Finding("logger", False, "one CPU: real-time scheduling is not used", "samples may be 100 ms late under full load")
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        os.sched_setscheduler(0, before[0] | os.SCHED_RESET_ON_FORK, before[1])
    except (OSError, AttributeError):
        advice = "grant CAP_SYS_NICE"
        if not ControlGroup().allows_real_time():
            advice = "give its control group a cpu.rt_runtime_us (docker run --cpu-rt-runtime), and it CAP_SYS_NICE"
        return Finding("logger", False, "SCHED_FIFO is not permitted", f"samples may be 20 to 100 ms late under full load; {advice}")
    return Finding("logger", True, "SCHED_FIFO is permitted: samples stay punctual under full load")


def _scratch(machine: Machine) -> Finding:
    status = os.statvfs(machine.scratch_dir)
    free_gib = status.f_bavail * status.f_frsize / 2**30
    free = f"{machine.scratch_filesystem or 'unknown filesystem'} on {machine.scratch_device or 'no block device'}, {free_gib:.1f} GiB free"
    if machine.scratch_filesystem in MEMORY_BACKED + NETWORK_BACKED:
        return Finding("scratch", False, free, "disk load is refused there; name a folder on a disk with --scratch-dir")
    return Finding("scratch", True, free)


def _direct(folder: Path) -> Finding:
    from twin_harness.stress.disk_stress import open_scratch_file  # noqa: PLC0415 - the one check that writes

    try:
        descriptor = open_scratch_file(str(folder), {"file_bytes": 1 << 20, "direct": True, "operation": "write"})
    except OSError as error:
        return Finding("direct I/O", False, f"refused in {folder}: {error.strerror}", "use disk events with direct=false, or another --scratch-dir")
    os.close(descriptor)
    return Finding("direct I/O", True, "works: disk load reaches the device")


def _pressure(*, is_bounded: bool) -> Finding:
    if read_text("/proc/pressure/cpu"):
        whose = " of the whole machine, not of the control group" if is_bounded else ""
        return Finding("pressure", True, f"the kernel tells pressure (PSI){whose}")
    return Finding("pressure", False, "the kernel tells no pressure (PSI)", "pressure columns stay empty; boot with psi=1")


def _room() -> Finding:
    if sys.platform != "linux":
        return Finding("platform", False, f"{sys.platform}: scenarios can be written here", "real load and telemetry need Linux")
    limit = len(os.sched_getaffinity(0))
    load1 = os.getloadavg()[0]
    if load1 > limit / 2:
        return Finding("quiet", False, f"load average {load1:.1f} on {limit} CPUs", "others are busy: CPU experiments may come out UNDECIDED")
    return Finding("quiet", True, f"load average {load1:.1f} on {limit} CPUs")

"""What ``twin doctor`` finds of CPUs, memory and kernel."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from twin_harness.control.finding import Finding
from twin_harness.system.control_group import ControlGroup
from twin_harness.system.procfs import read_text

if TYPE_CHECKING:
    from twin_harness.system.machine import Machine


def examine_cpus(machine: Machine) -> Finding:
    """Look at the allowed CPUs, and the quota that bounds them."""
    found = (
        f"{len(machine.cpus)} allowed of {len(machine.possible_cpus)}; 100 percent is"
        f" {machine.cpu_capacity:g} CPUs"
    )
    if not machine.is_within_quota:
        return Finding("cpus", True, found)
    group = ControlGroup()
    folder, throttled = group.quota_folder(), group.throttled()
    if folder:
        where = f", the quota of control group {group.name_of(folder)}"
    else:
        where = ""
    if throttled and throttled[1]:
        held = f"; it was throttled in {throttled[0]} of {throttled[1]} periods so far"
    else:
        held = ""
    bursts = "a cgroup quota bounds them: load comes in bursts of the quota's period"
    if group.cpu_use() is None:
        return Finding(
            "cpus",
            False,
            f"{found}{where}{held}",
            f"{bursts}; its CPU time cannot be read (cpuacct is mounted apart, or hidden), so"
            " cpu_percent and cpu_background_percent stay empty",
        )
    return Finding(
        "cpus",
        False,
        f"{found}{where}{held}",
        f"{bursts}; cpu_percent and cpu_background_percent are that group's",
    )


def examine_memory(machine: Machine) -> Finding:
    """Look at what bounds memory, and whether it can be swapped out."""
    group = ControlGroup()
    found = (
        f"{machine.memory_limit_bytes / 2**30:.1f} GiB are 100 percent (cgroup version"
        f" {group.version or 'none'})"
    )
    limit = next(iter(group.memory_limits()), None)
    if machine.group_limit_bytes is not None and limit is not None:
        found = f"{found[:-1]}: {limit.name} of {group.name_of(limit.folder)})"
    if machine.swap_bytes:
        return Finding(
            "memory",
            False,
            f"{found}; {machine.swap_bytes / 2**30:.1f} GiB of swap",
            "memory load may be swapped out; switch swap off for experiments",
        )
    return Finding("memory", True, f"{found}; no swap")


def examine_real_time(machine: Machine) -> Finding:
    """Look at whether the logger may be scheduled before all load (sched(7))."""
    if len(machine.cpus) == 1:
        return Finding(
            "logger",
            False,
            "one CPU: real-time scheduling is not used",
            "samples may be 100 ms late under full load",
        )
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        os.sched_setscheduler(0, before[0] | os.SCHED_RESET_ON_FORK, before[1])
    except (OSError, AttributeError):
        advice = "grant CAP_SYS_NICE"
        if not ControlGroup().allows_real_time():
            advice = (
                "give its control group a cpu.rt_runtime_us (docker run --cpu-rt-runtime), and it"
                " CAP_SYS_NICE"
            )
        return Finding(
            "logger",
            False,
            "SCHED_FIFO is not permitted",
            f"samples may be 20 to 100 ms late under full load; {advice}",
        )
    return Finding("logger", True, "SCHED_FIFO is permitted: samples stay punctual under full load")


def examine_pressure(*, is_bounded: bool) -> Finding:
    """Look at whether the kernel reports pressure (psi.rst)."""
    if read_text("/proc/pressure/cpu"):
        if is_bounded:
            whose = " of the whole machine, not of the control group"
        else:
            whose = ""
        return Finding("pressure", True, f"the kernel reports pressure (PSI){whose}")
    return Finding(
        "pressure",
        False,
        "the kernel reports no pressure (PSI)",
        "pressure columns stay empty; boot with psi=1",
    )


def examine_quiet() -> Finding:
    """Look at whether others are busy now."""
    if sys.platform != "linux":
        return Finding(
            "platform",
            False,
            f"{sys.platform}: scenarios can be written here",
            "real load and telemetry need Linux",
        )
    limit = len(os.sched_getaffinity(0))
    load1 = os.getloadavg()[0]
    if load1 > limit / 2:
        return Finding(
            "quiet",
            False,
            f"load average {load1:.1f} on {limit} CPUs",
            "others are busy: CPU experiments may come out UNDECIDED",
        )
    return Finding("quiet", True, f"load average {load1:.1f} on {limit} CPUs")

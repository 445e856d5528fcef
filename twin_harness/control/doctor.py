"""``twin doctor``: what this machine permits, and what will be poorer for what it does not."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from twin_harness.clock import is_standing
from twin_harness.control.machine_lock import find_lock_place
from twin_harness.errors import HarnessFailure
from twin_harness.machine import MEMORY_BACKED, NETWORK_BACKED, inspect_machine
from twin_harness.process_watch import LOOK_EVERY_S
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
        _pressure(),
        _direct(scratch_dir),
        _room(),
        *examine_process(),
    ]


def examine_process() -> list[Finding]:
    """Look at what this process may do: take the machine, watch others, write and compute without a limit, trust its clock."""
    return [_lock(), _watching(), _limits(), _clock()]


def _lock() -> Finding:
    try:
        place = find_lock_place()
    except HarnessFailure as failure:
        return Finding("machine lock", False, str(failure), "no experiment can run until there is one")
    if not place.is_for_all_users:
        advice = "experiments of other users may run at the same time; have root run: install -d -m 1777 /run/lock"
        return Finding("machine lock", False, f"in {place.folder}, which not every user of the machine comes to", advice)
    return Finding("machine lock", True, f"in {place.folder}: all users of the machine take turns")


def _watching() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not in this Python"
        found = f"pidfd_open is refused ({reason}): kernel before 5.3, or a seccomp filter"
        return Finding("process watch", False, found, f"the end of a session is noticed within {LOOK_EVERY_S:g} s, not at once")
    return Finding("process watch", True, "pidfd_open is permitted: load ends at once with its session")


def _limits() -> Finding:
    """Look at the limits of processes that cut load or recording short (setrlimit(2))."""
    if sys.platform == "win32":
        return Finding("limits", True, "none are known here")
    import resource  # noqa: PLC0415 - Unix alone has it

    units = {"RLIMIT_FSIZE": ("-f", "bytes a file"), "RLIMIT_CPU": ("-t", "s of CPU time a process"), "RLIMIT_AS": ("-v", "bytes of addresses")}
    found = []
    for name, (option, unit) in units.items():
        limit = resource.getrlimit(getattr(resource, name))[0]
        if limit != resource.RLIM_INFINITY:
            found.append(f"{limit} {unit} (ulimit {option})")
    if not found:
        return Finding("limits", True, "no limit on file length, CPU time and addresses of a process")
    return Finding("limits", False, ", ".join(found), "a run or load that needs more ends there and says so; raise them for experiments")


def _clock() -> Finding:
    if is_standing():
        return Finding("clock", False, "CLOCK_MONOTONIC of this process stands still", "no experiment can run; start without libfaketime")
    if "faketime" in os.environ.get("LD_PRELOAD", ""):
        return Finding("clock", False, "libfaketime is loaded", "set FAKETIME_DONT_FAKE_MONOTONIC=1, or times and rates are the faked ones")
    return Finding("clock", True, "goes on")


def _cpus(machine: Machine) -> Finding:
    found = f"{len(machine.cpus)} allowed of {len(machine.possible_cpus)}; 100 percent is {machine.cpu_capacity:g} CPUs"
    if machine.cpu_capacity < len(machine.cpus):
        return Finding("cpus", False, found, "a cgroup quota bounds them: load comes in bursts of the quota's period")
    return Finding("cpus", True, found)


def _memory(machine: Machine) -> Finding:
    found = f"{machine.memory_limit_bytes / 2**30:.1f} GiB are 100 percent (cgroup version {ControlGroup().version or 'none'})"
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
        return Finding("logger", False, "SCHED_FIFO is not permitted", "samples may be 20 to 100 ms late under full load; grant CAP_SYS_NICE")
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


def _pressure() -> Finding:
    if read_text("/proc/pressure/cpu"):
        return Finding("pressure", True, "the kernel tells pressure (PSI)")
    return Finding("pressure", False, "the kernel tells no pressure (PSI)", "pressure columns stay empty; boot with psi=1")


def _room() -> Finding:
    if sys.platform != "linux":
        return Finding("platform", False, f"{sys.platform}: scenarios can be written here", "real load and telemetry need Linux")
    limit = len(os.sched_getaffinity(0))
    load1 = os.getloadavg()[0]
    if load1 > limit / 2:
        return Finding("quiet", False, f"load average {load1:.1f} on {limit} CPUs", "others are busy: CPU experiments may come out UNDECIDED")
    return Finding("quiet", True, f"load average {load1:.1f} on {limit} CPUs")

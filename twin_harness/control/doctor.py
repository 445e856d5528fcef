"""``twin doctor``: what this machine permits, and what will be poorer for what it does not."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.errors import HarnessFailure
from twin_harness.system import deadline
from twin_harness.system.clock import is_standing
from twin_harness.system.control_group import ControlGroup
from twin_harness.system.disks import counted_disks
from twin_harness.system.interfaces import counted_interfaces, unlisted_interfaces
from twin_harness.system.machine import inspect_machine, look_at_folder
from twin_harness.system.machine_lock import find_lock_place
from twin_harness.system.power_zones import power_zones
from twin_harness.system.process_watch import LOOK_EVERY_S
from twin_harness.system.procfs import read_text

if TYPE_CHECKING:
    from twin_harness.system.machine import Machine

_DISK_FIELDS = 13  # two numbers, the name and eleven counters (iostats.rst)
_MOST_NAMED = 5


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is fine, what was found, and what to do about it."""

    topic: str
    is_fine: bool
    found: str
    advice: str = ""

    def lines(self) -> list[str]:
        """Return the finding for people."""
        if self.is_fine:
            mark = "ok  "
        else:
            mark = "poor"
        return [
            f"{mark}  {self.topic:<18} {self.found}",
            *([f"      {'':<18} {self.advice}"] if self.advice else []),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def examine(scratch_dir: Path) -> list[Finding]:
    """Look at the machine; ``scratch_dir`` is where disk load would go."""
    try:
        machine = inspect_machine(scratch_dir)
        scratch, direct = _scratch(machine), _direct(machine)
    except deadline.Unanswered as error:
        machine = inspect_machine(Path("/"))
        reason, _, advice = str(error).partition("; ")
        scratch = Finding("scratch", False, reason, advice)
        direct = Finding("direct I/O", False, f"not tried: {scratch_dir} does not answer")
    return [
        Finding(
            "machine",
            True,
            f"{machine.host}: {machine.cpu_model}, Linux {machine.kernel}, fingerprint"
            f" {machine.fingerprint}",
        ),
        _cpus(machine),
        _memory(machine),
        _real_time(machine),
        scratch,
        _pressure(is_bounded=machine.is_within_quota or machine.group_limit_bytes is not None),
        _disks(),
        _network(),
        *_power(),
        direct,
        _room(),
        *examine_process(),
    ]


def examine_process() -> list[Finding]:
    """Look at what this process may do.

    Take the machine, watch others, write and compute without a limit, trust its clock.
    """
    return [_lock(), _watching(), _limits(), _clock()]


def _lock() -> Finding:
    try:
        place = find_lock_place()
    except HarnessFailure as failure:
        return Finding(
            "machine lock", False, str(failure), "no experiment can run until there is one"
        )
    if not place.is_for_all_users:
        advice = (
            "experiments of other users may run at the same time; have root run: install -d -m 1777"
            " /run/lock"
        )
        return Finding(
            "machine lock",
            False,
            f"in {place.folder}, which not every user of the machine comes to",
            advice,
        )
    return Finding("machine lock", True, f"in {place.folder}: all users of the machine take turns")


def _watching() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno:
            reason = os.strerror(error.errno)
        else:
            reason = "not in this Python"
        found = f"pidfd_open is refused ({reason}): kernel before 5.3, or a seccomp filter"
        return Finding(
            "process watch",
            False,
            found,
            f"the end of a session is noticed within {LOOK_EVERY_S:g} s, not at once",
        )
    return Finding(
        "process watch", True, "pidfd_open is permitted: load ends at once with its session"
    )


def _limits() -> Finding:
    """Look at the limits of processes that cut load or recording short (setrlimit(2))."""
    if sys.platform == "win32":
        return Finding("limits", True, "none are known here")
    import resource

    units = {
        "RLIMIT_FSIZE": ("-f", "bytes a file"),
        "RLIMIT_CPU": ("-t", "s of CPU time a process"),
        "RLIMIT_AS": ("-v", "bytes of addresses"),
    }
    found = []
    for name, (option, unit) in units.items():
        limit = resource.getrlimit(getattr(resource, name))[0]
        if limit != resource.RLIM_INFINITY:
            found.append(f"{limit} {unit} (ulimit {option})")
    if not found:
        return Finding(
            "limits", True, "no limit on file length, CPU time and addresses of a process"
        )
    return Finding(
        "limits",
        False,
        ", ".join(found),
        "a run or load that needs more ends there and says so; raise them for experiments",
    )


def _clock() -> Finding:
    if is_standing():
        return Finding(
            "clock",
            False,
            "CLOCK_MONOTONIC of this process stands still",
            "no experiment can run; start without libfaketime",
        )
    if "faketime" in os.environ.get("LD_PRELOAD", ""):
        return Finding(
            "clock",
            False,
            "libfaketime is loaded",
            "set FAKETIME_DONT_FAKE_MONOTONIC=1, or times and rates are the faked ones",
        )
    return Finding("clock", True, "goes on")


def _cpus(machine: Machine) -> Finding:
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
        held = f"; it was held up in {throttled[0]} of {throttled[1]} periods so far"
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


def _memory(machine: Machine) -> Finding:
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


def _real_time(machine: Machine) -> Finding:
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


def _scratch(machine: Machine) -> Finding:
    free_bytes = deadline.space_from(*look_at_folder(machine.scratch_dir)["space"]).free_bytes
    layers = machine.scratch_layers or "unknown filesystem"
    found = f"{layers}, {free_bytes / 2**30:.1f} GiB free"
    if machine.backing in ("memory", "network"):
        advice = "disk load is refused there; name a folder on a disk with --scratch-dir"
        return Finding("scratch", False, f"{found}: no disk of this machine", advice)
    if not machine.scratch_device:
        advice = (
            "disk load works, but disk_busy_percent and disk_queue_depth stay empty; name a folder"
            " on a single disk with --scratch-dir"
        )
        return Finding("scratch", False, f"{found}: no single device tells of it", advice)
    return Finding("scratch", True, found)


def try_direct(folder: str) -> str:
    """Make a disk event's file in a folder; return why it cannot be made, or nothing.

    A filesystem that hangs hangs this.
    """
    from twin_harness.stress.disk_stress import open_scratch_file

    try:
        options = {"file_bytes": 1 << 20, "direct": True, "operation": "write"}
        os.close(open_scratch_file(folder, options))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _direct(machine: Machine) -> Finding:
    folder = machine.scratch_dir
    refusal = deadline.ask("twin_harness.control.doctor:try_direct", folder)
    if refusal:
        advice = "use disk events with direct=false, or another --scratch-dir"
        return Finding("direct I/O", False, f"refused in {folder}: {refusal}", advice)
    if machine.backing == "memory":
        advice = (
            "disk load there would read as not delivered; name a folder on a disk with"
            " --scratch-dir"
        )
        return Finding(
            "direct I/O",
            False,
            f"accepted, but {folder} is memory: no byte reaches a device",
            advice,
        )
    if machine.backing == "network":
        advice = (
            "the load is of the network and of another machine; name a folder on a disk with"
            " --scratch-dir"
        )
        return Finding(
            "direct I/O", False, "accepted, but by a filesystem of another machine", advice
        )
    if not machine.backing:
        advice = (
            "whether disk load reaches a disk cannot be known; name a folder on a single disk with"
            " --scratch-dir"
        )
        return Finding(
            "direct I/O",
            False,
            f"accepted by {machine.scratch_layers or 'an unknown filesystem'}",
            advice,
        )
    return Finding("direct I/O", True, "works: disk load reaches the device")


def _pressure(*, is_bounded: bool) -> Finding:
    if read_text("/proc/pressure/cpu"):
        if is_bounded:
            whose = " of the whole machine, not of the control group"
        else:
            whose = ""
        return Finding("pressure", True, f"the kernel tells pressure (PSI){whose}")
    return Finding(
        "pressure",
        False,
        "the kernel tells no pressure (PSI)",
        "pressure columns stay empty; boot with psi=1",
    )


def _disks() -> Finding:
    """Say whose counters the disk columns are."""
    lines = read_text("/proc/diskstats").splitlines()
    listed = frozenset(words[2] for line in lines if len(words := line.split()) > _DISK_FIELDS)
    counted = counted_disks(listed)
    shown = [name for name in sorted(counted) if name in listed or read_text(_stat_path(name))]
    if not shown:
        found = "neither /proc/diskstats nor /sys/block shows a disk"
        advice = "the disk rates stay empty: show one of the two to this user or container"
        return Finding("disks", False, found, advice)
    return Finding("disks", True, f"the disk rates are of {_listed(shown)}")


def _stat_path(disk: str) -> str:
    return f"/sys/block/{disk.replace('/', '!')}/stat"


def _network() -> Finding:
    """Say whose counters the network columns are."""
    lines = read_text("/proc/net/dev").splitlines()[2:]
    listed = frozenset(line.split(":")[0].strip() for line in lines)
    counted = sorted(counted_interfaces(listed))
    if not counted:
        found = "/proc/net/dev shows no interface but loopback"
        return Finding("network", False, found, "the network rates stay empty")
    found = f"the network rates are of {_listed(counted)}"
    unlisted = sorted(unlisted_interfaces(listed))
    if not unlisted:
        return Finding("network", True, found)
    found += f", by their names: /sys/class/net does not show {_listed(unlisted)}"
    advice = "one may be counted beside what it is stacked on; mount this network namespace's sysfs"
    return Finding("network", False, found, advice)


def _power() -> list[Finding]:
    """Say why there is no power where the machine has counters of it."""
    mute = [zone.name for zone in power_zones() if not read_text(zone.path)]
    if not mute:
        return []
    advice = "power_watts stays empty; run as root, or chmod a+r /sys/class/powercap/*/energy_uj"
    return [Finding("power", False, f"the energy of {_listed(mute)} is for root to read", advice)]


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    if more <= 0:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMED])} and {more} more"


def _room() -> Finding:
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

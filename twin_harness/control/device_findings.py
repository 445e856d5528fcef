"""What ``twin doctor`` finds of storage, network and energy counters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twin_harness.control.finding import Finding, name_some
from twin_harness.system import deadline
from twin_harness.system.disks import counted_disks
from twin_harness.system.interfaces import counted_interfaces, unlisted_interfaces
from twin_harness.system.machine import look_at_folder
from twin_harness.system.power_zones import power_zones
from twin_harness.system.procfs import read_text
from twin_harness.system.space_watch import space_from

if TYPE_CHECKING:
    from twin_harness.system.machine import Machine

_DISK_FIELDS = 13  # two numbers, the name and eleven counters (iostats.rst)


def examine_scratch(machine: Machine) -> Finding:
    """Look at what disk load would write to."""
    free_bytes = space_from(*look_at_folder(machine.scratch_dir)["space"]).free_bytes
    layers = machine.scratch_layers or "unknown filesystem"
    found = f"{layers}, {free_bytes / 2**30:.1f} GiB free"
    if machine.backing in ("memory", "network"):
        advice = "disk load is refused there; name a folder on a disk with --scratch-dir"
        return Finding("scratch", False, f"{found}: not a disk of this machine", advice)
    if not machine.scratch_device:
        advice = (
            "disk load works, but disk_busy_percent and disk_queue_depth stay empty; name a folder"
            " on a single disk with --scratch-dir"
        )
        return Finding("scratch", False, f"{found}: no single device counts it", advice)
    return Finding("scratch", True, found)


def examine_direct(machine: Machine) -> Finding:
    """Look at whether disk load can bypass the page cache and reach a device."""
    folder = machine.scratch_dir
    refusal = deadline.ask("twin_harness.control.device_findings:try_direct", folder)
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


def examine_disks() -> Finding:
    """Look at whose counters the disk columns are."""
    lines = read_text("/proc/diskstats").splitlines()
    listed = frozenset(words[2] for line in lines if len(words := line.split()) > _DISK_FIELDS)
    counted = counted_disks(listed)
    shown = [name for name in sorted(counted) if name in listed or read_text(_stat_path(name))]
    if not shown:
        found = "neither /proc/diskstats nor /sys/block shows a disk"
        advice = "the disk rates stay empty: show one of the two to this user or container"
        return Finding("disks", False, found, advice)
    return Finding("disks", True, f"the disk rates are of {name_some(shown)}")


def _stat_path(disk: str) -> str:
    return f"/sys/block/{disk.replace('/', '!')}/stat"


def examine_network() -> Finding:
    """Look at whose counters the network columns are."""
    lines = read_text("/proc/net/dev").splitlines()[2:]
    listed = frozenset(line.split(":")[0].strip() for line in lines)
    counted = sorted(counted_interfaces(listed))
    if not counted:
        found = "/proc/net/dev shows no interface but loopback"
        return Finding("network", False, found, "the network rates stay empty")
    found = f"the network rates are of {name_some(counted)}"
    unlisted = sorted(unlisted_interfaces(listed))
    if not unlisted:
        return Finding("network", True, found)
    found += f", by their names: /sys/class/net does not show {name_some(unlisted)}"
    advice = "one may be counted beside what it is stacked on; mount this network namespace's sysfs"
    return Finding("network", False, found, advice)


def examine_power() -> list[Finding]:
    """Look at why there is no power where the machine has counters of it."""
    mute = [zone.name for zone in power_zones() if not read_text(zone.path)]
    if not mute:
        return []
    advice = "power_watts stays empty; run as root, or chmod a+r /sys/class/powercap/*/energy_uj"
    return [
        Finding("power", False, f"the energy of {name_some(mute)} can be read by root only", advice)
    ]

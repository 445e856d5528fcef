"""Which block devices are counted: a disk, its partitions and what is stacked on it count once.

Which of them are summed is decided by sysfs; where that is not there (a container without /sys), by
their names.
"""

from __future__ import annotations

import os
import re

from twin_harness.system.sysfs import is_virtual, link_target

# nbd and ScaleIO stand under virtual/, and below them is the network: no other device of this
# machine counts what goes through them.
_REMOTE_DISK = re.compile(r"nbd\d+|scini\w+")
# Files, memory, what is made of other disks, and drives whose medium is changed.
_STACKED_DISK = re.compile(r"loop|ram|zram|dm-|md|bcache|drbd|zd\d|sr\d|fd\d")
_NVME_PATH = re.compile(r"nvme(\d+)c\d+n(\d+)")


def counted_disks(listed: frozenset[str], root: str = "/sys/block") -> frozenset[str]:
    """Return the block devices that are whole and stacked on no other of this machine.

    Of NVMe multipath the paths count, and not the head. Where everything is virtual, what is not
    known to be stacked counts.

    Args:
        listed: the names of /proc/diskstats; they alone are judged where there is no sysfs.
        root: of sysfs.
    """
    try:
        names = {name: link_target(f"{root}/{name}") for name in os.listdir(root)}
    except OSError:
        return _disks_by_name(listed)
    whole: set[str] = set()
    virtual: set[str] = set()
    for name, target in names.items():
        if _STACKED_DISK.match(name):
            continue
        if not is_virtual(target) or _REMOTE_DISK.fullmatch(name):
            whole.add(name.replace("!", "/"))
        elif not _is_stacked(f"{root}/{name}"):
            virtual.add(name.replace("!", "/"))
    return frozenset(_without_heads(whole or virtual))


def _is_stacked(folder: str) -> bool:
    """Tell whether a block device has others below it, which dm, md and bcache link."""
    try:
        return bool(os.listdir(f"{folder}/slaves"))
    except OSError:
        return False


def _disks_by_name(listed: frozenset[str]) -> frozenset[str]:
    """Return the whole disks among some names.

    A partition is called like another device and a number, after a ``p`` where that ends in a
    digit.
    """
    whole = set()
    for name in listed:
        disk = re.sub(r"(?<=\d)p\d+$|(?<=[a-z])\d+$", "", name)
        if not _STACKED_DISK.match(name) and (disk == name or disk not in listed):
            whole.add(name)
    return frozenset(_without_heads(whole))


def _without_heads(names: set[str]) -> set[str]:
    """Leave out the heads of NVMe multipath whose paths are there."""
    heads = {f"nvme{path[1]}n{path[2]}" for name in names if (path := _NVME_PATH.fullmatch(name))}
    return names - heads

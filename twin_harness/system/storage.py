"""What keeps the bytes of a folder in the end: a disk, memory, or another machine.

A filesystem may stand on another one (overlay, a file mounted by loop), on several devices, or on
none.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin_harness.system.mounts import (
    MEMORY_BACKED,
    NETWORK_BACKED,
    NETWORK_DEVICE,
    Mount,
    mount_of,
    read_mounts,
    unescaped,
)
from twin_harness.system.procfs import read_text

_OF_MANY_DEVICES = ("btrfs", "bcachefs")
_MEMORY_DEVICE = re.compile(r"z?ram\d+")
_DEEPEST = 8
_UNSEEN = "what cannot be seen from here"
SYSFS = Path("/sys")
_BLOCK_BYTES = 4096


@dataclass(frozen=True)
class Storage:
    """Where a folder's bytes go.

    Attributes:
        kind: type of its filesystem.
        device: the whole block device whose counters count it; empty where no single one does.
        backing: ``disk``, ``memory`` or ``network``; empty where it cannot be known.
        layers: filesystems and devices from the folder down, such as ``overlay on tmpfs``.
    """

    kind: str
    device: str
    backing: str
    layers: str


def describe(folder: str) -> dict[str, Any]:
    """Return what a session asks about its scratch folder; a filesystem that hangs hangs this.

    Raises:
        OSError: the folder is not there.
    """
    path = os.path.realpath(folder)
    storage, space = storage_of(path), os.statvfs(path)
    return {
        "path": path,
        "is_folder": os.path.isdir(path),
        "is_writable": os.access(path, os.W_OK),
        "kind": storage.kind,
        "device": storage.device,
        "backing": storage.backing,
        "layers": storage.layers,
        "space": [space.f_blocks, space.f_bfree, space.f_bavail, space.f_frsize],
    }


def storage_of(path: str) -> Storage:
    """Return what keeps the bytes of a folder; ``path`` is resolved.

    Raises:
        OSError: it is not there.
    """
    return _descend(path, read_mounts(), 0)


def _descend(path: str, mounts: list[Mount], depth: int) -> Storage:
    mount, device_number = mount_of(path, mounts), os.stat(path).st_dev
    if mount is None or depth > _DEEPEST:
        return Storage("", _device(device_number), "", "")
    kind = mount.kind
    if kind in MEMORY_BACKED:
        return Storage(kind, "", "memory", kind)
    if kind in NETWORK_BACKED:
        return Storage(kind, "", "network", kind)
    below = _folder_below(mount)
    if below:
        under = _descend(below, mounts, depth + 1)
        return Storage(kind, under.device, under.backing, f"{kind} on {under.layers}")
    if kind == "overlay":
        return Storage(kind, "", _backing_by_trial(path), f"{kind} on {_UNSEEN}")
    devices = _devices(mount, device_number)
    if not devices:
        return Storage(kind, "", "", f"{kind} on {_UNSEEN}")
    backing, layers = _combine([_backing_of(device, mounts, depth) for device in devices])
    device = devices[0] if len(devices) == 1 else ""
    return Storage(kind, device, backing, f"{kind} on {layers}")


def _combine(devices: list[tuple[str, str]]) -> tuple[str, str]:
    """Return the backing that devices have in common, if they have, and all their layers."""
    backings = {backing for backing, _ in devices}
    backing = backings.pop() if len(backings) == 1 else ""
    return backing, ", ".join(layers for _, layers in devices)


def _folder_below(mount: Mount) -> str:
    """Return the folder of another filesystem that keeps the bytes; empty where none is seen."""
    if mount.kind == "ecryptfs":
        if os.path.isdir(mount.source):
            return os.path.realpath(mount.source)
        return ""
    if mount.kind != "overlay":
        return ""
    folders = {}
    for word in re.split(r"(?<!\\),", mount.options):
        name, _, value = word.partition("=")
        # Commas and colons have an escape of overlay's own.
        folders[name] = re.sub(r"\\(.)", r"\1", unescaped(value))
    # In a container both are of the host: their names mean nothing here.
    upper, work = folders.get("upperdir", ""), folders.get("workdir", "")
    is_seen = os.path.isabs(upper) and os.path.isdir(upper) and os.path.isdir(work)
    if is_seen:
        return os.path.realpath(upper)
    return ""


def _backing_by_trial(folder: str) -> str:
    """Return ``disk`` where the kernel counts a direct write as I/O, else ``memory``.

    task_io_account_write in fs/direct-io.c and fs/iomap/direct-io.c counts bytes to block devices;
    tmpfs takes direct writes and counts none. Empty where it cannot be tried.
    """
    path, mine = f"{folder}/.twin-harness-{os.getpid()}-{os.urandom(8).hex()}", "/proc/self/io"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECT
        descriptor = os.open(path, flags, 0o600)
    except OSError:
        return ""
    try:
        os.unlink(path)
        before = _written_bytes(read_text(mine))
        with mmap.mmap(-1, _BLOCK_BYTES) as block:
            os.pwrite(descriptor, block, 0)
        after = _written_bytes(read_text(mine))
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    if before is None or after is None:
        return ""
    if after > before:
        return "disk"
    return "memory"


def _written_bytes(account: str) -> int | None:
    line = re.search(r"^write_bytes: (\d+)$", account, re.MULTILINE)
    return None if line is None else int(line.group(1))


def _devices(mount: Mount, number: int) -> list[str]:
    """Return the whole block devices of a filesystem that stands on devices."""
    if os.major(number):
        return [device for device in (_device(number),) if device]
    sources = [source for source in mount.source.split(":") if source.startswith("/dev/")]
    named = [device for source in sources if (device := _device_of_file(source))]
    if mount.kind == "btrfs":
        return _btrfs_devices(named) or named
    # An anonymous device number: the source of the mount says what it stands on.
    if mount.kind in _OF_MANY_DEVICES or len(named) == 1:
        return named
    return []


def _btrfs_devices(named: list[str]) -> list[str]:
    """Return all devices of the btrfs that one of these belongs to (ABI sysfs-fs-btrfs)."""
    for folder in (SYSFS / "fs/btrfs").glob("*/devices"):
        members = sorted(_whole(entry.resolve()) for entry in folder.iterdir())
        if set(members) & set(named):
            return list(dict.fromkeys(members))
    return []


def _device_of_file(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return ""
    if stat.S_ISBLK(status.st_mode):
        return _device(status.st_rdev)
    return ""


def _device(number: int) -> str:
    """Return the whole block device of a number; empty when there is none."""
    link = SYSFS / f"dev/block/{os.major(number)}:{os.minor(number)}"
    if link.exists():
        return _whole(link.resolve())
    return ""


def _whole(folder: Path) -> str:
    if (folder / "partition").exists():
        return folder.parent.name
    return folder.name


def _backing_of(device: str, mounts: list[Mount], depth: int) -> tuple[str, str]:
    """Return what a block device is in the end, and its layers."""
    if _MEMORY_DEVICE.fullmatch(device):
        return "memory", device
    if NETWORK_DEVICE.fullmatch(device):
        return "network", device
    folder = SYSFS / "block" / device
    file = read_text(folder / "loop" / "backing_file").removesuffix(" (deleted)")
    if file:
        place = os.path.dirname(file)  # the file itself may be gone
        if depth > _DEEPEST or not os.path.isdir(place):
            return "", f"{device} on {_UNSEEN}"
        under = _descend(os.path.realpath(place), mounts, depth + 1)
        return under.backing, f"{device} on {under.layers}"
    slaves = sorted((folder / "slaves").glob("*"))
    if not slaves or depth > _DEEPEST:
        return "disk", device
    backing, layers = _combine(
        [_backing_of(_whole(slave.resolve()), mounts, depth + 1) for slave in slaves]
    )
    return backing, f"{device} on {layers}"

"""What keeps the bytes of a folder in the end: its filesystem, the devices below it, and whether that is a disk of this machine.

A filesystem may stand on another one (overlay, a file mounted by loop), on several devices, or on none: what is written there reaches
a disk, memory or somebody else's machine. Mounts are those of /proc/self/mountinfo (proc_pid_mountinfo(5)).
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin_harness.procfs import read_text

MEMORY_BACKED = ("tmpfs", "ramfs", "devtmpfs", "hugetlbfs", "rootfs")
# Filesystems of other machines, and folders that a hypervisor shares: by the names that mountinfo gives them.
NETWORK_BACKED = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "davfs"),
    *("ceph", "glusterfs", "lustre", "gpfs", "beegfs", "orangefs", "pvfs2", "panfs", "wekafs"),
    *("9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "fuse.vmhgfs-fuse", "fuse.grpcfuse"),
    *("fuse.osxfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.sshfs", "fuse.s3fs"),
    *("fuse.rclone", "fuse.gcsfuse", "fuse.juicefs", "fuse.mfs", "fuse.smbnetfs"),
    *("fuse.curlftpfs", "fuse.blobfuse2", "fuse.mountpoint-s3", "fuse.gvfsd-fuse"),
)
_OF_MANY_DEVICES = ("btrfs", "bcachefs")
_IN_MEMORY, _OVER_NETWORK = re.compile(r"z?ram\d+"), re.compile(r"(nbd|rbd)\d+|etherd!.*")
_DEEPEST = 8


@dataclass(frozen=True)
class Mount:
    """A line of mountinfo."""

    place: str
    kind: str
    source: str
    options: str


@dataclass(frozen=True)
class Storage:
    """Where a folder's bytes go.

    Attributes:
        kind: type of its filesystem. device: the whole block device whose counters tell of it; empty where no single one does.
        backing: ``disk``, ``memory`` or ``network``; empty where it cannot be known.
        layers: filesystems and devices from the folder down, such as ``overlay on tmpfs``.
    """

    kind: str
    device: str
    backing: str
    layers: str


def describe(folder: str) -> dict[str, Any]:
    """Return all that a session asks about its scratch folder, as plain data; a filesystem that hangs hangs this.

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


def read_mounts() -> list[Mount]:
    """Return what is mounted, in the order of mounting."""
    mounts = []
    for line in read_text("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        place, (kind, source, *rest) = left.split(" ")[4], right.split(" ")
        mounts.append(Mount(_plain(place), kind, _plain(source), rest[0] if rest else ""))
    return mounts


def _plain(text: str) -> str:
    """Undo the escapes of seq_path and getmntent(3)."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)


def mount_of(path: str, mounts: list[Mount]) -> Mount | None:
    """Return the mount that a resolved path lies on: the longest place by whole names, and of two on one place the later."""
    best: Mount | None = None
    for mount in mounts:
        if Path(path).is_relative_to(mount.place) and (best is None or len(mount.place) >= len(best.place)):
            best = mount
    return best


def storage_of(path: str) -> Storage:
    """Return what keeps the bytes of a folder; ``path`` is resolved.

    Raises:
        OSError: it is not there.
    """
    return _descend(path, read_mounts(), 0)


def _descend(path: str, mounts: list[Mount], depth: int) -> Storage:
    mount, device_number = mount_of(path, mounts), Path(path).stat().st_dev
    if mount is None or depth > _DEEPEST:
        return Storage("", _device(device_number), "", "")
    kind = mount.kind
    if kind in MEMORY_BACKED or kind in NETWORK_BACKED:
        return Storage(kind, "", "memory" if kind in MEMORY_BACKED else "network", kind)
    below = _folder_below(mount)
    if below:
        under = _descend(below, mounts, depth + 1)
        return Storage(kind, under.device, under.backing, f"{kind} on {under.layers}")
    devices = _devices(mount, device_number)
    found = [_backing_of(device, mounts, depth) for device in devices]
    if not found:
        return Storage(kind, "", "", f"{kind} on what cannot be known")
    backings = {backing for backing, _ in found}
    single = devices[0] if len(devices) == 1 else ""
    return Storage(kind, single, backings.pop() if len(backings) == 1 else "", f"{kind} on {', '.join(layers for _, layers in found)}")


def _folder_below(mount: Mount) -> str:
    """Return the folder of another filesystem that keeps what is written here; empty where none is seen."""
    if mount.kind == "ecryptfs":
        return os.path.realpath(mount.source) if os.path.isdir(mount.source) else ""
    if mount.kind != "overlay":
        return ""
    folders = {}
    for word in re.split(r"(?<!\\),", mount.options):
        name, _, value = word.partition("=")
        folders[name] = re.sub(r"\\(.)", r"\1", _plain(value))  # commas and colons have an escape of overlay's own
    # In a container both are of the host: their names mean nothing here.
    upper, work = folders.get("upperdir", ""), folders.get("workdir", "")
    is_seen = os.path.isabs(upper) and os.path.isdir(upper) and os.path.isdir(work)
    return os.path.realpath(upper) if is_seen else ""


def _devices(mount: Mount, number: int) -> list[str]:
    """Return the whole block devices of a filesystem that stands on devices."""
    if os.major(number):
        return [device for device in (_device(number),) if device]
    sources = [source for source in mount.source.split(":") if source.startswith("/dev/")]
    named = [device for source in sources if (device := _device_of_file(source))]
    if mount.kind == "btrfs":
        return _btrfs_devices(named) or named
    # An anonymous device number: the source of the mount says what it stands on.
    return named if mount.kind in _OF_MANY_DEVICES or len(named) == 1 else []


def _btrfs_devices(named: list[str]) -> list[str]:
    """Return all devices of the btrfs that one of the named devices belongs to (Documentation/ABI/testing/sysfs-fs-btrfs)."""
    for folder in Path("/sys/fs/btrfs").glob("*/devices"):
        members = sorted(_whole(entry.resolve()) for entry in folder.iterdir())
        if set(members) & set(named):
            return list(dict.fromkeys(members))
    return []


def _device_of_file(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return _device(status.st_rdev) if stat.S_ISBLK(status.st_mode) else ""


def _device(number: int) -> str:
    """Return the whole block device of a number; empty when there is none."""
    link = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    return _whole(link.resolve()) if link.exists() else ""


def _whole(folder: Path) -> str:
    return (folder.parent if (folder / "partition").exists() else folder).name


def _backing_of(device: str, mounts: list[Mount], depth: int) -> tuple[str, str]:
    """Return what a block device is in the end, and its layers."""
    if _IN_MEMORY.fullmatch(device):
        return "memory", device
    if _OVER_NETWORK.fullmatch(device):
        return "network", device
    folder = Path("/sys/block") / device
    file = read_text(folder / "loop" / "backing_file").removesuffix(" (deleted)")
    if file:
        place = os.path.dirname(file)  # the file itself may be gone
        if depth > _DEEPEST or not os.path.isdir(place):
            return "", f"{device} on {file}, which cannot be seen from here"
        under = _descend(os.path.realpath(place), mounts, depth + 1)
        return under.backing, f"{device} on {under.layers}"
    slaves = sorted(entry.name for entry in (folder / "slaves").iterdir()) if (folder / "slaves").is_dir() else []
    if not slaves or depth > _DEEPEST:
        return "disk", device
    found = [_backing_of(_whole((folder / "slaves" / slave).resolve()), mounts, depth + 1) for slave in slaves]
    backings = {backing for backing, _ in found}
    return backings.pop() if len(backings) == 1 else "", f"{device} on {', '.join(layers for _, layers in found)}"

"""What keeps the bytes of a folder in the end: a disk, memory, or another machine.

A filesystem may stand on another one (overlay, a file mounted by loop), on several devices, or on
none. Mounts are those of /proc/self/mountinfo (proc_pid_mountinfo(5)).
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin_harness.system.procfs import read_text

MEMORY_BACKED = ("tmpfs", "ramfs", "devtmpfs", "hugetlbfs", "rootfs")
# Filesystems of other machines, and folders that a hypervisor shares, as mountinfo names them.
NETWORK_BACKED = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "davfs"),
    *("ceph", "glusterfs", "lustre", "gpfs", "beegfs", "orangefs", "pvfs2", "panfs", "wekafs"),
    *("9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "fuse.vmhgfs-fuse", "fuse.grpcfuse"),
    *("fuse.osxfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.sshfs", "fuse.s3fs"),
    *("fuse.rclone", "fuse.gcsfuse", "fuse.juicefs", "fuse.mfs", "fuse.smbnetfs"),
    *("fuse.curlftpfs", "fuse.blobfuse2", "fuse.mountpoint-s3", "fuse.gvfsd-fuse"),
)
# What waits for another machine or program: autofs mounts such a one when a path is first used.
_MAY_FALL_SILENT = (*NETWORK_BACKED, "autofs", "fuse", "fuseblk")
_MOST_LINKS = 40  # as the kernel has it (path_resolution(7))
_OF_MANY_DEVICES = ("btrfs", "bcachefs")
_IN_MEMORY, _OVER_NETWORK = re.compile(r"z?ram\d+"), re.compile(r"(nbd|rbd)\d+|etherd!.*")
_DEEPEST = 8
_UNSEEN = "what cannot be seen from here"
SYSFS = Path("/sys")
_BLOCK_BYTES = 4096


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
        kind: type of its filesystem.
        device: the whole block device whose counters tell of it; empty where no single one does.
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


def read_mounts() -> list[Mount]:
    """Return what is mounted, in the order of mounting."""
    mounts = []
    for line in read_text("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        place, (kind, source, *rest) = left.split(" ")[4], right.split(" ")
        mounts.append(Mount(_plain(place), kind, _plain(source), rest[0] if rest else ""))
    return mounts


def may_fall_silent(path: str) -> bool:
    """Tell whether a path lies on a filesystem that may never answer, without a question to it.

    Its components are looked at from the root on, and only where no such filesystem is: what lies
    on one is not touched. A path that leads nowhere lies where the folder above it does.
    """
    silent = {mount.place: _is_of_others(mount) for mount in read_mounts()}  # of two the later
    try:
        left = [*reversed(os.path.join(os.getcwd(), path).split("/"))]  # getcwd(2) asks no disk
    except OSError:  # the working folder is gone
        return False
    here, links = "/", 0
    while left:
        name = left.pop()
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
        else:
            here = os.path.join(here, name)
        if _is_on_one_of(here, silent):
            return True
        try:
            target = os.readlink(here)
        except OSError:  # no link, as nearly always, or nothing at all
            continue
        links += 1
        if links > _MOST_LINKS:
            return False
        if target.startswith("/"):
            here = "/"
        else:
            here = os.path.dirname(here)
        left += reversed(target.split("/"))
    return _is_on_one_of(here, silent)


def _is_on_one_of(path: str, silent: dict[str, bool]) -> bool:
    while path not in silent and path != "/":
        path = os.path.dirname(path)
    return silent.get(path, False)


def _is_of_others(mount: Mount) -> bool:
    """Tell whether another machine or program answers for a mount."""
    if mount.kind in _MAY_FALL_SILENT or mount.kind.startswith("fuse."):
        return True
    return bool(_OVER_NETWORK.fullmatch(mount.source.removeprefix("/dev/").replace("/", "!")))


def _plain(text: str) -> str:
    """Undo the escapes of seq_path and getmntent(3)."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)


def mount_of(path: str, mounts: list[Mount]) -> Mount | None:
    """Return the mount that a resolved path lies on: the longest place, of two alike the later."""
    best: Mount | None = None
    for mount in mounts:
        is_nearer = best is None or len(mount.place) >= len(best.place)
        if is_nearer and Path(path).is_relative_to(mount.place):
            best = mount
    return best


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
    if kind in MEMORY_BACKED or kind in NETWORK_BACKED:
        return Storage(kind, "", "memory" if kind in MEMORY_BACKED else "network", kind)
    below = _folder_below(mount)
    if below:
        under = _descend(below, mounts, depth + 1)
        return Storage(kind, under.device, under.backing, f"{kind} on {under.layers}")
    if kind == "overlay":
        return Storage(kind, "", _backing_by_trial(path), f"{kind} on {_UNSEEN}")
    devices = _devices(mount, device_number)
    found = [_backing_of(device, mounts, depth) for device in devices]
    if not found:
        return Storage(kind, "", "", f"{kind} on {_UNSEEN}")
    if len(devices) == 1:
        single = devices[0]
    else:
        single = ""
    backing, layers = _together(found)
    return Storage(kind, single, backing, f"{kind} on {layers}")


def _together(found: list[tuple[str, str]]) -> tuple[str, str]:
    """Return what several devices are together: what all of them are, else nothing."""
    backings = {backing for backing, _ in found}
    if len(backings) == 1:
        backing = backings.pop()
    else:
        backing = ""
    return backing, ", ".join(layers for _, layers in found)


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
        folders[name] = re.sub(r"\\(.)", r"\1", _plain(value))
    # In a container both are of the host: their names mean nothing here.
    upper, work = folders.get("upperdir", ""), folders.get("workdir", "")
    is_seen = os.path.isabs(upper) and os.path.isdir(upper) and os.path.isdir(work)
    if is_seen:
        return os.path.realpath(upper)
    return ""


def _backing_by_trial(folder: str) -> str:
    """Return what a direct write shows.

    ``disk`` where the kernel counts it as I/O, else ``memory``.

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
    found = re.search(r"^write_bytes: (\d+)$", account, re.MULTILINE)
    if found:
        return int(found.group(1))
    return None


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
    """Return all devices of the btrfs to which one of these belongs (ABI/testing/sysfs-fs-btrfs)."""
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
    return (folder.parent if (folder / "partition").exists() else folder).name


def _backing_of(device: str, mounts: list[Mount], depth: int) -> tuple[str, str]:
    """Return what a block device is in the end, and its layers."""
    if _IN_MEMORY.fullmatch(device):
        return "memory", device
    if _OVER_NETWORK.fullmatch(device):
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
    found = [_backing_of(_whole(slave.resolve()), mounts, depth + 1) for slave in slaves]
    backing, layers = _together(found)
    return backing, f"{device} on {layers}"

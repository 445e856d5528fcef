"""What is mounted where, and which of it another machine or program answers for.

Mounts are those of /proc/self/mountinfo (proc_pid_mountinfo(5)).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

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
# Block devices whose bytes another machine keeps, by their names in /sys/block.
NETWORK_DEVICE = re.compile(r"(nbd|rbd)\d+|etherd!.*")
_MOST_LINKS = 40  # as the kernel has it (path_resolution(7))


@dataclass(frozen=True)
class Mount:
    """A line of mountinfo.

    Attributes:
        place: the mount point.
        kind: type of the filesystem.
        source: what is mounted: a device, a server's export, or a name.
        options: of the filesystem (super options), separated by commas.
    """

    place: str
    kind: str
    source: str
    options: str


def read_mounts() -> list[Mount]:
    """Return what is mounted, in the order of mounting."""
    mounts = []
    for line in read_text("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        place = unescaped(left.split(" ")[4])
        kind, source, *rest = right.split(" ")
        mounts.append(Mount(place, kind, unescaped(source), "".join(rest[:1])))
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
    return bool(NETWORK_DEVICE.fullmatch(mount.source.removeprefix("/dev/").replace("/", "!")))


def unescaped(text: str) -> str:
    """Undo the escapes of seq_path and getmntent(3)."""
    return re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape.group(1), 8)), text)


def mount_of(path: str, mounts: list[Mount]) -> Mount | None:
    """Return the mount that a resolved path lies on: the longest place, of two alike the later."""
    best: Mount | None = None
    for mount in mounts:
        is_nearer = best is None or len(mount.place) >= len(best.place)
        if is_nearer and Path(path).is_relative_to(mount.place):
            best = mount
    return best

"""Small and read-only filesystems, mounted for one test."""

import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest


def _mount(*arguments):
    done = subprocess.run(
        ["mount", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(
            f"mount {' '.join(map(str, arguments))} is not permitted here: {done.stderr.strip()}"
        )


def require_root():
    """Skip where mounting needs what we are not."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")


@contextmanager
def small_filesystem(path, size_bytes):
    """Mount a tmpfs of that size on a folder while a block runs."""
    require_root()
    path.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size_bytes},mode=0777", "tmpfs", path)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=False)


@contextmanager
def small_disk(path, size_bytes, kind="ext4"):
    """Mount a new filesystem in a file of that size on a folder while a block runs.

    A disk that direct I/O reaches.
    """
    require_root()
    image = path.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(size_bytes)
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"no mkfs.{kind} here")
    more = ["-m", "0"] if kind.startswith("ext") else []
    made = subprocess.run(
        [f"mkfs.{kind}", "-q", *more, str(image)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"mkfs.{kind} does not work here: {made.stderr.strip()}")
    path.mkdir()
    _mount("-o", "loop", image, path)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=False)


@contextmanager
def overlay_in_memory(path, size_bytes):
    """Mount an overlay whose upper folder is on a tmpfs of that size while a block runs.

    No disk, by another name.
    """
    with small_filesystem(path.with_name(f"{path.name}-memory"), size_bytes) as memory:
        lower = path.with_name(f"{path.name}-lower")
        for folder in (path, lower, memory / "upper", memory / "work"):
            folder.mkdir()
        _mount(
            "-t",
            "overlay",
            "-o",
            f"lowerdir={lower},upperdir={memory}/upper,workdir={memory}/work",
            "overlay",
            path,
        )
        try:
            yield path
        finally:
            subprocess.run(["umount", str(path)], check=False)


@contextmanager
def disk_in_memory(path, size_bytes):
    """Mount a new ext4 in a file on tmpfs while a block runs.

    A block device that is none of a disk.
    """
    with (
        small_filesystem(path.with_name(f"{path.name}-memory"), 2 * size_bytes) as memory,
        small_disk(memory / path.name, size_bytes) as mounted,
    ):
        yield mounted


@contextmanager
def read_only(path):
    """Mount a folder on itself, read-only, while a block runs.

    For who is not root its mode is enough.
    """
    if os.geteuid() != 0:
        mode = path.stat().st_mode
        path.chmod(0o555)
        try:
            yield path
        finally:
            path.chmod(mode)
        return
    _mount("--bind", path, path)
    try:
        _mount("-o", "remount,bind,ro", path)
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=False)


def fill(path, leave_bytes=0):
    """Write a file into a file system until that much is left, or nothing more goes."""
    status = os.statvfs(path)
    amount = max(0, status.f_bavail * status.f_frsize - leave_bytes)
    descriptor = os.open(path / "ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        while amount > 0:
            amount -= os.write(descriptor, bytes(min(amount, 1 << 16)))
    except OSError:
        return
    finally:
        os.close(descriptor)

"""What keeps a folder's bytes: mounts and devices made up for it, and this machine's own."""

import os
from pathlib import Path

import pytest

from twin_harness.system import mounts, storage
from twin_harness.system.mounts import NETWORK_BACKED, Mount, mount_of, read_mounts
from twin_harness.system.storage import describe, storage_of

MOUNTINFO = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:20 / /proc rw shared:5 - proc proc rw
24 22 0:21 / /tmp rw master:1 propagate_from:2 - tmpfs tmpfs rw
25 22 254:16 / /data rw - xfs /dev/vdb rw
26 25 0:44 / /data/net rw - nfs4 server:/export rw
27 22 254:32 / /with\040blank rw - btrfs /dev/vdc rw
28 25 254:48 / /data/over rw - ext4 tmpfs rw
29 28 0:50 / /data/over rw - tmpfs tmpfs rw
"""


class Sysfs:
    """A /sys of block devices."""

    def __init__(self, root):
        self._root = root
        self._numbers = {}

    def add(self, name, *slaves, partitions=(), backing_file=""):
        folder = self._root / "block" / name
        (folder / "slaves").mkdir(parents=True)
        self._number(folder)
        for partition in partitions:
            (folder / partition).mkdir()
            (folder / partition / "partition").write_text("1\n")
            self._number(folder / partition)
        for slave in slaves:
            (folder / "slaves" / slave).symlink_to(self._numbers[slave][1])
        if backing_file:
            (folder / "loop").mkdir()
            (folder / "loop" / "backing_file").write_text(f"{backing_file}\n")

    def _number(self, folder):
        number = os.makedev(200, len(self._numbers) + 1)
        self._numbers[folder.name] = (number, folder)
        link = self._root / "dev" / "block" / f"200:{len(self._numbers)}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder)

    def number(self, name):
        return self._numbers[name][0]

    def btrfs(self, *names):
        devices = self._root / "fs" / "btrfs" / "0f0f" / "devices"
        devices.mkdir(parents=True)
        (self._root / "fs" / "btrfs" / "features").mkdir()
        for name in names:
            (devices / name).symlink_to(self._numbers[name][1])


@pytest.fixture
def sysfs(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "SYSFS", tmp_path / "sys")
    return Sysfs(tmp_path / "sys")


@pytest.fixture
def on(monkeypatch, tmp_path, sysfs):
    """Look at a folder as if it lay on such a mount."""

    def look(kind, source="none", options="rw", device="", others=()):
        folder = tmp_path / "scratch"
        folder.mkdir(exist_ok=True)
        mounts = [Mount(str(folder), kind, source, options), *others]
        monkeypatch.setattr(storage, "read_mounts", lambda: mounts)
        real, real_device_of = os.stat, storage._device_of_file
        number = sysfs.number(device) if device else os.makedev(0, 40)

        def stat(path, *more, **named):
            status = real(path, *more, **named)
            return (
                os.stat_result((*status[:2], number, *status[3:]))
                if str(path) == str(folder)
                else status
            )

        monkeypatch.setattr(storage.os, "stat", stat)
        named = {name: name.removeprefix("/dev/") for name in source.split(":")}
        known = {f"/dev/{name}" for name in sysfs._numbers}
        whole = lambda name: storage._whole(sysfs._numbers[named[name]][1])  # noqa: E731 - a table in one line
        monkeypatch.setattr(
            storage,
            "_device_of_file",
            lambda path: whole(path) if path in known else real_device_of(path),
        )
        return storage_of(str(folder))

    return look


# -- mounts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind", "place"),
    [
        ("/", "ext4", "/"),
        ("/home/x", "ext4", "/"),
        ("/tmpfoo", "ext4", "/"),
        ("/data", "xfs", "/data"),
        ("/data/net/a/b", "nfs4", "/data/net"),
        ("/database", "ext4", "/"),
        ("/with blank/x", "btrfs", "/with blank"),
        ("/data/over/x", "tmpfs", "/data/over"),
    ],
)
def test_a_path_lies_on_its_nearest_mount(monkeypatch, path, kind, place):
    """The longest mount point counts, by whole names, and of two on one place the later."""
    monkeypatch.setattr(mounts, "read_text", lambda _: MOUNTINFO)
    found = mount_of(path, read_mounts())
    assert (found.kind, found.place) == (kind, place)


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [("/a\\011b", "/a\tb"), ("/a\\134b", "/a\\b"), ("/a\\012b", "/a\nb"), ("/a\\043b", "/a#b")],
)
def test_every_escape_of_a_mount_point_is_read(monkeypatch, escaped, plain):
    """Tabs, line breaks, backslashes and hashes in mount points are escaped like blanks."""
    monkeypatch.setattr(
        mounts,
        "read_text",
        lambda _: f"1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 0:9 / {escaped} rw - nfs x rw\n",
    )
    assert mount_of(plain, read_mounts()) == Mount(plain, "nfs", "x", "rw")


def test_without_mounts_nothing_is_known(monkeypatch, tmp_path):
    """A machine without /proc gives no mount."""
    monkeypatch.setattr(mounts, "read_text", lambda _: "")
    assert read_mounts() == []
    assert storage_of(str(tmp_path)).kind == ""


# -- what is under them ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_memory_is_no_disk(on, kind):
    found = on(kind)
    assert (found.device, found.backing, found.layers) == ("", "memory", kind)


@pytest.mark.parametrize("kind", NETWORK_BACKED)
def test_filesystems_of_other_machines_are_no_disk(on, kind):
    """Network and cluster filesystems and folders of a hypervisor, by kernel or FUSE name."""
    assert (on(kind).backing, on(kind).device) == ("network", "")


def test_disk_is_found_below_its_partition(on, sysfs):
    sysfs.add("vda", partitions=("vda1",))
    found = on("ext4", "/dev/vda1", device="vda1")
    assert (found.device, found.backing, found.layers) == ("vda", "disk", "ext4 on vda")


@pytest.mark.parametrize("name", ["ram0", "zram1"])
def test_block_device_in_memory_is_memory(on, sysfs, name):
    """A ramdisk and a compressed one take direct I/O like a disk."""
    sysfs.add(name)
    found = on("ext4", f"/dev/{name}", device=name)
    assert (found.device, found.backing, found.layers) == (name, "memory", f"ext4 on {name}")


@pytest.mark.parametrize("name", ["nbd0", "rbd3"])
def test_block_device_of_another_machine_is_the_network(on, sysfs, name):
    sysfs.add(name)
    assert on("ext4", f"/dev/{name}", device=name).backing == "network"


def test_logical_volume_is_what_its_disks_are(on, sysfs):
    """Device mapper and RAID are asked for their slaves, down to the disks."""
    sysfs.add("sda", partitions=("sda2",))
    sysfs.add("sdb")
    sysfs.add("md0", "sda2", "sdb")
    sysfs.add("dm-0", "md0")
    found = on("xfs", "/dev/dm-0", device="dm-0")
    assert (found.device, found.backing, found.layers) == (
        "dm-0",
        "disk",
        "xfs on dm-0 on md0 on sda, sdb",
    )


def test_logical_volume_over_memory_is_memory(on, sysfs):
    sysfs.add("zram0")
    sysfs.add("dm-0", "zram0")
    assert on("xfs", "/dev/dm-0", device="dm-0").backing == "memory"


def test_volume_over_disk_and_memory_is_neither(on, sysfs):
    """A cache in memory before a disk: what reaches the disk cannot be known."""
    sysfs.add("zram0")
    sysfs.add("sda")
    sysfs.add("dm-0", "sda", "zram0")
    found = on("xfs", "/dev/dm-0", device="dm-0")
    assert (found.device, found.backing) == ("dm-0", "")


def test_file_mounted_by_loop_is_what_keeps_the_file(on, sysfs, tmp_path):
    """A loop device over a file in tmpfs is memory, however it is formatted."""
    image = tmp_path / "shm" / "image"
    image.parent.mkdir()
    sysfs.add("loop0", backing_file=f"{image} (deleted)")
    found = on(
        "ext4",
        "/dev/loop0",
        device="loop0",
        others=(Mount(str(image.parent), "tmpfs", "tmpfs", "rw"),),
    )
    assert (found.device, found.backing, found.layers) == (
        "loop0",
        "memory",
        "ext4 on loop0 on tmpfs",
    )


def test_loop_file_out_of_sight_is_unknown(on, sysfs):
    """In a container the file is the host's."""
    sysfs.add("loop0", backing_file="/nowhere/image")
    found = on("ext4", "/dev/loop0", device="loop0")
    assert (found.device, found.backing) == ("loop0", "")


@pytest.mark.parametrize(
    ("kind", "source"), [("btrfs", "/dev/sda"), ("bcachefs", "/dev/sda"), ("f2fs", "/dev/sda")]
)
def test_anonymous_device_is_found_by_the_source_of_the_mount(on, sysfs, kind, source):
    """Filesystems that may span devices have a device number of no device."""
    sysfs.add("sda")
    found = on(kind, source)
    assert (found.device, found.backing, found.layers) == ("sda", "disk", f"{kind} on sda")


def test_btrfs_over_two_disks_has_no_single_device(on, sysfs):
    """The mount names one of them, sysfs all: no one's counters tell of the filesystem."""
    sysfs.add("sda", partitions=("sda1",))
    sysfs.add("sdb")
    sysfs.btrfs("sda1", "sdb")
    found = on("btrfs", "/dev/sda1")
    assert (found.device, found.backing, found.layers) == ("", "disk", "btrfs on sda, sdb")


def test_bcachefs_over_two_disks_has_no_single_device(on, sysfs):
    sysfs.add("sda")
    sysfs.add("sdb")
    found = on("bcachefs", "/dev/sda:/dev/sdb")
    assert (found.device, found.backing) == ("", "disk")


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("zfs", "pool/home"),
        ("fuse.mergerfs", "a:b"),
        ("fuse.portal", "/dev/fuse"),
        ("ubifs", "ubi0:root"),
    ],
)
def test_what_cannot_be_known_is_said(on, kind, source):
    found = on(kind, source)
    assert (found.device, found.backing, found.layers) == (
        "",
        "",
        f"{kind} on what cannot be seen from here",
    )


def test_overlay_is_what_keeps_its_upper_folder(on, tmp_path):
    """Also where its name holds a comma, which overlay escapes."""
    upper, work = tmp_path / "shm" / "a,b", tmp_path / "shm" / "work"
    upper.mkdir(parents=True)
    work.mkdir()
    options = f"rw,lowerdir=/lower,upperdir={upper.parent}/a\\,b,workdir={work},uuid=on"
    found = on(
        "overlay", "overlay", options, others=(Mount(str(upper.parent), "tmpfs", "tmpfs", "rw"),)
    )
    assert (found.kind, found.device, found.backing, found.layers) == (
        "overlay",
        "",
        "memory",
        "overlay on tmpfs",
    )


@pytest.mark.parametrize(
    ("counted", "backing"), [((0, 4096), "disk"), ((8192, 8192), "memory"), ((None, None), "")]
)
def test_overlay_whose_upper_folder_is_out_of_sight_is_tried(on, monkeypatch, counted, backing):
    """As in a container: whether the kernel counts a direct write as I/O tells disk from memory."""
    counts = iter(counted)
    monkeypatch.setattr(storage, "_written_bytes", lambda _: next(counts))
    found = on("overlay", "overlay", "rw,upperdir=/host/upper,workdir=/host/work")
    assert (found.backing, found.device, found.layers) == (
        backing,
        "",
        "overlay on what cannot be seen from here",
    )


def test_io_account_is_read():
    assert (
        storage._written_bytes("read_bytes: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n")
        == 4096
    )
    assert storage._written_bytes("") is None


# -- this machine ----------------------------------------------------------------------------------


def test_this_machine_s_folder_is_described(tmp_path):
    """Links are followed, and the device is one that the kernel knows."""
    (tmp_path / "link").symlink_to(tmp_path)
    found = describe(str(tmp_path / "link"))
    assert (found["path"], found["is_folder"], found["is_writable"]) == (
        str(tmp_path.resolve()),
        True,
        True,
    )
    assert found["device"] == "" or Path(f"/sys/block/{found['device']}").exists()


def test_tmpfs_has_no_device():
    """Memory-backed filesystems stand on no device."""
    mount = mount_of("/dev/shm", read_mounts())
    if mount is None or mount.kind != "tmpfs":
        pytest.skip("no tmpfs at /dev/shm")
    assert (storage_of("/dev/shm").device, storage_of("/dev/shm").backing) == ("", "memory")


# -- filesystems that may fall silent --------------------------------------------------------------

SILENT = r"""22 1 254:0 / / rw - ext4 /dev/vda rw
23 22 0:44 / {root}/net rw - nfs4 server:/export rw
24 22 0:45 / {root}/with\040blank rw - fuse.sshfs host: rw
25 22 0:46 / {root}/auto rw - autofs systemd-1 rw
26 25 254:1 / {root}/auto rw - xfs /dev/vdb rw
27 22 43:0 / {root}/nbd rw - ext4 /dev/nbd0 rw
28 23 0:47 / {root}/net/memory rw - tmpfs tmpfs rw
29 22 0:48 / {root}/ntfs rw - fuseblk /dev/vdc rw
"""


@pytest.fixture
def silent(tmp_path, monkeypatch):
    """Mounts of a folder, of which whatever lies on another machine must not be touched."""
    text = SILENT.replace("{root}", str(tmp_path))
    monkeypatch.setattr(mounts, "read_text", lambda _: text)
    touched = []
    readlink = os.readlink
    monkeypatch.setattr(mounts.os, "readlink", lambda path: touched.append(path) or readlink(path))
    yield tmp_path
    of_others = [tmp_path / name for name in ("net", "with blank", "nbd", "ntfs")]
    assert not [path for path in touched for other in of_others if Path(path).is_relative_to(other)]


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("net", True),
        ("net/a/b", True),
        ("network/a", False),
        ("with blank/a", True),
        ("nbd/a", True),
        ("ntfs", True),
        ("auto/a", False),
        ("no/such/folder", False),
        ("link/a", True),
        ("relative/../a", True),
        ("loop/a", False),
        ("net/../local", True),
        ("", False),
    ],
)
def test_path_that_may_fall_silent_is_known_untouched(silent, path, verdict):
    """By its mounts alone, through links and folders that are not there."""
    (silent / "link").symlink_to(silent / "net" / "deep")
    (silent / "relative").symlink_to("no/../net/x")
    (silent / "loop").symlink_to("loop")
    assert mounts.may_fall_silent(f"{silent}/{path}") == verdict


def test_relative_path_is_of_the_working_folder(silent, monkeypatch):
    monkeypatch.chdir(silent)
    assert mounts.may_fall_silent("net/data")
    assert not mounts.may_fall_silent("data")

"""Scratch on filesystems that differ from the usual one.

Delivered means that bytes reached a device, and the device is found.
"""

import json

import pytest

from tests.chaos.mounts import disk_in_memory, overlay_in_memory, small_disk
from tests.chaos.test_space import end_of
from tests.chaos.victim import tracebacks

MIB = 2**20
DISK = """
import pytest
from twin_harness import disk

@pytest.mark.parametrize(
    "options", [{}, {"direct": False, "fsync_every_bytes": 2**20}], ids=["direct", "buffered"]
)
def test_load(disk_stress, options):
    disk_stress(4e6, duration_s=2, file_bytes=16 * 2**20, **options)
"""


def load_on(make_victim, scratch):
    """Run both kinds of disk load, and return run, rows and what was said."""
    victim = make_victim(
        f"--twin-scratch-dir={scratch}", "--twin-guard=memory_available=5%", tests=DISK
    ).start()
    _, text, run = end_of(victim)
    assert not tracebacks(text), text[-4000:]
    return run, run.folder.read_annotations(), text


@pytest.mark.parametrize("kind", ["ext2", "btrfs"])
def test_load_reaches_the_device_and_is_seen_there(make_victim, tmp_path, kind):
    """Without fallocate (ext2), and on an anonymous device (btrfs).

    Both loads run, and the device's columns are filled.
    """
    with small_disk(tmp_path / "small", 160 * MIB, kind) as small:
        run, rows, text = load_on(make_victim, small)
        machine = json.loads((run.path / "machine.json").read_text())
        assert [row.status for row in rows] == ["completed", "completed"], text[-3000:]
        assert all(row.delivered_mean > 0 for row in rows)
        assert (machine["scratch_filesystem"], machine["scratch_device"][:4]) == (kind, "loop")
        assert run.samples["disk_busy_percent"].notna().sum() > 5
        assert run.samples["disk_queue_depth"].notna().sum() > 5


@pytest.mark.parametrize(
    "kind", [overlay_in_memory, disk_in_memory], ids=["overlay-on-tmpfs", "ext4-in-tmpfs"]
)
def test_load_onto_memory_is_never_delivered(make_victim, tmp_path, kind):
    """Whatever stands between.

    No byte reaches a device, so none counts, buffered or direct, and a warning says why.
    """
    with kind(tmp_path / "small", 64 * MIB) as small:
        run, rows, text = load_on(make_victim, small)
        assert [row.delivered_mean for row in rows] == [0, 0], text[-3000:]
        assert (
            "tmpfs, which is memory: no byte of the disk load reaches a device, so none counts as"
            " delivered" in text
        )
        assert json.loads((run.path / "machine.json").read_text())["scratch_backing"] == "memory"

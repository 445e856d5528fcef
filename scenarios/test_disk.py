"""Disk load: bytes reach the device at the rate asked for."""

import pytest

from fixtures.limits import DISK_BYTES_PER_S
from twin_harness import disk


@pytest.mark.experiment(disk(DISK_BYTES_PER_S, duration_s=8), lead_s=2, tolerance="8%")
def test_disk_writes_reach_the_device(recording, limits):
    """Writes are delivered within 5 %, and the device's own counter shows at least as much."""
    plateau = recording.during("disk-0", skip_s=1)
    assert plateau.mean("disk_delivered_bytes_per_s") == pytest.approx(
        DISK_BYTES_PER_S, rel=limits.disk_share
    )
    assert plateau.mean("disk_write_bytes_per_s") > (1 - limits.disk_share) * DISK_BYTES_PER_S


@pytest.mark.experiment(
    disk(DISK_BYTES_PER_S, duration_s=8, operation="read"), lead_s=2, tolerance="8%"
)
def test_disk_reads_come_from_the_device(recording, limits):
    """Reads are delivered within 5 %, and come from the device, not from the page cache."""
    plateau = recording.during("disk-0", skip_s=1)
    assert plateau.mean("disk_delivered_bytes_per_s") == pytest.approx(
        DISK_BYTES_PER_S, rel=limits.disk_share
    )
    assert plateau.mean("disk_read_bytes_per_s") > (1 - limits.disk_share) * DISK_BYTES_PER_S

"""All three resources at once, as planned and as drawn."""

import pytest

from fixtures.limits import DISK_BYTES_PER_S, MEMORY_STEP_BYTES
from twin_harness import cpu, disk, memory

MOST_ERROR = {"cpu": 2.0, "disk": 0.08 * DISK_BYTES_PER_S}
MOST_MEMORY_ERROR = 0.02


@pytest.mark.experiment(
    cpu(40, duration_s=12),
    memory(MEMORY_STEP_BYTES, start_s=2, duration_s=8, unit="bytes"),
    disk(DISK_BYTES_PER_S / 2, start_s=4, duration_s=6),
    lead_s=2,
    tail_s=2,
)
def test_three_loads_overlap(recording, limits):
    """While all three run, each is delivered as if it were alone, and rows name all as active."""
    together = recording.during("disk-0", skip_s=1)
    recording.require_room("cpu-0")
    assert together.mean("cpu_delivered_percent") == pytest.approx(40, abs=limits.cpu_points)
    assert together.mean("memory_delivered_bytes") == pytest.approx(
        MEMORY_STEP_BYTES, rel=limits.memory_share
    )
    assert together.mean("disk_delivered_bytes_per_s") == pytest.approx(
        DISK_BYTES_PER_S / 2, rel=limits.disk_share
    )
    assert set(together.samples["active_events"]) == {"cpu-0+mem-0+disk-0"}
    assert all(recording.annotations["overlapped"])


@pytest.mark.random_schedules(n=3, max_memory_percent=1)
def test_random_schedules_are_delivered(recording):
    """Every event of a random schedule ran from its planned start, and its load came.

    The right kind, and as much as was asked for.
    """
    for event in recording.experiment.events:
        row = recording.annotation(event.id)
        assert row.status == "completed"
        assert abs(row.start_error_ms) < 500
        measured = recording.fidelity(event.id)
        if event.stressor == "memory":
            end_s = row.actual_end_s
            last = recording.samples.loc[end_s - 0.6 : end_s - 0.05]
            assert last["memory_delivered_bytes"].mean() == pytest.approx(
                last["memory_requested_bytes"].mean(), rel=0.05, abs=32 * 2**20
            )
        else:
            recording.require_room(event.id)
            assert abs(measured.bias) < MOST_ERROR[event.stressor]

"""Memory load: resident bytes follow the plan, and the machine has that much less."""

import pytest

from fixtures.limits import MEMORY_STEP_BYTES
from twin_harness import memory, steps
from twin_harness.errors import Undecided

STAIRCASE = [MEMORY_STEP_BYTES, 2 * MEMORY_STEP_BYTES, 3 * MEMORY_STEP_BYTES, MEMORY_STEP_BYTES]
HOLD_S = 5


@pytest.mark.experiment(
    memory(steps(STAIRCASE), duration_s=HOLD_S * len(STAIRCASE), unit="bytes"), lead_s=2, tail_s=2
)
def test_memory_follows_a_staircase(recording, limits):
    """At the end of each step the resident bytes are the plan's within 2 %.

    The machine's used memory has grown by about as much.
    """
    samples = recording.samples
    before = samples.loc[:0, "memory_used_bytes"].mean()
    drift = samples.loc[HOLD_S * len(STAIRCASE) + 1.0 :, "memory_used_bytes"].mean() - before
    if abs(drift) > 0.2 * MEMORY_STEP_BYTES:
        msg = (
            f"others' memory changed by {drift / 2**20:+.0f} MiB meanwhile, so what the machine"
            f" shows cannot be judged (n = {len(samples)} samples)"
        )
        raise Undecided(msg)
    for number, level in enumerate(STAIRCASE):
        end_s = (number + 1) * HOLD_S
        plateau = samples.loc[end_s - 1.5 : end_s - 0.1]
        assert plateau["memory_delivered_bytes"].mean() == pytest.approx(
            level, rel=limits.memory_share
        )
        assert plateau["memory_used_bytes"].mean() - before > 0.7 * level
    assert recording.annotation("mem-0").status == "completed"


@pytest.mark.experiment(memory(2, duration_s=6), lead_s=2, tail_s=2)
def test_memory_comes_back(recording, machine, limits):
    """Two percent of the machine's memory are taken, and given back within the tail."""
    plateau = recording.during("mem-0", skip_s=4)
    assert plateau.mean("memory_delivered_bytes") == pytest.approx(
        0.02 * machine.memory_limit_bytes, rel=limits.memory_share
    )
    after = recording.samples.loc[7.5:]
    assert after["memory_delivered_bytes"].max() == 0
    assert (
        plateau.mean("memory_used_bytes") - after["memory_used_bytes"].mean()
        > 0.7 * 0.02 * machine.memory_limit_bytes
    )

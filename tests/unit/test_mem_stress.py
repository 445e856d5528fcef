"""Memory that is stirred is written to all over, once a period; memory that is held is not."""

import mmap

from twin_harness.shapes.shape import constant
from twin_harness.stress.load import Load
from twin_harness.stress.mem_stress import GRAIN_BYTES, STIR_PERIOD_S, MemoryStress

TICK_S = 0.020


def test_stirring_writes_to_every_page_once_a_period(monkeypatch):
    """The parts of one period lie end to end and cover all that is resident."""
    stress = MemoryStress(Load(constant(4.0 * GRAIN_BYTES), 0.0, 10.0, 1.0, {"pattern": "stir"}), 0)
    stress.prepare()
    try:
        stress._grow(4 * GRAIN_BYTES)
        touched = []
        monkeypatch.setattr(stress, "_touch", lambda begin, end: touched.append((begin, end)))
        for _ in range(round(STIR_PERIOD_S / TICK_S)):
            stress._stir()
        pages = {
            page
            for begin, end in touched
            for page in range(begin // mmap.PAGESIZE, end // mmap.PAGESIZE)
        }
        assert pages == set(range(4 * GRAIN_BYTES // mmap.PAGESIZE))
    finally:
        stress.release()


def test_touching_changes_what_is_there():
    """Every page of the part has been stored to: zeros stand where ones stood."""
    stress = MemoryStress(Load(constant(1.0 * GRAIN_BYTES), 0.0, 10.0, 1.0, {}), 0)
    stress.prepare()
    try:
        stress._grow(GRAIN_BYTES)
        stress._mapping[:] = b"\x01" * GRAIN_BYTES
        stress._touch(0, 3 * mmap.PAGESIZE)
        assert [stress._mapping[page * mmap.PAGESIZE] for page in range(5)] == [0, 0, 0, 1, 1]
    finally:
        stress.release()

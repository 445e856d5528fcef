"""Controlled memory load: resident bytes follow the level, up and down.

One anonymous mapping as large as the highest level, locked as it fills where that is permitted
(mlock2(2), MLOCK_ONFAULT). Growth is populated in chunks of at most 32 MiB (madvise(2):
MADV_HUGEPAGE, then MADV_POPULATE_WRITE, Linux ≥ 5.14; a plain store to every page elsewhere), and
what is available, in the machine and in the control group, is asked before each chunk. Shrinking
gives the tail back with MADV_DONTNEED.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import time
from typing import TYPE_CHECKING

from twin_harness.stress.load import LoadAborted
from twin_harness.system.available_memory import AvailableMemory, is_swap_active

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.stress.load import Load

GRAIN_BYTES = 2 * 1024**2  # a huge page: smaller steps would break huge pages up
CHUNK_BYTES = 32 * 1024**2
# Python names none of these.
_MADV_POPULATE_WRITE, _MADV_DONTNEED_LOCKED, _MLOCK_ONFAULT = 23, 24, 1
_MAP_NORESERVE = 0x4000
_TICK_S = 0.020
_CHUNK_S = 0.010
STIR_PERIOD_S = 1.0
NOT_GUARANTEED = (
    "resident: not guaranteed (swap is active, and locking this much memory is not permitted; raise"
    " ulimit -l)"
)


class MemoryStress:
    """Memory load; the load's unit is bytes.

    Args:
        load: what to follow.
        floor_bytes: never take memory when less than this would be left available; a chunk is at
            most a quarter of it.
        limit_bytes: what the control group allows in all; None when it does not bound.
    """

    def __init__(self, load: Load, floor_bytes: int, limit_bytes: int | None = None) -> None:
        self._load = load
        self._floor_bytes = floor_bytes
        self._limit_bytes = limit_bytes
        if floor_bytes:
            self._largest_chunk_bytes = min(
                CHUNK_BYTES, max(GRAIN_BYTES, floor_bytes // 4 // GRAIN_BYTES * GRAIN_BYTES)
            )
        else:
            self._largest_chunk_bytes = CHUNK_BYTES
        self._chunk_bytes = GRAIN_BYTES
        self._area: mmap.mmap | None = None
        self._resident_bytes = 0
        self._stirred_bytes = 0
        self._can_populate = hasattr(mmap, "MADV_HUGEPAGE")
        self._give_back = getattr(mmap, "MADV_DONTNEED", 4)
        self._available: AvailableMemory | None = None

    def prepare(self) -> None:
        """Reserve addresses; no page is taken yet."""
        size_bytes = max(GRAIN_BYTES, _to_grain(self._load.highest()))
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        if sys.platform == "linux":
            flags |= _MAP_NORESERVE
        self._area = mmap.mmap(-1, size_bytes, flags=flags)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self._area.madvise(mmap.MADV_HUGEPAGE)
        if _lock_on_fault(self._area):
            self._give_back = _MADV_DONTNEED_LOCKED
        elif is_swap_active():
            self._load.note = NOT_GUARANTEED
        self._available = AvailableMemory(self._limit_bytes)

    def follow(self, report_start: Callable[[], None]) -> None:
        """Follow the load.

        Raises:
            LoadAborted: one more chunk would leave less memory available than the floor.
        """
        load = self._load
        is_stirring = load.options.get("pattern") == "stir"
        report_start()
        while (now_s := time.monotonic()) < load.end_s and not load.is_stopping:
            wanted_bytes = _to_grain(load.level(now_s))
            if wanted_bytes > self._resident_bytes:
                self._grow(min(wanted_bytes, self._resident_bytes + self._chunk_bytes))
                if self._resident_bytes < wanted_bytes:
                    # It is the filling that the level waits for.
                    load.starved_s += time.monotonic() - now_s
                    continue
            elif wanted_bytes < self._resident_bytes:
                self._shrink(wanted_bytes)
            if is_stirring:
                self._stir()
            time.sleep(
                max(0.0, min(_TICK_S - (time.monotonic() - now_s), load.end_s - time.monotonic()))
            )

    def _stir(self) -> None:
        """Write to the next part of what is resident: all of it once a period."""
        if self._stirred_bytes < self._resident_bytes:
            begin_bytes = self._stirred_bytes
        else:
            begin_bytes = 0
        part_bytes = (
            int(self._resident_bytes * _TICK_S / STIR_PERIOD_S) // mmap.PAGESIZE * mmap.PAGESIZE
            + mmap.PAGESIZE
        )
        self._stirred_bytes = min(begin_bytes + part_bytes, self._resident_bytes)
        self._touch(begin_bytes, self._stirred_bytes)

    def _grow(self, to_bytes: int) -> None:
        if self._available:
            available_bytes = self._available.read_bytes()
        else:
            available_bytes = None
        more_bytes = to_bytes - self._resident_bytes
        if available_bytes is not None and available_bytes - more_bytes < self._floor_bytes:
            have, chunk, floor = (
                amount / 2**20 for amount in (available_bytes, more_bytes, self._floor_bytes)
            )
            msg = (
                f"memory_available: {have:.0f} MiB less a chunk of {chunk:.0f} MiB would be below"
                f" the floor of {floor:.0f} MiB"
            )
            raise LoadAborted(msg)
        began_s = time.monotonic()
        if self._can_populate:
            try:
                self._mapping.madvise(_MADV_POPULATE_WRITE, self._resident_bytes, more_bytes)
            except OSError:
                self._can_populate = False
        if not self._can_populate:
            self._touch(self._resident_bytes, to_bytes)
        self._resident_bytes = to_bytes
        # Chunks of about 10 ms: a chunk under way is how late the event may end.
        fitting_bytes = more_bytes * _CHUNK_S / max(time.monotonic() - began_s, 1e-6)
        self._chunk_bytes = min(
            self._largest_chunk_bytes, max(GRAIN_BYTES, _to_grain(fitting_bytes)), 2 * more_bytes
        )

    def _shrink(self, to_bytes: int) -> None:
        self._mapping.madvise(self._give_back, to_bytes, self._resident_bytes - to_bytes)
        self._resident_bytes = to_bytes

    def _touch(self, begin_bytes: int, end_bytes: int) -> None:
        """Store to one byte of every page, chunk by chunk so that stopping stays possible."""
        for offset in range(begin_bytes, end_bytes, CHUNK_BYTES):
            upto = min(offset + CHUNK_BYTES, end_bytes)
            self._mapping[offset : upto : mmap.PAGESIZE] = bytes(
                (upto - offset + mmap.PAGESIZE - 1) // mmap.PAGESIZE
            )
            if self._load.is_stopping:
                return

    @property
    def _mapping(self) -> mmap.mmap:
        if self._area is None:
            msg = "prepare() comes before follow()"
            raise RuntimeError(msg)
        return self._area

    def release(self) -> None:
        """Unmap everything."""
        if self._area is not None:
            self._area.close()
            self._area = None


def _lock_on_fault(area: mmap.mmap) -> bool:
    """Have pages locked as they are filled.

    Return whether that is permitted, and the kernel (5.18) gives locked pages back.
    """
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mlock2"):
        return False
    libc, start = ctypes.CDLL(None, use_errno=True), ctypes.c_char.from_buffer(area)
    address, size = ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(len(area))
    del start  # it keeps the mapping from being closed
    if libc.mlock2(address, size, _MLOCK_ONFAULT) != 0:
        return False
    try:
        area.madvise(_MADV_DONTNEED_LOCKED, 0, mmap.PAGESIZE)
    except OSError:
        libc.munlock(address, size)
        return False
    return True


def _to_grain(amount_bytes: float) -> int:
    return round(amount_bytes / GRAIN_BYTES) * GRAIN_BYTES

"""How much memory new work can have, within the machine and within control groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.system.control_group import ControlGroup
from twin_harness.system.procfs import KeptFile, keep, read_meminfo, read_text, stat_value

if TYPE_CHECKING:
    from pathlib import Path

    from twin_harness.system.control_group import MemoryLimit


class GroupMemory:
    """The memory left in the control groups that bound this process, read again and again.

    The groups above count for what is left as well as the one with the tightest limit: one whose
    other members have filled it leaves nothing to this one.

    Args:
        group: whose limits; None is this process's.
        limit_bytes: what is known of the tightest limit, which may have been raised since; None
            takes what stands there.

    Attributes:
        stat: ``memory.stat`` of the tightest group, as of the last reading.
    """

    def __init__(self, group: ControlGroup | None = None, limit_bytes: int | None = None) -> None:
        self._bounds: list[tuple[int, KeptFile, KeptFile | None]] = []
        tightest: dict[Path, MemoryLimit] = {}
        for limit in (group or ControlGroup()).memory_limits():
            tightest.setdefault(limit.folder, limit)
        for limit in tightest.values():
            usage = keep(_usage_file(limit.folder) or "/nonexistent", 64)
            if usage is not None:
                bound_bytes = min(limit.limit_bytes, limit_bytes or limit.limit_bytes)
                self._bounds.append(
                    (bound_bytes, usage, keep(str(limit.folder / "memory.stat"), 8192))
                )
                limit_bytes = None
        self.stat = b""

    def left_bytes(self) -> int | None:
        """Return what new work can have within the limits, below 0 where a limit is exceeded.

        None where none is read.

        Usage less inactive file pages is what the kernel cannot take back at once, as kubelet
        counts it. ``stat`` keeps the tightest group's ``memory.stat`` of this reading.
        """
        least_bytes = None
        self.stat = b""
        for limit_bytes, usage, stat in self._bounds:
            content = b"" if stat is None else stat.read()
            self.stat = self.stat or content
            in_use_bytes = max(0, int(usage.read()) - inactive_file_bytes(content))
            left_bytes = limit_bytes - in_use_bytes
            if least_bytes is None or left_bytes < least_bytes:
                least_bytes = left_bytes
        return least_bytes

    def close(self) -> None:
        """Close the descriptors."""
        for _, usage, stat in self._bounds:
            usage.close()
            if stat is not None:
                stat.close()


class AvailableMemory:
    """The memory that new work can have.

    That is MemAvailable, and within control groups their limits less what is in use and cannot be
    reclaimed.

    Args:
        limit_bytes: what the control group allows in all; None when it does not bound.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._meminfo = keep("/proc/meminfo", 8192)
        self._group: GroupMemory | None = None
        if limit_bytes is not None:
            self._group = GroupMemory(limit_bytes=limit_bytes)

    def read_bytes(self) -> int | None:
        """Return what is available now; None where the kernel does not show it."""
        if self._meminfo is None:
            return None
        available = read_meminfo(self._meminfo.read()).get(b"MemAvailable")
        if available is None:
            return None
        left = None if self._group is None else self._group.left_bytes()
        return available if left is None else min(available, left)

    def close(self) -> None:
        """Close the descriptors."""
        if self._meminfo is not None:
            self._meminfo.close()
        if self._group is not None:
            self._group.close()


def inactive_file_bytes(stat: bytes) -> int:
    """Return a group's inactive file pages, of its children too, given its ``memory.stat``.

    Version 1 has lines of the group alone and, beginning with ``total_``, of all below it, which
    its usage counts (cgroup-v1/memory.rst, 5.2); version 2 has lines of all below it and no others.
    """
    return stat_value(stat, b"total_inactive_file", b"inactive_file") or 0


def is_swap_active() -> bool:
    """Tell whether pages of this process can be swapped out.

    /proc/swaps (proc(5)) lists swap areas; the control group may forbid their use.
    """
    return len(read_text("/proc/swaps").splitlines()) > 1 and ControlGroup().swap_limit_bytes() != 0


def _usage_file(folder: Path) -> str:
    """Return the file that holds a group's bytes in use; empty when it has none."""
    names = ("memory.current", "memory.usage_in_bytes")
    return next((str(folder / name) for name in names if (folder / name).exists()), "")

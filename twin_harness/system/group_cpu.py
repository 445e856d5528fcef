"""The CPU time that a control group has used, read again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.system.procfs import CLOCK_TICKS_PER_S, KeptFile, keep, stat_value

if TYPE_CHECKING:
    from collections.abc import Sequence


class GroupCpu:
    """CPU time that a control group has used since it was made, its children included.

    Args:
        files: ``cpu.stat`` of version 2; ``cpuacct.usage`` (ns) and ``cpuacct.stat`` (clock ticks)
            of version 1.
    """

    def __init__(self, files: Sequence[KeptFile]) -> None:
        self._files = tuple(files)

    @classmethod
    def from_files(cls, *paths: str) -> GroupCpu | None:
        """Open such files; None when one of them cannot be read."""
        files = [kept for path in paths if (kept := keep(path, 1024)) is not None]
        reader = cls(files)
        if len(files) == len(paths) and reader.read_us() is not None:
            return reader
        reader.close()
        return None

    def read_us(self) -> tuple[int, int, int] | None:
        """Return all of it, that in user mode and that in the kernel, in µs.

        None when it cannot be read (the group is gone).
        """
        usage: int | None
        try:
            data = [file.read() for file in self._files]
            if len(data) == 1:
                unit_us = 1
                usage, user, system = (
                    stat_value(data[0], name)
                    for name in (b"usage_usec", b"user_usec", b"system_usec")
                )
            else:
                unit_us = 1_000_000 // CLOCK_TICKS_PER_S
                usage = int(data[0]) // 1000
                user, system = (stat_value(data[1], name) for name in (b"user", b"system"))
        except (OSError, ValueError):
            return None
        if usage is None:
            return None
        return usage, (user or 0) * unit_us, (system or 0) * unit_us

    def close(self) -> None:
        """Close the descriptors."""
        for kept in self._files:
            kept.close()

"""Memory straight from /proc/meminfo, within what control groups leave."""

from __future__ import annotations

import re
from math import nan
from typing import TYPE_CHECKING

from twin_harness.system.procfs import keep
from twin_harness.telemetry.group_memory import bounding_group, group_pages, left_in
from twin_harness.telemetry.rates import within_percent

if TYPE_CHECKING:
    from twin_harness.system.telemetry_messages import MachineFacts
    from twin_harness.telemetry.notes import Notes

EMPTY_COLUMNS = "the memory columns are empty"
# The fields in the order that the kernel prints them (fs/proc/meminfo.c); a kernel that has others
# is read name by name.
_MEMINFO = re.compile(
    rb"MemAvailable: +(\d+) kB\n.*?\nCached: +(\d+) kB\n.*?\nSwapTotal: +(\d+) kB\nSwapFree: +(\d+)"
    rb" kB\n"
    rb".*?Dirty: +(\d+) kB\nWriteback: +(\d+) kB\n.*?\nSReclaimable: +(\d+) kB\n",
    re.DOTALL,
)
_MEMINFO_NAMES = (
    b"MemAvailable",
    b"Cached",
    b"SwapTotal",
    b"SwapFree",
    b"Dirty",
    b"Writeback",
    b"SReclaimable",
)


class MemoryGauges:
    """Used, available and cached memory, dirty pages and swap.

    Args:
        machine: ``machine.json``'s content.
        notes: where it is said what could not be read.
    """

    def __init__(self, machine: MachineFacts, notes: Notes) -> None:
        self._limit_bytes = machine["memory_limit_bytes"]
        self._notes = notes
        self._group = bounding_group(machine)
        self._file = keep("/proc/meminfo", 4096)
        if self._file is None:
            notes.once("no meminfo", f"/proc/meminfo cannot be read: {EMPTY_COLUMNS}")

    def read(self) -> tuple[float, ...]:
        """Return percent, used, available, cached, dirty and written-back bytes, swap percent."""
        table, total = self._table(), self._limit_bytes
        available = min(table.get(b"MemAvailable", nan), total)
        cached = table.get(b"Cached", nan) + table.get(b"SReclaimable", 0)
        pages: tuple[float, ...] = (cached, table.get(b"Dirty", nan), table.get(b"Writeback", nan))
        left = left_in(self._group, self._notes)
        if left is not None and self._group is not None:
            available = min(available, max(0, left))
            pages = group_pages(self._group.stat, pages)
        percent = within_percent(100.0 * (total - available) / total)
        swap_percent, swap_total = nan, table.get(b"SwapTotal", 0)
        if swap_total:
            swap_percent = 100.0 * (swap_total - table.get(b"SwapFree", nan)) / swap_total
        return percent, total - available, available, *pages, swap_percent

    def _table(self) -> dict[bytes, int]:
        if self._file is None:
            return {}
        try:
            table = _meminfo_fields(self._file.read())
        except OSError as error:
            self._notes.failed("/proc/meminfo", error, EMPTY_COLUMNS)
            return {}
        if len(table) < len(_MEMINFO_NAMES):
            missing = ", ".join(name.decode() for name in _MEMINFO_NAMES if name not in table)
            self._notes.once(
                f"meminfo {missing}",
                f"/proc/meminfo does not show {missing}: the columns made of it are empty",
            )
        return table


def _meminfo_fields(data: bytes) -> dict[bytes, int]:
    """Return the needed lines of /proc/meminfo in bytes, without parsing the other forty."""
    match = _MEMINFO.search(data)
    if match is not None:
        sizes = [int(value) * 1024 for value in match.groups()]
        return dict(zip(_MEMINFO_NAMES, sizes, strict=True))
    table = {}
    for name in _MEMINFO_NAMES:
        line = re.search(rb"^" + name + rb": +(\d+) kB$", data, re.MULTILINE)
        if line is not None:
            table[name] = int(line.group(1)) * 1024
    return table

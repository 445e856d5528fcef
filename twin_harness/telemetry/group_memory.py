"""What control groups say of memory: what they leave, and their pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.system.available_memory import GroupMemory
from twin_harness.system.procfs import stat_value
from twin_harness.telemetry.notes import UNREADABLE

if TYPE_CHECKING:
    from twin_harness.system.telemetry_messages import MachineFacts
    from twin_harness.telemetry.notes import Notes


def bounding_group(machine: MachineFacts) -> GroupMemory | None:
    """Return the control group that bounds the memory; None where the machine's size does."""
    if machine["memory_limit_bytes"] < machine["memory_total_bytes"]:
        return GroupMemory(limit_bytes=machine["memory_limit_bytes"])
    return None


def left_in(group: GroupMemory | None, notes: Notes) -> int | None:
    """Return what control groups leave; None, and a note, where they cannot be read any more."""
    if group is None:
        return None
    try:
        return group.left_bytes()
    except UNREADABLE as error:
        notes.failed(
            "the control group's memory", error, "the memory columns are those of the machine"
        )
        return None


def group_pages(stat: bytes, otherwise: tuple[float, ...]) -> tuple[float, ...]:
    """Return cached, dirty and written-back bytes of a control group and its children.

    Args:
        stat: its ``memory.stat``.
        otherwise: what is returned where that does not hold them.
    """
    try:
        cached = stat_value(stat, b"total_cache", b"cache", b"file")
        dirty = stat_value(stat, b"total_dirty", b"dirty", b"file_dirty")
        writeback = stat_value(stat, b"total_writeback", b"writeback", b"file_writeback")
        slab = stat_value(stat, b"slab_reclaimable") or 0
    except UNREADABLE:
        return otherwise
    if cached is None or dirty is None or writeback is None:
        return otherwise
    return cached + slab, dirty, writeback

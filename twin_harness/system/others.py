"""Processes of others, and how much CPU time they use meanwhile.

One look at /proc before an experiment and one after.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_MOST, _LEAST_S = 3, 0.05

Clocks = dict[tuple[int, int], tuple[str, float]]


def read_clocks(root: str = "/proc") -> Clocks:
    """Return name and CPU seconds of every process by pid and start; empty without /proc.

    Fields 2, 14, 15 and 22 of /proc/<pid>/stat (proc(5)).
    """
    clocks: Clocks = {}
    for folder in Path(root).glob("[0-9]*"):
        try:
            data = (folder / "stat").read_bytes()
        except OSError:
            continue
        head, _, tail = data.rpartition(b") ")
        fields = tail.split()
        name = head.partition(b" (")[2].decode("utf-8", "replace")
        cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
        clocks[int(folder.name), int(fields[19])] = (name, cpu_s)
    return clocks


def busiest(before: Clocks, after: Clocks, own_pids: AbstractSet[int]) -> list[dict[str, Any]]:
    """Return up to three processes of others that used most CPU between two looks.

    Each with ``name``, ``pid`` and ``cpu_s``; those below 0.05 s are left out.

    Args:
        before: the first look, by ``read_clocks``.
        after: the second one.
        own_pids: processes of this session, which are left out.
    """
    spent = [
        (cpu_s - before.get((pid, start), ("", 0.0))[1], name, pid)
        for (pid, start), (name, cpu_s) in after.items()
        if pid not in own_pids
    ]
    most = sorted((entry for entry in spent if entry[0] >= _LEAST_S), reverse=True)[:_MOST]
    return [{"name": name, "pid": pid, "cpu_s": round(cpu_s, 2)} for cpu_s, name, pid in most]

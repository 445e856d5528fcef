"""The most memory that processes have held: VmHWM of proc_pid_status(5)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.errors import Undecided
from twin_harness.system.load_tree import descendants
from twin_harness.system.procfs import read_text

if TYPE_CHECKING:
    from collections.abc import Collection

_KIB = 1024
_RESET_PEAK = "5"


def forget_peak() -> None:
    """Have this process's own peak begin anew (5 to clear_refs, proc_pid_clear_refs(5))."""
    with (
        contextlib.suppress(OSError),
        Path("/proc/self/clear_refs").open("w", encoding="ascii") as file,
    ):
        file.write(_RESET_PEAK)


def peak_bytes(pid: int) -> int | None:
    """Return the most bytes that a process has had resident; None when it is gone."""
    for line in read_text(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB
    return None


def faults_of_ended() -> int:
    """Return the page faults of all children that have ended: it grows with each that ends."""
    import resource  # Windows has none

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt


def peak_since(before: Collection[int], others: Collection[int], ended: int) -> int | None:
    """Return the peaks of what was started since, added up; this process's own where nothing was.

    Args:
        before: the descendants of this process that were there already.
        others: processes that do not count: loads, and the harness.
        ended: what ``faults_of_ended`` said then.

    Raises:
        Undecided: what was started has ended, and took its peak along.
    """
    started = set(descendants(os.getpid())) - set(before) - set(others)
    peaks = [peak for pid in started if (peak := peak_bytes(pid)) is not None]
    if peaks:
        return sum(peaks)
    if faults_of_ended() != ended:
        msg = (
            "memory_peak_bytes: what the test started had ended before the test did; start it in a"
            " fixture, which ends it after the test"
        )
        raise Undecided(msg)
    return peak_bytes(os.getpid())

"""Noticing that another process has ended: by a descriptor (pidfd), or by looking now and then.

pidfd_open(2) came with Linux 5.3; a seccomp filter of a container may answer ENOSYS or EPERM to it,
and descriptors may have run out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.system.child import watch_process
from twin_harness.system.procfs import start_ticks

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOK_EVERY_S = 0.2


class ProcessWatch:
    """Watches processes for their end.

    Attributes:
        descriptors: to be polled for reading; each becomes readable when its process ends.
        longest_wait_s: how long to wait for them at most before ``has_ended`` is asked; None where
            there is no limit.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self.descriptors: list[int] = []
        self._unseen: dict[int, int | None] = {}
        self._has_ended = False
        for pid in pids:
            try:
                descriptor = watch_process(pid)
            except ProcessLookupError:
                self._has_ended = True
                continue
            if descriptor is None:
                self._unseen[pid] = start_ticks(pid)
            else:
                self.descriptors.append(descriptor)
        self.longest_wait_s: float | None = LOOK_EVERY_S if self._unseen else None

    def shortened(self, wait_s: float | None) -> float | None:
        """Return how long to wait instead of that long (None: for ever)."""
        if self.longest_wait_s is None:
            return wait_s
        if wait_s is None:
            return self.longest_wait_s
        return min(wait_s, self.longest_wait_s)

    def has_ended(self, readable: Iterable[int] = ()) -> bool:
        """Tell whether one of them has ended, given which descriptors a poll has found readable."""
        if not self._has_ended:
            self._has_ended = any(descriptor in self.descriptors for descriptor in readable)
        if not self._has_ended and self._unseen:
            self._has_ended = any(not _is_alive(pid, born) for pid, born in self._unseen.items())
        return self._has_ended


def _is_alive(pid: int, born_ticks: int | None) -> bool:
    """Tell whether the very same process still runs; a zombie has ended."""
    if born_ticks is None:  # no /proc, or one that hides it
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return False
    return fields[0] not in (b"Z", b"X") and int(fields[19]) == born_ticks

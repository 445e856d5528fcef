"""What a fork of the user's must not keep: locks, and our ends of the pipes of our processes.

A test may fork (multiprocessing's default on Linux, a daemon) while we hold the machine. The fork
would keep every descriptor of ours open: the machine stays taken although we have let go, and a
load host never reads the end of its stdin. So a forked child closes them first of all. Our own
processes are not concerned: they are executed, and inherit what is passed on to them by number.
"""

from __future__ import annotations

import contextlib
import os
from typing import Protocol
from weakref import WeakSet


class Closable(Protocol):
    """A descriptor that can be closed."""

    def close(self) -> None:
        """Close it; a second time does nothing."""
        ...


# One list a process, like the descriptors themselves; what is collected leaves it.
_ours: WeakSet[Closable] = WeakSet()


def close_in_forks(closable: Closable) -> None:
    """Have every fork of this process close its copy of a descriptor at once."""
    _ours.add(closable)


def keep_in_forks(closable: Closable) -> None:
    """Take that back: it is closed, or its number may soon be somebody else's."""
    _ours.discard(closable)


def _close_all() -> None:
    for closable in list(_ours):
        with contextlib.suppress(OSError, ValueError):
            closable.close()
    _ours.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_close_all)

"""Where the turns of a slice pair begin: on the same CPU, whichever variant has the turn.

Where a process runs is chance, and lasts: the scheduler leaves it on the CPU that it was on. Beside
a neighbour that keeps another CPU busy, or the other half of a core, base and candidate would have
different machines for seconds on end. So all threads of the variant that has the turn are held on
one CPU until they have woken up there, and are free after that.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from twin_harness.system.load_tree import descendants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Held for such a share of a slice, and no longer than that: what it asks of several CPUs is slower
# meanwhile, which is left out with the beginning of the slices.
_SHARE, _LONGEST_S = 0.1, 0.02
_MOST_THREADS = 1000  # of a variant; one that has more is left where it is


class Placement:
    """The CPUs on which the slice pairs of a pair begin.

    Args:
        seed: of the session.
        test: node id of the test, without what tells its repetitions apart.
        pair: number of the pair.
    """

    def __init__(self, seed: int, test: str, pair: int) -> None:
        self._cpus: list[int] = []
        if hasattr(os, "sched_getaffinity"):
            self._cpus = sorted(os.sched_getaffinity(0))
        order = Random(f"{seed} {test} {pair} cpu")  # noqa: S311 - an order, no secret
        self._first = order.randrange(1_000_000)

    @contextlib.contextmanager
    def begin(self, slice_pair: int, tops: Sequence[int], seconds: float) -> Iterator[None]:
        """Hold a variant on the slice pair's CPU while its turn begins.

        Args:
            slice_pair: number of the slice pair.
            tops: the variant's processes without those below them.
            seconds: how long the turn is to be.
        """
        if len(self._cpus) < 2 or not tops:
            yield
            return
        before = _hold(tops, self._cpus[(self._first + slice_pair) % len(self._cpus)])
        timer = threading.Timer(min(_LONGEST_S, _SHARE * seconds), _release, (before,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            _release(before)


def _hold(tops: Sequence[int], cpu: int) -> dict[int, set[int]]:
    """Hold all threads of some processes on a CPU; return where each may run, by its id.

    A thread that may not run there stays where it is.
    """
    threads = [
        thread for top in tops for pid in (top, *descendants(top)) for thread in _threads_of(pid)
    ]
    before: dict[int, set[int]] = {}
    if len(threads) > _MOST_THREADS:
        return before
    for thread in threads:
        with contextlib.suppress(OSError):
            allowed = os.sched_getaffinity(thread)
            if cpu in allowed and len(allowed) > 1:
                os.sched_setaffinity(thread, {cpu})
                before[thread] = allowed
    return before


def _release(before: dict[int, set[int]]) -> None:
    """Let threads run where they might before; what was released already is not looked at again."""
    while before:
        thread, allowed = before.popitem()
        with contextlib.suppress(OSError):
            os.sched_setaffinity(thread, allowed)


def _threads_of(pid: int) -> list[int]:
    try:
        return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []

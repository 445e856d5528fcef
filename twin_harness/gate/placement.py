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
        # In the first slices a service may still be making its pools, by the CPUs that it sees.
        if len(self._cpus) < 2 or not tops or slice_pair == 0:
            yield
            return
        held = _Held(tops, self._cpus[(self._first + slice_pair) % len(self._cpus)])
        timer = threading.Timer(min(_LONGEST_S, _SHARE * seconds), held.release)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            held.release()


class _Held:
    """All threads of some processes, held on a CPU until they are released.

    A thread that may not run there, or is pinned already, stays where it is.

    Args:
        tops: the processes, with all below them.
        cpu: number of the CPU.
    """

    def __init__(self, tops: Sequence[int], cpu: int) -> None:
        self._tops, self._cpu = tops, cpu
        self._before: dict[int, set[int]] = {}
        self._is_released = False
        threads = _threads_below(tops)
        if len(threads) > _MOST_THREADS:
            self._is_released = True
            return
        self._pinned = set()
        for thread in threads:
            with contextlib.suppress(OSError):
                allowed = os.sched_getaffinity(thread)
                if cpu in allowed and len(allowed) > 1:
                    os.sched_setaffinity(thread, {cpu})
                    self._before[thread] = allowed
                else:
                    self._pinned.add(thread)

    def release(self) -> None:
        """Let them run where they might before, and with them what they have started meanwhile.

        What a thread has chosen itself in the meantime stays.
        """
        if self._is_released:
            return
        self._is_released = True
        usual = max(self._before.values(), key=len, default=None)
        if usual is None:
            return
        # Once more for what a thread has started before it was released itself.
        for _ in range(2):
            for thread in _threads_below(self._tops):
                with contextlib.suppress(OSError):
                    if thread not in self._pinned and os.sched_getaffinity(thread) == {self._cpu}:
                        os.sched_setaffinity(thread, self._before.get(thread, usual))


def _threads_below(tops: Sequence[int]) -> list[int]:
    """Return the threads of some processes and of all below them."""
    return [
        thread for top in tops for pid in (top, *descendants(top)) for thread in _threads_of(pid)
    ]


def _threads_of(pid: int) -> list[int]:
    try:
        return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []

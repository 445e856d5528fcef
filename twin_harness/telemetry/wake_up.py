"""How the logger wakes on time: its wait, its scheduling class, its memory."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING

from twin_harness.system.child import run_as_ordinary, run_in_real_time
from twin_harness.system.process_watch import ProcessWatch

if TYPE_CHECKING:
    from twin_harness.system.board import Board

_SLICE_S = 0.5
_RUNAWAY_US = 500_000
_MCL_CURRENT = 1


class WakeUp:
    """Waits for the next sample, and notices what ends the logger.

    Args:
        board: the load board, by which the session asks the logger to end.
        controller_pid: the process that the logger ends with.
    """

    def __init__(self, board: Board, controller_pid: int) -> None:
        self._board = board
        self._controller = ProcessWatch([controller_pid])
        self._wake_up, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(write_end, False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: None)  # the wake-up pipe ends the wait
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        self._watched = [self._wake_up, *self._controller.descriptors]

    def wait_until(self, instant_s: float) -> bool:
        """Sleep until an instant; return False when the logger is to end before it.

        One call waits for all of it.
        """
        while not self._board.is_stopping:
            remaining_s = instant_s - time.monotonic()
            readable = select.select(self._watched, [], [], min(max(remaining_s, 0.0), _SLICE_S))[0]
            # SIGXCPU, which ends the real-time class alone, comes by the same pipe.
            # Where the kernel has no descriptor that would say that the controller has ended,
            # looking costs 20 µs.
            if self._controller.has_ended(readable) or (
                readable and signal.SIGTERM in os.read(self._wake_up, 512)
            ):
                return False
            if readable:
                continue
            if remaining_s <= _SLICE_S:
                return True
        return False


def be_punctual(cpus: int) -> str:
    """Enter the best scheduling class that is permitted, and return its name."""
    import resource

    if cpus > 1 and hasattr(resource, "RLIMIT_RTTIME") and run_in_real_time():
        signal.signal(signal.SIGXCPU, lambda *_: run_as_ordinary())
        resource.setrlimit(resource.RLIMIT_RTTIME, (_RUNAWAY_US, resource.RLIM_INFINITY))
        return "SCHED_FIFO"
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except OSError:
        return "SCHED_OTHER"
    return "SCHED_OTHER nice -10"


def lock_memory() -> None:
    """Have what is in memory stay there, where that is permitted.

    A page that must be read back makes a sample late (mlockall(2)).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).mlockall(_MCL_CURRENT)

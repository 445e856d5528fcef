"""The CPU time of this process and of all that it has started: what is not others' work."""

from __future__ import annotations

import os
import resource
import time

from twin_harness.system.load_tree import descendants
from twin_harness.system.procfs import process_cpu_ns, waited_for_ns


def tree_cpu_ns() -> int:
    """Return the CPU time of this process and its descendants, in ns.

    Of living ones by their CPU clocks, of ended ones as far as a parent in the tree has waited for
    them (getrusage(2), and cutime and cstime of proc_pid_stat(5)). What has left the tree, as a
    daemon does, is not in it.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total_ns = time.process_time_ns() + int((ended.ru_utime + ended.ru_stime) * 1e9)
    for pid in descendants(os.getpid()):
        total_ns += (process_cpu_ns(pid) or 0) + waited_for_ns(pid)
    return total_ns

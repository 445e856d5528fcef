"""The CPU time of what this process has started: none of it is others' work."""

from __future__ import annotations

import os
import resource

from twin_harness.system.load_tree import descendants
from twin_harness.system.procfs import process_cpu_ns, waited_for_ns


def started_cpu_ns() -> int:
    """Return the CPU time of the descendants of this process, in ns; its own is not in it.

    Of living ones by their CPU clocks, of ended ones as far as a parent in the tree has waited for
    them (getrusage(2), and cutime and cstime of proc_pid_stat(5)). What has left the tree, as a
    daemon does, is not in it.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total_ns = int((ended.ru_utime + ended.ru_stime) * 1e9)
    for pid in descendants(os.getpid()):
        total_ns += (process_cpu_ns(pid) or 0) + waited_for_ns(pid)
    return total_ns

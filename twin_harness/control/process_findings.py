"""What ``twin doctor`` finds of this process: its locks, limits, clock, and its watch on others."""

from __future__ import annotations

import os
import sys

from twin_harness.control.finding import Finding
from twin_harness.errors import HarnessFailure
from twin_harness.system.clock import is_standing
from twin_harness.system.machine_lock import find_lock_place
from twin_harness.system.process_watch import LOOK_EVERY_S


def examine_process() -> list[Finding]:
    """Look at what this process may do.

    Take the machine, watch others, write and compute without a limit, trust its clock.
    """
    return [examine_lock(), examine_watch(), examine_limits(), examine_clock()]


def examine_lock() -> Finding:
    """Look at where the machine's lock is, by which experiments take turns."""
    try:
        place = find_lock_place()
    except HarnessFailure as failure:
        return Finding(
            "machine lock", False, str(failure), "no experiment can run until there is one"
        )
    if not place.is_for_all_users:
        advice = (
            "experiments of other users may run at the same time; have root run: install -d -m 1777"
            " /run/lock"
        )
        return Finding(
            "machine lock",
            False,
            f"in {place.folder}, which not every user of the machine can use",
            advice,
        )
    return Finding("machine lock", True, f"in {place.folder}: all users of the machine take turns")


def examine_watch() -> Finding:
    """Look at whether the end of other processes is reported at once (pidfd_open(2))."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno:
            reason = os.strerror(error.errno)
        else:
            reason = "not in this Python"
        found = f"pidfd_open is refused ({reason}): kernel before 5.3, or a seccomp filter"
        return Finding(
            "process watch",
            False,
            found,
            f"the end of a session is noticed within {LOOK_EVERY_S:g} s, not at once",
        )
    return Finding(
        "process watch", True, "pidfd_open is permitted: load ends at once with its session"
    )


def examine_limits() -> Finding:
    """Look at the limits of processes that cut load or recording short (setrlimit(2))."""
    if sys.platform == "win32":
        return Finding("limits", True, "not looked at on this platform")
    import resource

    units = {
        "RLIMIT_FSIZE": ("-f", "bytes a file"),
        "RLIMIT_CPU": ("-t", "s of CPU time a process"),
        "RLIMIT_AS": ("-v", "bytes of addresses"),
    }
    found = []
    for name, (option, unit) in units.items():
        limit = resource.getrlimit(getattr(resource, name))[0]
        if limit != resource.RLIM_INFINITY:
            found.append(f"{limit} {unit} (ulimit {option})")
    if not found:
        return Finding(
            "limits", True, "no limit on file length, CPU time and addresses of a process"
        )
    return Finding(
        "limits",
        False,
        ", ".join(found),
        "a run or load that needs more ends there and says so; raise them for experiments",
    )


def examine_clock() -> Finding:
    """Look at whether the monotonic clock advances."""
    if is_standing():
        return Finding(
            "clock",
            False,
            "CLOCK_MONOTONIC of this process stands still",
            "no experiment can run; start without libfaketime",
        )
    if "faketime" in os.environ.get("LD_PRELOAD", ""):
        return Finding(
            "clock",
            False,
            "libfaketime is loaded",
            "set FAKETIME_DONT_FAKE_MONOTONIC=1, or times and rates are the faked ones",
        )
    return Finding("clock", True, "advances")

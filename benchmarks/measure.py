"""What every benchmark needs.

Process trees read from outside, a competitor, and figures with their spread and count.
"""

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from twin_harness.system.procfs import children_of, process_cpu_ns, process_io_bytes, resident_bytes

HOG = "while True: pass"
# Works for 0.3 of a second and rests as long, with others' load in mind no more than a neighbour
# would have.
VARYING_HOG = """
import time
while True:
    for busy_s, rest_s in ((0.8, 0.2), (0.1, 0.9), (0.4, 0.1), (0.0, 0.7)):
        end_s = time.monotonic() + busy_s
        while time.monotonic() < end_s:
            pass
        time.sleep(rest_s)
"""


def tree(pid):
    """Return a process and everything below it."""
    found, unvisited = [pid], [pid]
    while unvisited:
        children = children_of(unvisited.pop())
        found += children
        unvisited += children
    return found


def cpu_ns(pids):
    """Return the CPU clocks of processes, added up, in ns."""
    return sum(process_cpu_ns(pid) or 0 for pid in pids)


def held_bytes(pids):
    """Return the resident bytes of processes that are no file pages."""
    return sum(resident_bytes(pid) or 0 for pid in pids)


def moved_bytes(pids):
    """Return what processes have read from and written to devices."""
    return sum(sum(process_io_bytes(pid) or (0, 0)) for pid in pids)


def device_bytes(device):
    """Return what a block device has read and written since boot."""
    for line in Path("/proc/diskstats").read_text().splitlines():
        fields = line.split()
        if fields[2] == device:
            return (int(fields[5]) + int(fields[9])) * 512
    return 0


def sleep_until(instant_s):
    """Sleep until an instant of CLOCK_MONOTONIC."""
    time.sleep(max(0.0, instant_s - time.monotonic()))


@contextlib.contextmanager
def program(*words, stdin=subprocess.DEVNULL):
    """Run a program beside the block, and end it with all that it started."""
    process = subprocess.Popen(
        words,
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for pid in tree(process.pid):  # some peers leave their process group
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def competitor(code=HOG, count=1):
    """Have so many competitors work beside the block."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(program(sys.executable, "-c", code))
        time.sleep(0.2)
        yield


def version_of(name):
    """Return the first line of a peer's --version, or None where it is not installed; say so."""
    if shutil.which(name) is None:
        print(f"skipped: {name} is not installed", file=sys.stderr)
        return None
    return (
        subprocess.run(
            [name, "--version"], capture_output=True, text=True, check=False
        ).stdout.splitlines()
        or [name]
    )[0].strip()


def figure(values):
    """Return median, smallest, largest and count of some values, as plain data."""
    values = [value for value in values if value is not None]
    if not values:
        return {"median": None, "min": None, "max": None, "n": 0}
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "n": len(values),
    }


def shown(found, digits=2):
    """Return a figure as text: median, range and count."""
    if found["median"] is None:
        return "-"
    return (
        f"{found['median']:.{digits}f} [{found['min']:.{digits}f} … {found['max']:.{digits}f}]"
        f" n={found['n']}"
    )


def machine_line():
    """Return what this machine is, in a line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "?",
    )
    memory_gib = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return (
        f"{len(os.sched_getaffinity(0))} CPUs ({model}), {memory_gib:.0f} GiB, Linux"
        f" {os.uname().release}"
    )


def write_json(path, data):
    """Write results for machines."""
    Path(path).write_text(json.dumps(data, indent=1) + "\n")

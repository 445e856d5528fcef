"""Which part of a sample is the kernel's and which ours.

Μs of CPU by system call, at 10 Hz, caches as cold as they are then.

    python benchmarks/sample_profile.py

The sample is taken in this process, with its system calls timed by the process's CPU clock (each
timing adds about 1 µs to both sides). What is read once a second counts a tenth. Waiting for the
next sample, which costs the process 90 to 120 µs, is not in it.
"""

import collections
import contextlib
import functools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import measure

from twin_harness.system.board import Board
from twin_harness.system.clock import SystemClock
from twin_harness.system.machine import inspect_machine
from twin_harness.telemetry.procfs_source import ProcfsSource
from twin_harness.telemetry.psutil_logger import Logger


@functools.cache
def path_of(descriptor):
    """Return which file a descriptor reads."""
    return f"kernel: read {Path(f'/proc/self/fd/{descriptor}').readlink()}"


def profile_sample(samples):
    """Return mean µs of CPU of each part of a sample at 10 Hz.

    System calls by file, and all the rest, which is ours (in this process).
    """
    spent_us = collections.defaultdict(float)

    def timed(call, name):
        def inner(*words):
            begin_ns = time.process_time_ns()
            try:
                return call(*words)
            finally:
                spent_us[name(*words)] += (time.process_time_ns() - begin_ns) / 1e3

        return inner

    board = Board.create()
    parts = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stack.callback(board.close, unlink=True)
        machine = inspect_machine(Path(folder)).to_json()
        descriptor = os.open(Path(folder, "x.csv"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        stack.callback(os.close, descriptor)
        board.claim_process(os.getpid(), "harness")
        logger = Logger(
            {"interval_s": 0.1, "machine": machine},
            board,
            ProcfsSource(machine),
            descriptor,
            SystemClock(),
        )
        logger.open()
        kept = {
            name: getattr(os, name) for name in ("pread", "write", "stat", "statvfs", "listdir")
        }
        stack.callback(lambda: [setattr(os, name, call) for name, call in kept.items()])
        os.pread = timed(kept["pread"], lambda descriptor, *_: path_of(descriptor))
        for name in ("write", "stat", "statvfs", "listdir"):
            setattr(os, name, timed(kept[name], lambda *_, name=name: f"kernel: {name}"))
        for _ in range(samples):
            measure.sleep_until(logger.next_s)
            spent_us.clear()
            begin_ns = time.process_time_ns()
            logger.sample()
            whole_us = (time.process_time_ns() - begin_ns) / 1e3
            for name, value in spent_us.items():
                parts[name].append(value)
            parts["ours: account, parsing, rates, formatting"].append(
                whole_us - sum(spent_us.values())
            )
    return {
        name: {"us": statistics.fmean(values) * len(values) / samples, "n": len(values)}
        for name, values in parts.items()
    }


def main():
    sys.stderr.write("150 samples, 15 s\n")
    print(measure.machine_line())
    rows = profile_sample(150)
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["us"]):
        print(f"  {row['us']:6.1f}  {name}")
    print(
        f"  {sum(row['us'] for name, row in rows.items() if name.startswith('kernel')):6.1f} "
        " kernel in all"
    )


if __name__ == "__main__":
    main()

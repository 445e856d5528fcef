"""Where the command writes: lines for people and data for machines to stdout, complaints to stderr; and its exit codes."""

from __future__ import annotations

import json
import os
import sys

OK, FAILED, USAGE, ABORTED, INTERRUPTED = 0, 1, 2, 3, 130


def open_closed_streams() -> None:
    """Have something stand for standard streams that were closed (``2>&-``): else the next file opened gets that number and is written to."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - open as long as the process


def say(*lines: str) -> None:
    """Write lines for people."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write a complaint."""
    sys.stderr.write(f"twin: {text}\n")


def give(data: object) -> None:
    """Write machine output."""
    sys.stdout.write(json.dumps(data, indent=1, default=str) + "\n")

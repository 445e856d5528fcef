"""Where the command writes: lines for people and data for machines to stdout, complaints to stderr; and its exit codes."""

from __future__ import annotations

import json
import sys

OK, FAILED, USAGE, ABORTED, INTERRUPTED = 0, 1, 2, 3, 130


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

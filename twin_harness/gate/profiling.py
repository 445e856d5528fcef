"""Sampling both variants from outside while they take turns, by py-spy.

A process belongs to a variant by TWIN_VARIANT in its environment, which ``variant.environ`` sets.
The profiler counts no thread that waits, so the slices of the other variant add nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.gate.variant import PROFILER, VARIABLE
from twin_harness.system.child import end_child
from twin_harness.system.load_tree import descendants, send
from twin_harness.system.procfs import children_of, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.variant import Variant

RATE_HZ = 100
FAULT = "# fault: "
_END_S = 10.0


class Profilers:
    """The profilers of one pair: one for each process of each variant that stands at the top."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="twin-profile-")
        self._faults: dict[str, str] = {}
        self._running: list[tuple[str, Path, subprocess.Popen[bytes]]] = []
        for variant in variants:
            pids = processes_of(variant)
            if not pids:
                self._faults[variant.name] = (
                    f"no process of {variant.name} was there when the turns began (start it with"
                    " {**os.environ, **variant.environ}; what lives within a turn is too short)"
                )
            for pid in pids:
                path = Path(self._folder.name, f"{pid}.txt")
                try:
                    self._running.append((variant.name, path, _start(pid, path)))
                except OSError as error:
                    self._faults[variant.name] = (
                        f"{PROFILER} could not be started ({error.strerror})"
                    )

    def end(self) -> dict[str, str]:
        """End them, and return the collapsed stacks of each variant, or a line with its fault."""
        for _, _, process in self._running:
            send(process.pid, signal.SIGINT)
        stacks: dict[str, str] = {}
        for name, path, process in self._running:
            end_child(process, _END_S)
            if seen := read_text(path):
                stacks[name] = f"{stacks.get(name, '')}{seen}\n"
            else:
                self._faults.setdefault(name, _last_line(read_text(_messages(path))))
        self._folder.cleanup()
        for name, fault in self._faults.items():
            stacks.setdefault(name, f"{FAULT}{fault}\n")
        return stacks


def _start(pid: int, path: Path) -> subprocess.Popen[bytes]:
    words = [
        PROFILER,
        "record",
        "--pid",
        str(pid),
        "--subprocesses",
        "--format",
        "raw",
        "--function",
        "--rate",
        str(RATE_HZ),
        "--output",
        str(path),
    ]
    with _messages(path).open("wb") as messages:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=messages,
            start_new_session=True,
        )


def _messages(path: Path) -> Path:
    """Return where the profiler that writes a file leaves its messages."""
    return path.with_suffix(".err")


def _last_line(messages: str) -> str:
    lines = [line.strip() for line in messages.splitlines()]
    lines = [line for line in lines if line and not line.startswith(PROFILER)]
    if lines:
        return f"{PROFILER}: {lines[-1][:200]}"
    return f"{PROFILER} saw it at no work"


def processes_of(variant: Variant) -> list[int]:
    """Return the processes below this one that bear a variant's name, parents without children."""
    wanted = f"{VARIABLE}={variant.name}".encode()
    found = []
    for pid in descendants(os.getpid()):
        try:
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in entries:
            found.append(pid)
    below = {child for pid in found for child in children_of(pid)}
    return [pid for pid in found if pid not in below]

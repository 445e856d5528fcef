"""Sampling both variants from outside while they take turns, by py-spy.

A process belongs to a variant by TWIN_VARIANT in its environment, which ``variant.environ`` sets.
The profiler counts no thread that waits, so the slices of the other variant add nothing.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING

from twin_harness.gate.variant import PROFILER, VARIABLE
from twin_harness.system.child import dying_with_parent, end_child
from twin_harness.system.load_tree import descendants, send
from twin_harness.system.procfs import children_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.variant import Variant

RATE_HZ = 100
FAULT = "# fault: "
_END_S = 10.0


class Profilers:
    """The profilers of one pair: one for each process of each variant that stands at the top."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        self._faults: dict[str, str] = {}
        self._running: list[_Sampler] = []
        for variant in variants:
            pids = processes_of(variant)
            if not pids:
                self._faults[variant.name] = (
                    f"no process of {variant.name} was there when the turns began (start it with"
                    " {**os.environ, **variant.environ}; what lives within a turn is too short)"
                )
            for pid in pids:
                try:
                    self._running.append(_Sampler(variant.name, pid))
                except OSError as error:
                    self._faults[variant.name] = (
                        f"{PROFILER} could not be started ({error.strerror})"
                    )

    def end(self) -> dict[str, str]:
        """End them, and return the collapsed stacks of each variant, or a line with its fault."""
        for sampler in self._running:
            send(sampler.process.pid, signal.SIGINT)
        stacks: dict[str, str] = {}
        for sampler in self._running:
            seen, messages = sampler.end()
            if seen:
                stacks[sampler.name] = f"{stacks.get(sampler.name, '')}{seen}\n"
            else:
                self._faults.setdefault(sampler.name, _last_line(messages))
        for name, fault in self._faults.items():
            stacks.setdefault(name, f"{FAULT}{fault}\n")
        return stacks


class _Sampler:
    """The profiler of one process; it ends with this one, and its files have no names.

    Args:
        name: of the variant.
        pid: of its process.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        program = shutil.which(PROFILER)
        if program is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), PROFILER)
        with ExitStack() as stack:
            self._stacks, self.messages = (
                stack.enter_context(tempfile.TemporaryFile()) for _ in range(2)
            )
            words = [program, "record", "--pid", str(pid), "--subprocesses", "--format", "raw"]
            words += ["--function", "--rate", str(RATE_HZ)]
            words += ["--output", f"/proc/self/fd/{self._stacks.fileno()}"]
            self.process = subprocess.Popen(
                dying_with_parent(words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.messages,
                pass_fds=(self._stacks.fileno(),),
                start_new_session=True,
            )
            stack.pop_all()

    def end(self) -> tuple[str, str]:
        """Wait until it has ended, and return what it saw and what it said."""
        end_child(self.process, _END_S)
        with self._stacks, self.messages:
            return text_of(self._stacks), text_of(self.messages)


def text_of(file: IO[bytes]) -> str:
    """Return what a file holds, whoever wrote it; what is no text is replaced."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode("utf-8", errors="replace").strip()


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

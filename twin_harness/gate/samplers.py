"""Profilers that look at a process from outside: py-spy for Python, perf for every other program.

Both sample at the same rate and say the same thing: collapsed stacks, outermost function first.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar

from twin_harness.gate.variant import PROFILERS
from twin_harness.system.child import dying_with_parent, end_child
from twin_harness.system.load_tree import descendants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RATE_HZ = 100
_END_S, _READ_S = 10.0, 60.0
_PY_SPY, _PERF = PROFILERS
_MOST_BYTES = 64 * 1024**2
_LIBRARY = re.compile(rb"/libpython[0-9.]+[a-z]*\.so|/lib/python3\.[0-9]+/", re.ASCII)
# of ``perf script``: an address, a function with spaces in it perhaps, and its file
_FRAME = re.compile(r"\s+[0-9a-f]+ (.*?) \(([/\[].*)\)", re.ASCII)


class Sampler:
    """A profiler at work; it ends with this process, and its files have no names.

    Args:
        name: of the variant.
        pids: of its processes.

    Raises:
        OSError: it cannot be started.
    """

    program: ClassVar[str]

    def __init__(self, name: str, pids: Sequence[int]) -> None:
        self.name = name
        program = _found(self.program)
        with ExitStack() as stack:
            self.samples, self.messages = (
                stack.enter_context(tempfile.TemporaryFile()) for _ in range(2)
            )
            self.process = subprocess.Popen(
                dying_with_parent([program, *self._words(pids, _path_of(self.samples))]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.messages,
                pass_fds=(self.samples.fileno(),),
                start_new_session=True,
            )
            stack.pop_all()

    def end(self) -> tuple[str, str]:
        """Wait until it has ended, and return what it saw; where that is nothing, why."""
        end_child(self.process, _END_S)
        with self.samples, self.messages:
            return self._stacks(), self._fault()

    def _words(self, pids: Sequence[int], path: str) -> list[str]:
        raise NotImplementedError

    def _stacks(self) -> str:
        raise NotImplementedError

    def _fault(self) -> str:
        lines = [line.strip() for line in text_of(self.messages).splitlines()]
        lines = [line for line in lines if line and not line.startswith(self.program)]
        if lines:
            return f"{self.program}: {lines[-1][:200]}"
        return f"{self.program} saw it at no work"


class PySpy(Sampler):
    """py-spy: the Python functions of a process and of its children."""

    program = _PY_SPY

    def _words(self, pids: Sequence[int], path: str) -> list[str]:
        words = ["record", "--pid", str(pids[0]), "--subprocesses", "--function"]
        # a pause for every sample would cost what is measured 2 %
        return [
            *words,
            "--nonblocking",
            "--format",
            "raw",
            "--rate",
            str(RATE_HZ),
            "--output",
            path,
        ]

    def _stacks(self) -> str:
        return text_of(self.samples)


class Perf(Sampler):
    """perf: the functions of any program, by time on a CPU (its software clock).

    Functions are told by the symbols of the program, callers by its frame pointers. The kernel's
    are left out: they are looked into only where that is permitted.
    """

    program = _PERF

    def _words(self, pids: Sequence[int], path: str) -> list[str]:
        # -B, -N: no list of build ids, and no cache of symbols in the home folder
        words = ["record", "-e", "cpu-clock:u", "-F", str(RATE_HZ), "-g", "-B", "-N", "-q"]
        return [*words, "-p", ",".join(map(str, pids)), "-o", path]

    def _stacks(self) -> str:
        if not os.fstat(self.samples.fileno()).st_size:
            return ""
        words = [_found(_PERF), "script", "-i", _path_of(self.samples), "-F", "ip,sym,dso"]
        with tempfile.TemporaryFile() as text:
            process = subprocess.Popen(
                dying_with_parent([*words, "--no-inline"]),
                stdin=subprocess.DEVNULL,
                stdout=text,
                stderr=self.messages,
                pass_fds=(self.samples.fileno(),),
                start_new_session=True,
            )
            end_child(process, _READ_S)
            return collapse(text_of(text))

    def _fault(self) -> str:
        lines = [line.strip() for line in text_of(self.messages).splitlines()]
        told = [line for line in lines if re.search("permi|perf_event|paranoid|such proc", line)]
        return f"perf: {told[0][:200]}" if told else super()._fault()


def targets(pid: int) -> Iterator[tuple[type[Sampler], tuple[int, ...]]]:
    """Tell who looks at a process and at those below it.

    Args:
        pid: of a process at the top.

    Returns:
        A profiler and the processes that it is given: for each Python that no other Python has
        started py-spy, which finds those below by itself; for all that run something else perf.
    """
    tree = (pid, *descendants(pid))
    pythons = [one for one in tree if _is_python(one)]
    below = {child for one in pythons for child in descendants(one)}
    for one in pythons:
        if one not in below:
            yield PySpy, (one,)
    if others := tuple(one for one in tree if one not in pythons):
        yield Perf, others


def collapse(text: str) -> str:
    """Return what ``perf script`` lists as collapsed stacks: a line for each, and how often it was.

    Args:
        text: samples between empty lines, each a line a frame, the function at work first.
    """
    stacks: Counter[str] = Counter()
    frames: list[str] = []
    for line in [*text.splitlines(), ""]:
        if match := _FRAME.fullmatch(line):
            function = match[1].replace(";", ":")
            frames.append(f"{function} ({Path(match[2]).name})")
        elif frames:
            stacks[";".join(reversed(frames))] += 1
            frames = []
    return "\n".join(f"{stack} {count}" for stack, count in stacks.items())


def text_of(file: IO[bytes]) -> str:
    """Return what a file holds, whoever wrote it; what is no text is replaced."""
    size = min(os.fstat(file.fileno()).st_size, _MOST_BYTES)
    return os.pread(file.fileno(), size, 0).decode("utf-8", errors="replace").strip("\n")


def _is_python(pid: int) -> bool:
    """Whether a process runs Python, or a server that holds one.

    One that may not be looked at is taken for it: py-spy says what is not permitted.
    """
    try:
        files = Path(f"/proc/{pid}/maps").read_bytes()
        program = Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return True
    return "python" in program or _LIBRARY.search(files) is not None


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise FileNotFoundError(errno.ENOENT, "it is not on the search path", program)
    return path


def _path_of(file: IO[bytes]) -> str:
    return f"/proc/self/fd/{file.fileno()}"

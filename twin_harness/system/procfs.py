"""Read files of /proc and /sys, cheaply and always the same way, and what they say of a process.

Files that are read often keep their descriptor: one ``pread`` a reading, and more of a long file of
many records. Field numbers are those of proc(5) and of the kernel's
Documentation/admin-guide/iostats.rst and Documentation/accounting/psi.rst.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SECTOR_BYTES = 512
# Of a file of many records one read returns whole records of at most about a page (seq_read_iter,
# fs/seq_file.c). What is shorter than this is followed by nothing: a record would have had room.
_SHORT_BYTES = 1024


class KeptFile:
    """A /proc or /sys file whose descriptor stays open.

    Args:
        path: the file.
        size_bytes: how much one reading may return; the buffer doubles by itself when a reading
            fills it.
        has_records: the kernel hands it out record by record (a line a device, a block a CPU), at
            most about a page a read, so that it is read on until nothing comes. Not of a file that
            is one record (/proc/stat, meminfo): the kernel makes all of it again for every read.
    """

    def __init__(self, path: str, size_bytes: int = 4096, *, has_records: bool = False) -> None:
        self.path = path
        self._size_bytes = size_bytes
        self._has_records = has_records
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        """Return the whole content.

        Raises:
            OSError: the file is gone, or cannot be read.
        """
        data = os.pread(self._descriptor, self._size_bytes, 0)
        if self._has_records:
            is_short = len(data) <= _SHORT_BYTES and len(data) < self._size_bytes
            if is_short:
                return data
            return self._with_rest(data)
        while len(data) == self._size_bytes:
            self._size_bytes *= 2
            data = os.pread(self._descriptor, self._size_bytes, 0)
        return data

    def _with_rest(self, data: bytes) -> bytes:
        parts, at = [], 0
        while data:
            parts.append(data)
            at += len(data)
            data = os.pread(self._descriptor, self._size_bytes, at)
        return b"".join(parts)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


def keep(path: str, size_bytes: int = 4096, *, has_records: bool = False) -> KeptFile | None:
    """Return a file kept open; None where the kernel has no such file or does not let us read it.

    Args:
        path: the file.
        size_bytes: how much one reading may return at first.
        has_records: whether the kernel hands it out record by record.
    """
    try:
        kept = KeptFile(path, size_bytes, has_records=has_records)
    except OSError:
        return None
    try:
        kept.read()
    except OSError:
        kept.close()
        return None
    return kept


def read_text(path: str | Path) -> str:
    """Return a small file's content without white space around it; empty when it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def read_meminfo(data: bytes) -> dict[bytes, int]:
    """Return /proc/meminfo in bytes by name."""
    table = {}
    for line in data.splitlines():
        name, _, rest = line.partition(b":")
        number = rest.split()
        if number and number[0].isdigit():
            unit_bytes = 1024 if len(number) > 1 else 1
            table[name] = int(number[0]) * unit_bytes
    return table


def process_cpu_ns(pid: int) -> int | None:
    """Return the CPU time of a process, all threads, in ns; None when it is gone.

    The clock id of another process is made as glibc's ``clock_getcpuclockid`` makes it: ``(~pid <<
    3) | CPUCLOCK_SCHED``. A process that ended and was not waited for yet still answers.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return None


def waited_for_ns(pid: int) -> int:
    """Return the CPU time of children that a process has waited for, in ns; 0 when it is gone.

    cutime and cstime, fields 16 and 17 of proc_pid_stat(5).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(1024).rpartition(b")")[2].split()
    except OSError:
        return 0
    return (int(fields[13]) + int(fields[14])) * (1_000_000_000 // CLOCK_TICKS_PER_S)


def resident_bytes(pid: int) -> int | None:
    """Return the resident bytes of a process that are not file pages; None when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            fields = file.read(128).split()
            return (int(fields[1]) - int(fields[2])) * PAGE_BYTES
    except (OSError, ValueError, IndexError):  # gone before, or between opening and reading
        return None


def process_io_bytes(pid: int) -> tuple[int, int] | None:
    """Return the bytes that a process has read from and written to block devices.

    None when it is gone or not ours to ask.

    ``write_bytes`` counts dirtied pages: it is disk load for direct I/O only.
    """
    try:
        with open(f"/proc/{pid}/io", "rb", buffering=0) as file:
            lines = file.read(512).splitlines()
            return int(lines[4].split()[1]), int(lines[5].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def process_state(pid: int) -> str:
    """Return the state of a process, one letter (field 3 of /proc/pid/stat).

    Empty when it is gone or cannot be read.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read(1024).rpartition(b")")[2].split()[0].decode("ascii")
    except (OSError, IndexError, UnicodeDecodeError):
        return ""


def start_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot (field 22 of /proc/pid/stat).

    With the pid it names one process.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            data = file.read(1024)
            return int(data.rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def stat_value(stat: bytes, *names: bytes) -> int | None:
    """Return the number beside the first of some names that a file of ``name number`` lines has.

    None when it has none of them.
    """
    for name in names:
        if stat.startswith(name + b" "):
            at = 0
        else:
            at = stat.find(b"\n" + name + b" ") + 1
        if at or stat.startswith(name + b" "):
            return int(stat[at + len(name) :].split(None, 1)[0])
    return None


def children_of(pid: int) -> list[int]:
    """Return the children of all threads of a process; those that were read when it ends meanwhile.

    From /proc/<pid>/task/<tid>/children (proc(5)).
    """
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                data = file.read(1 << 16)
                if len(data) > _SHORT_BYTES:  # a record a child: hundreds are more than one read
                    data += file.readall()
                children += [int(child) for child in data.split()]
    except OSError:
        return children
    return children

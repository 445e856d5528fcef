"""Reading /proc, /sys and control groups, cheaply and always the same way.

Files that are read often keep their descriptor: one ``pread`` a reading, and more of a long file of
many records. Field numbers are those of proc(5) and of the kernel's
Documentation/admin-guide/iostats.rst and Documentation/accounting/psi.rst.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SECTOR_BYTES = 512
_NO_LIMIT_BYTES = 1 << 60
# Of a file of many records one read returns whole records of at most about a page (seq_read_iter,
# fs/seq_file.c). What is shorter than this is followed by nothing: a record would have had room.
_SHORT_BYTES = 1024
LEAST_CRITICAL_CELSIUS = 50.0
# A sensor without a chip behind it says 0, -128 or 255.5; CPUs switch themselves off below 150 °C.
_LEAST_CELSIUS, _MOST_CELSIUS = 0.0, 150.0


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
    """Return the file kept open, or None where this kernel has no such file, or does not let us read it."""
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
            table[name] = int(number[0]) * (1024 if len(number) > 1 else 1)
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

    Empty when it is gone or cannot be told.
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


class ControlGroup:
    """The control group of this process, version 1 or 2.

    Limits and usage of memory, the CPU quota and what was used of it.

    Limits bind from the group itself up to the root of its hierarchy, as far as it is seen from
    here: inside a container the groups above it are mostly hidden.

    Args:
        root: where the hierarchies are mounted.
        membership: the file that says which groups this process is in.
    """

    def __init__(self, root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> None:
        self._memory_folders: list[Path] = []
        self._cpu_folders: list[Path] = []
        self._account_folders: list[Path] = []
        self._paths: dict[str, str] = {}
        self.version = 0
        for line in read_text(membership).splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "" and (Path(root) / "cgroup.controllers").exists():
                self.version = 2
                self._memory_folders = self._cpu_folders = _with_parents(Path(root), path)
            names = controllers.split(",")
            if {"memory", "cpu", "cpuacct"} & set(names):
                self.version = self.version or 1
                self._paths.update(dict.fromkeys(names, path))
            if "memory" in names:
                self._memory_folders = _hierarchical(
                    _with_parents(_mount(root, "memory", controllers), path)
                )
            if "cpu" in names:
                self._cpu_folders = _with_parents(_mount(root, "cpu", controllers), path)
            if "cpuacct" in names:
                self._account_folders = _with_parents(_mount(root, "cpuacct", controllers), path)

    # -- memory ------------------------------------------------------------------------------------

    def memory_limits(self) -> list[MemoryLimit]:
        """Return every memory limit on the way to the root, the tightest first.

        ``memory.high`` bounds, too: beyond it the kernel slows the group down and takes its pages
        back (cgroup-v2.rst). The soft limit of version 1 does neither. Groups above that are hidden
        are told of by ``hierarchical_memory_limit`` (version 1 alone).
        """
        found = [
            MemoryLimit(int(text), folder, name)
            for folder in self._memory_folders
            for name in ("memory.max", "memory.limit_in_bytes", "memory.high")
            if (text := read_text(folder / name)).isdecimal() and int(text) < _NO_LIMIT_BYTES
        ]
        if self._memory_folders:
            stat = read_text(self._memory_folders[0] / "memory.stat").encode()
            hidden_bytes = stat_value(stat, b"hierarchical_memory_limit")
            if hidden_bytes is not None and hidden_bytes < min(
                [_NO_LIMIT_BYTES, *(limit.limit_bytes for limit in found)]
            ):
                found.append(
                    MemoryLimit(hidden_bytes, self._memory_folders[-1], "hierarchical_memory_limit")
                )
        return sorted(found, key=lambda limit: limit.limit_bytes)

    def memory_limit_bytes(self) -> int | None:
        """Return the tightest limit on the way to the root; None when there is none."""
        return next((limit.limit_bytes for limit in self.memory_limits()), None)

    def swap_limit_bytes(self) -> int | None:
        """Return how much the group may have swapped out at most.

        None where nothing bounds that.
        """
        found = []
        for folder in self._memory_folders:
            own, both, memory = (
                read_text(folder / name)
                for name in (
                    "memory.swap.max",
                    "memory.memsw.limit_in_bytes",
                    "memory.limit_in_bytes",
                )
            )
            if own.isdecimal():
                found.append(int(own))
            elif both.isdecimal() and memory.isdecimal() and int(both) < _NO_LIMIT_BYTES:
                found.append(max(0, int(both) - int(memory)))
        return min(found, default=None)

    # -- CPU ---------------------------------------------------------------------------------------

    def _quotas(self) -> list[tuple[float, Path]]:
        found = []
        for folder in self._cpu_folders:
            quota, _, period = read_text(folder / "cpu.max").partition(" ")
            if not quota:
                quota, period = (
                    read_text(folder / "cpu.cfs_quota_us"),
                    read_text(folder / "cpu.cfs_period_us"),
                )
            if quota.isdecimal() and period.isdecimal():
                found.append((int(quota) / int(period), folder))
        return found

    def cpu_quota(self) -> float | None:
        """Return the tightest CPU quota on the way to the root, in CPUs.

        None when there is none.
        """
        return min((quota for quota, _ in self._quotas()), default=None)

    def quota_folder(self) -> Path | None:
        """Return the group whose CPU quota binds: what its siblings use counts there, too.

        None when there is no quota.
        """
        return min(self._quotas(), default=(0.0, None))[1]

    def cpu_use(self) -> GroupCpu | None:
        """Return what reads the CPU time of the group whose quota binds.

        None where that cannot be read, or nothing binds.

        Version 1 counts it in a hierarchy of its own (``cpuacct``), where the group has to be the
        same one.
        """
        folder = self.quota_folder()
        if folder is None:
            return None
        if (folder / "cpu.max").exists():
            return GroupCpu.of(str(folder / "cpu.stat"))
        if (folder / "cpuacct.usage").exists():
            return GroupCpu.of(str(folder / "cpuacct.usage"), str(folder / "cpuacct.stat"))
        if not self._account_folders:
            return None
        place = folder.relative_to(self._cpu_folders[-1])
        account = self._account_folders[-1] / place
        is_same = self._paths["cpu"] == self._paths["cpuacct"] or place != Path()
        if account not in self._account_folders or not is_same:
            return None
        return GroupCpu.of(str(account / "cpuacct.usage"), str(account / "cpuacct.stat"))

    def throttled(self) -> tuple[int, int] | None:
        """Return in how many periods the quota held the group up, and how many there were.

        None without a quota.
        """
        folder = self.quota_folder()
        if folder:
            stat = read_text(folder / "cpu.stat").encode()
        else:
            stat = b""
        periods, throttled = stat_value(stat, b"nr_periods"), stat_value(stat, b"nr_throttled")
        if throttled is not None and periods is not None:
            return (throttled, periods)
        return None

    def allows_real_time(self) -> bool:
        """Tell whether the group may run real-time tasks at all (version 1, CONFIG_RT_GROUP_SCHED: ``cpu.rt_runtime_us`` of 0 refuses)."""
        return all(
            read_text(folder / "cpu.rt_runtime_us") != "0" for folder in self._cpu_folders[:1]
        )

    def name_of(self, folder: Path) -> str:
        """Return a group's path below the root of its hierarchy, as this process sees it."""
        roots = [
            folders[-1]
            for folders in (self._cpu_folders, self._memory_folders)
            if folders and folder.is_relative_to(folders[-1])
        ]
        if roots:
            return f"/{folder.relative_to(roots[0])}".removesuffix("/.") or "/"
        return str(folder)


@dataclass(frozen=True)
class MemoryLimit:
    """One memory limit.

    Attributes:
        limit_bytes: what the group may have in all.
        folder: of the group whose usage counts against it, as far as that is seen.
        name: of the file, or of the line of ``memory.stat``, that it stands in.
    """

    limit_bytes: int
    folder: Path
    name: str


class GroupCpu:
    """CPU time that a control group has used since it was made, its children included.

    Args:
        files: ``cpu.stat`` of version 2; ``cpuacct.usage`` (ns) and ``cpuacct.stat`` (clock ticks)
            of version 1.
    """

    def __init__(self, files: Sequence[KeptFile]) -> None:
        self._files = tuple(files)

    @classmethod
    def of(cls, *paths: str) -> GroupCpu | None:
        """Return the reader of such files; None when one of them cannot be read."""
        files = [kept for path in paths if (kept := keep(path, 1024)) is not None]
        reader = cls(files)
        if len(files) == len(paths) and reader.read_us() is not None:
            return reader
        reader.close()
        return None

    def read_us(self) -> tuple[int, int, int] | None:
        """Return all of it, that in user mode and that in the kernel, in µs.

        None when it cannot be read (the group is gone).
        """
        try:
            data = [file.read() for file in self._files]
            if len(data) == 1:
                found = [
                    stat_value(data[0], name)
                    for name in (b"usage_usec", b"user_usec", b"system_usec")
                ]
            else:
                tick_us = 1_000_000 // CLOCK_TICKS_PER_S
                user, system = (stat_value(data[1], name) for name in (b"user", b"system"))
                found = [int(data[0]) // 1000, (user or 0) * tick_us, (system or 0) * tick_us]
        except (OSError, ValueError):
            return None
        usage, user, system = found
        if usage is None:
            return None
        return (usage, user or 0, system or 0)

    def close(self) -> None:
        """Close the descriptors."""
        for kept in self._files:
            kept.close()


class GroupMemory:
    """Memory of the control groups that bound this process, read again and again.

    The groups above count for what is left as well as the one with the tightest limit: one whose
    other members have filled it leaves nothing to this one.

    Args:
        group: whose limits; None is this process's.
        limit_bytes: what is known of the tightest limit, which may have been raised since; None
            takes what stands there.
    """

    def __init__(self, group: ControlGroup | None = None, limit_bytes: int | None = None) -> None:
        self._bounds: list[tuple[int, KeptFile, KeptFile | None]] = []
        tightest: dict[Path, MemoryLimit] = {}
        for limit in (group or ControlGroup()).memory_limits():
            tightest.setdefault(limit.folder, limit)
        for limit in tightest.values():
            usage = keep(_usage_file(limit.folder) or "/nonexistent", 64)
            if usage is not None:
                bound_bytes = min(limit.limit_bytes, limit_bytes or limit.limit_bytes)
                self._bounds.append(
                    (bound_bytes, usage, keep(str(limit.folder / "memory.stat"), 8192))
                )
                limit_bytes = None
        self.stat = b""

    def left_bytes(self) -> int | None:
        """Return what new work can have within the limits, below 0 where a limit is exceeded.

        None where none is read.

        Usage less inactive file pages is what the kernel cannot take back at once, as kubelet
        counts it. ``stat`` keeps the tightest group's ``memory.stat`` of this reading.
        """
        left = None
        self.stat = b""
        for limit_bytes, usage, stat in self._bounds:
            if stat is not None:
                content = stat.read()
            else:
                content = b""
            self.stat = self.stat or content
            own = limit_bytes - max(0, int(usage.read()) - inactive_file_bytes(content))
            if left is None:
                left = own
            else:
                left = min(left, own)
        return left

    def close(self) -> None:
        """Close the descriptors."""
        for _, usage, stat in self._bounds:
            usage.close()
            if stat is not None:
                stat.close()


class AvailableMemory:
    """What new work can have.

    MemAvailable, and within control groups their limits less what is in use and cannot be
    reclaimed.

    Args:
        limit_bytes: what the control group allows in all; None when it does not bound.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._meminfo = keep("/proc/meminfo", 8192)
        if limit_bytes is not None:
            self._group = GroupMemory(limit_bytes=limit_bytes)
        else:
            self._group = None

    def read_bytes(self) -> int | None:
        """Return what is available now; None where the kernel does not tell."""
        if self._meminfo is None:
            return None
        available = read_meminfo(self._meminfo.read()).get(b"MemAvailable")
        if available is None:
            return None
        if self._group:
            left = self._group.left_bytes()
        else:
            left = None
        if left is None:
            return available
        return min(available, left)

    def close(self) -> None:
        """Close the descriptors."""
        if self._meminfo is not None:
            self._meminfo.close()
        if self._group is not None:
            self._group.close()


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


def inactive_file_bytes(stat: bytes) -> int:
    """Return a group's inactive file pages, of its children too, given its ``memory.stat``.

    Version 1 has lines of the group alone and, beginning with ``total_``, of all below it, which
    its usage counts (cgroup-v1/memory.rst, 5.2); version 2 has lines of all below it and no others.
    """
    return stat_value(stat, b"total_inactive_file", b"inactive_file") or 0


def believable_celsius(data: bytes) -> float:
    """Return a sensor's reading (millidegrees) in °C.

    NaN where it is no number, or none that a CPU that runs can have.
    """
    try:
        celsius = int(data) / 1000.0
    except ValueError:
        return float("nan")
    if _LEAST_CELSIUS < celsius < _MOST_CELSIUS:
        return celsius
    return float("nan")


def cpu_temperature_files(root: str = "/sys/class/hwmon") -> list[tuple[str, float]]:
    """Return the files of CPU temperatures (millidegrees), each with its critical value.

    That is in °C, and NaN where the sensor names none. Of AMD's two figures for one die, Tdie
    counts: Tctl, for fans, is up to 27 °C above it (hwmon/k10temp.rst). The board's own sensor
    (acpitz), often a constant, counts where there is no other.
    """
    found: dict[bool, list[tuple[str, float]]] = {False: [], True: []}
    for chip in sorted(Path(root).glob("hwmon*")):
        name = read_text(chip / "name")
        if name not in ("coretemp", "k10temp", "zenpower", "cpu_thermal", "acpitz"):
            continue
        labels = {
            path: read_text(str(path).replace("_input", "_label"))
            for path in sorted(chip.glob("temp*_input"))
        }
        for path, label in labels.items():
            if label == "Tctl" and "Tdie" in labels.values():
                continue
            critical = read_text(str(path).replace("_input", "_crit"))
            if critical.isdecimal():
                celsius = int(critical) / 1000.0
            else:
                celsius = float("nan")
            # Boards are known to call 0 or 20 °C critical, above all by ACPI: such a value says
            # nothing.
            is_believable = celsius >= LEAST_CRITICAL_CELSIUS and name != "acpitz"
            found[name == "acpitz"].append((str(path), celsius if is_believable else float("nan")))
    return found[False] or found[True]


def is_swap_active() -> bool:
    """Tell whether pages of this process can be swapped out (/proc/swaps, proc(5); the control group may forbid it)."""
    return len(read_text("/proc/swaps").splitlines()) > 1 and ControlGroup().swap_limit_bytes() != 0


def children_of(pid: int) -> list[int]:
    """Return the children of a process, of all its threads.

    None when it is gone (/proc/<pid>/task/<tid>/children, proc(5)).
    """
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                data = file.read(1 << 16)
                if len(data) > _SHORT_BYTES:  # a record a child: hundreds are more than one read
                    data += file.readall()
                found += [int(child) for child in data.split()]
    except OSError:
        return found
    return found


def _with_parents(root: Path, path: str) -> list[Path]:
    """Return the folders from a group up to the root of its hierarchy.

    The root alone inside a container that hides the rest.
    """
    folder = root / path.lstrip("/")
    if not folder.exists():
        return [root]
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]


def _mount(root: str, controller: str, controllers: str) -> Path:
    """Return where a controller of version 1 is mounted.

    By its own name, or by those of all that share the hierarchy.
    """
    folder = Path(root, controller)
    if folder.exists():
        return folder
    return Path(root, controllers)


def _usage_file(folder: Path) -> str:
    """Return the file that tells a group's bytes in use; empty when it has none."""
    names = ("memory.current", "memory.usage_in_bytes")
    return next((str(folder / name) for name in names if (folder / name).exists()), "")


def _hierarchical(folders: list[Path]) -> list[Path]:
    """Return the groups that memory of the first counts in.

    Those above it up to one that does not count its children (version 1).
    """
    for index, folder in enumerate(folders[1:], 1):
        if read_text(folder / "memory.use_hierarchy") == "0":
            return folders[:index]
    return folders

"""Reading /proc, /sys and control groups, cheaply and always the same way.

Files that are read often keep their descriptor: one ``pread`` a reading. Field numbers are those of proc(5) and of the kernel's
Documentation/admin-guide/iostats.rst and Documentation/accounting/psi.rst.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SECTOR_BYTES = 512
_NO_LIMIT_BYTES = 1 << 60
LEAST_CRITICAL_CELSIUS = 50.0
# A sensor without a chip behind it says 0, -128 or 255.5; CPUs switch themselves off below 150 °C.
_LEAST_CELSIUS, _MOST_CELSIUS = 0.0, 150.0


class KeptFile:
    """A /proc or /sys file whose descriptor stays open.

    Args:
        path: the file.
        size_bytes: how much one reading may return; the buffer doubles by itself when a reading fills it.
    """

    def __init__(self, path: str, size_bytes: int = 4096) -> None:
        self.path = path
        self._size_bytes = size_bytes
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        """Return the whole content.

        Raises:
            OSError: the file is gone, or cannot be read.
        """
        data = os.pread(self._descriptor, self._size_bytes, 0)
        while len(data) == self._size_bytes:
            self._size_bytes *= 2
            data = os.pread(self._descriptor, self._size_bytes, 0)
        return data

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


def keep(path: str, size_bytes: int = 4096) -> KeptFile | None:
    """Return the file kept open, or None where this kernel has no such file, or does not let us read it."""
    try:
        kept = KeptFile(path, size_bytes)
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

    The clock id of another process is made as glibc's ``clock_getcpuclockid`` makes it: ``(~pid << 3) | CPUCLOCK_SCHED``.
    A process that ended and was not waited for yet still answers.
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
    """Return the bytes that a process has read from and written to block devices; None when it is gone or not ours to ask.

    ``write_bytes`` counts dirtied pages: it is disk load for direct I/O only.
    """
    try:
        with open(f"/proc/{pid}/io", "rb", buffering=0) as file:
            lines = file.read(512).splitlines()
            return int(lines[4].split()[1]), int(lines[5].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def start_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot (field 22 of /proc/pid/stat); with the pid it names one process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            data = file.read(1024)
            return int(data.rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def device_under(path: Path) -> str:
    """Return the name of the whole block device under a path; empty when it is on none (tmpfs, overlay, network)."""
    device = path.stat().st_dev
    link = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not link.exists():
        return ""
    folder = link.resolve()
    return folder.parent.name if (folder / "partition").exists() else folder.name


def filesystem_under(path: Path) -> tuple[str, str]:
    """Return type and mount point of the filesystem under a path."""
    resolved = path.resolve()
    best = ("", "")
    for line in read_text("/proc/self/mounts").splitlines():
        _, mount, kind, *_ = line.split()
        mount = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), mount)  # getmntent(3)
        if resolved.is_relative_to(mount) and len(mount) >= len(best[1]):
            best = (kind, mount)
    return best


class ControlGroup:
    """The control group of this process, version 1 or 2: limits and usage of memory, and the CPU quota."""

    def __init__(self, root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> None:
        self._memory_folders: list[Path] = []
        self._cpu_folders: list[Path] = []
        self.version = 0
        for line in read_text(membership).splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "" and (Path(root) / "cgroup.controllers").exists():
                self.version = 2
                self._memory_folders = self._cpu_folders = _with_parents(Path(root), path)
            if "memory" in controllers.split(","):
                self.version = self.version or 1
                self._memory_folders = _with_parents(Path(root) / "memory", path)
            if "cpu" in controllers.split(","):
                self.version = self.version or 1
                self._cpu_folders = _with_parents(Path(root) / "cpu", path)

    def _limits(self) -> list[tuple[int, Path]]:
        names = ("memory.max", "memory.limit_in_bytes")
        found = [(int(text), folder) for folder in self._memory_folders for name in names if (text := read_text(folder / name)).isdecimal()]
        return [(limit, folder) for limit, folder in found if limit < _NO_LIMIT_BYTES]

    def memory_limit_bytes(self) -> int | None:
        """Return the tightest limit on the way to the root; None when there is none."""
        return min((limit for limit, _ in self._limits()), default=None)

    def _usage_folders(self) -> list[Path]:
        """Return where usage is looked for: the group whose limit binds (siblings count there too), else our own."""
        binding = min(self._limits(), key=lambda entry: entry[0], default=None)
        return [binding[1]] if binding else self._memory_folders

    def memory_usage_path(self) -> str:
        """Return the file that tells the bytes in use, reclaimable cache included; empty when there is none."""
        for folder in self._usage_folders():
            for name in ("memory.current", "memory.usage_in_bytes"):
                if (folder / name).exists():
                    return str(folder / name)
        return ""

    def memory_stat_path(self) -> str:
        """Return the file that tells what the usage is made of; empty when there is none."""
        return next((str(folder / "memory.stat") for folder in self._usage_folders() if (folder / "memory.stat").exists()), "")

    def cpu_quota(self) -> float | None:
        """Return the tightest CPU quota on the way to the root, in CPUs; None when there is none."""
        quotas = []
        for folder in self._cpu_folders:
            quota, _, period = read_text(folder / "cpu.max").partition(" ")
            if not quota:
                quota, period = read_text(folder / "cpu.cfs_quota_us"), read_text(folder / "cpu.cfs_period_us")
            if quota.isdecimal() and period.isdecimal():
                quotas.append(int(quota) / int(period))
        return min(quotas) if quotas else None


class AvailableMemory:
    """What new work can have: MemAvailable, and within a control group its limit less what is in use and cannot be reclaimed.

    Args:
        limit_bytes: what the control group allows in all; None when it does not bound.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._limit_bytes = limit_bytes
        self._meminfo = keep("/proc/meminfo", 8192)
        group = ControlGroup() if limit_bytes is not None else None
        self._usage = keep(group.memory_usage_path() or "/nonexistent", 64) if group else None
        self._stat = keep(group.memory_stat_path() or "/nonexistent", 8192) if group else None

    def read_bytes(self) -> int | None:
        """Return what is available now; None where the kernel does not tell."""
        if self._meminfo is None:
            return None
        available = read_meminfo(self._meminfo.read()).get(b"MemAvailable")
        if available is None:
            return None
        if self._usage is not None and self._limit_bytes is not None:
            reclaimable = _inactive_file_bytes(self._stat.read()) if self._stat else 0
            available = min(available, self._limit_bytes - int(self._usage.read()) + reclaimable)
        return available

    def close(self) -> None:
        """Close the descriptors."""
        for kept in (self._meminfo, self._usage, self._stat):
            if kept is not None:
                kept.close()


def _inactive_file_bytes(stat: bytes) -> int:
    for line in stat.split(b"\n"):
        name, _, value = line.partition(b" ")
        if name in (b"inactive_file", b"total_inactive_file"):
            return int(value)
    return 0


def believable_celsius(data: bytes) -> float:
    """Return a sensor's reading (millidegrees) in °C.

    NaN where it is no number, or none that a CPU that runs can have.
    """
    try:
        celsius = int(data) / 1000.0
    except ValueError:
        return float("nan")
    return celsius if _LEAST_CELSIUS < celsius < _MOST_CELSIUS else float("nan")


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
            celsius = int(critical) / 1000.0 if critical.isdecimal() else float("nan")
            # Boards are known to call 0 or 20 °C critical, above all by ACPI: such a value says
            # nothing.
            is_believable = celsius >= LEAST_CRITICAL_CELSIUS and name != "acpitz"
            found[name == "acpitz"].append((str(path), celsius if is_believable else float("nan")))
    return found[False] or found[True]


def is_swap_active() -> bool:
    """Tell whether pages can be swapped out (/proc/swaps, proc(5))."""
    return len(read_text("/proc/swaps").splitlines()) > 1


def children_of(pid: int) -> list[int]:
    """Return the children of a process, of all its threads; none when it is gone (/proc/<pid>/task/<tid>/children, proc(5))."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - asked often
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                found += [int(child) for child in file.read(1 << 16).split()]
    except OSError:
        return found
    return found


def _with_parents(root: Path, path: str) -> list[Path]:
    """Return the folders from a group up to the root of its hierarchy; the root alone inside a container that hides the rest."""
    folder = root / path.lstrip("/")
    if not folder.exists():
        return [root]
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]

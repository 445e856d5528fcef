"""The control group of this process, version 1 or 2: its limits, its quota and its place.

Files are those of Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twin_harness.system.group_cpu import GroupCpu
from twin_harness.system.procfs import read_text, stat_value

_NO_LIMIT_BYTES = 1 << 60


class ControlGroup:
    """The control group of this process, version 1 or 2.

    Limits bind from the group itself up to the root of its hierarchy, as far as it is seen from
    here: inside a container the groups above it are mostly hidden.

    Args:
        root: where the hierarchies are mounted.
        membership: the file that says which groups this process is in.

    Attributes:
        version: of the hierarchy; 0 where there is no control group.
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
        back (cgroup-v2.rst). The soft limit of version 1 does neither. Version 1 alone also shows
        the limits of hidden groups above, as ``hierarchical_memory_limit``.
        """
        limits = [
            MemoryLimit(int(text), folder, name)
            for folder in self._memory_folders
            for name in ("memory.max", "memory.limit_in_bytes", "memory.high")
            if (text := read_text(folder / name)).isdecimal() and int(text) < _NO_LIMIT_BYTES
        ]
        if self._memory_folders:
            stat = read_text(self._memory_folders[0] / "memory.stat").encode()
            hidden_bytes = stat_value(stat, b"hierarchical_memory_limit")
            if hidden_bytes is not None and hidden_bytes < min(
                [_NO_LIMIT_BYTES, *(limit.limit_bytes for limit in limits)]
            ):
                limits.append(
                    MemoryLimit(hidden_bytes, self._memory_folders[-1], "hierarchical_memory_limit")
                )
        return sorted(limits, key=lambda limit: limit.limit_bytes)

    def memory_limit_bytes(self) -> int | None:
        """Return the tightest limit on the way to the root; None when there is none."""
        return next((limit.limit_bytes for limit in self.memory_limits()), None)

    def swap_limit_bytes(self) -> int | None:
        """Return how much the group may have swapped out at most; None without a limit."""
        limits = []
        for folder in self._memory_folders:
            swap, both, memory = (
                read_text(folder / name)
                for name in (
                    "memory.swap.max",
                    "memory.memsw.limit_in_bytes",
                    "memory.limit_in_bytes",
                )
            )
            if swap.isdecimal():
                limits.append(int(swap))
            elif both.isdecimal() and memory.isdecimal() and int(both) < _NO_LIMIT_BYTES:
                limits.append(max(0, int(both) - int(memory)))
        return min(limits, default=None)

    # -- CPU ---------------------------------------------------------------------------------------

    def _quotas(self) -> list[tuple[float, Path]]:
        quotas = []
        for folder in self._cpu_folders:
            quota, _, period = read_text(folder / "cpu.max").partition(" ")
            if not quota:
                quota = read_text(folder / "cpu.cfs_quota_us")
                period = read_text(folder / "cpu.cfs_period_us")
            if quota.isdecimal() and period.isdecimal():
                quotas.append((int(quota) / int(period), folder))
        return quotas

    def cpu_quota(self) -> float | None:
        """Return the tightest CPU quota on the way to the root, in CPUs; None without one."""
        return min((quota for quota, _ in self._quotas()), default=None)

    def quota_folder(self) -> Path | None:
        """Return the group whose CPU quota binds; None when there is no quota.

        What its siblings use counts there, too.
        """
        return min(self._quotas(), default=(0.0, None))[1]

    def cpu_use(self) -> GroupCpu | None:
        """Return a reader of the CPU time of the group whose quota binds.

        None where that cannot be read, or nothing binds. Version 1 counts it in a hierarchy of its
        own (``cpuacct``), where the group has to be the same one.
        """
        folder = self.quota_folder()
        if folder is None:
            return None
        if (folder / "cpu.max").exists():
            return GroupCpu.from_files(str(folder / "cpu.stat"))
        if (folder / "cpuacct.usage").exists():
            return GroupCpu.from_files(str(folder / "cpuacct.usage"), str(folder / "cpuacct.stat"))
        if not self._account_folders:
            return None
        place = folder.relative_to(self._cpu_folders[-1])
        account = self._account_folders[-1] / place
        is_same = self._paths["cpu"] == self._paths["cpuacct"] or place != Path()
        if account not in self._account_folders or not is_same:
            return None
        return GroupCpu.from_files(str(account / "cpuacct.usage"), str(account / "cpuacct.stat"))

    def throttled(self) -> tuple[int, int] | None:
        """Return in how many periods the quota held the group up, and how many there were.

        None without a quota.
        """
        folder = self.quota_folder()
        if folder is None:
            return None
        stat = read_text(folder / "cpu.stat").encode()
        periods, throttled = stat_value(stat, b"nr_periods"), stat_value(stat, b"nr_throttled")
        if throttled is None or periods is None:
            return None
        return throttled, periods

    def allows_real_time(self) -> bool:
        """Tell whether the group may run real-time tasks at all.

        In version 1 with CONFIG_RT_GROUP_SCHED a ``cpu.rt_runtime_us`` of 0 refuses them.
        """
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


def _with_parents(root: Path, path: str) -> list[Path]:
    """Return the folders from a group up to the root of its hierarchy, as far as they are seen.

    That is the root alone inside a container that hides the rest.
    """
    folder = root / path.lstrip("/")
    if not folder.exists():
        return [root]
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]


def _mount(root: str, controller: str, controllers: str) -> Path:
    """Return where a controller of version 1 is mounted.

    Under its own name, or under the names of all controllers that share the hierarchy.
    """
    folder = Path(root, controller)
    if folder.exists():
        return folder
    return Path(root, controllers)


def _hierarchical(folders: list[Path]) -> list[Path]:
    """Return the groups that memory of the first is charged to (version 1).

    Those are the groups above it, up to one that does not count its children.
    """
    for index, folder in enumerate(folders[1:], 1):
        if read_text(folder / "memory.use_hierarchy") == "0":
            return folders[:index]
    return folders

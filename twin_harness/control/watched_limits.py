"""The limits that a guard watches: memory, disk space, temperature, pressure, swap."""

from __future__ import annotations

import time
from math import inf, isnan
from typing import TYPE_CHECKING, Protocol

from twin_harness.system.available_memory import AvailableMemory
from twin_harness.system.cpu_temperature import believable_celsius, cpu_temperature_files
from twin_harness.system.deadline import PATIENCE_S
from twin_harness.system.procfs import KeptFile, keep, read_meminfo
from twin_harness.system.space_watch import SpaceWatch

if TYPE_CHECKING:
    from twin_harness.system.guard_messages import WatchedLimits

BLIND_S = 1.0
BELOW_CRITICAL_CELSIUS = 5.0


class Watched(Protocol):
    """One limit."""

    name: str

    def crossing(self) -> str:
        """Return a sentence when it is crossed, else nothing."""
        ...


class Seen:
    """A limit that cannot be read for a moment holds; for longer nobody watches it: it is crossed.

    Args:
        limit: what is watched.
    """

    def __init__(self, limit: Watched) -> None:
        self._limit = limit
        self._blind_since_s: float | None = None

    def crossing(self) -> str:
        """Return a sentence when it is crossed, or was unreadable for a second, else nothing."""
        try:
            sentence = self._limit.crossing()
        except (OSError, ValueError, LookupError) as error:
            now_s = time.monotonic()
            if self._blind_since_s is None:
                self._blind_since_s = now_s
            if now_s - self._blind_since_s < BLIND_S:
                return ""
            reason = getattr(error, "strerror", None) or str(error)
            name = self._limit.name
            blind_s = now_s - self._blind_since_s
            failure = f"{name} could not be read for {blind_s:.1f} s ({reason:.120})"
            return f"{failure}, so nothing watched it"
        self._blind_since_s = None
        return sentence


class MemoryFloor:
    """Memory that new work can have, in the machine and in the control group.

    Args:
        floor_bytes: the least that must stay available.
        limit_bytes: what the control group allows in all; None when it does not bound.
    """

    name = "memory_available"

    def __init__(self, floor_bytes: float, limit_bytes: int | None) -> None:
        self._floor_bytes = floor_bytes
        self._available = AvailableMemory(limit_bytes)

    def crossing(self) -> str:
        """Return a sentence when the floor is crossed, else nothing.

        Raises:
            ValueError: the kernel does not show it.
        """
        available = self._available.read_bytes()
        if available is None:
            msg = "/proc/meminfo does not show MemAvailable"
            raise ValueError(msg)
        if available >= self._floor_bytes:
            return ""
        return (
            f"memory_available fell to {available / 2**20:.0f} MiB, below the floor of"
            f" {self._floor_bytes / 2**20:.0f} MiB"
        )


class DiskFloor:
    """Free space of the scratch filesystem, as an ordinary user sees it.

    A process of its own asks, so that a filesystem which does not answer keeps the guard from no
    other limit.

    Args:
        floor_bytes: the least that must stay free.
        folder: the scratch folder.
        patience_s: how long an answer may take; the first is waited for.
    """

    name = "disk_free"

    def __init__(self, floor_bytes: float, folder: str, patience_s: float = PATIENCE_S) -> None:
        self._floor_bytes = floor_bytes
        self._folder = folder
        self._patience_s = patience_s
        self.watch = SpaceWatch(folder)
        self.watch.ask(time.monotonic())
        self.watch.take(patience_s)

    @property
    def is_mute(self) -> bool:
        """Whether the filesystem has kept a question waiting for longer than is tolerated."""
        return self.watch.waited_s(time.monotonic()) >= min(self._patience_s, BLIND_S)

    def crossing(self) -> str:
        """Return a sentence when the floor is crossed or cannot be watched any more, else nothing.

        Raises:
            OSError: the last answer was an error, which may pass.
        """
        now_s, watch = time.monotonic(), self.watch
        watch.take()
        waited_s = watch.waited_s(now_s)
        if waited_s >= self._patience_s:
            return (
                f"disk_free cannot be read in {self._folder}: it has not answered for"
                f" {waited_s:.0f} s"
            )
        if watch.is_lost:
            return f"disk_free cannot be read in {self._folder}: {watch.fault}"
        watch.ask(now_s)
        if watch.errno:
            raise OSError(watch.errno, f"{watch.fault} in {self._folder}")
        if watch.space is None or watch.space.free_bytes >= self._floor_bytes:
            return ""
        free_mib, floor_mib = watch.space.free_bytes / 2**20, self._floor_bytes / 2**20
        return f"disk_free fell to {free_mib:.0f} MiB, below the floor of {floor_mib:.0f} MiB"


class TemperatureCeiling:
    """The hottest CPU sensor; each has its own ceiling where none is given.

    5 °C below what it calls critical.

    Args:
        ceiling_celsius: None takes the sensors' own; infinity watches nothing.
        root: where the kernel keeps its sensors (hwmon, sysfs-interface.rst: millidegrees).
    """

    name = "temperature"

    def __init__(self, ceiling_celsius: float | None, root: str = "/sys/class/hwmon") -> None:
        self._sensors: list[tuple[KeptFile, float]] = []
        if ceiling_celsius == inf:
            return
        for path, critical_celsius in cpu_temperature_files(root):
            ceiling = ceiling_celsius
            if ceiling is None:
                ceiling = critical_celsius - BELOW_CRITICAL_CELSIUS
            if isnan(ceiling):
                continue
            file = keep(path, 64)
            if file is not None:
                self._sensors.append((file, ceiling))

    def crossing(self) -> str:
        """Return a sentence when a ceiling is crossed, else nothing."""
        for sensor, ceiling in self._sensors:
            try:
                celsius = believable_celsius(sensor.read())
            except OSError:
                continue  # a sensor that sleeps, or is gone
            if celsius > ceiling:  # never of NaN: what no CPU can be stops nothing
                return (
                    f"temperature rose to {celsius:.1f} °C, above the ceiling of {ceiling:.1f} °C"
                )
        return ""


class PressureCeiling:
    """How much of the last second some task waited for memory.

    By the ``total`` counter in µs (Documentation/accounting/psi.rst).

    Args:
        ceiling_percent: the highest share of a second that is respected.
        path: the kernel's pressure file.
    """

    name = "pressure_memory"

    def __init__(self, ceiling_percent: float, path: str = "/proc/pressure/memory") -> None:
        self._ceiling_percent = ceiling_percent
        self._file = keep(path, 256)
        self._seen: list[tuple[float, float]] = []

    def crossing(self) -> str:
        """Return a sentence when the ceiling is crossed, else nothing."""
        if self._file is None:
            return ""
        now_s = time.monotonic()
        total_us = float(self._file.read().split(b"\n")[0].rpartition(b"=")[2])
        self._seen.append((now_s, total_us))
        while len(self._seen) > 2 and now_s - self._seen[1][0] >= 1.0:
            self._seen.pop(0)
        then_s, then_us = self._seen[0]
        if now_s - then_s < 1.0:
            return ""
        percent = (total_us - then_us) / (now_s - then_s) / 1e4
        if percent > self._ceiling_percent:
            return (
                f"pressure_memory rose to {percent:.1f} %, above the ceiling of"
                f" {self._ceiling_percent:g} %"
            )
        return ""


class SwapCeiling:
    """Used share of swap.

    Args:
        ceiling_percent: the highest share that is respected.
        path: the kernel's table of memory.
    """

    name = "swap"

    def __init__(self, ceiling_percent: float, path: str = "/proc/meminfo") -> None:
        self._ceiling_percent = ceiling_percent
        self._file = keep(path, 8192)

    def crossing(self) -> str:
        """Return a sentence when the ceiling is crossed, else nothing.

        Raises:
            ValueError: the kernel does not show it.
        """
        if self._file is None:
            return ""
        table = read_meminfo(self._file.read())
        if not table.keys() >= {b"SwapTotal", b"SwapFree"}:
            msg = "/proc/meminfo does not show SwapTotal and SwapFree"
            raise ValueError(msg)
        total = table[b"SwapTotal"]
        if not total:
            return ""
        percent = 100.0 * (total - table[b"SwapFree"]) / total
        if percent > self._ceiling_percent:
            return f"swap rose to {percent:.1f} %, above the ceiling of {self._ceiling_percent:g} %"
        return ""


def limits_to_watch(limits: WatchedLimits) -> list[Watched]:
    """Return what a guard with these limits watches."""
    watched: list[Watched] = []
    if limits["memory_floor_bytes"]:
        watched.append(MemoryFloor(limits["memory_floor_bytes"], limits["memory_limit_bytes"]))
    if limits["disk_floor_bytes"]:
        watched.append(DiskFloor(limits["disk_floor_bytes"], limits["scratch_dir"]))
    watched.append(TemperatureCeiling(limits["temperature_celsius"]))
    if limits["pressure_memory_percent"] is not None:
        watched.append(PressureCeiling(limits["pressure_memory_percent"]))
    if limits["swap_percent"] is not None:
        watched.append(SwapCeiling(limits["swap_percent"]))
    return watched

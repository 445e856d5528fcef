"""The guard: a process of its own that watches the machine while load runs, and kills all of it when a floor is crossed.

``python -m twin_harness.control.guard``. stdin: its limits as one JSON line, then ``{"group":
<process group of the load host>}``; end of stdin means stop. stdout: ``{"state": "ready"}``; when a
limit is crossed ``{"state": "tripped", …}``, after the load is dead. It looks every 50 ms, as
SCHED_FIFO 1 where permitted, and dies with the controller. A load host whose guard is gone kills
its load itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from math import inf, isnan
from typing import Any, Protocol

from twin_harness.system.available_memory import AvailableMemory
from twin_harness.system.board import Board
from twin_harness.system.child import (
    die_with_parent,
    read_line,
    readable_of,
    run_in_real_time,
    run_on,
)
from twin_harness.system.cpu_temperature import believable_celsius, cpu_temperature_files
from twin_harness.system.deadline import PATIENCE_S
from twin_harness.system.load_tree import await_dead, end_load
from twin_harness.system.process_watch import ProcessWatch
from twin_harness.system.procfs import KeptFile, keep, read_meminfo
from twin_harness.system.space_watch import SpaceWatch

POLL_S = 0.050
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
            ValueError: the kernel does not tell.
        """
        available = self._available.read_bytes()
        if available is None:
            msg = "/proc/meminfo does not tell MemAvailable"
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
        """Whether the filesystem keeps a question waiting, longer than one that cannot be read may."""
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
        for path, critical_celsius in cpu_temperature_files(root) if ceiling_celsius != inf else ():
            if ceiling_celsius is not None:
                ceiling = ceiling_celsius
            else:
                ceiling = critical_celsius - BELOW_CRITICAL_CELSIUS
            if not isnan(ceiling):
                kept = keep(path, 64)
            else:
                kept = None
            if kept is not None:
                self._sensors.append((kept, ceiling))

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
    """How much of the last second some task waited for memory (psi.rst: the ``total`` counter in µs)."""

    name = "pressure_memory"

    def __init__(self, ceiling_percent: float, path: str = "/proc/pressure/memory") -> None:
        self._ceiling_percent = ceiling_percent
        self._file = keep(path, 256)
        self._seen: list[tuple[float, float]] = []

    def crossing(self) -> str:
        """Return a sentence when the ceiling is crossed, else nothing."""
        if self._file is None:
            return ""
        now_s, total_us = (
            time.monotonic(),
            float(self._file.read().split(b"\n")[0].rpartition(b"=")[2]),
        )
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
    """Used share of swap."""

    name = "swap"

    def __init__(self, ceiling_percent: float, path: str = "/proc/meminfo") -> None:
        self._ceiling_percent = ceiling_percent
        self._file = keep(path, 8192)

    def crossing(self) -> str:
        """Return a sentence when the ceiling is crossed, else nothing.

        Raises:
            ValueError: the kernel does not tell.
        """
        if self._file:
            table = read_meminfo(self._file.read())
        else:
            table = {}
        if self._file and not table.keys() >= {b"SwapTotal", b"SwapFree"}:
            msg = "/proc/meminfo does not tell SwapTotal and SwapFree"
            raise ValueError(msg)
        total = table.get(b"SwapTotal", 0)
        if total:
            percent = 100.0 * (total - table[b"SwapFree"]) / total
        else:
            percent = 0.0
        if percent > self._ceiling_percent:
            return f"swap rose to {percent:.1f} %, above the ceiling of {self._ceiling_percent:g} %"
        return ""


def watched_limits(limits: dict[str, Any]) -> list[Watched]:
    """Return what is to be watched, given the guard's first line."""
    found: list[Watched] = []
    if limits["memory_floor_bytes"]:
        found.append(MemoryFloor(limits["memory_floor_bytes"], limits["memory_limit_bytes"]))
    if limits["disk_floor_bytes"]:
        found.append(DiskFloor(limits["disk_floor_bytes"], limits["scratch_dir"]))
    found.append(TemperatureCeiling(limits["temperature_celsius"]))
    if limits["pressure_memory_percent"] is not None:
        found.append(PressureCeiling(limits["pressure_memory_percent"]))
    if limits["swap_percent"] is not None:
        found.append(SwapCeiling(limits["swap_percent"]))
    return found


def _end(group: int, mark: str) -> list[int]:
    if group:
        return end_load(group, f"{mark}{group}." if mark else "")
    return []


def _trip(reason: str, clean_s: float, group: int, mark: str, *, is_mute: bool) -> None:
    """End the load; tell when a limit was last found kept and when load was killed, then when nothing worked or held memory any more."""
    others = _end(group, mark)
    told = {"reason": reason, "is_mute": is_mute, "clean_s": clean_s, "killed_s": time.monotonic()}
    _tell({"state": "tripped", **told})
    is_dead = await_dead(group, others)
    _tell({"state": "dead", "dead_s": time.monotonic() if is_dead else None})


def _tell(message: dict[str, Any]) -> None:
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        sys.exit(0)


def _leave(board: Board, slots: list[int], watches: list[SpaceWatch]) -> None:
    for watch in watches:
        watch.close()
    for slot in slots:
        board.free_process(slot)


def main() -> int:
    """Watch until stdin ends, or until a limit is crossed and the load is dead."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = read_line(0)
    if not line:
        return 0
    limits = json.loads(line)
    if limits["dies_with_starter"]:
        die_with_parent()
    board = Board.open(limits["board"])
    run_on(limits["cpus"])  # its worker may be confined to the part that the load fills
    limits_now = watched_limits(limits)
    disk_floors = [limit for limit in limits_now if isinstance(limit, DiskFloor)]
    watches = [floor.watch for floor in disk_floors]
    watched_now = [Seen(limit) for limit in limits_now]
    pids = [os.getpid(), *(watch.pid for watch in watches if watch.pid)]
    slots = [board.claim_process(pid, "harness", plan=limits["part"]) for pid in pids]
    controller = ProcessWatch([limits["controller_pid"], limits["starter_pid"]])
    group, mark = 0, f"{board.path.stem}." if limits["has_commands"] else ""
    if len(limits["cpus"]) > 1:
        run_in_real_time()
    _tell({"state": "ready"})
    watched = [0, *controller.descriptors]
    clean_s = time.monotonic()
    while True:
        readable = readable_of(watched, POLL_S)
        if 0 in readable:
            line = os.read(0, 4096)
            if not line:
                break
            group = json.loads(line)["group"]
        if controller.has_ended(readable):
            _end(group, mark)
            break
        looked_s = time.monotonic()
        reason = next(filter(None, (limit.crossing() for limit in watched_now)), "")
        if reason and group:
            is_mute = any(floor.is_mute for floor in disk_floors)
            _trip(reason, clean_s, group, mark, is_mute=is_mute)
            break
        if not reason:
            clean_s = looked_s
    _leave(board, slots, watches)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

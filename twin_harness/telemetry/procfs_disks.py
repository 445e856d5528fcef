"""Disk counters straight from /proc/diskstats, or from each disk's own file."""

from __future__ import annotations

import os
import re
from math import nan
from typing import TYPE_CHECKING

from twin_harness.system.disks import counted_disks
from twin_harness.system.procfs import SECTOR_BYTES, KeptFile, keep
from twin_harness.telemetry.notes import UNREADABLE
from twin_harness.telemetry.rates import DeviceRates

if TYPE_CHECKING:
    from twin_harness.telemetry.notes import Notes
    from twin_harness.telemetry.sample import Counters

# name; reads, sectors read, writes, sectors written, ms busy, weighted ms: fields 3, 4, 6, 8, 10,
# 13, 14 of a line (iostats.rst)
_LINE = re.compile(
    rb"^ *\d+ +\d+ (\S+) (\d+) \d+ (\d+) \d+ (\d+) \d+ (\d+) \d+ \d+ (\d+) (\d+)", re.MULTILINE
)


class DiskCounters:
    """The counters of the disks that count, and of the device below scratch.

    Args:
        scratch_device: name of that device; it may be one that the sums leave out (dm, md).
        notes: where it is said what could not be read, came or went.
    """

    def __init__(self, scratch_device: str, notes: Notes) -> None:
        self._scratch_device = scratch_device.encode()
        self._notes = notes
        self._rates = DeviceRates("disk", 4, notes)
        self._diskstats = keep("/proc/diskstats", 8192, has_records=True)
        self._files: dict[bytes, KeptFile] = {}
        self._disks: frozenset[bytes] = frozenset()
        self._block_names: list[str] | None = None
        self._is_disk_lost = False

    def look(self) -> None:
        """Find out, once a second, which disks count, and where they are read.

        One disk alone is read from its own file at a third of the cost; so are all where
        /proc/diskstats does not show them.
        """
        names = _names_in("/sys/block")
        if names is not None and names == self._block_names and not self._is_disk_lost:
            return
        listed = self._listed()
        self._block_names, self._is_disk_lost = names, False
        self._disks = frozenset(name.encode() for name in counted_disks(listed))
        for file in self._files.values():
            file.close()
        self._files = {}
        is_enough = len(self._disks) == 1 and self._scratch_device in (*self._disks, b"")
        if is_enough or not {name.encode() for name in listed} & self._disks:
            for name in {*self._disks, self._scratch_device} - {b""}:
                kept = keep(f"/sys/block/{name.decode().replace('/', '!')}/stat", 512)
                if kept is not None:
                    self._files[name] = kept

    def _listed(self) -> frozenset[str]:
        """Return the names of /proc/diskstats."""
        if self._diskstats is None:
            return frozenset()
        try:
            data = self._diskstats.read()
        except OSError:
            return frozenset()
        return frozenset(line[0].decode() for line in _LINE.findall(data))

    def read(self, now: Counters) -> None:
        """Read where the counters stand."""
        if self._files:
            self._read_files(now)
            return
        if self._diskstats is None:
            return
        try:
            lines = _LINE.findall(self._diskstats.read())
        except OSError as error:
            self._notes.failed("/proc/diskstats", error, "the disk rates are empty")
            return
        disks: dict[bytes, tuple[bytes, ...]] = {}
        for name, *fields in lines:
            if name == self._scratch_device:
                now.device = (int(fields[4]), int(fields[5]))
            if name in self._disks:
                disks[name] = tuple(fields[:4])
        now.disk = disks

    def _read_files(self, now: Counters) -> None:
        """Read the counters of each disk from a file of its own (Documentation/block/stat.rst)."""
        disks: dict[bytes, tuple[bytes, ...]] = {}
        for name, file in self._files.items():
            try:
                fields = file.read().split()
                if name == self._scratch_device:
                    now.device = (int(fields[9]), int(fields[10]))
                if name in self._disks:
                    disks[name] = (fields[0], fields[2], fields[4], fields[6])
            except UNREADABLE as error:
                self._is_disk_lost = True
                self._notes.failed(
                    f"the counters of disk {name.decode()}",
                    error,
                    "it is left out of the disk rates",
                )
        now.disk = disks

    def cells(self, before: Counters, now: Counters, dt_s: float) -> tuple[float, ...]:
        """Return bytes read and written, reads and writes per second, then busy % and depth.

        Args:
            before: the reading at the start.
            now: the reading at the end.
            dt_s: between the two.
        """
        reads, read_sectors, writes, written_sectors = self._rates.of(before.disk, now.disk, dt_s)
        busy_percent = depth = nan
        if before.device and now.device:
            busy_ms, weighted_ms = (
                end - start for start, end in zip(before.device, now.device, strict=True)
            )
            if busy_ms >= 0:
                busy_percent = min(100.0, busy_ms / dt_s / 10.0)
            if weighted_ms >= 0:
                depth = weighted_ms / dt_s / 1000.0
        read, written = read_sectors * SECTOR_BYTES, written_sectors * SECTOR_BYTES
        return read, written, reads, writes, busy_percent, depth


def _names_in(folder: str) -> list[str] | None:
    """Return the names in a folder of sysfs; None where it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return None

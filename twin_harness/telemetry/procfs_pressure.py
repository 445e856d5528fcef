"""Pressure stall information straight from /proc/pressure (Documentation/accounting/psi.rst)."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

from twin_harness.system.clock import monotonic_s
from twin_harness.system.procfs import keep
from twin_harness.telemetry.notes import UNREADABLE
from twin_harness.telemetry.rates import Rates, within_percent

if TYPE_CHECKING:
    from twin_harness.telemetry.notes import Notes
    from twin_harness.telemetry.sample import Counters


class Pressure:
    """How much of the time tasks waited for CPU, memory and I/O.

    Args:
        notes: where it is said what could not be read, and which counters went back.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._rates = Rates(notes)
        self._files = tuple(keep(f"/proc/pressure/{name}", 256) for name in ("cpu", "memory", "io"))

    def __bool__(self) -> bool:
        return any(self._files)

    def read(self, now: Counters) -> None:
        """Read the ``total`` counters in µs: some cpu, memory, io, full memory, io."""
        now.pressure_s = monotonic_s()
        some, full = [nan] * 3, [nan] * 3
        for index, file in enumerate(self._files):
            if file is None:
                continue
            try:
                lines = file.read().split(b"\n")
                some[index] = float(lines[0].rpartition(b"=")[2])
                if len(lines) > 1 and lines[1]:
                    full[index] = float(lines[1].rpartition(b"=")[2])
            except UNREADABLE as error:
                self._notes.failed(file.path, error, "its columns are empty")
        now.pressure = (some[0], some[1], some[2], full[1], full[2])

    def cells(self, before: Counters, now: Counters) -> list[float]:
        """Return the slopes of the counters over the time between their own two readings.

        The kernel brings a counter up to the moment of each reading (``psi_show``,
        kernel/sched/psi.c), so over that time it grows by all of it at most; what is left above 100
        are the microseconds in which the three files are read one after another.
        """
        dt_s = max(now.pressure_s - before.pressure_s, 1e-6)
        rates = self._rates.of("pressure", before.pressure, now.pressure, dt_s)
        return [within_percent(rate / 1e4) for rate in rates]

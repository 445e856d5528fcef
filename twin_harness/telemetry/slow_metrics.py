"""What changes slowly or costs much: read once a second and repeated in the rows between."""

from __future__ import annotations

import os
import sys
import warnings
from math import isnan, nan
from typing import TYPE_CHECKING

import psutil

from twin_harness.system.clock import monotonic_s
from twin_harness.system.procfs import PAGE_BYTES, keep
from twin_harness.system.registry import sees_every_process
from twin_harness.system.space_watch import SpaceWatch
from twin_harness.telemetry.cpu_sensors import CpuSensors
from twin_harness.telemetry.notes import UNREADABLE
from twin_harness.telemetry.power_meter import PowerMeter
from twin_harness.telemetry.rates import Rates

if TYPE_CHECKING:
    from twin_harness.system.procfs import KeptFile
    from twin_harness.system.telemetry_messages import MachineFacts
    from twin_harness.telemetry.notes import Notes

_RECOUNT_S = 10.0
_ANSWER_S, _FIRST_ANSWER_S = 0.002, 0.25
_STALE_S = 2.0  # what a filesystem said longer ago is not known any more
PERIOD_S = 0.999  # just under a second, so that a 0.1 s grid meets it every tenth sample
_VM_COUNTERS = (b"\npswpin ", b"\npswpout ", b"\npgfault ", b"\npgmajfault ")


class SlowMetrics:
    """The slow group of a sample; its figures are NaN where the machine has none.

    Args:
        machine: ``machine.json``'s content.
        notes: where it is said what could not be read, and which counters went back.
        has_vmstat: read /proc/vmstat; else psutil's swap counters alone.
    """

    def __init__(self, machine: MachineFacts, notes: Notes, *, has_vmstat: bool = True) -> None:
        self._space = SpaceWatch(machine["scratch_dir"])
        self._space.ask(monotonic_s())
        self._space.take(_FIRST_ANSWER_S)
        self._notes = notes
        self._rates = Rates(notes)
        self._has_vmstat = has_vmstat
        self._vmstat: KeptFile | None = None
        self._zero_filled = frozenset[str]()
        if has_vmstat:
            self._vmstat = keep("/proc/vmstat", 16384, has_records=True)
        else:
            self._zero_filled = _zero_filled_swap()
        self._power = PowerMeter(notes)
        self._sensors = CpuSensors(machine["cpus"], notes)
        self._read_s = self._recount_due_s = -1.0
        self._links_beside = 0
        self._sees_all = sees_every_process()
        self._vm: list[float] | None = None
        self.swap_percent = nan
        self.swap_in = self.swap_out = self.faults = self.major_faults = nan
        self.frequency_hz = self.temperature_celsius = self.power_watts = nan
        self.processes = self.disk_used_percent = nan

    def refresh(self, now_s: float) -> bool:
        """Read everything again if a second has passed, and return whether it has."""
        if now_s - self._read_s < PERIOD_S:
            if self._space.is_open:
                self._refresh_space(now_s, 0.0)
            return False
        self._space.ask(now_s)
        dt_s, self._read_s = now_s - self._read_s, now_s
        try:
            if self._has_vmstat:
                self._refresh_vm(dt_s)
            else:
                self._refresh_swap(dt_s)
        except UNREADABLE as error:
            self._vm = None
            self.swap_in = self.swap_out = self.faults = self.major_faults = nan
            self._notes.failed("swap and faults", error, "its columns are empty")
        self.power_watts = self._power.read_watts(dt_s)
        self._sensors.refresh(now_s)
        self.frequency_hz = self._sensors.frequency_hz
        self.temperature_celsius = self._sensors.temperature_celsius
        try:
            self.processes = float(self._count_processes(now_s))
        except UNREADABLE as error:
            self.processes = nan
            self._notes.failed("the number of processes", error, "processes_total is empty")
        self._refresh_space(now_s, _ANSWER_S)
        return True

    def _refresh_space(self, now_s: float, wait_s: float) -> None:
        """Take up how full the scratch filesystem is.

        While it does not answer, nothing is known.
        """
        space = self._space
        space.take(wait_s)
        waited_s = space.waited_s(now_s)
        if waited_s < _STALE_S:
            self.disk_used_percent = nan
            if space.space is not None:
                self.disk_used_percent = space.space.used_percent
            if space.fault:
                until = "to the end" if space.is_lost else "until it can be"
                self._notes.once(
                    f"no space: {space.fault}",
                    f"the space of {space.folder} could not be read ({space.fault:.120}):"
                    f" disk_used_percent is empty {until}",
                )
            return
        self.disk_used_percent = nan
        self._notes.once(
            "no space",
            f"the filesystem of {space.folder} has not answered since {now_s - waited_s:.1f} s: "
            "disk_used_percent is empty, and so is probe_disk_ms, until it does",
        )

    def _count_processes(self, now_s: float) -> int:
        """Return how many processes there are.

        The links of /proc are its fixed folders and one a process (proc_root_getattr in
        fs/proc/root.c): counted by name every ten seconds, by links in between. In a PID namespace
        the links are of the whole machine and the names are not: there the names alone count.
        """
        if sys.platform != "linux":
            return len(psutil.pids())
        if not self._sees_all:
            return sum(map(str.isdigit, os.listdir("/proc")))
        links = os.stat("/proc").st_nlink
        if now_s >= self._recount_due_s:
            self._recount_due_s = now_s + _RECOUNT_S
            count = sum(map(str.isdigit, os.listdir("/proc")))
            self._links_beside = links - count
        return links - self._links_beside

    def _refresh_vm(self, dt_s: float) -> None:
        if self._vmstat is None:
            return
        data, before = self._vmstat.read(), self._vm
        self._vm = now = [_counter(data, name) for name in _VM_COUNTERS]
        if any(map(isnan, now)):
            lacking = [name for name, value in zip(_VM_COUNTERS, now, strict=True) if isnan(value)]
            names = b", ".join(map(bytes.strip, lacking)).decode()
            sentence = f"/proc/vmstat does not show {names}: the columns made of it are empty"
            self._notes.once("vmstat", sentence)
        if before is not None:
            rates = self._rates.of("vmstat", before, now, dt_s)
            self.swap_in, self.swap_out = rates[0] * PAGE_BYTES, rates[1] * PAGE_BYTES
            self.faults, self.major_faults = rates[2], rates[3]

    def _refresh_swap(self, dt_s: float) -> None:
        with warnings.catch_warnings():  # psutil warns of what it does not find, and says 0
            warnings.simplefilter("ignore")
            swap, before = psutil.swap_memory(), self._vm
        self._vm = now = [
            nan if name in self._zero_filled else float(getattr(swap, name))
            for name in ("sin", "sout")
        ]
        self.swap_percent = nan
        if swap.total:
            self.swap_percent = float(swap.percent)
        if before is not None:
            self.swap_in, self.swap_out = self._rates.of("swap", before, now, dt_s)


def _counter(data: bytes, name: bytes) -> float:
    """Return a line of /proc/vmstat.

    NaN where this kernel has none (one without swap has no ``pswpin``).
    """
    at = data.find(name)
    if at < 0:
        return nan
    value = data[at + len(name) :].split(b"\n", 1)[0]
    if value.isdigit():
        return float(value)
    return nan


def _zero_filled_swap() -> frozenset[str]:
    """Return the swap counters that psutil fills with 0, which it warns of, for it finds none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            psutil.swap_memory()
        except UNREADABLE:
            return frozenset(("sin", "sout"))
    if caught:
        return frozenset(("sin", "sout"))
    return frozenset()

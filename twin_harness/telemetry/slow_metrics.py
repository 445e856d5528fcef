"""What changes slowly or costs much: read once a second and repeated in the rows between."""

from __future__ import annotations

import os
import re
import sys
import warnings
from math import isnan, nan
from typing import TYPE_CHECKING, Any

import psutil

from twin_harness.system.clock import monotonic_s
from twin_harness.system.cpu_temperature import believable_celsius, cpu_temperature_files
from twin_harness.system.power_zones import PowerZone, power_zones
from twin_harness.system.procfs import PAGE_BYTES, keep, read_text
from twin_harness.system.space_watch import SpaceWatch
from twin_harness.telemetry.rates import UNREADABLE, Rates

if TYPE_CHECKING:
    from twin_harness.system.procfs import KeptFile
    from twin_harness.telemetry.rates import Notes

_RECOUNT_S = 10.0
_ANSWER_S, _FIRST_ANSWER_S = 0.002, 0.25
_STALE_S = 2.0  # what a filesystem said longer ago is not known any more
PERIOD_S = 0.999  # just under a second, so that a 0.1 s grid meets it every tenth sample
_FREQUENCY = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"  # in kHz
_MEGAHERTZ = re.compile(
    rb"^processor\s*: (\d+)$.*?^cpu MHz\s*: ([0-9.]+)$", re.MULTILINE | re.DOTALL
)
_MOST_WATTS = 5000.0  # of one package; more is a counter that was set back, not one that went round
_VM_COUNTERS = (b"\npswpin ", b"\npswpout ", b"\npgfault ", b"\npgmajfault ")


class SlowMetrics:
    """The slow group of a sample; its figures are NaN where the machine has none.

    Args:
        machine: ``machine.json``'s content.
        notes: where it is said what could not be read, and which counters went back.
        has_vmstat: read /proc/vmstat; else psutil's swap counters alone.
    """

    def __init__(self, machine: dict[str, Any], notes: Notes, *, has_vmstat: bool = True) -> None:
        self._allowed = frozenset(machine["cpus"])
        self._space = SpaceWatch(machine["scratch_dir"])
        self._space.ask(monotonic_s())
        self._space.take(_FIRST_ANSWER_S)
        self._notes = notes
        self._rates = Rates(notes)
        self._has_vmstat = has_vmstat
        if has_vmstat:
            self._vmstat = keep("/proc/vmstat", 16384, has_records=True)
        else:
            self._vmstat = None
        self._zones = power_zones()
        self._frequency_files: list[KeptFile] = []
        self._temperatures: list[KeptFile] = []
        self._look_for_sensors()
        self._cpuinfo = None
        if not self._frequency_files:
            self._cpuinfo = keep("/proc/cpuinfo", 1 << 16, has_records=True)
        self._read_s = -1.0
        self._cpuinfo_due_s = self._recount_due_s = self._sensors_due_s = -1.0
        self._is_sensor_lost = False
        self._links_beside = 0
        self._vm: list[float] | None = None
        self._energy_uj: list[int | None] = []
        if has_vmstat:
            self._zero_filled = frozenset[str]()
        else:
            self._zero_filled = _zero_filled_swap()
        self.swap_percent = nan
        self.swap_in = self.swap_out = self.faults = self.major_faults = nan
        self.frequency_hz = self.processes = self.disk_used_percent = self.temperature_celsius = (
            self.power_watts
        ) = nan

    def refresh(self, now_s: float) -> bool:
        """Read everything again if a second has passed, and return whether it has."""
        if now_s - self._read_s < PERIOD_S:
            if self._space.is_open:
                self._refresh_space(now_s, 0.0)
            return False
        self._space.ask(now_s)
        dt_s, self._read_s = now_s - self._read_s, now_s
        if self._is_sensor_lost and now_s >= self._sensors_due_s:
            self._sensors_due_s = now_s + _RECOUNT_S
            self._look_for_sensors()
        try:
            if self._has_vmstat:
                self._refresh_vm(dt_s)
            else:
                self._refresh_swap(dt_s)
        except UNREADABLE as error:
            self._vm = None
            self.swap_in = self.swap_out = self.faults = self.major_faults = nan
            self._notes.failed("swap and faults", error, "its columns are empty")
        self._refresh_power(dt_s)
        try:
            self.frequency_hz = self._frequency_hz(now_s)
        except UNREADABLE as error:
            self.frequency_hz = nan
            self._notes.failed("the CPU frequency", error, "cpu_frequency_hz is empty")
        try:
            self.processes = float(self._count_processes(now_s))
        except UNREADABLE as error:
            self.processes = nan
            self._notes.failed("the number of processes", error, "processes_total is empty")
        self.temperature_celsius = self._temperature_celsius()
        self._refresh_space(now_s, _ANSWER_S)
        return True

    def _look_for_sensors(self) -> None:
        """Open the sensors, again when some were lost.

        The file of a CPU that was offline is dead, and there is a new one.
        """
        self._is_sensor_lost = False
        for file in (*self._frequency_files, *self._temperatures):
            file.close()
        paths = [_FREQUENCY.format(number) for number in sorted(self._allowed)]
        self._frequency_files = list(filter(None, (keep(path, 32) for path in paths)))
        files = cpu_temperature_files()
        self._temperatures = list(filter(None, (keep(path, 32) for path, _ in files)))

    def _refresh_space(self, now_s: float, wait_s: float) -> None:
        """Take up how full the scratch filesystem is.

        While it does not answer, nothing is known.
        """
        space = self._space
        space.take(wait_s)
        waited_s = space.waited_s(now_s)
        if waited_s < _STALE_S:
            if space.space is not None:
                self.disk_used_percent = space.space.used_percent
            else:
                self.disk_used_percent = nan
            if space.fault:
                if space.is_lost:
                    until = "to the end"
                else:
                    until = "until it can be"
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

    def _frequency_hz(self, now_s: float) -> float:
        """Return the mean frequency of the allowed CPUs.

        Of cpufreq, else of /proc/cpuinfo, as psutil has it; psutil's off Linux.
        """
        if self._cpuinfo is not None and now_s < self._cpuinfo_due_s:
            return (
                self.frequency_hz
            )  # without cpufreq nothing scales: every ten seconds is often enough
        self._cpuinfo_due_s = now_s + _RECOUNT_S
        if self._frequency_files:
            found = self._scaled_hz()
        elif self._cpuinfo is not None:
            megahertz = _MEGAHERTZ.findall(self._cpuinfo.read())
            found = [
                float(value) * 1e6 for number, value in megahertz if int(number) in self._allowed
            ]
        else:
            return _psutil_frequency_hz(self._allowed)
        if found:
            return sum(found) / len(found)
        return nan

    def _scaled_hz(self) -> list[float]:
        """Return what cpufreq answers.

        A CPU that is offline answers EBUSY, ``<unknown>`` or 0, and is none of those that run.
        """
        found = []
        for file in self._frequency_files:
            try:
                kilohertz = int(file.read())
            except (OSError, ValueError) as error:
                self._is_sensor_lost = True
                self._notes.failed(file.path, error, "that CPU is left out of cpu_frequency_hz")
                continue
            if kilohertz > 0:
                found.append(kilohertz * 1e3)
        return found

    def _temperature_celsius(self) -> float:
        """Return the hottest CPU sensor.

        One that cannot be read now, or says what no CPU can be, does not count.
        """
        if sys.platform != "linux":
            return _psutil_temperature_celsius()
        found = []
        for file in self._temperatures:
            try:
                data = file.read()
            except OSError as error:
                self._is_sensor_lost = True
                consequence = "that sensor is left out of temperature_celsius"
                self._notes.failed(file.path, error, consequence)
                continue
            celsius = believable_celsius(data)
            if not isnan(celsius):
                found.append(celsius)
            else:
                sentence = f"{file.path} says {data[:20]!r}, which is no CPU's temperature"
                self._notes.once(f"rubbish {file.path}", f"{sentence}: it is left out")
        return max(found, default=nan)

    def _count_processes(self, now_s: float) -> int:
        """Return how many processes there are.

        The links of /proc are its fixed folders and one a process (proc_root_getattr in
        fs/proc/root.c): counted by name every ten seconds, by links in between.
        """
        if sys.platform != "linux":
            return len(psutil.pids())
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
            sentence = f"/proc/vmstat does not tell {names}: the columns made of it are empty"
            self._notes.once("vmstat", sentence)
        if before is not None:
            rates = self._rates.of("vmstat", before, now, dt_s)
            self.swap_in, self.swap_out = rates[0] * PAGE_BYTES, rates[1] * PAGE_BYTES
            self.faults, self.major_faults = rates[2], rates[3]

    def _refresh_swap(self, dt_s: float) -> None:
        with warnings.catch_warnings():  # psutil warns of what it does not find, and says 0
            warnings.simplefilter("ignore")
            found, before = psutil.swap_memory(), self._vm
        self._vm = now = [
            nan if name in self._zero_filled else float(getattr(found, name))
            for name in ("sin", "sout")
        ]
        if found.total:
            self.swap_percent = float(found.percent)
        else:
            self.swap_percent = nan
        if before is not None:
            self.swap_in, self.swap_out = self._rates.of("swap", before, now, dt_s)

    def _refresh_power(self, dt_s: float) -> None:
        """Mean power since the last reading, over all zones or not at all.

        A counter that went round goes on from 0.
        """
        energy, before = [_energy_uj(zone) for zone in self._zones], self._energy_uj
        self._energy_uj = energy
        if None in energy:
            pairs = zip(self._zones, energy, strict=True)
            mute = ", ".join(zone.name for zone, value in pairs if value is None)
            sentence = f"the energy of {mute} cannot be read (the kernel lets root alone)"
            self._notes.once("power", f"{sentence}: power_watts is empty")
        watts = [
            _watts(zone, start, end, dt_s)
            for zone, start, end in zip(self._zones, before, energy, strict=False)
        ]
        if watts:
            self.power_watts = sum(watts)
        else:
            self.power_watts = nan
        if watts and isnan(self.power_watts) and None not in (*before, *energy):
            sentence = f"an energy counter was set back from {before} to {energy} µJ"
            self._notes.once("energy", f"{sentence}: power_watts is empty for a second")


def _energy_uj(zone: PowerZone) -> int | None:
    """Return the counter; None where the zone is gone, is root's, or says what is no number."""
    text = read_text(zone.path)
    if text.isdecimal():
        return int(text)
    return None


def _watts(zone: PowerZone, start_uj: int | None, end_uj: int | None, dt_s: float) -> float:
    if start_uj is None or end_uj is None:
        return nan
    if end_uj >= start_uj:
        moved_uj = end_uj - start_uj
    else:
        moved_uj = end_uj - start_uj + zone.range_uj
    watts = moved_uj / dt_s / 1e6
    if 0 <= watts <= _MOST_WATTS:
        return watts
    return nan


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
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            psutil.swap_memory()
        except UNREADABLE:
            return frozenset(("sin", "sout"))
    if heard:
        return frozenset(("sin", "sout"))
    return frozenset()


def _psutil_frequency_hz(allowed: frozenset[int]) -> float:
    try:
        frequencies = psutil.cpu_freq(percpu=True)
    except UNREADABLE:
        return nan
    chosen = [
        entry.current
        for number, entry in enumerate(frequencies or [])
        if number in allowed and entry.current
    ]
    if chosen:
        return sum(chosen) / len(chosen) * 1e6
    return nan


def _psutil_temperature_celsius() -> float:
    try:
        chips = psutil.sensors_temperatures()
    except UNREADABLE:
        return nan
    cpu_chips = [
        chip
        for chip in ("coretemp", "k10temp", "zenpower", "cpu_thermal", "acpitz")
        if chips.get(chip)
    ]
    readings = [
        believable_celsius(b"%d" % round(entry.current * 1000))
        for chip in cpu_chips[:1]
        for entry in chips[chip]
    ]
    return max((celsius for celsius in readings if celsius == celsius), default=nan)  # noqa: PLR0124 - NaN alone is unequal to itself

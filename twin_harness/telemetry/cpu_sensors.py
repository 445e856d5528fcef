"""Frequency and temperature of the CPUs, from the kernel's sensors."""

from __future__ import annotations

import re
import sys
from math import isnan, nan
from typing import TYPE_CHECKING

import psutil

from twin_harness.system.cpu_temperature import believable_celsius, cpu_temperature_files
from twin_harness.system.procfs import keep
from twin_harness.telemetry.notes import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twin_harness.system.procfs import KeptFile
    from twin_harness.telemetry.notes import Notes

_LOOK_AGAIN_S = 10.0
_FREQUENCY = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"  # in kHz
_MEGAHERTZ = re.compile(
    rb"^processor\s*: (\d+)$.*?^cpu MHz\s*: ([0-9.]+)$", re.MULTILINE | re.DOTALL
)


class CpuSensors:
    """The sensors of the allowed CPUs.

    Args:
        cpus: the allowed ones.
        notes: where it is said what could not be read.

    Attributes:
        frequency_hz: mean of the allowed CPUs; NaN where nothing shows it.
        temperature_celsius: of the hottest sensor; NaN where there is none.
    """

    def __init__(self, cpus: Iterable[int], notes: Notes) -> None:
        self._allowed = frozenset(cpus)
        self._notes = notes
        self._frequency_files: list[KeptFile] = []
        self._temperatures: list[KeptFile] = []
        self._look()
        self._cpuinfo: KeptFile | None = None
        if not self._frequency_files:
            self._cpuinfo = keep("/proc/cpuinfo", 1 << 16, has_records=True)
        self._cpuinfo_due_s = self._look_due_s = -1.0
        self._is_sensor_lost = False
        self.frequency_hz = self.temperature_celsius = nan

    def _look(self) -> None:
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

    def refresh(self, now_s: float) -> None:
        """Read every sensor again."""
        if self._is_sensor_lost and now_s >= self._look_due_s:
            self._look_due_s = now_s + _LOOK_AGAIN_S
            self._look()
        try:
            self.frequency_hz = self._mean_frequency_hz(now_s)
        except UNREADABLE as error:
            self.frequency_hz = nan
            self._notes.failed("the CPU frequency", error, "cpu_frequency_hz is empty")
        self.temperature_celsius = self._highest_celsius()

    def _mean_frequency_hz(self, now_s: float) -> float:
        """Return the mean frequency of the allowed CPUs.

        Of cpufreq, else of /proc/cpuinfo, as psutil has it; psutil's off Linux.
        """
        if self._cpuinfo is not None and now_s < self._cpuinfo_due_s:
            # Without cpufreq nothing scales: every ten seconds is often enough.
            return self.frequency_hz
        self._cpuinfo_due_s = now_s + _LOOK_AGAIN_S
        if self._frequency_files:
            frequencies_hz = self._scaled_hz()
        elif self._cpuinfo is not None:
            megahertz = _MEGAHERTZ.findall(self._cpuinfo.read())
            frequencies_hz = [
                float(value) * 1e6 for number, value in megahertz if int(number) in self._allowed
            ]
        else:
            return _psutil_frequency_hz(self._allowed)
        if frequencies_hz:
            return sum(frequencies_hz) / len(frequencies_hz)
        return nan

    def _scaled_hz(self) -> list[float]:
        """Return what cpufreq answers.

        A CPU that is offline answers EBUSY, ``<unknown>`` or 0, and is none of those that run.
        """
        frequencies_hz = []
        for file in self._frequency_files:
            try:
                kilohertz = int(file.read())
            except (OSError, ValueError) as error:
                self._is_sensor_lost = True
                self._notes.failed(file.path, error, "that CPU is left out of cpu_frequency_hz")
                continue
            if kilohertz > 0:
                frequencies_hz.append(kilohertz * 1e3)
        return frequencies_hz

    def _highest_celsius(self) -> float:
        """Return the hottest CPU sensor.

        One that cannot be read now, or shows what no CPU can have, does not count.
        """
        if sys.platform != "linux":
            return _psutil_temperature_celsius()
        temperatures = []
        for file in self._temperatures:
            try:
                data = file.read()
            except OSError as error:
                self._is_sensor_lost = True
                consequence = "that sensor is left out of temperature_celsius"
                self._notes.failed(file.path, error, consequence)
                continue
            celsius = believable_celsius(data)
            if isnan(celsius):
                sentence = f"{file.path} reads {data[:20]!r}, which is not a CPU temperature"
                self._notes.once(f"rubbish {file.path}", f"{sentence}: it is left out")
            else:
                temperatures.append(celsius)
        return max(temperatures, default=nan)


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
    return max((celsius for celsius in readings if not isnan(celsius)), default=nan)

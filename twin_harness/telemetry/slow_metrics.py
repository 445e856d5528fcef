"""What changes slowly or costs much: read once a second and repeated in the rows between."""

from __future__ import annotations

import os
import re
import sys
import time
from math import nan
from typing import Any

import psutil

from twin_harness.deadline import SpaceWatch
from twin_harness.procfs import PAGE_BYTES, cpu_temperature_files, keep, read_text

_RECOUNT_S = 10.0
_ANSWER_S, _FIRST_ANSWER_S = 0.002, 0.25
_STALE_S = 2.0  # what a filesystem said longer ago is not known any more
PERIOD_S = 0.999  # just under a second, so that a 0.1 s grid meets it every tenth sample
_FREQUENCY = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"  # in kHz
_MEGAHERTZ = re.compile(rb"^processor\s*: (\d+)$.*?^cpu MHz\s*: ([0-9.]+)$", re.MULTILINE | re.DOTALL)
_VM_COUNTERS = (b"\npswpin ", b"\npswpout ", b"\npgfault ", b"\npgmajfault ")


class SlowMetrics:
    """The slow group of a sample; its figures are NaN where the machine has none.

    Args:
        machine: ``machine.json``'s content.
        resets: where notes on counters that went back are appended.
        has_vmstat: read /proc/vmstat; else psutil's swap counters alone.
    """

    def __init__(self, machine: dict[str, Any], resets: list[str], *, has_vmstat: bool = True) -> None:
        self._allowed = frozenset(machine["cpus"])
        self._space = SpaceWatch(machine["scratch_dir"])
        self._space.ask(time.monotonic())
        self._space.take(_FIRST_ANSWER_S)
        self._is_space_said_missing = False
        self._resets = resets
        self._has_vmstat = has_vmstat
        self._vmstat = keep("/proc/vmstat", 16384) if has_vmstat else None
        self._energy = _energy_files()
        self._frequency_files = tuple(filter(None, (keep(_FREQUENCY.format(number), 32) for number in sorted(self._allowed))))
        self._cpuinfo = None if self._frequency_files else keep("/proc/cpuinfo", 1 << 16)
        self._temperatures = tuple(filter(None, (keep(path, 32) for path, _ in cpu_temperature_files())))
        self._read_s = -1.0
        self._cpuinfo_due_s = self._recount_due_s = -1.0
        self._links_beside = 0
        self._vm: list[int] | None = None
        self._energy_uj: list[int] | None = None
        self.swap_percent = nan
        self.swap_in = self.swap_out = self.faults = self.major_faults = nan
        self.frequency_hz = self.processes = self.disk_used_percent = self.temperature_celsius = self.power_watts = nan

    def refresh(self, now_s: float) -> bool:
        """Read everything again if a second has passed, and return whether it has."""
        if now_s - self._read_s < PERIOD_S:
            if self._space.is_open:
                self._refresh_space(now_s, 0.0)
            return False
        self._space.ask(now_s)
        dt_s, self._read_s = now_s - self._read_s, now_s
        if self._has_vmstat:
            self._refresh_vm(dt_s)
        else:
            self._refresh_swap(dt_s)
        self._refresh_power(dt_s)
        self.frequency_hz = self._frequency_hz(now_s)
        self.processes = float(self._count_processes(now_s))
        self.temperature_celsius = self._temperature_celsius()
        self._refresh_space(now_s, _ANSWER_S)
        return True

    def _refresh_space(self, now_s: float, wait_s: float) -> None:
        """Take up how full the scratch filesystem is; while it does not answer, nothing is known."""
        space = self._space
        space.take(wait_s)
        waited_s = space.waited_s(now_s)
        if waited_s < _STALE_S:
            self.disk_used_percent = space.space.used_percent if space.space is not None else nan
            return
        self.disk_used_percent = nan
        if not self._is_space_said_missing:
            self._is_space_said_missing = True
            self._resets.append(
                f"the filesystem of {space.folder} has not answered since {now_s - waited_s:.1f} s: "
                "disk_used_percent is empty, and so is probe_disk_ms, until it does"
            )

    def _frequency_hz(self, now_s: float) -> float:
        """Return the mean frequency of the allowed CPUs: of cpufreq, else of /proc/cpuinfo, as psutil has it; psutil's off Linux."""
        if self._cpuinfo is not None and now_s < self._cpuinfo_due_s:
            return self.frequency_hz  # without cpufreq nothing scales: every ten seconds is often enough
        self._cpuinfo_due_s = now_s + _RECOUNT_S
        if self._frequency_files:
            found = [int(file.read()) * 1e3 for file in self._frequency_files]
        elif self._cpuinfo is not None:
            megahertz = _MEGAHERTZ.findall(self._cpuinfo.read())
            found = [float(value) * 1e6 for number, value in megahertz if int(number) in self._allowed]
        else:
            return _psutil_frequency_hz(self._allowed)
        return sum(found) / len(found) if found else nan

    def _temperature_celsius(self) -> float:
        """Return the hottest CPU sensor; one that cannot be read now does not count."""
        found = []
        for file in self._temperatures:
            try:
                found.append(int(file.read()) / 1000.0)
            except (OSError, ValueError):
                continue
        return max(found, default=nan) if sys.platform == "linux" else _psutil_temperature_celsius()

    def _count_processes(self, now_s: float) -> int:
        """Return how many processes there are.

        The links of /proc are its fixed folders and one a process (proc_root_getattr in fs/proc/root.c): counted by name every ten
        seconds, by links in between.
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
        self._vm = []
        for name in _VM_COUNTERS:
            at = data.find(name)
            self._vm.append(int(data[at + len(name) : data.index(b"\n", at + 1)]) if at >= 0 else 0)
        if before is None:
            return
        rates = [(end - start) / dt_s if end >= start else nan for start, end in zip(before, self._vm, strict=True)]
        if any(end < start for start, end in zip(before, self._vm, strict=True)):
            self._resets.append(f"a vmstat counter went back from {before} to {self._vm}: empty cells for a second")
        self.swap_in, self.swap_out = rates[0] * PAGE_BYTES, rates[1] * PAGE_BYTES
        self.faults, self.major_faults = rates[2], rates[3]

    def _refresh_swap(self, dt_s: float) -> None:
        found, before = psutil.swap_memory(), self._vm
        self._vm = [found.sin, found.sout]
        self.swap_percent = float(found.percent) if found.total else nan
        if before is not None:
            self.swap_in, self.swap_out = ((end - start) / dt_s if end >= start else nan for start, end in zip(before, self._vm, strict=True))

    def _refresh_power(self, dt_s: float) -> None:
        """Mean power since the last reading; a counter that wrapped gives none."""
        energy, before = [int(read_text(path) or 0) for path in self._energy], self._energy_uj
        self._energy_uj = energy
        has_grown = bool(energy) and before is not None and all(end >= start for start, end in zip(before, energy, strict=True))
        self.power_watts = (sum(energy) - sum(before or ())) / dt_s / 1e6 if has_grown else nan


def _energy_files() -> tuple[str, ...]:
    """Return the energy counters of the CPU packages (Intel and AMD RAPL, powercap.rst)."""
    try:
        names = os.listdir("/sys/class/powercap")
    except OSError:
        return ()
    packages = sorted(name for name in names if name.count(":") == 1)
    paths = tuple(f"/sys/class/powercap/{name}/energy_uj" for name in packages)
    return tuple(path for path in paths if read_text(path))


def _psutil_frequency_hz(allowed: frozenset[int]) -> float:
    try:
        frequencies = psutil.cpu_freq(percpu=True)
    except (OSError, NotImplementedError, RuntimeError):
        return nan
    chosen = [entry.current for number, entry in enumerate(frequencies or []) if number in allowed and entry.current]
    return sum(chosen) / len(chosen) * 1e6 if chosen else nan


def _psutil_temperature_celsius() -> float:
    try:
        chips = psutil.sensors_temperatures()
    except (OSError, AttributeError, RuntimeError):
        return nan
    cpu_chips = [chip for chip in ("coretemp", "k10temp", "zenpower", "cpu_thermal", "acpitz") if chips.get(chip)]
    readings = [entry.current for chip in cpu_chips[:1] for entry in chips[chip]]
    return max(readings, default=nan)

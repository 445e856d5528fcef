"""Which energy counters are summed: each CPU package once, else the whole platform."""

from __future__ import annotations

import os
from dataclasses import dataclass

from twin_harness.system.procfs import read_text


@dataclass(frozen=True, slots=True)
class PowerZone:
    """An energy counter of powercap (power/powercap/powercap.rst).

    Attributes:
        name: as the kernel names the domain: package-0, psys.
        path: the file with the energy in µJ.
        range_uj: where the counter begins again at 0; 0 where the kernel does not say.
    """

    name: str
    path: str
    range_uj: int


def power_zones(root: str = "/sys/class/powercap") -> tuple[PowerZone, ...]:
    """Return the zones whose powers are summed: each CPU package once, else the platform (psys).

    psys holds the packages, intel-rapl-mmio shows a package again, and core and uncore are parts of
    one (Intel SDM 3B, RAPL). Memory (dram) is beside the package and not counted: clients show
    none, and a sum of machines with and without would be two quantities.
    """
    try:
        entries = sorted(os.listdir(root))
    except OSError:
        return ()
    zones: dict[str, PowerZone] = {}
    for entry in sorted(entries, key=lambda entry: ("mmio" in entry, entry)):
        name = read_text(f"{root}/{entry}/name")
        if entry.count(":") == 1 and name not in zones:
            text = read_text(f"{root}/{entry}/max_energy_range_uj")
            range_uj = int(text) if text.isdecimal() else 0
            zones[name] = PowerZone(name, f"{root}/{entry}/energy_uj", range_uj)
    packages = tuple(zone for name, zone in sorted(zones.items()) if name.startswith("package"))
    return packages or tuple(zone for name, zone in zones.items() if name == "psys")

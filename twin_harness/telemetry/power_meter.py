"""Power of the CPU packages, from the kernel's energy counters (powercap)."""

from __future__ import annotations

from math import isnan, nan
from typing import TYPE_CHECKING

from twin_harness.system.power_zones import PowerZone, power_zones
from twin_harness.system.procfs import read_text

if TYPE_CHECKING:
    from twin_harness.telemetry.notes import Notes

_MOST_WATTS = 5000.0  # of one package; more is a counter that was set back, not one that went round


class PowerMeter:
    """The mean power of all packages between two readings.

    Args:
        notes: where it is said what could not be read, and which counters went back.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._zones = power_zones()
        self._energy_uj: list[int | None] = []

    def read_watts(self, dt_s: float) -> float:
        """Return the mean power since the last reading, over all zones or not at all.

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
        if not watts:
            return nan
        total = sum(watts)
        if isnan(total) and None not in (*before, *energy):
            sentence = f"an energy counter was set back from {before} to {energy} µJ"
            self._notes.once("energy", f"{sentence}: power_watts is empty for a second")
        return total


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

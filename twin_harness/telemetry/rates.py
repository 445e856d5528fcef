"""Rates from counters, also summed over devices, and the shares made of them."""

from __future__ import annotations

from math import isnan, nan
from operator import add
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twin_harness.telemetry.notes import Notes

Device = TypeVar("Device", bytes, str)


class Rates:
    """Differences of counters per second: one that went back gives NaN and a note.

    Args:
        notes: where the notes go.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def of(
        self, group: str, before: Sequence[float], now: Sequence[float], dt_s: float
    ) -> list[float]:
        """Return the rate of each counter, NaN of one that is NaN.

        Args:
            group: what the counters are of, for the notes.
            before: where they stood; NaN for a missing one.
            now: the same, later.
            dt_s: between the two.
        """
        rates = []
        for start, end in zip(before, now, strict=True):
            if end >= start:  # nearly always
                rates.append((end - start) / dt_s)
                continue
            rates.append(nan)
            if end < start:  # neither is NaN
                self._notes.once(
                    f"back {group}",
                    f"a {group} counter went back from {start} to {end}: one empty cell",
                )
        return rates


class DeviceRates:
    """Rates summed over devices, each by its own counters.

    A device that comes has counted long before, one that goes takes its counters along, and one
    that was made anew begins again: none of the three may show in the sum, so each is left out of
    the one interval, and noted.

    Args:
        kind: what the devices are, for the notes.
        width: how many counters each has.
        notes: where the notes go.
    """

    def __init__(self, kind: str, width: int, notes: Notes) -> None:
        self._kind = kind
        self._width = width
        self._notes = notes

    def of(
        self,
        before: Mapping[Device, Sequence[bytes | int]] | None,
        now: Mapping[Device, Sequence[bytes | int]] | None,
        dt_s: float,
    ) -> list[float]:
        """Return the summed rate of each counter; NaN where no device stands in both readings.

        Args:
            before: each device's counters, as numbers or as the kernel prints them; None where
                they could not be read.
            now: the same, later.
            dt_s: between the two.
        """
        if before is None or now is None:
            return [nan] * self._width
        sums, both, left_out = [0] * self._width, 0, 0
        for device, end in now.items():
            start = before.get(device)
            if start is None:
                self._note(device, "came during the run")
                continue
            both += 1
            if start == end:  # most devices do nothing most of the time: nothing is parsed
                continue
            try:
                moved = [
                    int(later) - int(earlier) for earlier, later in zip(start, end, strict=True)
                ]
            except ValueError:
                self._note(device, f"has counters that are not numbers ({end!r:.80})")
                left_out += 1
                continue
            if min(moved) < 0:
                self._note(device, "has counters that went back")
                left_out += 1
                continue
            sums = list(map(add, sums, moved))
        if both < len(before):
            self._note_gone(device for device in before if device not in now)
        if both == left_out:
            return [nan] * self._width
        return [value / dt_s for value in sums]

    def _note_gone(self, devices: Iterable[bytes | str]) -> None:
        for device in devices:
            self._note(device, "went during the run")

    def _note(self, device: bytes | str, what: str) -> None:
        if isinstance(device, bytes):
            name = device.decode(errors="replace")
        else:
            name = device
        cause = what.partition(" (")[0]
        self._notes.once(
            f"{self._kind} {name} {cause}",
            f"{self._kind} {name} {what}: left out of the sums in such an interval",
        )


def within_percent(value: float) -> float:
    """Return the value between 0 and 100; NaN stays NaN, which ``max`` would make 0."""
    if 0.0 <= value <= 100.0 or isnan(value):  # nearly always, and it calls nothing
        return value
    return min(100.0, max(0.0, value))


def network_cells(rates: Sequence[float]) -> tuple[float, float, float, float]:
    """Return sent, received, errors and drops, of rates in the order of /proc/net/dev.

    Bytes, errors, drops received, then sent.
    """
    received, errors_in, drops_in, sent, errors_out, drops_out = rates
    return sent, received, errors_in + errors_out, drops_in + drops_out

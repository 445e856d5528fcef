"""Network counters straight from /proc/net/dev."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.system.interfaces import InterfaceWatch
from twin_harness.system.procfs import keep
from twin_harness.telemetry.rates import DeviceRates, Rates, network_cells

if TYPE_CHECKING:
    from twin_harness.telemetry.notes import Notes
    from twin_harness.telemetry.sample import Counters

_LOOPBACK = b"lo"
_WIDEST_LINE = 400  # sixteen counters of 64 bits


class NetworkCounters:
    """The counters of the interfaces that count, and of loopback.

    Args:
        notes: where it is said what could not be read, came or went.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._rates = DeviceRates("network interface", 6, notes)
        self._loopback_rates = Rates(notes)
        self._file = keep("/proc/net/dev", 8192, has_records=True)
        self._data = b""
        self._interfaces: frozenset[bytes] = frozenset()
        self._watch = InterfaceWatch()
        self._listed: frozenset[str] = frozenset()

    @property
    def is_behind(self) -> bool:
        """Whether some interfaces have not been looked at yet."""
        return self._watch.is_behind

    def look(self, *, is_first: bool = False) -> None:
        """Find out, once a second, which network interfaces count.

        The last reading shows which there are. A few are looked at each time, for they are stacked
        anew unseen; only the first look takes all at once, before there are samples to delay.
        """
        if is_first and self._file is not None:
            try:
                self._data = self._file.read()
            except OSError as error:
                self._note_failure(error)
        listed = _interfaces_in(self._data)
        if listed != self._listed:
            self._listed = listed
            self._watch.take(listed)
        self.count(is_first=is_first)

    def count(self, *, is_first: bool = False) -> None:
        """Look at some more interfaces, at all of them where it is the first time."""
        watch = self._watch
        if not watch.look(is_all=is_first):
            return
        self._interfaces = frozenset(name.encode() for name in watch.counted)
        if watch.unlisted:
            unlisted = ", ".join(sorted(watch.unlisted)[:5])
            self._notes.once(
                "unlisted interfaces",
                f"/sys/class/net does not show {unlisted}: judged by name for network_*",
            )

    def read(self, now: Counters) -> None:
        """Read where the counters stand."""
        if self._file is None:
            return
        try:
            data = self._file.read()
        except OSError as error:
            self._note_failure(error)
            return
        self._data = data
        interfaces: dict[bytes, tuple[bytes, ...]] = {}
        for name in self._interfaces:
            counters = _counters_of(data, name)
            if counters:
                interfaces[name] = counters
        now.network = interfaces
        loopback = _counters_of(data, _LOOPBACK)
        if loopback and loopback[0].isdigit():
            now.loopback = int(loopback[0])

    def _note_failure(self, error: OSError) -> None:
        self._notes.failed("/proc/net/dev", error, "network_* are empty")

    def cells(self, before: Counters, now: Counters, dt_s: float) -> tuple[float, ...]:
        """Return sent, received, errors, drops and loopback's bytes, each per second.

        Args:
            before: the reading at the start.
            now: the reading at the end.
            dt_s: between the two.
        """
        rates = self._rates.of(before.network, now.network, dt_s)
        loopback = self._loopback_rates.of("loopback", (before.loopback,), (now.loopback,), dt_s)
        return (*network_cells(rates), *loopback)


def _counters_of(data: bytes, name: bytes) -> tuple[bytes, ...]:
    """Return an interface's bytes, errors and drops received, then sent; nothing where it is not.

    The fields are those of proc(5). It is found by its name: a machine of containers has hundreds
    of lines, and one or two that count.
    """
    at = data.find(name + b":")
    while at > 0 and data[at - 1] not in b" \n":  # the end of a longer name
        at = data.find(name + b":", at + 1)
    begin = at + len(name) + 1
    if at >= 0:
        fields = data[begin : begin + _WIDEST_LINE].split(None, 12)
    else:
        fields = []
    if len(fields) < 12:
        return ()
    return fields[0], fields[2], fields[3], fields[8], fields[10], fields[11]


def _interfaces_in(data: bytes) -> frozenset[str]:
    """Return the names in /proc/net/dev; no name holds a colon, and the two lines of heads none."""
    lines = data.split(b"\n")
    return frozenset(line[:at].strip().decode() for line in lines if (at := line.find(b":")) > 0)

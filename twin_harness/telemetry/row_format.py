"""The text of a dataset row: its heading, its stamp, its cells."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twin_harness.metrics import IDENTITY, columns

if TYPE_CHECKING:
    from twin_harness.system.telemetry_messages import MachineFacts
    from twin_harness.telemetry.load_account import Account

_NOT_OF_SOURCE = ("identity", "contract", "probe", "self")
_WHOLE_UNITS = ("bytes", "bytes/s", "Hz")


class RowFormat:
    """Turns the figures of a sample into lines of CSV.

    Args:
        machine: ``machine.json``'s content.

    Attributes:
        heading: the first line of a dataset.
        cells_of_source: how many figures a source has.
    """

    def __init__(self, machine: MachineFacts) -> None:
        metrics = columns(tuple(machine["possible_cpus"]))
        self.heading = ",".join(metric.name for metric in metrics) + "\n"
        self.cells_of_source = sum(metric.group not in _NOT_OF_SOURCE for metric in metrics)
        # One format for all numbers: bytes, bytes/s and Hz whole, everything else to three
        # decimals.
        self._format = "".join(
            "%.0f," if metric.unit in _WHOLE_UNITS else "%.3f,"
            for metric in metrics[len(IDENTITY) :]
        )
        self._second, self._second_text = -1, ""
        self._host = _quoted(machine["host"])

    def stamp(self, now_s: float, utc_s: float) -> str:
        """Return the first cells of every row of a sample: time, monotonic time, host."""
        return f"{self._utc_text(utc_s)},{now_s:.6f},{self._host}"

    def _utc_text(self, utc_s: float) -> str:
        """Return ISO 8601 with microseconds, in UTC; the second is put into words once."""
        whole = int(utc_s // 1)
        if whole != self._second:
            self._second = whole
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        return f"{self._second_text}.{min(999_999, int((utc_s - whole) * 1e6)):06d}Z"

    def line(
        self,
        stamp: str,
        partition: str,
        account: Account,
        first: tuple[float, ...],
        cells: tuple[float, ...],
        tail: tuple[float, ...],
    ) -> str:
        """Return the row of a machine, or of one of its parts.

        Args:
            stamp: the first cells.
            partition: the part's name; empty where the machine is whole.
            account: requested and delivered load there.
            first: a part's figures, which stand in place of the machine's first cells; for a whole
                machine all of them.
            cells: the source's figures.
            tail: the probe's and the logger's own.
        """
        busy_percent, steal_percent = first[0], first[4]
        background = (
            busy_percent
            - steal_percent
            - account.cpu_delivered
            - account.cpu_side
            - account.harness_cpu
        )
        numbers = (
            account.cpu_requested,
            account.cpu_delivered,
            account.memory_requested,
            account.memory_delivered,
            account.disk_requested,
            account.disk_delivered,
            account.cpu_side,
            background,
            account.harness_cpu,
            *first,
            *cells[len(first) :],
            *tail,
        )
        # NaN is an empty cell, and a whole number has no decimals.
        text = (self._format % numbers).replace(".000,", ",")
        text = f",{text}".replace("nan", "").replace(",-0,", ",0,")
        names = f"{partition},{_quoted(account.experiment)},{_quoted(account.active_events)}"
        return f"{stamp},{names}{text[:-1]}\n"


def _quoted(text: str) -> str:
    """Return a label as a CSV cell."""
    if any(sign in text for sign in ',"\n'):
        return '"' + text.replace('"', '""') + '"'
    return text

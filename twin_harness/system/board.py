"""The load board: what runs now, in one shared page of memory that every process of a session maps.

A 0600 file with a random name on tmpfs. It holds the plans of the running experiments, one slot for
each process whose cost or load is counted, the probe's figures, and how many bytes of the
dataset are whole. Fixed offsets (``board_layout``), little endian, nothing pickled.

Who writes what: a runner its plan slot; a load host its process slots; a disk child and a command's
supervisor the ``self_reported`` of their own slot; the probe its figures; the logger the dataset
length, ``acknowledged`` and the state CONSUMED of slots whose end it has read.
"""

from __future__ import annotations

from math import nan

from twin_harness.system.board_file import board_folders
from twin_harness.system.board_layout import (
    CPU_PROBE,
    DISK_PROBE,
    ENDED,
    HEAD,
    LIVE,
    NEVER_SEEN,
    PLAN_SLOTS,
    PROBES,
    SERVICE_PROBE,
    WAKEUP_PROBE,
)
from twin_harness.system.board_plans import PlanSlots
from twin_harness.system.board_processes import UNCOUNTED, LoadProcess, ProcessSlots

__all__ = [
    "CPU_PROBE",
    "DISK_PROBE",
    "ENDED",
    "LIVE",
    "PLAN_SLOTS",
    "SERVICE_PROBE",
    "UNCOUNTED",
    "WAKEUP_PROBE",
    "Board",
    "LoadProcess",
    "board_folders",
]

_STOP, _LOGGER_PID, _LENGTH = HEAD["stop"], HEAD["logger_pid"], HEAD["length"]
_STOP_TELEMETRY, _STOP_LOAD = 1, 2
_ROW = HEAD.span("row_s", "disk_bytes_per_s")
_DATASET = HEAD.span("length", "disk_bytes_per_s")
_WORST_MS = tuple(HEAD[f"{probe}_ms"] for probe in PROBES)
_SEEN = tuple(HEAD[f"{probe}_seen"] for probe in PROBES)
_ACKNOWLEDGED = HEAD["acknowledged"]
_FIGURES = HEAD.span(f"{PROBES[0]}_ms", f"{PROBES[-1]}_seen")


class Board(PlanSlots, ProcessSlots):
    """A mapped board; make one with ``Board.create`` or ``Board.open``."""

    # -- the logger's figures ----------------------------------------------------------------------

    def publish_row(
        self, length_bytes: int, monotonic_s: float, rows: int, figures: tuple[float, float, float]
    ) -> None:
        """Publish how much of the dataset is whole, and its last row.

        Args:
            length_bytes: how many bytes of the file are whole rows.
            monotonic_s: the instant of the last row.
            rows: how many there are.
            figures: what a status line shows of the last row: CPU %, memory %, disk bytes/s.
        """
        _ROW.write(self._map, monotonic_s, rows, *figures)
        _LENGTH.write(self._map, length_bytes)

    def dataset_state(self) -> tuple[int, float, int, tuple[float, float, float]]:
        """Return what ``publish_row`` has published, in that order."""
        length, monotonic_s, rows, cpu, memory, disk = _DATASET.read_all(self._map)
        return length, monotonic_s, rows, (cpu, memory, disk)

    @property
    def logger_pid(self) -> int:
        """The logger that feeds the dataset; 0 before the first."""
        return int(_LOGGER_PID.read(self._map))

    @logger_pid.setter
    def logger_pid(self, pid: int) -> None:
        _LOGGER_PID.write(self._map, pid)

    @property
    def is_stopping(self) -> bool:
        """Whether the session has asked logger and probe to end."""
        return bool(_STOP.read(self._map) & _STOP_TELEMETRY)

    def ask_to_stop(self) -> None:
        """Ask logger and probe to end."""
        _STOP.write(self._map, _STOP.read(self._map) | _STOP_TELEMETRY)

    @property
    def is_load_stopping(self) -> bool:
        """Whether the controller was interrupted and asks every runner to end its load."""
        return bool(_STOP.read(self._map) & _STOP_LOAD)

    def ask_load_to_stop(self) -> None:
        """Ask every runner of the session to end its load at once."""
        _STOP.write(self._map, _STOP.read(self._map) | _STOP_LOAD)

    # -- the probe's figures -----------------------------------------------------------------------

    def publish_probe(self, index: int, worst_ms: float, seen: int) -> None:
        """Publish the worst value of one figure since acknowledgement ``seen``.

        Args:
            index: ``WAKEUP_PROBE``, ``CPU_PROBE``, ``DISK_PROBE`` or ``SERVICE_PROBE``.
            worst_ms: the largest value since ``seen``.
            seen: what ``probe_acknowledged`` returned when the first of these values was taken.
        """
        _WORST_MS[index].write(self._map, worst_ms)
        _SEEN[index].write(self._map, seen)

    def has_probed(self, index: int) -> bool:
        """Tell whether one figure has ever been published."""
        return bool(_SEEN[index].read(self._map) != NEVER_SEEN)

    def probe_acknowledged(self) -> int:
        """Return how many readings the logger has taken."""
        return int(_ACKNOWLEDGED.read(self._map))

    def take_probe(self) -> tuple[float, float, float, float]:
        """Return the worst figures in ms since the last reading, and acknowledge them.

        NaN where there is none.
        """
        wakeup, cpu, disk, service, acknowledged, *seen = _FIGURES.read_all(self._map)
        _ACKNOWLEDGED.write(self._map, acknowledged + 1)
        return (
            wakeup if seen[WAKEUP_PROBE] == acknowledged else nan,
            cpu if seen[CPU_PROBE] == acknowledged else nan,
            disk if seen[DISK_PROBE] == acknowledged else nan,
            service if seen[SERVICE_PROBE] == acknowledged else nan,
        )

"""The logger's account of itself: what it cost, what it missed, what it could not measure."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twin_harness.system.telemetry_messages import LoggerAccount

LATENESS_EDGES_MS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_MOST_NOTES = 20


class SampleCounts(Protocol):
    """What a logger counts.

    Attributes:
        rows: samples taken.
        missed: moments of the grid without one.
        cpu_s: CPU time of all samples.
        latest_s: lateness of the latest one.
        histogram: how many were how late, by ``LATENESS_EDGES_MS``.
    """

    rows: int
    missed: int
    cpu_s: float
    latest_s: float
    histogram: list[int]


class AccountFile:
    """The file that holds the account; its times begin now.

    Args:
        path: where it stands.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._began_s, self._began_cpu_s = time.monotonic(), time.process_time()

    def write(self, counts: SampleCounts, scheduling: str, notes: list[str], error: str) -> None:
        """Write the account as it stands now.

        Args:
            counts: the logger's.
            scheduling: its scheduling class.
            notes: what could not be measured.
            error: why it ends before it was asked to; empty otherwise.

        Raises:
            OSError: the file cannot be written.
        """
        mean_us = None
        if counts.rows:
            mean_us = round(counts.cpu_s / counts.rows * 1e6, 1)
        account: LoggerAccount = {
            "scheduling": scheduling,
            "rows": counts.rows,
            "missed_samples": counts.missed,
            "cpu_seconds": round(time.process_time() - self._began_cpu_s, 6),
            "wall_seconds": round(time.monotonic() - self._began_s, 6),
            "mean_sample_cost_us": mean_us,
            "worst_lateness_ms": round(counts.latest_s * 1e3, 3),
            "lateness_histogram": {
                "edges_ms": list(LATENESS_EDGES_MS),
                "counts": counts.histogram,
            },
            "notes": bounded(notes),
            "error": error,
        }
        replace_json(self._path, account)


def bounded(notes: list[str]) -> list[str]:
    """Return the first notes, and how many more there are."""
    more = len(notes) - _MOST_NOTES
    if more <= 0:
        return notes
    return [*notes[:_MOST_NOTES], f"and {more} more notes of the logger"]


def replace_json(path: str, data: Mapping[str, object]) -> None:
    """Write a file so that readers see the old content or the new one.

    By json.dumps: json.dump writes piece by piece through functions that refer to each other, and
    nobody collects cycles here.
    """
    draft = f"{path}.draft"
    with open(draft, "w", encoding="utf-8") as file:
        file.write(json.dumps(data))
    os.replace(draft, path)

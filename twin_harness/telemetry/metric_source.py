"""Where the samples of a logger come from: /proc, psutil, or a fake one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from twin_harness.system.telemetry_messages import MachineFacts
    from twin_harness.telemetry.sample import Sample


class MetricSource(Protocol):
    """A source of samples."""

    @property
    def resets(self) -> list[str]:
        """Notes on what could not be measured, and on counters that went back."""
        ...

    def start(self, now_s: float) -> None:
        """Take the first reading, so that the first row has rates."""
        ...

    def read(self, now_s: float) -> None:
        """Read where the counters of the next row stand.

        Called again, what was read before is forgotten.
        """
        ...

    def sample(self, now_s: float) -> Sample:
        """Return the figures of one row in the order of the registry, as ``read`` found them.

        Args:
            now_s: when it did.
        """
        ...


def make_source(name: str, machine: MachineFacts) -> MetricSource:
    """Return the source of that name.

    Procfs, psutil, or auto, which is /proc where there is one.
    """
    if name == "psutil" or (name == "auto" and sys.platform != "linux"):
        from twin_harness.telemetry.psutil_source import PsutilSource

        return PsutilSource(machine)
    from twin_harness.telemetry.procfs_source import ProcfsSource

    return ProcfsSource(machine)

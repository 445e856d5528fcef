"""CampaignBounds: what the training campaign asks of a machine at most."""

from __future__ import annotations

from dataclasses import dataclass

from twin_harness.errors import InvalidInput

LEAST_DISK_BYTES_PER_S = 5_000_000


@dataclass(frozen=True)
class CampaignBounds:
    """What the campaign asks of the machine at most.

    Attributes:
        max_cpu_percent: of the machine.
        max_memory_percent: of the machine.
        max_disk_bytes_per_s: but for the run that saturates the device.
    """

    max_cpu_percent: int = 100
    max_memory_percent: int = 80
    max_disk_bytes_per_s: int = 1_000_000_000

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            InvalidInput: one is out of range.
        """
        for name, low, high in (
            ("max_cpu_percent", 10, 100),
            ("max_memory_percent", 10, 95),
            ("max_disk_bytes_per_s", 2 * LEAST_DISK_BYTES_PER_S, 10**12),
        ):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                msg = (
                    f"campaign: expected a whole number from {low} to {high} but got"
                    f" {name}={value!r}"
                )
                raise InvalidInput(msg)

"""The options and units of events, by stressor."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict, model_validator

from twin_harness.phrasing import refuse
from twin_harness.shape_models import FrozenModel


class CpuOptions(FrozenModel):
    """Options of CPU load: ``cpus``, the CPUs to load (all allowed ones unless given; levels are percent of these)."""

    cpus: Annotated[list[Annotated[int, Strict(), Field(ge=0, lt=4096)]], Field(min_length=1)] | None = None


class MemoryOptions(FrozenModel):
    """Options of memory load: ``hold`` leaves filled pages alone, ``stir`` writes to each of them once a second."""

    pattern: Literal["hold", "stir"] = "hold"


class DiskOptions(FrozenModel):
    """Options of disk load; direct I/O in 256 KiB blocks, sequential, unless said otherwise."""

    operation: Literal["write", "read", "mixed"] = "write"
    pattern: Literal["sequential", "random"] = "sequential"
    block_bytes: Annotated[int, Strict(), Field(ge=4096, le=16 * 1024**2, multiple_of=4096)] = 262_144
    direct: Annotated[bool, Strict()] = True
    fsync_every_bytes: Annotated[int, Strict(), Field(ge=4096, le=1024**3)] = 4 * 1024**2
    file_bytes: Annotated[int, Strict(), Field(ge=1024**2, le=1024**4, multiple_of=4096)] = 128 * 1024**2

    @model_validator(mode="after")
    def _fits(self) -> DiskOptions:
        if self.block_bytes > self.file_bytes:
            refuse("block_bytes", f"{self.block_bytes} is above file_bytes, {self.file_bytes}")
        if not self.direct and self.operation != "write":
            refuse("direct", f"false with operation {self.operation!r} would read the page cache, not the disk; expected true")
        return self


OPTIONS: dict[str, type[FrozenModel]] = {"cpu": CpuOptions, "memory": MemoryOptions, "disk": DiskOptions}
UNITS: dict[str, tuple[str, ...]] = {"cpu": ("percent",), "memory": ("percent", "bytes"), "disk": ("bytes_per_s", "operations_per_s")}

"""The options and units of events, by stressor."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, Strict, model_validator

from twin_harness.schedule.shape_models import FrozenModel
from twin_harness.schedule.validation import refuse

GROUP = "twin_harness.stressors"

Argument = Annotated[str, Strict(), Field(min_length=0, max_length=16_384, pattern=r"^[^\x00]*$")]


class CpuOptions(FrozenModel):
    """Options of CPU load.

    Attributes:
        cpus: the CPUs to load, all allowed ones unless given; levels are percent of these.
        target: ``own`` is the load's own CPU time, ``system`` a total of the machine that everybody
            else's work counts towards.
        method: ``integer`` counts in registers, ``memory`` copies blocks larger than a CPU's share
            of the caches.
    """

    cpus: (
        Annotated[list[Annotated[int, Strict(), Field(ge=0, lt=4096)]], Field(min_length=1)] | None
    ) = None
    target: Literal["own", "system"] = "own"
    method: Literal["integer", "memory"] = "integer"

    @model_validator(mode="after")
    def _fits(self) -> CpuOptions:
        if self.target == "system" and self.cpus is not None:
            refuse(
                "cpus",
                f"{self.cpus} with target 'system', which is a total of the whole machine; expected"
                " one of the two",
            )
        return self


class MemoryOptions(FrozenModel):
    """Options of memory load.

    Attributes:
        pattern: ``hold`` leaves filled pages alone, ``stir`` writes to each of them once a second.
    """

    pattern: Literal["hold", "stir"] = "hold"


class DiskOptions(FrozenModel):
    """Options of disk load; direct I/O in 256 KiB blocks, sequential, unless set otherwise.

    Attributes:
        operation: ``write``, ``read``, or ``mixed`` for both by turns.
        pattern: in which order blocks are used.
        block_bytes: size of one operation.
        direct: bypass the page cache (O_DIRECT of open(2)).
        fsync_every_bytes: how much is written between two fsync(2), where it is not direct.
        file_bytes: size of the scratch file.
    """

    operation: Literal["write", "read", "mixed"] = "write"
    pattern: Literal["sequential", "random"] = "sequential"
    block_bytes: Annotated[int, Strict(), Field(ge=4096, le=16 * 1024**2, multiple_of=4096)] = (
        262_144
    )
    direct: Annotated[bool, Strict()] = True
    fsync_every_bytes: Annotated[int, Strict(), Field(ge=4096, le=1024**3)] = 4 * 1024**2
    file_bytes: Annotated[int, Strict(), Field(ge=1024**2, le=1024**4, multiple_of=4096)] = (
        128 * 1024**2
    )

    @model_validator(mode="after")
    def _fits(self) -> DiskOptions:
        if self.block_bytes > self.file_bytes:
            refuse("block_bytes", f"{self.block_bytes} is above file_bytes, {self.file_bytes}")
        if not self.direct and self.operation != "write":
            refuse(
                "direct",
                f"false with operation {self.operation!r} would read the page cache, not the disk;"
                " expected true",
            )
        return self


class CommandOptions(FrozenModel):
    """Options of a command.

    Attributes:
        argv: the program and its arguments.
        cwd: the folder it runs in; the scratch folder unless given.
        env: names of the caller's variables that it gets.
    """

    argv: Annotated[list[Argument], Field(min_length=1, max_length=1_000)]
    cwd: (
        Annotated[str, Strict(), Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")] | None
    ) = None
    env: list[Annotated[str, Strict(), Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}$")]] = Field(
        default_factory=list, max_length=256
    )

    @model_validator(mode="after")
    def _names_a_program(self) -> CommandOptions:
        if not self.argv[0]:
            refuse("argv[0]", "is empty; expected a program")
        return self


class CustomOptions(FrozenModel):
    """Options of a project's own stressor: plain data, which the stressor itself checks."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, JsonValue]


OPTIONS: dict[str, type[FrozenModel]] = {
    "cpu": CpuOptions,
    "memory": MemoryOptions,
    "disk": DiskOptions,
    "command": CommandOptions,
}
UNITS: dict[str, tuple[str, ...]] = {
    "cpu": ("percent",),
    "memory": ("percent", "bytes"),
    "disk": ("bytes_per_s", "operations_per_s"),
    "command": ("",),
}


@cache
def custom_stressors() -> dict[str, str]:
    """Return the stressors that installed projects bring, ``module:object`` by name.

    Ours keep their names.
    """
    return {
        entry.name: entry.value
        for entry in metadata.entry_points(group=GROUP)
        if entry.name not in OPTIONS
    }


def options_model(stressor: str) -> type[FrozenModel]:
    """Return the model of a stressor's options."""
    return OPTIONS.get(stressor, CustomOptions)


def is_stressor(name: str) -> bool:
    """Tell whether there is a stressor of that name."""
    return name in OPTIONS or name in custom_stressors()


def known_stressors() -> list[str]:
    """Return the names of all stressors there are."""
    return [*OPTIONS, *sorted(custom_stressors())]


def resolve_options(stressor: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return every option of an event with its default filled in."""
    return options_model(stressor).model_validate(options).model_dump()

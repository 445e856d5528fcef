"""What others use of a machine, as a model file holds it."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from pydantic import Field

from twin_harness.predict.background import BLOCK_S, WRITE_STEP_S, Background, Block
from twin_harness.predict.file_part import Part, Text
from twin_harness.schedule.validation import refuse

# no more digits than a float holds exactly; noise of counters may make a little less than nothing
_NUMBERS = "^-?[0-9]{1,12}( -?[0-9]{1,12})*$"


class BlockPart(Part):
    """Some seconds of what others used, see ``background.Block``.

    Attributes:
        begin_s: of the first second, since the epoch.
        cpu: tenths of a percent, a number a second.
        write: kilobytes a second, a number for every ten; empty where it is not known.
        memory_percent: in use; null where it is not known.
    """

    begin_s: Annotated[int, Field(ge=0, le=250_000_000_000)]  # before the year 9999
    cpu: Annotated[str, Field(max_length=6 * BLOCK_S, pattern=_NUMBERS)]
    write: Annotated[str, Field(max_length=16 * BLOCK_S, pattern=f"^$|{_NUMBERS}")]
    memory_percent: Annotated[float, Field(ge=0, le=100)] | None


class BackgroundPart(Part):
    """What others use of the machine.

    Attributes:
        source: what it was recorded beside.
        blocks: in the order of time.
    """

    source: Text
    blocks: Annotated[list[BlockPart], Field(min_length=1, max_length=10_000)]

    @classmethod
    def of(cls, background: Background) -> Self:
        """Return a background as a file holds it."""
        blocks = [
            BlockPart(
                begin_s=block.begin_s,
                cpu=_numbers(10.0 * block.cpu_percent),
                write=_numbers(block.write_bytes_per_s / 1e3),
                memory_percent=_finite(round(block.memory_percent, 3)),
            )
            for block in background.blocks
        ]
        return cls(source=background.source, blocks=blocks)

    def to_background(self) -> Background:
        """Return the background that a file describes."""
        blocks = [
            Block(
                begin_s=block.begin_s,
                cpu_percent=np.clip(np.array(block.cpu.split(), dtype=float) / 10.0, -5.0, 100.0),
                write_bytes_per_s=1e3 * np.array(block.write.split(), dtype=float),
                memory_percent=np.nan if block.memory_percent is None else block.memory_percent,
            )
            for block in self.blocks
        ]
        return Background(tuple(blocks), self.source)

    def check(self) -> None:
        """Refuse blocks that are out of order, too long, or that lack seconds.

        Raises:
            ValueError: as pydantic wants it.
        """
        end_s = 0
        for index, block in enumerate(self.blocks):
            seconds = block.cpu.count(" ") + 1
            if seconds > BLOCK_S:
                refuse(
                    f"background.blocks[{index}].cpu", f"{seconds} s; expected at most {BLOCK_S}"
                )
            if block.begin_s < end_s:
                refuse(f"background.blocks[{index}].begin_s", "begins before the last one ends")
            expected = -(-seconds // WRITE_STEP_S)
            if block.write and block.write.count(" ") + 1 != expected:
                refuse(f"background.blocks[{index}].write", f"expected {expected} numbers")
            end_s = block.begin_s + seconds


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.0f}" for value in values)


def _finite(value: float) -> float | None:
    if np.isfinite(value):
        return float(value)
    return None

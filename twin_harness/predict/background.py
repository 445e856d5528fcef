"""What others use of a machine, learnt: blocks of seconds as they came, and draws from them.

Nothing is modelled: a block of what was recorded is what may come again (a block bootstrap; Künsch,
Annals of Statistics 17, 1989). Where the hour matters, blocks of that hour alone are drawn, of one
day for each draw, so that what a day's hours have in common stays together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import InvalidInput
from twin_harness.predict.conditions import Others

if TYPE_CHECKING:
    from datetime import date

    from twin_harness.predict.starting_time import StartingTime

BLOCK_S, WRITE_STEP_S = 120, 10
DRAWS = 200
_FEWEST_DAYS, _SAME_WEEKDAYS = 2, 8
_WORKING_DAYS = 5
_HOUR_S = 3600


@dataclass(frozen=True)
class Block:
    """Some seconds on end of what others used.

    Attributes:
        begin_s: of the first second, since the epoch.
        cpu_percent: (seconds,) of the machine's CPUs.
        write_bytes_per_s: (parts of ten seconds,) means; empty where it is not known.
        memory_percent: in use, the mean; NaN where it is not known.
    """

    begin_s: int
    cpu_percent: np.ndarray
    write_bytes_per_s: np.ndarray
    memory_percent: float

    @property
    def seconds(self) -> int:
        """How long it is."""
        return len(self.cpu_percent)

    def writes(self) -> np.ndarray:
        """Return (seconds,) bytes/s written; NaN where it is not known."""
        if not len(self.write_bytes_per_s):
            return np.full(self.seconds, np.nan)
        return np.repeat(self.write_bytes_per_s, WRITE_STEP_S)[: self.seconds]


@dataclass(frozen=True)
class Background:
    """What others used while a machine was recorded.

    Attributes:
        blocks: in the order of time.
        source: what they were recorded beside, a phrase.
    """

    blocks: tuple[Block, ...]
    source: str

    @property
    def seconds(self) -> int:
        """How many seconds all blocks hold."""
        return sum(block.seconds for block in self.blocks)

    @cached_property
    def mean_percent(self) -> float:
        """CPU time of others, over all seconds."""
        return float(np.mean(np.concatenate([block.cpu_percent for block in self.blocks])))

    @cached_property
    def _hours(self) -> dict[int, dict[date, list[int]]]:
        """Of each hour of the day the days with blocks in it, and which blocks those are."""
        hours: dict[int, dict[date, list[int]]] = {}
        for index, block in enumerate(self.blocks):
            local = datetime.fromtimestamp(block.begin_s).astimezone()
            hours.setdefault(local.hour, {}).setdefault(local.date(), []).append(index)
        return hours

    def days(self, at: StartingTime) -> tuple[list[date], str]:
        """Return the days that are like one, and what they have in common.

        The same weekday from eight of them on; else working days or weekends; else any day.

        Args:
            at: an hour, perhaps of a weekday.

        Raises:
            InvalidInput: there are fewer than two such days.
        """
        known = sorted(self._hours.get(at.hour, ()))
        alike, kind = known, "day" if len(known) == 1 else "days"
        if at.weekday is not None:
            same = [day for day in known if day.weekday() == at.weekday]
            is_working = at.weekday < _WORKING_DAYS
            similar = [day for day in known if (day.weekday() < _WORKING_DAYS) is is_working]
            if len(same) >= _SAME_WEEKDAYS:
                alike, kind = same, f"{same[0]:%A}s"
            else:
                alike, kind = similar, "working days" if is_working else "days of weekends"
        if len(alike) < _FEWEST_DAYS:
            msg = (
                f"--at {at}: the recorded background holds {len(alike)} {kind} with the hour"
                f" {at.hour:02d}:00; expected two or more, record longer with twin log and give"
                " that to twin fit --background"
            )
            raise InvalidInput(msg)
        return alike, f"hour {at.hour:02d}:00 of {len(alike)} {kind}, any minute of it"

    def draw(
        self, seconds: int, at: StartingTime | None = None, count: int = DRAWS, seed: int = 0
    ) -> Others:
        """Return what others may use during a plan, and before the draws their mean.

        Args:
            seconds: how long.
            at: when it begins; any time unless given.
            count: how many draws.
            seed: of the draws.

        Returns:
            For one plan, 1 + ``count`` members.

        Raises:
            InvalidInput: nothing was recorded at that time of a day.
        """
        generator = np.random.default_rng(seed)
        cpu, write = (np.empty((count, seconds)) for _ in range(2))
        memory = np.empty(count)
        days = [] if at is None else self.days(at)[0]
        weights = np.array([block.seconds for block in self.blocks]) / self.seconds
        for row in range(count):
            day = days[generator.integers(len(days))] if days else None
            filled, index = 0, -1
            while filled < seconds:
                second_of_day = 0 if at is None else at.second_of_day + filled
                index = self._next(index, day, second_of_day, weights, generator)
                block = self.blocks[index]
                # the beginning of a block is no special time
                skipped = int(generator.integers(max(1, block.seconds - seconds + 1)))
                length = min(seconds - filled, block.seconds - skipped)
                part = slice(filled, filled + length)
                cpu[row, part] = block.cpu_percent[skipped : skipped + length]
                write[row, part] = block.writes()[skipped : skipped + length]
                if not filled:
                    memory[row] = block.memory_percent
                filled += length
        return Others(*(_with_mean(values)[np.newaxis] for values in (cpu, write, memory)))

    def _next(
        self,
        index: int,
        day: date | None,
        second_of_day: int,
        weights: np.ndarray,
        generator: np.random.Generator,
    ) -> int:
        """Return the block that goes on where another ended; where none does, one that may."""
        following = index + 1
        if 0 < following < len(self.blocks):
            before = self.blocks[index]
            if self.blocks[following].begin_s == before.begin_s + before.seconds:
                return following
        if day is None:
            return int(generator.choice(len(self.blocks), p=weights))
        hour = second_of_day // _HOUR_S % 24
        nearest = min(self._hours, key=lambda known: min((known - hour) % 24, (hour - known) % 24))
        of_hour = self._hours[nearest]
        chosen = of_hour.get(day) or [one for blocks in of_hour.values() for one in blocks]
        return int(chosen[generator.integers(len(chosen))])


def _with_mean(draws: np.ndarray) -> np.ndarray:
    """Return draws with their mean before them, of those that are known."""
    known = (~np.isnan(draws)).sum(axis=0, keepdims=True)
    with np.errstate(invalid="ignore"):
        mean = np.nansum(draws, axis=0, keepdims=True) / known
    return np.concatenate([mean, draws])

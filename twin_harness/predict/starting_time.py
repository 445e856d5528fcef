"""When a plan begins: an hour of a day, perhaps of a weekday, as people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from twin_harness.errors import InvalidInput

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_CLOCK = re.compile(r"(?:([A-Za-z]{3,9})\s+)?([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_GRID = re.compile(r"(?:([A-Za-z]{3,9})\s+)?every:([1-9][0-9]{0,3})(h|min|m)", re.ASCII)
_DAY_MIN = 24 * 60


@dataclass(frozen=True)
class StartingTime:
    """A time of a day, in the local time of this machine.

    Attributes:
        minute: of the day.
        weekday: 0 is Monday; None is any day.
    """

    minute: int
    weekday: int | None = None

    @property
    def hour(self) -> int:
        """Of the day."""
        return self.minute // 60

    @property
    def second_of_day(self) -> int:
        """How many seconds of the day have passed."""
        return 60 * self.minute

    def __str__(self) -> str:
        day = "" if self.weekday is None else f"{_DAYS[self.weekday][:3]} "
        return f"{day}{self.hour:02d}:{self.minute % 60:02d}"

    @classmethod
    def parse(cls, text: str) -> StartingTime:
        """Read ``02:00``, ``Mon 14:00`` or a date with a time, ISO 8601.

        Raises:
            InvalidInput: it is none of them.
        """
        if match := _CLOCK.fullmatch(text.strip()):
            return cls(60 * int(match[2]) + int(match[3]), _weekday(match[1], text))
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise _unknown(text) from None
        if len(text.strip()) <= len("2026-12-01"):
            raise _unknown(text)
        if moment.tzinfo is not None:
            try:
                moment = moment.astimezone()
            except OverflowError:  # at either end of the calendar
                raise _unknown(text) from None
        return cls(60 * moment.hour + moment.minute, moment.weekday())

    @classmethod
    def parse_all(cls, text: str) -> tuple[StartingTime, ...]:
        """Read one time, or every one of a day: ``every:1h``, ``Mon every:30m``.

        Raises:
            InvalidInput: it is neither.
        """
        match = _GRID.fullmatch(text.strip())
        if match is None:
            return (cls.parse(text),)
        step_min = int(match[2]) * (60 if match[3] == "h" else 1)
        if step_min < 5 or _DAY_MIN % step_min:
            msg = (
                f"--at {text!r}: expected a step that divides a day, 5 minutes or more, e.g."
                " every:1h or every:30m"
            )
            raise InvalidInput(msg)
        weekday = _weekday(match[1], text)
        return tuple(cls(minute, weekday) for minute in range(0, _DAY_MIN, step_min))


def _weekday(word: str | None, text: str) -> int | None:
    if word is None:
        return None
    for number, day in enumerate(_DAYS):
        if day.startswith(word.capitalize()):
            return number
    raise _unknown(text)


def _unknown(text: str) -> InvalidInput:
    return InvalidInput(
        f"--at {text!r}: expected a time such as '02:00', 'Mon 14:00' or '2026-12-01T02:00', or all"
        " of a day, every:1h"
    )

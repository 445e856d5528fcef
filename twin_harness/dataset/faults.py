"""What is wrong with a dataset: one record a kind, place and column, all in one table."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

_LONGEST_TEXT = 80


@dataclass
class Fault:
    """One kind of fault in one column.

    Attributes:
        kind: what it is: ``torn line``, ``damaged line``, ``unreadable value``, ``duplicate row``,
            ``swapped rows``, ``clock step``, ``gap``, ``counter reset``, ``impossible value``,
            ``torn reading``, ``unknown column``, ``missing column``, ``not measured``,
            ``background``, ``damaged annotation``, ``missing annotation``.
        column: where it is of one column; empty for whole rows.
        where: the first place, in words.
        found: what was there, shortened.
        action: what cleaning does about it.
        count: how many times.
    """

    kind: str
    column: str
    where: str
    found: str
    action: str
    count: int = 1

    @property
    def sentence(self) -> str:
        """The fault in words."""
        place = ""
        if self.column:
            place = f" in {self.column}"
        times = "once,"
        if self.count > 1:
            times = f"{self.count:,} times, first"
        return f"{self.kind}{place}: {times} at {self.where}: {self.found}; {self.action}"


@dataclass
class FaultLog:
    """Gathers faults: those of one kind and column are one record with a count."""

    _faults: dict[tuple[str, str], Fault] = field(default_factory=dict)

    def add(
        self, kind: str, column: str, where: str, found: object, action: str, count: int = 1
    ) -> None:
        """Add a fault, or count more of its kind.

        Args:
            kind: what it is.
            column: where it is of one column; empty for whole rows.
            where: the place, in words.
            found: what was there.
            action: what cleaning does about it.
            count: how many times.
        """
        known = self._faults.get((kind, column))
        if known is not None:
            known.count += count
        elif count:
            text = str(found)
            if len(text) > _LONGEST_TEXT:
                text = f"{text[: _LONGEST_TEXT - 1]}…"
            self._faults[kind, column] = Fault(kind, column, where, text, action, count)

    def __iter__(self) -> Iterator[Fault]:
        """Return the faults in the order in which they were found first."""
        return iter(self._faults.values())

    def count(self, kind: str) -> int:
        """Return how many faults of a kind there are, over all columns."""
        return sum(fault.count for fault in self if fault.kind == kind)

    def table(self) -> pd.DataFrame:
        """Return one row per kind and column."""
        import pandas as pd

        names = [entry.name for entry in fields(Fault)]
        return pd.DataFrame(
            [[getattr(fault, name) for name in names] for fault in self], columns=names
        )

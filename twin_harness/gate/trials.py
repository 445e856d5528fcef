"""Trials: what one run of a gated test gave, as plain data in the run folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cache
from math import isfinite
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from twin_harness.errors import InvalidInput
from twin_harness.gate.environment import Environment
from twin_harness.gate.measures import Measure
from twin_harness.gate.records import FoldedRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN = {str, int, float, bool, type(None)}


@dataclass(frozen=True)
class Trial:
    """One run of a gated test.

    Attributes:
        test: node id without what tells repetitions apart.
        variant: its name; empty without variants.
        pair: number of the pair; −1 without pairs.
        position: 0 or 1, which run of the pair it was.
        measures: those that are declared.
        values: figure by short name.
        faults: why there is no figure, by short name; "" is the whole trial.
        schedule: hash of the experiments that ran, empty without any.
        environment: what else the machine did.
        begin_s: start of the run, on CLOCK_MONOTONIC.
        end_s: end of the run, on CLOCK_MONOTONIC.
        tries: how often the test was run until this one, which counts in place of the earlier ones.
        folded: of a pair whose variants took turns, how its slices were folded, by short name.
    """

    test: str
    variant: str = ""
    pair: int = -1
    position: int = 0
    measures: tuple[Measure, ...] = ()
    values: dict[str, float] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    schedule: str = ""
    environment: Environment = field(default_factory=Environment)
    begin_s: float = 0.0
    end_s: float = 0.0
    tries: int = 1
    folded: dict[str, FoldedRecord] = field(default_factory=dict)

    @property
    def is_interleaved(self) -> bool:
        """Whether both variants were alive at once, and took turns."""
        return any(measure.interleave_s for measure in self.measures)

    def fault(self, measure: Measure) -> str:
        """Return why the trial has no value of a measure; empty when it has one."""
        if reason := self.faults.get("") or self.faults.get(measure.short_name):
            return reason
        value = self.values.get(measure.short_name)
        if value is None:
            return f"{measure.short_name} was not recorded"
        if isfinite(value):
            return ""
        return f"{measure.short_name} is {value!r}"

    def to_json(self) -> dict[str, Any]:
        """Return plain data; ``tries`` and ``folded`` only where they say something."""
        data = asdict(self)
        if self.tries == 1:
            del data["tries"]
        if not self.folded:
            del data["folded"]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Trial:
        """Return what ``to_json`` made.

        Raises:
            InvalidInput: it is not a trial.
        """
        try:
            measures = tuple(_made(Measure, measure) for measure in data["measures"])
            values = {str(name): float(value) for name, value in data["values"].items()}
            faults = {str(name): str(reason) for name, reason in data["faults"].items()}
            folded = {str(name): _folded(one) for name, one in data.get("folded", {}).items()}
            found: Trial = _made(
                cls, {**data, "measures": measures, "values": values, "faults": faults}
            )
            environment = _made(Environment, data["environment"])
            return replace(found, environment=environment, folded=folded)
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
            msg = f"a gate record cannot be read ({error}); run the gate again"
            raise InvalidInput(msg) from None


@cache
def _hints_of(kind: type) -> dict[str, Any]:
    """Return the types that a dataclass declares; each is asked for once for every record."""
    return get_type_hints(kind)


def _made(kind: Any, data: dict[str, Any]) -> Any:
    """Return a dataclass of plain data whose texts and numbers are of the types that it declares.

    Raises:
        TypeError: one is not, or there is none of that name.
    """
    hints = _hints_of(kind)
    for name, value in data.items():
        hint = hints.get(name)
        expected = set(get_args(hint)) if isinstance(hint, UnionType) else {hint}
        if float in expected:
            expected.add(int)
        if expected <= _PLAIN and type(value) not in expected:
            msg = f"{name}: got {type(value).__name__}"
            raise TypeError(msg)
    return kind(**data)


def _folded(data: dict[str, Any]) -> FoldedRecord:
    """Return how slices were folded; raises TypeError, KeyError or ValueError where it is not."""
    first, second = data["idle_shares"]
    return FoldedRecord(
        slice_pairs=int(data["slice_pairs"]),
        sd=float(data["sd"]),
        order=float(data["order"]),
        dropped_s=float(data["dropped_s"]),
        is_flat=bool(data["is_flat"]),
        idle_shares=(float(first), float(second)),
    )


def family_of(measures: Iterable[Measure]) -> list[Measure]:
    """Return the measures of a family, each once.

    Of two that bear one name the later counts, so today's declarations come last.
    """
    return list({measure.name: measure for measure in measures}.values())

"""The pairs of a gated test: their order, which are whole, broken or unfit, how many it takes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput
from twin_harness.gate.covariate import Covariate, choose_covariate
from twin_harness.gate.environment import unfit_pairs
from twin_harness.gate.statistics import pairs_needed
from twin_harness.gate.verdict import ALPHA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twin_harness.gate.environment import Environment
    from twin_harness.gate.looks import Length
    from twin_harness.gate.trials import Trial


SPARES = 3


def order_of(seed: int, test: str, length: Length) -> list[bool]:
    """Return for each pair, and each spare, whether the candidate comes first.

    Of the pairs up to each length that the session may have it is half, drawn by seed and test;
    spares continue the draw.

    Args:
        seed: of the session.
        test: node id of the test, without what tells its repetitions apart.
        length: how many are planned, spares left out.
    """
    random = Random(f"{seed} {test}")  # noqa: S311 - an order, no secret
    orders: list[bool] = []
    for begin, end in pairwise((0, *length.ends)):
        part = [index % 2 == 1 for index in range(end - begin)]
        random.shuffle(part)
        orders += part
    return orders + [random.random() < 0.5 for _ in range(SPARES)]


def check_pairs(pairs: int, family: int) -> None:
    """Refuse fewer pairs than could ever say REGRESSED.

    Raises:
        InvalidInput: the smallest p-value there is would not pass the correction over the family.
    """
    needed = pairs_needed(family, ALPHA)
    if pairs < needed:
        msg = (
            f"--twin-gate-pairs: {pairs} pairs can never show a regression over a family of"
            f" {family} measures (the smallest p is 2^-{pairs}, Holm's first step asks for"
            f" {ALPHA:g}/{family}); expected {needed} or more"
        )
        raise InvalidInput(msg)


@dataclass(frozen=True)
class Pairs:
    """The pairs of one test.

    Attributes:
        by_number: both trials of each whole pair, base first.
        broken: the numbers of pairs that broke off, with the reason.
        begun: the numbers of pairs of which one run is there.
    """

    by_number: dict[int, tuple[Trial, Trial]]
    broken: dict[int, str]
    begun: frozenset[int]

    @classmethod
    def of(cls, trials: Iterable[Trial], test: str, names: tuple[str, str]) -> Pairs:
        """Gather the pairs of a test.

        A pair of which a run gave nothing is broken; one of which a run is missing may be under
        way.

        Args:
            trials: of all tests and variants.
            test: whose pairs are wanted.
            names: of the variants, base first.
        """
        halves: dict[int, dict[str, Trial]] = {}
        for trial in trials:
            if trial.test == test and trial.pair >= 0:
                halves.setdefault(trial.pair, {})[trial.variant] = trial
        whole, broken, begun = {}, {}, set()
        for number, by_name in sorted(halves.items()):
            faults = [by_name[name].faults.get("") for name in names if name in by_name]
            reason = next(filter(None, faults), "")
            if reason:
                broken[number] = reason
            elif set(names) <= set(by_name):
                whole[number] = (by_name[names[0]], by_name[names[1]])
            else:
                begun.add(number)
        return cls(whole, broken, frozenset(begun))

    @property
    def is_interleaved(self) -> bool:
        """Whether both variants of each pair had the same machine, in turns."""
        return any(base.is_interleaved for base, _ in self.by_number.values())

    def unfit(self) -> dict[int, str]:
        """Return the numbers of pairs whose two runs had different machines, with the reason."""
        numbers = list(self.by_number)
        reasons = unfit_pairs(self.environments())
        return {numbers[position]: reason for position, reason in reasons.items()}

    def environments(self, below: int | None = None) -> list[tuple[Environment, Environment]]:
        """Return the environments of both runs of each pair, base first."""
        return [
            (base.environment, candidate.environment)
            for number, (base, candidate) in self.by_number.items()
            if below is None or number < below
        ]

    def usable(
        self, asked: str, below: int | None = None
    ) -> tuple[list[tuple[Trial, Trial]], Covariate]:
        """Return the pairs that a measure is judged by, and what they are adjusted for.

        Adjusted pairs are all of them; of others the unfit ones are left out.

        Args:
            asked: the measure's covariate.
            below: only pairs with smaller numbers count; None is all.
        """
        if self.is_interleaved:  # whatever others did, they did it to both
            asked = "none"
        covariate = choose_covariate(self.environments(below), asked)
        if covariate.name:
            return [
                pair for number, pair in self.by_number.items() if below is None or number < below
            ], covariate
        return self.fit(below), covariate

    @property
    def asked(self) -> frozenset[str]:
        """The covariates that the measures of this test ask for."""
        trials = [trial for pair in self.by_number.values() for trial in pair]
        return frozenset(
            measure.covariate for trial in trials for measure in trial.measures
        ) or frozenset(("none",))

    def left_out(self) -> dict[int, str]:
        """Return the unfit pairs, with the reason; none where every measure is adjusted."""
        if all(choose_covariate(self.environments(), asked).name for asked in self.asked):
            return {}
        return self.unfit()

    @property
    def lost(self) -> int:
        """How many pairs spares are to replace."""
        return len(self.left_out()) + len(self.broken)

    def fit(self, below: int | None = None) -> list[tuple[Trial, Trial]]:
        """Return the fit pairs, those with numbers below a limit alone if one is given.

        Which are unfit is said by the pairs below it alone, as a look that came then saw it.
        """
        numbers = [number for number in self.by_number if below is None or number < below]
        unfit = {numbers[position] for position in unfit_pairs(self.environments(below))}
        return [self.by_number[number] for number in numbers if number not in unfit]

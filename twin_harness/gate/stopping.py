"""When pairs end: at a planned look, at the shortest length, or later where others disturb them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twin_harness.gate.covariate import is_disturbed
from twin_harness.gate.judging import judge_pairs, may_stop
from twin_harness.gate.measures import COVARIATES, Measure
from twin_harness.gate.paired import gather_evidence
from twin_harness.gate.pairs import Pairs
from twin_harness.gate.records import LookRecord
from twin_harness.gate.verdict import REGRESSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.looks import Length
    from twin_harness.gate.trials import Trial


_HOPELESS = 3  # pairs that broke off, where none was whole


@dataclass(frozen=True)
class Ending:
    """Where the looks that were possible so far have led.

    Attributes:
        pairs: after how many the session has ended early; None where it has not.
        alpha: what was spent at that look.
        looks: by measure, what was seen at each look.
    """

    pairs: int | None = None
    alpha: float = 0.0
    looks: dict[str, list[LookRecord]] = field(default_factory=dict)


def with_silent(trials: Sequence[Trial], family: Sequence[Measure]) -> list[Measure]:
    """Return a family with a measure of each gated test that never gave a figure.

    Args:
        trials: of all tests and variants.
        family: the measures that are declared or were recorded.
    """
    silent = {trial.test for trial in trials} - {measure.test for measure in family}
    return [*family, *(Measure(test, "any figure") for test in sorted(silent))]


def find_ending(
    trials: Sequence[Trial], names: tuple[str, str], family: Sequence[Measure], length: Length
) -> Ending:
    """Return whether a look has ended the session: something regressed, or everything passed.

    Args:
        trials: of all tests and variants.
        names: of the variants, base first.
        family: the measures that are judged.
        length: how many pairs there are to be.
    """
    family = with_silent(trials, family)
    seen: dict[str, list[LookRecord]] = {measure.name: [] for measure in family}
    pairs = [Pairs.of(trials, test, names) for test in {measure.test for measure in family}]
    for look in length.looks(len(family)):
        if not all(set(range(look.pairs)) <= one.by_number.keys() for one in pairs):
            break
        evidence = gather_evidence(trials, names, family, below=look.pairs)
        verdicts = judge_pairs(evidence, alpha=look.alpha)
        for verdict in verdicts:
            record = LookRecord(pairs=look.pairs, alpha=look.alpha, p=verdict.p)
            seen[verdict.measure.name].append(record)
        has_regressed = any(verdict.status == REGRESSED for verdict in verdicts)
        if has_regressed or (look.may_pass and may_stop(evidence)):
            return Ending(look.pairs, look.alpha, seen)
    return Ending(looks=seen)


def length_so_far(
    trials: Sequence[Trial], names: tuple[str, str], tests: Sequence[str], length: Length
) -> int:
    """Return how many pairs the environment asks for, as far as it is known.

    At each end that a session may have it goes on to the next where others' work, steal or the
    speed of a fixed piece of work scatters over the runs of both variants.

    Args:
        trials: of all tests and variants.
        names: of the variants, base first.
        tests: those that are gated.
        length: the shortest and the longest.
    """
    end = length.ends[0]
    pairs = [Pairs.of(trials, test, names) for test in tests]
    for longer in length.ends[1:]:
        is_done = all(set(range(end)) <= one.by_number.keys() | one.broken.keys() for one in pairs)
        if not is_done or not any(
            not one.is_interleaved and is_disturbed(one.environments(end), name)
            for one in pairs
            for name in COVARIATES
        ):
            break
        end = longer
    return end


def is_wanted(
    trials: Sequence[Trial],
    names: tuple[str, str],
    test: str,
    number: int,
    length: Length,
    tests: Sequence[str] = (),
) -> bool:
    """Tell whether a pair of a test is still to be run; a spare only in place of an unfit one.

    Args:
        trials: of all tests and variants so far.
        names: of the variants, base first.
        test: name of the test.
        number: of the pair; spares have those from the longest length on.
        length: how many pairs there are to be.
        tests: all gated tests; the environment of each may ask for more pairs. The test alone
            unless given.
    """
    pairs = Pairs.of(trials, test, names)
    if number in pairs.by_number:
        return False
    if not pairs.by_number and len(pairs.broken) >= _HOPELESS:
        return False
    if number < length.least:
        return True
    if number < length.most:
        return number < length_so_far(trials, names, tests or [test], length)
    done = [done for done in (*pairs.by_number, *pairs.broken) if done != number]
    spares_used = sum(other >= length.most for other in done)
    return pairs.lost > spares_used

"""Trials: what one run of a gated test gave, as plain data in the run folder.

And what pairs of them are evidence of.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite
from random import Random
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput
from twin_harness.gate.environment import Environment, unfit_pairs
from twin_harness.gate.measures import Measure
from twin_harness.gate.statistics import pairs_needed
from twin_harness.gate.verdict import ALPHA, Evidence, Judgement, judge_pairs, may_stop

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SPARES = 3
LOOKS = (6, 9)
_HOPELESS = 3


@dataclass(frozen=True)
class Trial:
    """One run of a gated test.

    Attributes:
        test: node id without what tells repetitions apart. variant: its name; empty without
            variants.
        pair: number of the pair; −1 without pairs. position: 0 or 1, which run of the pair it was.
        measures: declared. values: figure by short name. faults: why there is none, by short name;
            "" is the whole trial.
        schedule: hash of the experiments that ran, empty without any. environment: what else the
            machine did.
        begin_s, end_s: on CLOCK_MONOTONIC.
        tries: how often the test was run until this one, which counts in place of the earlier ones.
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
        """Return plain data.

        ``tries`` stands there only where there were several, so that versions without it read the
        rest.
        """
        data = asdict(self)
        if self.tries == 1:
            del data["tries"]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Trial:
        """Return what ``to_json`` made.

        Raises:
            InvalidInput: it is no trial.
        """
        try:
            measures = tuple(Measure(**measure) for measure in data["measures"])
            values = {str(name): float(value) for name, value in data["values"].items()}
            faults = {str(name): str(reason) for name, reason in data["faults"].items()}
            return cls(
                **{
                    **data,
                    "measures": measures,
                    "values": values,
                    "faults": faults,
                    "environment": Environment(**data["environment"]),
                }
            )
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            msg = f"a gate record cannot be read ({error}); run the gate again"
            raise InvalidInput(msg) from None


def order_of(seed: int, test: str, pairs: int) -> list[bool]:
    """Return for each pair whether the candidate comes first: half of them, drawn by seed and test.

    Spares continue the draw.
    """
    random = Random(f"{seed} {test}")  # noqa: S311 - an order, no secret
    order = [index % 2 == 1 for index in range(pairs)]
    random.shuffle(order)
    return order + [random.random() < 0.5 for _ in range(SPARES)]


def family_of(measures: Iterable[Measure]) -> list[Measure]:
    """Return the measures of a family, each once.

    Of two that bear one name the later counts, so today's declarations come last.
    """
    return list({measure.name: measure for measure in measures}.values())


def check_pairs(pairs: int, family: int) -> None:
    """Refuse fewer pairs than could ever say REGRESSED.

    Raises:
        InvalidInput: the smallest p-value there is would not pass the correction over the family.
    """
    needed = pairs_needed(family, ALPHA)
    if pairs < needed:
        msg = (
            f"--twin-gate-pairs: {pairs} pairs can never tell a regression over a family of"
            f" {family} measures (the smallest p is 2^-{pairs}, Holm's first step asks for"
            f" {ALPHA:g}/{family}); expected {needed} or more"
        )
        raise InvalidInput(msg)


@dataclass(frozen=True)
class Pairs:
    """The pairs of one test, by number: (base, candidate); those that broke off, with the reason.

    Those of which one run is there.
    """

    by_number: dict[int, tuple[Trial, Trial]]
    broken: dict[int, str]
    begun: frozenset[int]

    @classmethod
    def of(cls, trials: Iterable[Trial], test: str, names: tuple[str, str]) -> Pairs:
        """Gather the pairs of a test.

        One with a run that gave nothing is broken, one with a run that is missing may be under way.
        """
        halves: dict[int, dict[str, Trial]] = {}
        for trial in trials:
            if trial.test == test and trial.pair >= 0:
                halves.setdefault(trial.pair, {})[trial.variant] = trial
        whole, broken, begun = {}, {}, set()
        for number, found in sorted(halves.items()):
            reason = next(
                (
                    found[name].faults[""]
                    for name in names
                    if name in found and found[name].faults.get("")
                ),
                "",
            )
            if reason:
                broken[number] = reason
            elif set(names) <= set(found):
                whole[number] = (found[names[0]], found[names[1]])
            else:
                begun.add(number)
        return cls(whole, broken, frozenset(begun))

    def unfit(self) -> dict[int, str]:
        """Return the numbers of pairs whose two runs had different machines, with the reason."""
        numbers = list(self.by_number)
        reasons = unfit_pairs(
            [
                (base.environment, candidate.environment)
                for base, candidate in self.by_number.values()
            ]
        )
        return {numbers[position]: reason for position, reason in reasons.items()}

    def fit(self, below: int | None = None) -> list[tuple[Trial, Trial]]:
        """Return the fit pairs, those with numbers below a limit alone if one is given."""
        unfit = self.unfit()
        return [
            pair
            for number, pair in self.by_number.items()
            if number not in unfit and (below is None or number < below)
        ]


def gather(
    trials: Sequence[Trial],
    names: tuple[str, str],
    family: Sequence[Measure],
    below: int | None = None,
) -> list[Evidence]:
    """Return the evidence of every measure of a family, from the trials so far."""
    least = pairs_needed(len(family), ALPHA)
    pairs = {
        test: Pairs.of(trials, test, names).fit(below)
        for test in {measure.test for measure in family}
    }
    evidence = []
    for measure in family:
        fit = pairs[measure.test]
        faults = [
            reason
            for pair in fit
            if (reason := next((fault for trial in pair if (fault := trial.fault(measure))), ""))
        ]
        usable = [pair for pair in fit if not any(trial.fault(measure) for trial in pair)]
        base, candidate = (
            [pair[side].values[measure.short_name] for pair in usable] for side in (0, 1)
        )
        if len({trial.schedule for pair in usable for trial in pair}) > 1:
            evidence.append(
                Evidence(
                    measure,
                    fault="its runs did not have the same experiment, so they cannot be compared",
                )
            )
        elif not usable:
            evidence.append(
                Evidence(
                    measure, fault=faults[0] if faults else _no_pair(trials, measure.test, names)
                )
            )
        else:
            if below is not None or len(usable) >= least:
                lack = ""
            else:
                lack = _lack(Pairs.of(trials, measure.test, names), len(usable), least)
            # which pairs lack the figure may be the candidate's own doing: what is left is no fair
            # sample
            if faults:
                lack = f"{faults[0]} (in {len(faults)} of {len(fit)} pairs)"
            elif not any(trial.environment.is_known for pair in usable for trial in pair):
                lack = (
                    "environment: steal, others' work and the probe are unknown in every pair, so"
                    " whether the machine was the same is, too"
                )
            evidence.append(Evidence(measure, tuple(base), tuple(candidate), lack=lack))
    return evidence


def _lack(found: Pairs, usable: int, least: int) -> str:
    unfit = found.unfit()
    if unfit:
        why = f"; {len(unfit)} were unfit: {next(iter(unfit.values()))}"
    elif found.broken:
        why = f"; {len(found.broken)} broke off"
    else:
        why = ""
    return (
        f"{'environment: ' if unfit else ''}only {usable} pairs could be used, a verdict needs"
        f" {least}{why}"
    )


def _no_pair(trials: Sequence[Trial], test: str, names: tuple[str, str]) -> str:
    found = Pairs.of(trials, test, names)
    reason = next(iter(found.broken.values()), "") or next(iter(found.unfit().values()), "")
    return f"no pair could be used{f': {reason}' if reason else ''}"


def stopped_at(
    trials: Sequence[Trial], names: tuple[str, str], family: Sequence[Measure]
) -> int | None:
    """Return after how many pairs all measures had passed for sure, at one of the two looks.

    None while they have not.
    """
    for look in LOOKS:
        is_there = all(
            set(range(look)) <= set(Pairs.of(trials, test, names).by_number)
            for test in {measure.test for measure in family}
        )
        if family and is_there and may_stop(gather(trials, names, family, below=look)):
            return look
    return None


def is_wanted(
    trials: Sequence[Trial], names: tuple[str, str], test: str, number: int, planned: int
) -> bool:
    """Tell whether a pair of a test is still to be run.

    Not done, not hopeless, and as a spare only in place of an unfit one.
    """
    pairs = Pairs.of(trials, test, names)
    if number in pairs.by_number:
        return False
    if not pairs.by_number and len(pairs.broken) >= _HOPELESS:
        return False
    if number < planned:
        return True
    done = [done for done in (*pairs.by_number, *pairs.broken) if done != number]
    spares_used = sum(other >= planned for other in done)
    lost = len(pairs.unfit()) + len(pairs.broken)
    return lost > spares_used


def judge_all(
    trials: Sequence[Trial],
    names: tuple[str, str],
    family: Sequence[Measure],
    *,
    planned: int,
    seed: int,
) -> Judgement:
    """Judge a session in paired mode, from all its trials."""
    silent = {trial.test for trial in trials} - {measure.test for measure in family}
    family = [
        *family,
        *(Measure(test, "any figure") for test in sorted(silent)),
    ]  # a gated test that never gave one is not passed over
    stop = stopped_at(trials, names, family)
    verdicts = judge_pairs(gather(trials, names, family, below=stop))
    found = {
        test: Pairs.of(trials, test, names)
        for test in dict.fromkeys(measure.test for measure in family)
    }
    unfit = {test: pairs.unfit() for test, pairs in found.items()}
    doubts = [
        doubt for test, reasons in unfit.items() for doubt in _doubts(test, "left out", reasons)
    ]
    doubts += [
        doubt for test, pairs in found.items() for doubt in _doubts(test, "broke off", pairs.broken)
    ]
    doubts += [
        f"{test}: of pair {', '.join(map(str, sorted(pairs.begun)))} one run is missing"
        for test, pairs in found.items()
        if pairs.begun
    ]
    facts = {
        "pairs_planned": planned,
        "pairs_done": {test: len(pairs.by_number) for test, pairs in found.items()},
        "pairs_unfit": {test: len(reasons) for test, reasons in unfit.items()},
        "stopped_at": stop,
        "seed": seed,
    }
    return Judgement(verdicts, "paired", tuple(doubts), names, facts)


def _doubts(test: str, what: str, reasons: dict[int, str]) -> list[str]:
    """Return a sentence for each reason, with the numbers of its pairs."""
    numbers: dict[str, list[int]] = {}
    for number, reason in reasons.items():
        numbers.setdefault(reason, []).append(number)
    return [
        f"{test}: pair{'s' if len(which) > 1 else ''} {', '.join(map(str, which))} {what}: {reason}"
        for reason, which in numbers.items()
    ]

"""Pairs: their order, which of them are fit, which are still wanted, and when to stop."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_harness.errors import InvalidInput
from twin_harness.gate.declaration import declare
from twin_harness.gate.environment import Environment, unfit_pairs
from twin_harness.gate.looks import Length, parse_length
from twin_harness.gate.paired_verdict import judge_all
from twin_harness.gate.pairs import SPARES, check_pairs, order_of
from twin_harness.gate.stopping import find_ending, is_wanted
from twin_harness.gate.trials import Trial, family_of

NAMES = ("base", "candidate")
MEASURE = declare("test_a", "latency_ms", better="lower")
QUIET = Environment(0.0, 5.0, 1.0)
TWELVE = Length(12, 12)


def trial(pair, variant, value=100.0, environment=QUIET, **more):
    """One run that gave a value."""
    return Trial(
        "test_a",
        variant,
        pair,
        0,
        (MEASURE,),
        {"latency_ms": value},
        environment=environment,
        **more,
    )


def pairs_of(numbers, change=1.0, spread=0.005, **more):
    """Whole pairs of those numbers."""
    rng = np.random.default_rng(1)
    found = []
    for number in numbers:
        noise = np.exp(rng.normal(0, spread, 2))
        found += [
            trial(number, "base", 100 * noise[0], **more),
            trial(number, "candidate", 100 * change * noise[1], **more),
        ]
    return found


@given(st.integers(0, 2**31), st.integers(1, 64))
def test_order_is_balanced_and_drawn_by_seed(seed, pairs):
    """The candidate comes first in half of the pairs.

    The same seed and test give the same order, and spares have one, too.
    """
    order = order_of(seed, "test_a", Length(pairs, pairs))
    assert sum(order[:pairs]) == pairs // 2
    assert len(order) == pairs + SPARES
    assert order == order_of(seed, "test_a", Length(pairs, pairs))


def test_order_differs_between_tests_and_seeds():
    """No order is everybody's: drift over a session hits tests differently."""
    assert (
        len({tuple(order_of(seed, name, TWELVE)) for seed in (0, 1) for name in ("a", "b", "c")})
        == 6
    )


FOLDED = {
    "slice_pairs": 20,
    "sd": 0.01,
    "order": 0.0,
    "dropped_s": 0.0,
    "is_flat": True,
    "idle_shares": [0.0, 0.0],
}


def test_trials_survive_a_file():
    """A trial is the same after JSON; what is none is refused in one sentence."""
    one = trial(3, "base", begin_s=1.5, faults={"x": "why"}, schedule="ab")
    assert Trial.from_json(json.loads(json.dumps(one.to_json()))) == one
    for broken in (
        {},
        {"test": "a"},
        {**one.to_json(), "measures": [{"what": 1}]},
        {**one.to_json(), "values": None},
        {**one.to_json(), "values": {"ms": 10**400}},
        {**one.to_json(), "pair": "0"},
        {**one.to_json(), "pair": 1.5},
        {**one.to_json(), "position": True},
        {**one.to_json(), "schedule": []},
        {**one.to_json(), "environment": {"steal_percent": "x"}},
        {**one.to_json(), "measures": [{"test": "a", "metric": None}]},
        {**one.to_json(), "measures": [{"test": "a", "metric": "ms", "threshold": "x"}]},
        {**one.to_json(), "folded": {"ms": {}}},
        {**one.to_json(), "folded": {"ms": 5}},
        {**one.to_json(), "folded": "x"},
        {**one.to_json(), "folded": {"ms": {**FOLDED, "idle_shares": "abc"}}},
    ):
        with pytest.raises(InvalidInput, match="gate record cannot be read"):
            Trial.from_json(broken)


def test_a_shift_that_all_pairs_share_is_no_fault_of_the_environment():
    """A candidate that needs more CPU is others' work in every pair.

    One pair beside a neighbour is unfit.
    """
    shared = [
        (Environment(0, 5 + 0.1 * i, 1.0), Environment(0, 25 + 0.2 * i, 1.0)) for i in range(12)
    ]
    assert unfit_pairs(shared) == {}
    shared[4] = (Environment(0, 5, 1.0), Environment(0, 60, 1.0))
    assert list(unfit_pairs(shared)) == [4]
    assert "others' CPU time" in unfit_pairs(shared)[4]


@pytest.mark.parametrize(
    ("name", "below", "above"),
    [("steal_percent", 0.9, 1.2), ("background_percent", 1.9, 2.2), ("calibration_ms", 1.04, 1.06)],
)
def test_floors_of_the_environment(name, below, above):
    """Where pairs do not differ, a difference counts from a floor on.

    A point of steal, two of background, five percent of calibration.
    """
    base = 1.0 if name == "calibration_ms" else 0.0
    for value, is_unfit in ((below, False), (above, True)):
        pairs = [(Environment(**{name: base}), Environment(**{name: base}))] * 11 + [
            (Environment(**{name: base}), Environment(**{name: value}))
        ]
        assert bool(unfit_pairs(pairs)) == is_unfit


def test_unknown_environment_is_no_verdict_on_it():
    """Figures that a machine lacks neither fit nor unfit a pair."""
    assert unfit_pairs([(Environment(), Environment())] * 5) == {}


def wanted(found, number, length=TWELVE):
    return is_wanted(found, NAMES, "test_a", number, length)


def test_done_pairs_are_not_run_again():
    """What a resumed run holds counts; half a pair does not."""
    found = [*pairs_of(range(5)), trial(5, "base")]
    assert [number for number in range(8) if wanted(found, number)] == [5, 6, 7]
    assert not wanted(
        [*pairs_of(range(11)), trial(11, "base")], 12
    )  # the last pair is under way: no spare for it yet


def test_spares_replace_unfit_pairs_alone():
    """Without unfit pairs no spare is run; with two, two are."""
    good = pairs_of(range(12))
    assert not any(wanted(good, number) for number in (12, 13, 14))
    noisy = Environment(20.0, 5.0, 1.0)
    bad = [
        *pairs_of(range(10)),
        trial(10, "base"),
        trial(10, "candidate", environment=noisy),
        trial(11, "base", environment=noisy),
        trial(11, "candidate"),
    ]
    assert wanted(bad, 12)
    assert wanted([*bad, *pairs_of([12])], 13)
    assert not wanted([*bad, *pairs_of([12, 13])], 14)


def test_a_test_that_never_gives_a_pair_is_given_up():
    """After three pairs that broke off, and none that did not, no more are tried."""
    broken = [
        trial(number, "candidate", faults={"": "its test failed: does not start"})
        for number in range(3)
    ]
    assert wanted(broken[:2], 2)
    assert not wanted(broken, 3)
    assert wanted([*broken, *pairs_of([3])], 4)


def stopped_at(found, family=(MEASURE,), length=TWELVE):
    return find_ending(found, NAMES, list(family), length).pairs


def test_stops_after_six_pairs_when_nothing_is_open():
    """Six quiet pairs without effect stop; five do not, nor what another test has not done yet."""
    assert stopped_at(pairs_of(range(6))) == 6
    assert stopped_at(pairs_of(range(5))) is None
    other = declare("test_b", "latency_ms", better="lower")
    assert stopped_at(pairs_of(range(6)), [MEASURE, other]) is None


def test_a_clear_regression_ends_at_the_first_look_that_may_call_it():
    """Of one measure after 8 of 12 pairs, whose smallest p is below what is spent there."""
    assert stopped_at(pairs_of(range(8), change=1.1)) == 8
    assert stopped_at(pairs_of(range(7), change=1.1)) is None
    judgement = judge_all(
        [*pairs_of(range(8), change=1.1), *pairs_of([8], change=0.5)],
        NAMES,
        [MEASURE],
        length=TWELVE,
        seed=0,
    )
    verdict = judgement.verdicts[0]
    assert (verdict.status, verdict.n, verdict.p) == ("REGRESSED", 8, 2**-8)
    assert [(look["pairs"], look["alpha"]) for look in verdict.looks] == [(6, 0.0), (8, 0.004)]


def test_what_a_regression_leaves_open_says_that_the_session_ended():
    """Another measure that was not decided by then is UNDECIDED, and says why so few pairs."""
    other = declare("test_a", "rate", better="higher")
    rng = np.random.default_rng(3)
    found = [
        replace(
            one,
            measures=(MEASURE, other),
            values={**one.values, "rate": 100 * np.exp(rng.normal(0, 0.2))},
        )
        for one in pairs_of(range(10), change=1.2)
    ]
    judgement = judge_all(found, NAMES, [MEASURE, other], length=TWELVE, seed=0)
    assert judgement.facts["stopped_at"] == 10
    assert [one.status for one in judgement.verdicts] == ["REGRESSED", "UNDECIDED"]
    assert "ended after 10 of 12 pairs, when another" in judgement.verdicts[1].reason


@given(st.integers(1, 200), st.integers(1, 64))
def test_no_look_spends_more_than_there_is(family, pairs):
    """All shares and what is left for the end make up alpha.

    A look that could not call anything takes nothing.
    """
    length = Length(pairs, pairs)
    looks = length.looks(family)
    assert sum(look.alpha for look in looks) + length.alpha_at_end(family) == pytest.approx(0.01)
    assert length.alpha_at_end(family) > 0
    for look in looks:
        assert look.pairs < pairs
        assert look.may_pass or 2.0**-look.pairs <= look.alpha / family * (1 + 1e-9)


def test_looks_of_one_measure_and_of_twenty():
    """Of one measure at 8 and 10 pairs; of twenty none, for 2^-10 does not pass there."""
    assert [look.pairs for look in TWELVE.looks(1) if look.alpha] == [8, 10]
    assert [look.pairs for look in TWELVE.looks(20) if look.alpha] == []
    assert TWELVE.alpha_at_end(20) == 0.01


@pytest.mark.parametrize(
    ("text", "ends"), [("12", (12,)), ("12..24", (12, 16, 24)), ("8..10", (8, 10))]
)
def test_lengths_are_read_and_written(text, ends):
    """A number, or a range with the lengths that a session may have."""
    assert parse_length(text).ends == ends
    assert str(parse_length(text)) == text


@pytest.mark.parametrize("text", ["", "0", "24..12", "12..", "..12", "12-24", "65", "12..65", "x"])
def test_lengths_that_cannot_be(text):
    """One sentence with the value."""
    with pytest.raises(InvalidInput, match="--twin-gate-pairs: expected a whole number from 1"):
        parse_length(text)


def test_a_session_is_longer_where_others_disturb_it_and_not_else():
    """After 12 pairs 16, after 16 of them 24, whatever the figures are; a quiet one ends at 12."""
    length = Length(12, 24)
    beside = [Environment(0.0, 5.0 + 15.0 * (number % 2), 1.0) for number in range(24)]
    for change in (1.0, 1.5):
        quiet = pairs_of(range(12), change=change, spread=0.1)
        assert not wanted(quiet, 12, length)
        noisy = [
            replace(one, environment=beside[one.pair])
            for one in pairs_of(range(24), change=change, spread=0.1)
        ]
        twelve = [one for one in noisy if one.pair < 12]
        sixteen = [one for one in noisy if one.pair < 16]
        assert [number for number in range(24) if wanted(twelve, number, length)] == [
            12,
            13,
            14,
            15,
        ]
        assert [number for number in range(24) if wanted(sixteen, number, length)] == list(
            range(16, 24)
        )
        assert not any(wanted(noisy, number, length) for number in range(27))


def test_order_of_a_longer_session_is_balanced_at_each_end():
    """Whichever length it gets, the candidate came first in half of the pairs."""
    order = order_of(7, "test_a", Length(12, 24))
    assert [sum(order[:end]) for end in (12, 16, 24)] == [6, 8, 12]
    assert len(order) == 24 + SPARES


def test_a_stopped_session_is_judged_by_what_stopped_it():
    """Pairs that were under way at the stop change nothing."""
    judgement = judge_all(
        [*pairs_of(range(6)), *pairs_of([6], change=3.0)], NAMES, [MEASURE], length=TWELVE, seed=0
    )
    assert judgement.status == "PASSED"
    assert (judgement.facts["stopped_at"], judgement.verdicts[0].n) == (6, 6)


def test_too_few_pairs_are_undecided_with_the_reason():
    """A session that was cut short says how many pairs it had, and how many a verdict needs."""
    judgement = judge_all(pairs_of(range(4), change=1.5), NAMES, [MEASURE], length=TWELVE, seed=0)
    assert judgement.status == "UNDECIDED"
    assert "only 4 pairs could be used, a verdict needs 7" in judgement.verdicts[0].reason


def test_a_session_that_was_cut_short_says_nothing_is_worse():
    """Its end was no planned look, whatever the pairs show; resumed it goes on."""
    family = [declare("test_a", f"m{index}", better="lower") for index in range(9)]
    found = [replace(one, measures=(*family, MEASURE)) for one in pairs_of(range(11), change=1.5)]
    (*_, verdict) = judge_all(found, NAMES, [*family, MEASURE], length=TWELVE, seed=0).verdicts
    assert verdict.status == "UNDECIDED"
    assert "cut short after 11 of 12 pairs" in verdict.reason


def test_runs_of_different_experiments_are_never_compared():
    """Another schedule hash in one run makes the measure UNDECIDED."""
    found = [*pairs_of(range(11), spread=0.05, schedule="a"), *pairs_of([11], schedule="b")]
    judgement = judge_all(found, NAMES, [MEASURE], length=TWELVE, seed=0)
    assert judgement.status == "UNDECIDED"
    assert "not have the same experiment" in judgement.verdicts[0].reason


def test_nothing_measured_is_undecided():
    """Without a single trial nothing passes."""
    assert judge_all([], NAMES, [MEASURE], length=TWELVE, seed=0).status == "UNDECIDED"
    assert judge_all([], NAMES, [], length=TWELVE, seed=0).status == "UNDECIDED"


def test_pairs_that_cannot_decide_are_refused_with_the_number_needed():
    """Before anything runs: too few pairs for the family."""
    check_pairs(11, 20)
    with pytest.raises(
        InvalidInput,
        match=r"10 pairs can never show a regression over a family of 20 .* expected 11 or more",
    ):
        check_pairs(10, 20)


def test_missing_figures_withhold_the_verdict():
    """Which runs lack a figure may be the candidate's own doing.

    The rest is no fair sample, so nothing passes, and the sentence counts them.
    """
    found = pairs_of(range(12), spread=0.02)
    for number in (1, 4, 7):
        found.append(
            Trial(
                "test_a",
                "candidate",
                number,
                1,
                (MEASURE,),
                {},
                {"latency_ms": "latency_ms is nan"},
                environment=QUIET,
            )
        )
    judgement = judge_all(found, NAMES, [MEASURE], length=TWELVE, seed=0)
    assert judgement.status == "UNDECIDED"
    assert "latency_ms is nan (in 3 of 12 pairs)" in judgement.verdicts[0].reason


def test_an_environment_that_nobody_knows_is_not_fit():
    """Where not one figure of steal, others' work or the probe is known, nothing is said."""
    judgement = judge_all(
        pairs_of(range(12), change=1.5, environment=Environment()),
        NAMES,
        [MEASURE],
        length=TWELVE,
        seed=0,
    )
    assert judgement.status == "UNDECIDED"
    assert "unknown in every pair" in judgement.verdicts[0].reason


def test_a_gated_test_that_gave_nothing_is_not_passed_over():
    """A test without a marker that was skipped in every pair declares nothing.

    It counts in the family, and is UNDECIDED.
    """
    silent = [
        Trial("test_silent", name, number, 0, faults={"": "its test skipped: no"})
        for number in range(12)
        for name in NAMES
    ]
    judgement = judge_all([*pairs_of(range(12)), *silent], NAMES, [MEASURE], length=TWELVE, seed=0)
    assert [verdict.status for verdict in judgement.verdicts] == ["PASSED", "UNDECIDED"]
    assert judgement.status == "UNDECIDED"
    assert "its test skipped: no" in judgement.verdicts[1].reason


def test_the_later_declaration_of_a_name_counts():
    """Today's threshold, not that of a run that is resumed or of a baseline."""
    strict = declare("test_a", "latency_ms", better="lower", threshold="1%")
    assert family_of([MEASURE, strict]) == [strict]

"""Pairs beside neighbours: adjusted for a covariate, exactly, and only for one that may be used."""

import itertools
from dataclasses import replace
from math import inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_harness.errors import InvalidInput
from twin_harness.gate import statistics
from twin_harness.gate.adjusted import adjust
from twin_harness.gate.covariate import choose_covariate, is_disturbed
from twin_harness.gate.declaration import declare
from twin_harness.gate.environment import Environment
from twin_harness.gate.looks import Length
from twin_harness.gate.paired import gather_evidence
from twin_harness.gate.paired_verdict import judge_all
from twin_harness.gate.pairs import Pairs
from twin_harness.gate.trials import Trial

NAMES = ("base", "candidate")
EFFECTS = st.lists(st.floats(-1, 1).map(lambda value: round(value, 3)), min_size=2, max_size=7)


def students_t(signs, effects, covariate):
    """Student's t of the signs' coefficient, by least squares, and the coefficient itself."""
    columns = np.column_stack([signs, covariate])
    found = np.linalg.lstsq(columns, np.asarray(effects), rcond=None)[0]
    rest = effects - columns @ found
    variance = rest @ rest * np.linalg.inv(columns.T @ columns)[0, 0]
    return float(found[0] / np.sqrt(variance)), float(found[0])


@given(EFFECTS)
def test_without_a_covariate_it_is_the_sign_flip_test(effects):
    """The same effect, p-value and bounds, to the last digits."""
    found = adjust(effects, [0.0] * len(effects))
    assert found.effect == pytest.approx(sum(effects) / len(effects), abs=1e-12)
    assert found.p == statistics.sign_flip_p(effects)
    for confidence in (0.5, 0.75, 0.95):
        assert found.upper_bound(confidence) == pytest.approx(
            statistics.upper_bound(effects, confidence)
        )


@given(st.integers(0, 2**31), st.integers(3, 7))
def test_p_is_the_share_of_flips_whose_t_is_as_large(seed, count):
    """Every way of swapping labels, each with a regression of its own."""
    rng = np.random.default_rng(seed)
    effects, covariate = rng.normal(size=count), rng.normal(size=count)
    found = adjust(effects, covariate)
    observed, effect = students_t(np.ones(count), effects, covariate)
    assert found.effect == pytest.approx(effect)
    every = [
        students_t(np.array(signs), effects, covariate)[0]
        for signs in itertools.product((1.0, -1.0), repeat=count)
    ]
    assert found.p == pytest.approx(
        sum(value >= observed - 1e-9 * abs(observed) for value in every) / len(every)
    )


@given(st.integers(0, 2**31), st.sampled_from([0.5, 0.75, 0.9]))
def test_bound_is_where_the_adjusted_test_turns(seed, confidence):
    """The test refuses a shift beyond its upper bound at that confidence, and none before it."""
    rng = np.random.default_rng(seed)
    effects, covariate = rng.normal(size=8), rng.normal(size=8)
    bound = adjust(effects, covariate).upper_bound(confidence)
    if bound == inf:
        return
    for shift, is_refused in ((bound + 1e-6, True), (bound - 1e-6, False)):
        p = adjust(shift - effects, -covariate).p
        assert (p <= 1 - confidence + 1e-12) == is_refused


def test_slope_takes_out_what_the_neighbour_did():
    """Effects that are the covariate's alone, and one on top of it, are told apart."""
    covariate = np.array([14.0, -15.0, 1.0, 16.0, -13.0, 0.0, 15.0, -14.0])
    noise = np.array([1, -1, 1, -1, 1, -1, 1, -1]) * 0.001
    found = adjust(0.01 * covariate + noise + 0.05, covariate)
    assert found.slope == pytest.approx(0.01, rel=0.05)
    assert found.effect == pytest.approx(0.05, rel=0.1)
    assert found.p == 2**-8
    assert adjust(0.01 * covariate + noise, covariate).p > 0.2


def test_covariate_that_is_as_good_as_the_labels_leaves_nothing():
    """Where it is the same in every pair, nothing is known of the effect."""
    found = adjust([0.1] * 8, [3.0] * 8)
    assert (found.p, found.upper_bound()) == (1.0, inf)


def test_false_alarms_beside_a_neighbour_are_as_rare_as_promised():
    """Of 1,000 families of pairs without effect no more than the level are called.

    The neighbour comes to half of the runs, and slows a run by a share of its own.
    """
    rng = np.random.default_rng(3)
    p = []
    for _ in range(1000):
        there = rng.random((10, 2)) < 0.5
        slowed = np.log1p(there * rng.uniform(0.07, 0.22, (10, 2)))
        effects = np.diff(slowed)[:, 0] + 0.03 * rng.standard_t(3, 10)
        p.append(adjust(effects, np.diff(15.0 * there)[:, 0]).p)
    for level in (0.01, 0.05, 0.1):
        alarms = np.mean(np.array(p) <= level)
        assert alarms <= level + 2.6 * np.sqrt(level * (1 - level) / 1000)


def environments(base, candidate):
    return [
        (
            Environment(0.0, first, 1.0, own_percent=20.0),
            Environment(0.0, second, 1.0, own_percent=20.0),
        )
        for first, second in zip(base, candidate, strict=True)
    ]


BESIDE = environments([5, 20, 5, 20, 5, 20, 5, 20, 5, 20], [20, 5, 5, 20, 20, 5, 5, 5, 20, 20])
# A neighbour of 15 points in half of the runs.


def test_background_is_the_covariate_where_it_disturbs():
    """Of itself only there; both variants' runs count alike, so swapping them changes nothing."""
    quiet = environments([5.0] * 10, [5.5] * 9 + [30.0])
    assert choose_covariate(quiet, "auto").name == ""
    for pairs in (BESIDE, [(second, first) for first, second in BESIDE]):
        assert is_disturbed(pairs, "background")
        assert choose_covariate(pairs, "auto").name == "background"
    assert choose_covariate(BESIDE, "none").name == ""
    assert choose_covariate(BESIDE, "auto").differences[:3] == (15, -15, 0)


def test_pairs_that_steal_has_disturbed_count_less():
    """Whichever run it came to; a neighbour beside both runs counts, too, not unknown steal."""
    usual = choose_covariate(BESIDE, "background").variances
    assert usual[:4] == pytest.approx((2.5, 2.5, 1.0, 4.0))
    for side in (0, 1):
        pairs = [list(pair) for pair in BESIDE]
        pairs[2][side] = replace(pairs[2][side], steal_percent=9.0)
        pairs[3][side] = replace(pairs[3][side], steal_percent=None)
        found = choose_covariate(pairs, "background").variances
        assert found == pytest.approx((*usual[:2], 10.0, *usual[3:]))
    assert choose_covariate(BESIDE, "steal").variances == (1.0,) * 10


def test_covariate_that_the_candidate_moves_is_refused():
    """What the candidate does itself would be taken for a neighbour's, and the effect with it."""
    moved = environments([5.0] * 10, [25.0 + number for number in range(10)])
    found = choose_covariate(moved, "background")
    assert found.name == ""
    assert "the candidate moves it itself (by +24 points, p = 0.00" in found.refusal


def test_covariate_that_is_not_known_is_refused():
    """A figure that some runs lack is no covariate."""
    found = choose_covariate([*BESIDE, (Environment(), Environment())], "steal")
    assert found.refusal == "covariate steal: it is not known of every run"


def trials(effect, environment_pairs, covariate="auto"):
    """The trials of a service that slows by 1 % a point of background, and by ``effect``."""
    measure = declare("test_a", "rps", better="higher", covariate=covariate)
    rng = np.random.default_rng(5)
    found = []
    for number, pair in enumerate(environment_pairs):
        for variant, environment in zip(NAMES, pair, strict=True):
            slow = 0.01 * environment.background_percent + 0.004 * rng.normal()
            value = 1000.0 * np.exp(-slow - (effect if variant == "candidate" else 0.0))
            found.append(
                Trial(
                    "test_a",
                    variant,
                    number,
                    measures=(measure,),
                    values={"rps": float(value)},
                    environment=environment,
                )
            )
    return found, [measure]


def test_pairs_beside_a_neighbour_are_decided():
    """Half of the runs disturbed: REGRESSED by what is worse, PASSED where nothing is."""
    for effect, status, count in ((log(1.1), "REGRESSED", 10), (0.0, "PASSED", 9)):
        found, family = trials(effect, BESIDE)
        judgement = judge_all(found, NAMES, family, length=Length(10, 10), seed=0)
        (verdict,) = judgement.verdicts
        assert (verdict.status, verdict.covariate, verdict.n) == (status, "background", count)
        assert judgement.facts["pairs_unfit"] == {"test_a": 0}
        assert Pairs.of(found, "test_a", NAMES).lost == 0
    found, family = trials(log(1.1), BESIDE, "none")
    (verdict,) = judge_all(found, NAMES, family, length=Length(10, 10), seed=0).verdicts
    assert (verdict.status, verdict.covariate) == ("UNDECIDED", "")


@pytest.mark.parametrize("asked", ["background", "auto"])
def test_refused_covariate_decides_nothing(asked):
    """Asked for or needed, it is UNDECIDED: another test instead would depend on the labels."""
    moved = environments([5.0] * 10, [25.0 + number for number in range(10)])
    found, family = trials(0.0, moved, asked)
    (evidence,) = gather_evidence(found, NAMES, family)
    assert evidence.lack.startswith("covariate background: the candidate moves it itself")
    assert evidence.covariate.name == ""


def test_a_service_that_pytest_has_not_started_is_not_adjusted_for():
    """Its own CPU time may be among others'; by name it is, and a doubt says so."""
    apart = [tuple(replace(run, own_percent=None) for run in pair) for pair in BESIDE]
    for own_percent in (None, 0.1):
        apart = [tuple(replace(run, own_percent=own_percent) for run in pair) for pair in BESIDE]
        found = choose_covariate(apart, "auto")
        assert (found.name, found.refusal) == ("", "")
        assert "say covariate='background'" in found.doubt
        assert choose_covariate(apart, "background").name == "background"


def test_trial_without_a_figure_takes_its_difference_with_it():
    """The covariate has one difference for each pair that is left."""
    found, family = trials(0.0, BESIDE)
    found[0] = replace(found[0], values={})
    (evidence,) = gather_evidence(found, NAMES, family)
    assert len(evidence.base) == len(evidence.covariate.differences) == 9
    assert "was not recorded (in 1 of 10 pairs)" in evidence.lack


def test_unknown_covariate_is_one_sentence():
    """The choices are named."""
    with pytest.raises(
        InvalidInput, match=r"expected covariate of auto, background, .* got 'moon'"
    ):
        declare("test_a", "rps", better="higher", covariate="moon")

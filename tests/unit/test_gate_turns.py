"""Slices of interleaved pairs: their order, how they are folded, what carries over, and order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_harness.errors import InvalidInput, Undecided
from twin_harness.gate.declaration import declare
from twin_harness.gate.environment import Environment
from twin_harness.gate.looks import Length
from twin_harness.gate.paired_verdict import judge_all
from twin_harness.gate.trials import Trial
from twin_harness.gate.turns import SLICE_PAIRS, Slice, fold, slice_order

MEASURE = declare("test_a", "latency_ms", better="lower", interleave="0.2s")
RATE = declare("test_a", "rate", better="higher", interleave="0.2s")
ERRORS = declare("test_a", "errors", better="lower", floor=1.0, interleave="0.2s")
NAMES = ("base", "candidate")


def slices_of(change, *, drift=0.0, second=0.0, start=0.0, each=1, seed=0, measure=MEASURE):
    """One pair of a service whose latency drifts, and is slower in a slice's first tenths."""
    rng = np.random.default_rng(seed)
    found = []
    for number, is_candidate_first in enumerate(slice_order(seed, "test_a", 0)):
        for position in (0, 1):
            is_candidate = is_candidate_first is (position == 0)
            one = Slice(is_candidate, number, position == 1, 0.2, 0.2)
            level = 100.0 * np.exp(drift * (2 * number + position) + second * position)
            level *= 1 + change * is_candidate
            one.values[measure.metric] = [
                (
                    0.2 * index / each,
                    level * np.exp(start * (index < 0.3 * each) + 0.002 * rng.normal()),
                )
                for index in range(each)
            ]
            found.append(one)
    return found


@given(st.integers(0, 2**31), st.integers(0, 63))
def test_slices_come_in_balanced_blocks_that_the_seed_draws(seed, pair):
    """ABBA or BAAB: each variant goes first in one of two neighbouring slice pairs."""
    order = slice_order(seed, "test_a", pair)
    assert len(order) == SLICE_PAIRS
    assert all(sum(order[begin : begin + 2]) == 1 for begin in range(0, SLICE_PAIRS, 2))
    assert order == slice_order(seed, "test_a", pair)


@pytest.mark.parametrize("change", [0.0, 0.1, -0.05])
def test_the_change_is_found_whatever_drifts_and_whoever_goes_first(change):
    """A drift of 1 % a slice, and 5 % that the second slice of each pair has more, cancel."""
    base, candidate, record = fold(slices_of(change, drift=0.01, second=0.05), MEASURE)
    assert candidate / base == pytest.approx(1 + change, abs=0.003)
    assert record["slice_pairs"] == SLICE_PAIRS
    assert record["order"] == pytest.approx(0.06, abs=0.005)


def test_a_rate_and_a_difference_are_folded_on_their_scales():
    """The candidate's figure is the base's, times or plus what the slice pairs say."""
    base, candidate, _ = fold(slices_of(0.2, measure=RATE), RATE)
    assert candidate / base == pytest.approx(1.2, abs=0.005)
    base, candidate, record = fold(slices_of(0.2, measure=ERRORS), ERRORS)
    assert candidate - base == pytest.approx(20.0, abs=0.5)
    assert record["sd"] < 1.0


@pytest.mark.parametrize(("start", "dropped"), [(0.0, 0.0), (0.3, 0.06), (-0.3, 0.06)])
def test_the_beginning_of_slices_is_left_out_until_they_are_flat(start, dropped):
    """Where the first three tenths differ they are left out, of both variants alike."""
    base, candidate, record = fold(slices_of(0.05, start=start, each=30), MEASURE)
    assert record["dropped_s"] == pytest.approx(dropped)
    assert record["is_flat"]
    assert candidate / base == pytest.approx(1.05, abs=0.003)


def ramping(one):
    """A slice that becomes faster up to its very end."""
    one.values["latency_ms"] = [
        (at_s, value * (2 - 5 * at_s)) for at_s, value in one.values["latency_ms"]
    ]
    return one


def trial_pair(number, slices, measure=MEASURE):
    """Both trials that such slices make."""
    base, candidate, record = fold(slices, measure)
    return [
        Trial(
            "test_a",
            name,
            number,
            position,
            (measure,),
            {measure.short_name: value},
            environment=Environment(0.0, 50.0 * (number % 2), 1.0),
            folded={measure.short_name: record},
        )
        for position, (name, value) in enumerate(zip(NAMES, (base, candidate), strict=True))
    ]


def judged(pairs):
    return judge_all(
        [one for pair in pairs for one in pair], NAMES, [MEASURE], length=Length(), seed=0
    )


def test_slices_that_never_become_flat_are_undecided():
    """What a variant leaves to the next makes both alike, so nothing passes."""
    pairs = [
        trial_pair(number, [ramping(one) for one in slices_of(0.0, each=30, seed=number)])
        for number in range(12)
    ]
    verdict = judged(pairs).verdicts[0]
    assert verdict.status == "UNDECIDED"
    assert verdict.reason.startswith("carry-over: in ")


def test_interleaved_pairs_beside_a_neighbour_are_neither_unfit_nor_adjusted():
    """Whatever others did, they did it to both: 5 % is found, and who went second is told."""
    pairs = [trial_pair(number, slices_of(0.05, second=0.03, seed=number)) for number in range(12)]
    judgement = judged(pairs)
    verdict = judgement.verdicts[0]
    assert (verdict.status, verdict.covariate) == ("REGRESSED", "")
    assert verdict.spread < 0.01
    assert any("whichever variant works second" in doubt for doubt in judgement.doubts)
    assert not any("left out" in doubt for doubt in judgement.doubts)


def test_a_slice_without_an_operation_is_undecided():
    """It says how long slices should be."""
    slices = slices_of(0.0)
    del slices[3].values["latency_ms"]
    with pytest.raises(Undecided, match=r"in 1 of 40 slices of 0.2 s; .* interleave='1s'"):
        fold(slices, MEASURE)


@pytest.mark.parametrize("given", ["0", "0.01s", "11s", "soon", 0, True, "1 h", "-1s"])
def test_slices_that_cannot_be(given):
    """One sentence with the value."""
    with pytest.raises(
        InvalidInput, match=r"expected interleave from 0.05s to 10s, such as '0.2s'"
    ):
        declare("test_a", "latency_ms", better="lower", interleave=given)


def test_a_column_cannot_take_turns():
    """Both are alive while it is sampled."""
    with pytest.raises(InvalidInput, match="cpu_percent cannot tell them apart"):
        declare("test_a", "cpu_percent", interleave="0.2s")


def test_one_disturbed_slice_pair_lets_no_order_effect_through():
    """The median of each order by itself: that of all lies between two clusters."""
    ratios = []
    for seed in range(20):
        slices = slices_of(0.0, second=0.05, seed=seed)
        slices[seed].values["latency_ms"] = [(0.0, 150.0)]
        base, candidate, _ = fold(slices, MEASURE)
        ratios.append(np.log(candidate / base))
    assert np.std(ratios) < 0.005


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_figures_that_are_no_numbers_are_undecided(value):
    """A timeout that was recorded as NaN is not passed over."""
    slices = slices_of(0.0, each=10)
    slices[5].values["latency_ms"][9] = (0.1, value)
    with pytest.raises(Undecided, match="1 figures of the slices are no numbers"):
        fold(slices, MEASURE)


@pytest.mark.parametrize(
    ("each", "start", "is_flat"), [(2, 0.3, False), (6, 0.3, True), (2, 0.0, True)]
)
def test_few_figures_a_slice_are_looked_at_too(each, start, is_flat):
    """Each part is then one figure; of two the first is half of the slice already."""
    base, candidate, record = fold(slices_of(0.05, start=start, each=each), MEASURE)
    assert record["is_flat"] is is_flat
    if is_flat:
        assert candidate / base == pytest.approx(1.05, abs=0.003)


def test_work_that_is_put_off_into_the_others_turns_is_undecided():
    """The base pays for what the candidate does in its turns."""
    pairs = [trial_pair(number, slices_of(0.0, seed=number)) for number in range(12)]
    for pair in pairs:
        for trial in pair:
            trial.folded["latency_ms"]["idle_shares"] = (0.01, 0.2)
    verdict = judged(pairs).verdicts[0]
    assert verdict.status == "UNDECIDED"
    assert verdict.reason.startswith("carry-over: the candidate takes 19 points more")


def test_a_covariate_has_no_place_in_turns():
    """Both variants have the same machine; auto adjusts nothing there."""
    assert MEASURE.covariate == "auto"
    with pytest.raises(InvalidInput, match="leave out covariate='steal'"):
        declare("test_a", "ms", better="lower", interleave="0.2s", covariate="steal")

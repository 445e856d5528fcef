"""The adaptive campaign: how long it is, what it chooses from, and what it has chosen."""

from collections import Counter

import pytest

from tests.support.simulated_machine import campaign, observed
from twin_harness.control.adaptive import (
    draw_adaptive,
    draw_candidates,
    is_open,
    parse_campaign,
    usual_plans,
)
from twin_harness.control.campaign import draw_campaign, remaining
from twin_harness.control.campaign_bounds import CampaignBounds
from twin_harness.errors import InvalidInput
from twin_harness.predict.next_plans import choose_plans


def test_it_begins_with_the_runs_of_the_shortest_campaign_and_fills_its_time():
    """What was recorded of the one counts for the other; there is no room for one plan more."""
    runs = draw_adaptive("adaptive:20m")
    assert runs[:6] == draw_campaign("10m")[:6]
    assert not any(map(is_open, runs[:6]))
    assert all(map(is_open, runs[6:]))
    assert len({run.name for run in runs}) == len(runs)
    total_s = sum(one.machine_s for one in runs)
    assert total_s <= 1_200 < total_s + runs[-1].machine_s


@pytest.mark.parametrize("text", ["adaptive", "adaptive:5m", "adaptive:5h", "adaptive:20 m", "2h"])
def test_other_sizes_are_refused(text):
    """The sentence says what there is, and how short it may be."""
    with pytest.raises(InvalidInput, match=r"10m, 1h, 4h, or adaptive: .* from adaptive:7m"):
        parse_campaign(text)


def test_candidates_are_alike_in_length_within_the_bounds_and_new_each_time():
    """So that one is better than another by what it tells alone."""
    bounds = CampaignBounds(max_cpu_percent=60, max_memory_percent=30)
    candidates = draw_candidates(1, bounds)
    assert len({one.machine_s for one in candidates}) == 1
    assert candidates[0].machine_s == draw_adaptive("adaptive:20m")[-1].machine_s
    highest = {"cpu": 61, "memory": 31, "disk": bounds.max_disk_bytes_per_s}
    for one in candidates:
        for event in one.events:
            assert event.shape.extremes(event.duration_s)[1] <= highest[event.stressor]
    assert not {one.hash() for one in candidates} & {one.hash() for one in draw_candidates(2)}


def test_what_was_chosen_is_recorded_under_the_name_of_its_placeholder():
    """A campaign that goes on does not choose again what it has run already."""
    runs = draw_adaptive("adaptive:20m")
    chosen = runs[6].name
    recorded = Counter({(runs[0].name, runs[0].hash()): 1, (chosen, "f" * 64): 1})
    left = [one.name for one in remaining(runs, recorded)]
    assert left == [one.name for one in runs if one.name not in {runs[0].name, chosen}]


def test_another_seed_or_other_bounds_are_another_campaign():
    """What was chosen for the one is not taken for the other's."""
    names = [
        draw_adaptive("adaptive:20m", seed, bounds)[6].name
        for seed, bounds in ((0, None), (1, None), (0, CampaignBounds(max_memory_percent=20)))
    ]
    assert len(set(names)) == 3


def test_plans_are_chosen_for_what_the_runs_have_left_open():
    """A twin that has seen CPU load alone is shown memory and disk; the sentence says by what."""
    told = []
    seen = [one for one in campaign("4h") if {e.stressor for e in one.events} == {"cpu"}][:6]
    chosen = choose_plans(observed(seen), draw_candidates(3), usual_plans()[:8], 3, told.append)
    assert {"memory", "disk"} <= {event.stressor for one in chosen for event in one.events}
    assert "the next 3 plans were chosen from 6 runs" in told[-1]


def test_too_few_runs_choose_nothing():
    """The first candidates are taken, and that is said."""
    told = []
    candidates = draw_candidates(3)
    runs = observed(campaign("10m")[:2])
    assert choose_plans(runs, candidates, usual_plans(), 3, told.append) == list(candidates[:3])
    assert "the next 3 plans are drawn, not chosen: " in told[-1]
    assert "2 runs of 2 different plans are too few" in told[-1]


def test_runs_of_two_machines_choose_nothing():
    """That is no reason to go on with plans that are drawn."""
    plans = campaign("10m")
    runs = [*observed(plans[:6]), *observed(plans[:6], fingerprint="f" * 16)]
    with pytest.raises(InvalidInput, match="the runs are of 2 machines"):
        choose_plans(runs, draw_candidates(3), usual_plans(), 3, lambda _: None)

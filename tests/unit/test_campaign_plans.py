"""The training campaign: roles, counts, and plans that a machine can carry."""

import pytest

from tests.support.simulated_machine import CAPACITY, campaign, observed
from twin_harness.control.campaign import (
    COUNTS,
    ROLES,
    draw_campaign,
    recorded_hashes,
    remaining,
    role_of,
)
from twin_harness.control.campaign_bounds import CampaignBounds
from twin_harness.control.make_schedule import draw_experiments
from twin_harness.errors import InvalidInput
from twin_harness.predict.demand import demand_of
from twin_harness.predict.domain import domain_of, extrapolations
from twin_harness.runs.folder import RunFolder
from twin_harness.runs.records import PlannedExperiment


def of(runs, role):
    return [run for run in runs if role_of(run.name) == role]


@pytest.mark.parametrize("size", COUNTS)
def test_a_campaign_has_the_counts_of_its_size_in_order(size):
    """Training comes first, then calibration, then the test, each with its count.

    Names are unique.
    """
    runs = draw_campaign(size)
    assert [len(of(runs, role)) for role in ROLES] == list(COUNTS[size])
    assert [role_of(run.name) for run in runs] == sorted(
        (role_of(run.name) for run in runs), key=ROLES.index
    )
    assert len({run.name for run in runs}) == len(runs)


def test_a_smaller_campaign_is_part_of_a_larger_one():
    """What an hour recorded counts for the four hours: same names, same plans."""
    small, large = ({run.name: run.hash() for run in draw_campaign(size)} for size in ("1h", "4h"))
    assert {name: large.get(name) for name in small} == small


def test_six_runs_hold_all_that_a_plan_can_ask_for():
    """A twin of ten minutes says of no usual plan that a channel, or three loads, are new to it."""
    bounds = {"max_disk_bytes_per_s": 2_000_000_000}
    domain = domain_of(observed(of(campaign("10m", **bounds), "train")))
    usual = [*of(campaign("4h", **bounds), "calibrate"), *draw_experiments(20, 3)]
    beyond = [one.name for one in usual if extrapolations(demand_of(one, CAPACITY), domain)]
    assert not beyond


def test_no_plan_stands_in_two_roles():
    """Calibration and test are plans that training has not seen."""
    runs = draw_campaign("4h")
    hashes = [{run.hash() for run in of(runs, role)} for role in ROLES]
    assert not (hashes[0] & hashes[1])
    assert not (hashes[0] & hashes[2])
    assert not (hashes[1] & hashes[2])


def test_some_plans_are_run_three_times_in_training_and_twice_in_the_test():
    """How far two runs of one plan differ can be told from both."""
    runs = draw_campaign("4h")
    counts = {
        role: sorted(
            map(
                [run.hash() for run in of(runs, role)].count, {run.hash() for run in of(runs, role)}
            )
        )
        for role in ROLES
    }
    assert counts["train"][-6:] == [3] * 6
    assert counts["calibrate"] == [1] * 50
    assert counts["test"] == [1] * 20 + [2] * 10


def test_every_second_random_plan_reaches_for_a_limit():
    """Of forty test runs ten or so fill memory nearly to its bound, and as many keep the disk busy.

    A call of overload is judged from ten of each.
    """
    bounds = CampaignBounds(max_memory_percent=80, max_disk_bytes_per_s=2_000_000_000)
    for role, least in (("calibrate", 12), ("test", 9)):
        runs = of(draw_campaign("4h", bounds=bounds), role)
        full = [
            run
            for run in runs
            if any(
                one.stressor == "memory"
                and one.level(one.duration_s - 1) >= 77
                and one.duration_s >= 45
                for one in run.events
            )
        ]
        busy = [
            run
            for run in runs
            if any(
                one.stressor == "disk" and one.duration_s >= 14 and one.level(5.0) >= 1.4e9
                for one in run.events
            )
        ]
        assert len(full) >= least
        assert len(busy) >= least


def test_the_same_seed_gives_the_same_plans():
    """Every worker and every piece of a campaign draws the same; another seed draws others."""
    assert draw_campaign("10m", 3) == draw_campaign("10m", 3)
    assert draw_campaign("10m", 3) != draw_campaign("10m", 4)


def test_levels_stay_within_the_bounds():
    """Nothing asks for more than the bounds, but for the run that saturates the device."""
    bounds = CampaignBounds(
        max_cpu_percent=60, max_memory_percent=30, max_disk_bytes_per_s=50_000_000
    )
    highest = {"cpu": 60, "memory": 30, "disk": 50_000_000}
    for run in draw_campaign("4h", bounds=bounds):
        for event in run.events:
            assert (
                event.shape.extremes(event.duration_s)[1] <= highest[event.stressor] + 1
                or "saturated" in run.name
            )
            assert event.shape.extremes(event.duration_s)[0] >= 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_cpu_percent", 101), ("max_memory_percent", 0), ("max_disk_bytes_per_s", 1.5)],
)
def test_bounds_out_of_range_are_refused(name, value):
    """A bound that no machine has is named."""
    with pytest.raises(InvalidInput, match=f"{name}={value}"):
        CampaignBounds(**{name: value})


def test_an_unknown_size_is_refused():
    """The sizes there are stand in the sentence."""
    with pytest.raises(InvalidInput, match="expected one of 10m, 1h, 4h but got size='2h'"):
        draw_campaign("2h")


def recorded(data_dir, runs, status="completed", **machine):
    folder = RunFolder.create(data_dir)
    folder.write_machine({"fingerprint": "f" * 16, **machine})
    folder.write_state({"status": "COMPLETE"})
    for run in runs:
        folder.append_plan(PlannedExperiment(run, 0.0, 1.0, 2.0, status=status))
    return folder


def test_what_was_recorded_on_this_machine_is_not_run_again(tmp_path):
    """Runs that ended as planned count.

    Aborted ones, other machines', the twin's and those of the session under way do not.
    """
    runs = draw_campaign("10m")
    recorded(tmp_path, runs[:3])
    recorded(tmp_path, runs[3:4], status="aborted")
    recorded(tmp_path, runs[4:5], fingerprint="0" * 16)
    recorded(tmp_path, runs[5:6], predicted_by="twin.json")
    now = recorded(tmp_path, runs[6:7])
    (tmp_path / "20260101T000000Z-000000").mkdir()
    found = recorded_hashes(tmp_path, {"fingerprint": "f" * 16}, skip=now.run_id)
    assert [run.name for run in remaining(runs, found)] == [run.name for run in runs[3:]]
    assert remaining(runs, recorded_hashes(tmp_path / "none", {"fingerprint": "f" * 16})) == runs


def test_a_changed_plan_is_run_again(tmp_path):
    """The hash counts, not the name alone: other bounds make other plans."""
    recorded(tmp_path, draw_campaign("10m"))
    others = draw_campaign("10m", bounds=CampaignBounds(max_memory_percent=20))
    left = [
        run.name for run in remaining(others, recorded_hashes(tmp_path, {"fingerprint": "f" * 16}))
    ]
    assert "train 02 memory staircase" in left
    assert "train 00 rest" not in left

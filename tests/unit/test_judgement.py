"""Load that was not delivered: kept, missed, undecided, or no matter of tolerance."""

import json

import pytest

from tests.support.runs import ZERO_S, annotate, csv_row, make_folder, planned, write_dataset
from twin_harness import command, cpu, disk, memory, plan, sine, steps
from twin_harness.control.outcome import judge_tolerance
from twin_harness.errors import FidelityMissed, InvalidInput, Undecided
from twin_harness.metrics import RESOURCE_COLUMNS
from twin_harness.runs.delivery import compare
from twin_harness.runs.filling import Filling
from twin_harness.runs.judgement import _GRAIN_BYTES, _SLOT_S, judge, session_tolerance
from twin_harness.runs.recording import Recording
from twin_harness.schedule.tolerance import parse_tolerance
from twin_harness.session.config import TwinConfig
from twin_harness.stress.cpu_stress import SLOT_S
from twin_harness.stress.mem_stress import GRAIN_BYTES

MIB = 2**20
STEP_S = 0.1


def recorded(
    tmp_path,
    event,
    delivered_at,
    *,
    tolerance=None,
    starved_s=0.0,
    others=0.0,
    machine=None,
    **more,
):
    """A recording of one event whose delivered load is a function of the time."""
    experiment = plan(event, name="one", tolerance=tolerance)
    event = experiment.events[0]
    folder = make_folder(tmp_path)
    if machine is not None:
        folder.write_machine(machine)
    columns = RESOURCE_COLUMNS[event.stressor]
    lines = []
    for number in range(-5, round(event.duration_s / STEP_S) + 6):
        t_s = number * STEP_S
        requested = event.level(t_s - STEP_S / 2)
        values = {
            columns[0]: requested,
            columns[1]: delivered_at(t_s) if 0 < t_s <= event.duration_s + 1e-9 else 0.0,
        }
        if event.stressor == "cpu":
            values |= {
                "cpu_percent": values[columns[1]] + others,
                "cpu_steal_percent": 0,
                "harness_cpu_percent": 0,
            }
            values |= {"cpu_background_percent": others}
        lines.append(csv_row(ZERO_S + t_s, **values))
    write_dataset(folder, lines)
    row = annotate(
        experiment, event.id, parameters=json.dumps({"starved_s": starved_s}), status="completed"
    )
    for name, value in more.items():
        setattr(row, name, value)
    recording = Recording.whole(folder, planned(experiment), (row,))
    measured = compare(event, 1.0, recording.during(event.id).samples, row)
    if measured is not None:
        row.requested_mean, row.delivered_mean = measured.requested_mean, measured.delivered_mean
        row.delivered_error_percent, row.settled_s = measured.error_percent, measured.settled_s
    return recording


def filled(bytes_per_s, upto=float("inf")):
    """Memory that fills at a pace, up to a limit."""
    return lambda t_s: min(bytes_per_s * t_s, upto)


def verdict(recording, event="cpu-0", session="5%"):
    """The verdict alone."""
    return judge(recording, event, session).verdict


# -- the tolerance ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "session", "found"),
    [
        (None, "5%", "missed"),
        (None, "none", "not judged"),
        ("none", "5%", "not judged"),
        ("25%", "5%", "kept"),
        ("5%", "none", "missed"),
        (None, "25%", "kept"),
    ],
)
def test_an_experiment_s_own_tolerance_comes_before_the_session_s(tmp_path, own, session, found):
    """20 % short of the plan is judged by the experiment's tolerance, else by the session's."""
    recording = recorded(tmp_path, cpu(50, duration_s=4), lambda _: 40.0, tolerance=own)
    assert verdict(recording, session=session) == found


def test_the_default_of_a_session_is_five_percent():
    """Nobody has to ask for load to be judged; none is a tolerance of its own."""
    assert TwinConfig().tolerance_percent == 5.0
    assert TwinConfig(tolerance="none").tolerance_percent is None


@pytest.mark.parametrize(
    ("text", "found"),
    [("5%", "5%"), (" 2.5 % ", "2.5%"), ("3", "3%"), ("None", "none"), ("0%", "0%")],
)
def test_a_session_s_tolerance_is_read_as_people_write_it(text, found):
    """A percent with or without its sign, or none."""
    assert parse_tolerance(text) == found


@pytest.mark.parametrize("text", ["five", "-1%", "101%", "5 percent", "", "nan", "٥%"])
def test_a_tolerance_that_is_none_is_refused(text):
    """One sentence names the option, what was expected and what was got."""
    with pytest.raises(InvalidInput) as caught:
        parse_tolerance(text)
    assert (
        str(caught.value)
        == f"--twin-tolerance: expected a percent up to 100, or none, but got {text!r}; write"
        " e.g. 5%"
    )


def test_a_tolerance_of_none_leaves_the_hash_as_it_is():
    """What was recorded before a plan could say none is still a recording of that plan.

    Any other tolerance is of the plan.
    """
    plain, unjudged, own = (
        plan(cpu(50, duration_s=4), tolerance=tolerance) for tolerance in (None, "none", "5%")
    )
    assert plain.hash() == unjudged.hash() != own.hash()
    assert (plain.tolerance_percent, unjudged.tolerance_percent, own.tolerance_percent) == (
        None,
        None,
        5.0,
    )
    assert unjudged.to_json()["tolerance"] == "none"


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ({"settings": {"tolerance": "8%"}}, "8%"),
        ({"settings": {"tolerance": "none"}}, "none"),
        ({"settings": {}}, "5%"),
        ({}, "5%"),
        ({"settings": {"tolerance": "x"}}, "5%"),
        ({"settings": {"tolerance": 8}}, "5%"),
    ],
)
def test_the_session_s_tolerance_is_read_from_its_run(state, found):
    """A run that is older than the option, or damaged, is held against the default."""
    assert session_tolerance(state) == found


# -- CPU and disk ----------------------------------------------------------------------------------


def test_a_load_that_was_not_delivered_is_missed(tmp_path):
    """Half of what was asked, with nobody in the way.

    Missed, in one sentence with both figures, the error and the tolerance.
    """
    recording = recorded(tmp_path, cpu(50, duration_s=4), lambda _: 25.0)
    with pytest.raises(FidelityMissed) as caught:
        judge_tolerance(recording, "5%", pytest.fail)
    assert (
        str(caught.value)
        == "experiment 'one': cpu-0 delivered 25 percent where 50 was asked for, an error of -50.00"
        " % against a tolerance of 5 %"
    )
    assert caught.value.recording is recording


def test_a_load_that_had_no_room_is_undecided(tmp_path):
    """The machine's reason stands behind the error, and the exception has the recording."""
    recording = recorded(
        tmp_path, cpu(50, duration_s=4), lambda _: 25.0, starved_s=2.0, others=75.0
    )
    with pytest.raises(
        Undecided,
        match=(
            r"an error of -50\.00 % against a tolerance of 5 %; the machine had no room: 24\.4"
            r" points"
        ),
    ) as caught:
        judge_tolerance(recording, "5%", pytest.fail)
    assert caught.value.recording is recording


def test_a_miss_weighs_more_than_what_cannot_be_decided(tmp_path):
    """Of two events, one missed and one undecided, the experiment failed."""
    first = recorded(tmp_path, cpu(50, duration_s=4), lambda _: 25.0)
    experiment = plan(first.experiment.events[0], disk(1e6, duration_s=0.05), name="one")
    row = annotate(experiment, "disk-0", status="completed", parameters="{}")
    both = Recording.whole(first.folder, planned(experiment), (*first.rows, row))
    with pytest.raises(FidelityMissed, match="cpu-0 delivered"):
        judge_tolerance(both, "5%", pytest.fail)


@pytest.mark.parametrize("status", ["failed", "aborted", "stopped", "skipped"])
def test_what_did_not_complete_is_no_matter_of_tolerance(tmp_path, status):
    """An event that ended badly says so itself."""
    recording = recorded(tmp_path, cpu(50, duration_s=4), lambda _: 25.0)
    recording.rows[0].status = status
    assert verdict(recording) == "not judged"


def test_a_command_is_no_matter_of_tolerance(tmp_path):
    """A program has no level."""
    experiment = plan(command(["sleep", "1"], duration_s=1), name="one")
    row = annotate(experiment, "command-0", status="completed")
    recording = Recording.whole(make_folder(tmp_path), planned(experiment), (row,))
    assert verdict(recording, "command-0") == "not judged"
    judge_tolerance(recording, "5%", pytest.fail)


def test_an_event_without_a_whole_sample_is_undecided(tmp_path):
    """What nobody has measured is not taken for delivered."""
    recording = recorded(
        tmp_path, cpu(50, duration_s=0.05), lambda _: 50.0, delivered_error_percent=None
    )
    found = judge(recording, "cpu-0", "5%")
    assert found.verdict == "UNDECIDED"
    assert (
        found.reason
        == "cpu-0 holds no whole sample, so its tolerance of 5 % cannot be judged; make it longer"
        " than two sampling intervals, or sample more often"
    )


@pytest.mark.parametrize(
    ("event", "delivered", "found"),
    [
        (cpu(50, duration_s=0.4), 47.0, "UNDECIDED"),  # 6 % short; a slot of 24 ms is 6 % of 0.4 s
        (cpu(50, duration_s=10), 47.0, "missed"),
        (cpu(50, duration_s=0.4), 40.0, "missed"),
        (disk(10.0, duration_s=2), 0.0, "UNDECIDED"),  # 20 bytes in all: not one block
        (disk(2e6, duration_s=2), 1.8e6, "UNDECIDED"),  # 10 % short; a block is 6.6 % of it
        (disk(20e6, duration_s=4), 18e6, "missed"),
        (
            disk(2e6, duration_s=4, direct=False),
            1.0e6,
            "UNDECIDED",
        ),  # what one fsync covers is more than is asked for
    ],
)
def test_the_session_s_tolerance_allows_for_the_resolution(tmp_path, event, delivered, found):
    """An error that is no more than the stressor's own step is undecided, never kept.

    A larger one is missed.
    """
    recording = recorded(tmp_path, event, lambda _: delivered)
    assert verdict(recording, recording.rows[0].event) == found


def test_an_experiment_s_own_tolerance_is_strict(tmp_path):
    """Who writes a tolerance means it, whatever the stressor resolves."""
    recording = recorded(tmp_path, cpu(50, duration_s=0.4), lambda _: 47.0, tolerance="5%")
    assert verdict(recording) == "missed"


def test_the_resolutions_are_those_of_the_stressors():
    """The constants stand twice, since judging must not import stressors."""
    assert (_SLOT_S, _GRAIN_BYTES) == (SLOT_S, GRAIN_BYTES)


def test_a_total_that_others_exceed_is_undecided(tmp_path):
    """A total of the machine cannot be kept where others alone are above it.

    Where the load itself overshoots, it is missed.
    """
    event = cpu(30, duration_s=4, target="system")
    assert verdict(recorded(tmp_path / "others", event, lambda _: 0.0, others=60.0)) == "UNDECIDED"
    assert verdict(recorded(tmp_path / "own", event, lambda _: 60.0)) == "missed"
    starved = recorded(tmp_path / "starved", event, lambda _: 10.0, starved_s=3.0)
    assert verdict(starved) == "UNDECIDED"


# -- memory ----------------------------------------------------------------------------------------


def of_memory(tmp_path, shape, delivered_at, duration_s=10, **more):
    """A recording of memory load in bytes."""
    return recorded(
        tmp_path, memory(shape, duration_s=duration_s, unit="bytes"), delivered_at, **more
    )


def test_memory_is_judged_once_it_has_filled(tmp_path):
    """Three seconds of filling are no miss of ten; the whole event's mean is, so that is said."""
    recording = of_memory(tmp_path, 3000 * MIB, filled(1000 * MIB, 3000 * MIB), starved_s=3.0)
    assert recording.rows[0].delivered_error_percent == pytest.approx(-15, abs=0.5)
    said = []
    judge_tolerance(recording, "5%", said.append)
    (sentence,) = said
    assert (
        sentence
        == "experiment 'one': mem-0 filled memory for 3.0 s, at 1000 MiB/s, before its plateau; its"
        " delivered_mean is of the whole event, -15.0 % of what was asked for"
    )


def test_memory_that_never_filled_is_undecided_and_says_how_long_it_would_take(tmp_path):
    """A plan that the machine cannot fill in time has no plateau."""
    recording = of_memory(tmp_path, 8000 * MIB, filled(500 * MIB), duration_s=4, starved_s=3.9)
    found = judge(recording, "mem-0", "5%")
    assert found.verdict == "UNDECIDED"
    assert (
        found.reason
        == "mem-0 was filling memory for 4.0 s, at 500 MiB/s, and had come to 2000 of 8000 MiB when"
        " that level ended, so there is no plateau to be judged by; what was missing would have"
        " taken about 12.0 s more; make it longer, or ask for less"
    )


@pytest.mark.parametrize(
    ("delivered_at", "starved_s"),
    [
        (filled(1000 * MIB, 2400 * MIB), 2.4),  # stops at 80 %
        (filled(200 * MIB), 0.0),  # fills too slowly, though it waits for nothing
        (filled(1000 * MIB, 3600 * MIB), 3.6),  # takes more than was asked
        (lambda _: 0.0, 0.0),  # takes nothing
        (lambda t_s: 3000 * MIB if t_s < 5 else 1500 * MIB, 0.0),  # loses half of it
    ],
)
def test_a_broken_memory_stressor_is_missed(tmp_path, delivered_at, starved_s):
    """Filling excuses nothing but the time in which the machine was filling."""
    recording = of_memory(tmp_path, 3000 * MIB, delivered_at, starved_s=starved_s)
    assert verdict(recording, "mem-0") == "missed"


def test_each_step_of_a_staircase_fills_anew(tmp_path):
    """What fills after a jump is not held against the step before, nor against its own plateau."""
    levels = [500 * MIB, 2000 * MIB, 1000 * MIB]

    def delivered_at(t_s):
        rising = min(2000 * MIB, 500 * MIB + (t_s - 4) * 1500 * MIB)
        return 500 * MIB if t_s <= 4 else rising if t_s <= 8 else 1000 * MIB

    recording = of_memory(tmp_path, steps(levels), delivered_at, duration_s=12, starved_s=1.0)
    assert verdict(recording, "mem-0") == "kept"


def following(levels_at, bytes_per_s, lag_s=0.0):
    """Memory that follows a plan up no faster than a pace, and down at once."""
    held, before_s = 0.0, 0.0

    def delivered_at(t_s):
        nonlocal held, before_s
        held = min(levels_at(max(0.0, t_s - lag_s)), held + bytes_per_s * (t_s - before_s))
        before_s = t_s
        return held

    return delivered_at


def test_a_step_that_was_never_reached_is_undecided(tmp_path):
    """The steps around it were kept.

    What the middle one lacked is said of it, with how long it would have taken.
    """
    shape = steps([200 * MIB, 2500 * MIB, 200 * MIB])
    event = memory(shape, duration_s=6, unit="bytes")
    found = judge(
        recorded(tmp_path, event, following(event.level, 500 * MIB), starved_s=2.2), "mem-0", "5%"
    )
    assert found.verdict == "UNDECIDED"
    assert "had come to 1200 of 2500 MiB" in found.reason


@pytest.mark.parametrize(
    ("bytes_per_s", "starved_s", "found"),
    [(5000 * MIB, 0.2, "kept"), (400 * MIB, 3.0, "UNDECIDED"), (400 * MIB, 0.0, "missed")],
)
def test_a_wave_is_judged_in_its_rises_as_in_its_falls(tmp_path, bytes_per_s, starved_s, found):
    """Filling excuses the way to the first level alone.

    A wave that memory cannot follow upward is not judged by its falls.
    """
    event = memory(sine(1000 * MIB, 900 * MIB, 2), duration_s=6, unit="bytes")
    recording = recorded(tmp_path, event, following(event.level, bytes_per_s), starved_s=starved_s)
    assert verdict(recording, "mem-0") == found


def test_a_small_wave_that_lags_a_tick_has_no_bias(tmp_path):
    """What lags upward is as much too little as what lags downward is too much."""
    event = memory(sine(150 * MIB, 140 * MIB, 1.5), duration_s=3, unit="bytes")
    recording = recorded(tmp_path, event, following(event.level, 1e12, lag_s=0.02), tolerance="2%")
    assert verdict(recording, "mem-0") == "kept"


def test_memory_that_stalls_while_it_waits_is_undecided(tmp_path):
    """The machine lets it wait at a level that it never leaves.

    No room, by the stressor's own account.
    """
    recording = of_memory(tmp_path, 3000 * MIB, filled(1000 * MIB, 1500 * MIB), starved_s=9.9)
    found = judge(recording, "mem-0", "5%")
    assert found.verdict == "UNDECIDED"
    assert found.reason.endswith(
        "the machine had no room: the load waited 7.80 s of 7.90 s for memory to be filled"
    )


def test_memory_of_a_few_pages_is_within_its_resolution(tmp_path):
    """Half a huge page of 8 MB is above 5 %."""
    recording = of_memory(tmp_path, 8e6, lambda _: 8.8e6, duration_s=4)
    assert "one huge page of 2 MiB is 26 % of it" in judge(recording, "mem-0", "5%").reason


def test_what_a_twin_predicts_waits_for_nothing(tmp_path):
    """A predicted recording knows no queue.

    Memory that does not fill in time is undecided there, too.
    """
    machine = {
        "cpus": [0, 1],
        "cpu_capacity": 2.0,
        "memory_limit_bytes": 1000,
        "predicted_by": "twin",
    }
    recording = of_memory(tmp_path, 8000 * MIB, filled(500 * MIB), duration_s=4, machine=machine)
    assert verdict(recording, "mem-0") == "UNDECIDED"


def test_a_pace_of_nothing_takes_for_ever():
    """What does not grow never fills."""
    assert Filling(1.0, 0.0, 5.0).needed_s == float("inf")
    assert Filling(2.0, 10.0, 70.0, 20.0).needed_s == 5.0


# -- loads of one resource at a time ---------------------------------------------------------------


def beside(tmp_path, delivered_at, starved_s):
    """A steady load of 10 % for 5 s, and in it a spike of 85 % for 3 s, which alone waits."""
    experiment = plan(
        cpu(10, duration_s=5, id="steady"), cpu(85, start_s=1, duration_s=3, id="spike"), name="two"
    )
    folder = make_folder(tmp_path)
    lines = []
    for number in range(-5, 56):
        t_s = number * STEP_S
        requested = sum(
            event.level(t_s - STEP_S / 2 - event.start_s) for event in experiment.events
        )
        delivered = delivered_at(requested)
        values = {
            "cpu_requested_percent": requested,
            "cpu_delivered_percent": delivered,
            "cpu_percent": 100,
            "cpu_steal_percent": 0,
        }
        lines.append(
            csv_row(
                ZERO_S + t_s,
                **values,
                harness_cpu_percent=0,
                cpu_background_percent=100 - delivered,
            )
        )
    write_dataset(folder, lines)
    rows = []
    for event in experiment.events:
        waited = {"starved_s": starved_s if event.id == "spike" else 0.0}
        rows.append(
            annotate(experiment, event.id, parameters=json.dumps(waited), status="completed")
        )
    recording = Recording.whole(folder, planned(experiment), tuple(rows))
    for row in rows:
        measured = compare(
            experiment.event(row.event), 1.0, recording.during(row.event).samples, row
        )
        row.requested_mean, row.delivered_mean = measured.requested_mean, measured.delivered_mean
        row.delivered_error_percent = measured.error_percent
    return recording


def test_what_is_missing_is_shared_out_among_loads_of_one_resource(tmp_path):
    """The kernel's account does not tell them apart.

    Each lacks its part of what is missing, and none less than nothing is delivered.
    """
    recording = beside(tmp_path, lambda requested: min(requested, 50.0), starved_s=2.0)
    steady, spike = recording.rows
    assert steady.delivered_mean == pytest.approx(10 - 3 / 5 * 45 * 10 / 95, abs=0.1)
    assert spike.delivered_mean == pytest.approx(85 - 45 * 85 / 95, abs=0.5)


def test_a_load_is_excused_by_the_waiting_of_those_beside_it(tmp_path):
    """Where one of them had no room none of them had; where none waited all of them are missed."""
    undecided = beside(tmp_path / "full", lambda requested: min(requested, 50.0), starved_s=2.0)
    assert [verdict(undecided, name) for name in ("steady", "spike")] == ["UNDECIDED", "UNDECIDED"]
    missed = beside(tmp_path / "broken", lambda requested: requested / 2, starved_s=0.0)
    assert [verdict(missed, name) for name in ("steady", "spike")] == ["missed", "missed"]

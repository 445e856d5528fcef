"""A recording on a grid of seconds.

What is known of each, until when the plan held, and what no model learns from.
"""

import dataclasses

import numpy as np
import pytest

from tests.support.machines import MACHINE
from tests.support.runs import ZERO_S, annotate, csv_row, make_folder, planned, write_dataset
from twin_harness.dataset.tables import write_parquet
from twin_harness.errors import InvalidInput
from twin_harness.predict.gathering import check_machines, gather
from twin_harness.predict.observation import _held_before, observe, start_of
from twin_harness.runs.run import load
from twin_harness.schedule.builders import cpu, disk, memory, plan

FACTS = {"fingerprint": "f" * 16, "cpus": [0, 1], "cpu_capacity": 2.0, "memory_limit_bytes": 2**30}
EXPERIMENT = plan(cpu(50, duration_s=10), name="plateau", lead_s=2, tail_s=3)


def recorded(
    tmp_path,
    experiment=EXPERIMENT,
    machine=FACTS,
    status="completed",
    end_s=None,
    first_s=-3.0,
    last_s=14.0,
    partition="",
    **columns,
):
    """A run of one experiment, sampled ten times a second.

    A column is a value, or a list of one for each row.
    """
    folder = make_folder(tmp_path / "data")
    folder.write_machine(machine)
    moments = np.arange(first_s, last_s, 0.1)
    rows = []
    for number, at_s in enumerate(moments):
        own = {
            name: value[number] if isinstance(value, list) else value
            for name, value in columns.items()
        }
        rows.append(
            {
                "cpu_percent": 60.0 if 0 < at_s <= 10 else 2.0,
                "load1": 1.5,
                "memory_percent": 7.0,
                "partition": partition,
                **own,
            }
        )
    write_dataset(
        folder, [csv_row(ZERO_S + at_s, **row) for at_s, row in zip(moments, rows, strict=True)]
    )
    folder.append_plan(planned(experiment))
    for event in experiment.events:
        more = (
            {"status": status}
            if end_s is None
            else {"status": status, "actual_end_s": end_s, "end_monotonic_s": ZERO_S + end_s}
        )
        folder.append_annotation(annotate(experiment, event.id, **more))
    return load(folder.path)


def test_a_recording_is_seen_by_seconds(tmp_path):
    """Fifteen seconds from the start of the lead, the plan and what was measured side by side."""
    one = observe(recorded(tmp_path).recordings[0])
    assert one.demand.seconds == pytest.approx(15, abs=1)
    assert one.demand.begin_s == pytest.approx(-2.0, abs=0.15)
    busy = one.demand.channel("cpu_percent") > 49
    assert one.column("cpu_percent")[busy] == pytest.approx(60, abs=8)
    assert np.isnan(one.column("probe_cpu_ms")).all()
    assert one.before[2] == 1.5
    assert one.stressors == {"cpu"}
    assert one.shapes == {"constant"}
    assert not one.ended_early


@pytest.mark.parametrize("status", ["aborted", "failed", "stopped"])
def test_of_a_run_that_was_broken_off_only_the_seconds_before_count(tmp_path, status):
    """From the second in which it was, the plan asks for what nobody delivered."""
    one = observe(recorded(tmp_path, status=status, end_s=6.0).recordings[0])
    known = ~np.isnan(one.column("cpu_percent"))
    assert one.ended_early
    assert one.demand.ends_s[known].max() <= 6.0 + 1e-6
    assert one.column("cpu_percent")[known].max() == pytest.approx(60, abs=1)


def test_a_run_without_its_csv_is_read_from_parquet(tmp_path):
    """A campaign that was packed away is as good as the one that was recorded."""
    run = recorded(tmp_path)
    first = observe(run.recordings[0])
    write_parquet(run, run.folder.parquet)
    run.folder.dataset.unlink()
    again = observe(load(run.path).recordings[0])
    assert again.values == pytest.approx(first.values, nan_ok=True)
    assert again.began[:19] == first.began[:19]


def test_values_that_are_no_numbers_are_unknown(tmp_path):
    """A cell that holds infinity is no measurement."""
    one = observe(recorded(tmp_path, probe_cpu_ms="inf").recordings[0])
    assert np.isnan(one.column("probe_cpu_ms")).all()
    assert not np.isnan(one.column("cpu_percent")).any()


@pytest.mark.parametrize(
    "machine",
    [
        {},
        {**FACTS, "fingerprint": "../../etc"},
        {**FACTS, "memory_limit_bytes": "much"},
        {**FACTS, "cpu_capacity": 0},
        {key: value for key, value in FACTS.items() if key != "cpu_capacity"},
    ],
)
def test_a_machine_that_is_not_told_is_refused_in_one_sentence(tmp_path, machine):
    """Without CPUs, memory and fingerprint nobody knows what a percent is of."""
    run = recorded(tmp_path, machine=machine)
    with pytest.raises(
        InvalidInput,
        match=r"machine.json does not hold fingerprint, CPUs and memory; record it anew",
    ):
        observe(run.recordings[0])


def test_runs_on_other_cpus_of_the_same_kind_are_of_one_machine(tmp_path):
    """Also one that has the id of the numbers of its CPUs, as it was given before."""
    first, other = MACHINE, dataclasses.replace(MACHINE, cpus=(2, 3))
    old = other._fingerprint_of([2, 3], other._memory_steps())
    runs = [
        recorded(tmp_path / "a", machine=first.to_json()),
        recorded(tmp_path / "b", machine={**other.to_json(), "fingerprint": old}),
    ]
    observations = [observe(run.recordings[0]) for run in runs]
    check_machines(observations)
    assert [one.fingerprint for one in observations] == [MACHINE.fingerprint] * 2
    assert observations[1].is_of(old)
    assert not observations[1].is_of("f" * 16)


def test_what_cannot_be_used_is_told_and_left_out(tmp_path):
    """Too few seconds, parts of a machine, no dataset, the same run twice.

    A sentence each, and the rest goes on.
    """
    short = recorded(tmp_path / "short", first_s=-2.0, last_s=-1.0)
    whole = recorded(
        tmp_path / "whole",
        experiment=plan(disk(1e6, duration_s=10), name="disk", lead_s=2, tail_s=3),
    )
    bare = recorded(tmp_path / "bare")
    bare.folder.dataset.unlink()
    told = []
    found = gather([short, whole, load(bare.path), whole], told.append)
    assert [one.name for one in found] == ["disk"]
    assert len(told) == 3
    assert "expected 3 or more" in told[0]
    assert "no samples were recorded" in told[1]
    assert "was given twice and counts once" in told[2]


def test_a_run_knows_what_was_held_before_it(tmp_path):
    """Of two experiments of a session the second is told the memory of the first, second by second.

    The first, and one much later, know of none.
    """
    held = plan(memory(10, duration_s=6), name="first", lead_s=2, tail_s=3)
    run = recorded(
        tmp_path, experiment=held, memory_delivered_bytes=[0.0] * 30 + [2e9] * 60 + [0.0] * 80
    )
    begin_s = float(run.recordings[0].samples["monotonic_s"].iloc[-1]) + 4.0
    before = _held_before(run.recordings[0], begin_s)
    assert len(before) == 90
    assert before.max() == 2e9
    assert (before[-7:] == 0).all()
    assert len(_held_before(run.recordings[0], begin_s + 500.0)) == 0
    assert len(_held_before(None, begin_s)) == 0


def test_starts_of_several_runs_are_aligned_at_their_ends(tmp_path):
    """A run that knows nothing of what came before counts as one before which nothing was held."""
    one = observe(recorded(tmp_path).recordings[0])
    other = dataclasses.replace(one, held_bytes=np.array([5.0, 7.0]))
    start = start_of([one, other])
    assert start.held_bytes.tolist() == [[0.0, 0.0], [5.0, 7.0]]
    assert start.load1.tolist() == [1.5, 1.5]

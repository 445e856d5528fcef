"""Recordings and runs.

Slices of a dataset by time, read at any stage, judged only where there is data.
"""

import contextlib
import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.support.runs import NAMES, ZERO_S, annotate, csv_row, make_folder, planned, write_dataset
from twin_harness import load
from twin_harness.errors import InvalidInput, Undecided, UnreadableRun
from twin_harness.runs.folder import RunFolder
from twin_harness.runs.frames import read_frame
from twin_harness.runs.recording import Recording
from twin_harness.runs.records import ANNOTATION_COLUMNS, AnnotationRow
from twin_harness.runs.run import Run
from twin_harness.schedule.builders import cpu, disk, memory, plan
from twin_harness.system.board import Board
from twin_harness.system.board_layout import SIZE

EXPERIMENT = plan(cpu(50, start_s=1, duration_s=4), name="steady", lead_s=1, tail_s=1)


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path)


def record(folder, lines, experiment=EXPERIMENT, rows=None):
    """The whole recording of an experiment on a dataset of these lines."""
    write_dataset(folder, lines)
    annotations = (
        rows
        if rows is not None
        else tuple(annotate(experiment, event.id) for event in experiment.events)
    )
    return Recording.whole(folder, planned(experiment), annotations)


def steady(interval_s=0.5, **values):
    """Rows from two seconds before zero to eight after, with the same values in each."""
    count = round(10 / interval_s)
    return [csv_row(ZERO_S - 2 + k * interval_s, **values) for k in range(count + 1)]


# -- samples ---------------------------------------------------------------------------------------


def test_samples_are_indexed_on_the_events_clock(folder):
    """The index is seconds from zero, negative in the lead, from lead to tail, ends included."""
    samples = record(folder, steady()).samples
    assert samples.index.name == "t_s"
    assert list(samples.index) == [k / 2 for k in range(-2, 13)]
    assert list(samples.columns) == [*NAMES, "dt_s"]


def test_each_row_knows_the_time_since_the_row_before(folder):
    """Also the first row of a slice, whose predecessor lies outside it."""
    samples = record(
        folder, [csv_row(ZERO_S + at_s) for at_s in (-5.0, -0.75, 0.0, 0.5, 2.5)]
    ).samples
    assert list(samples["dt_s"]) == [4.25, 0.75, 0.5, 2.0]


def test_the_first_row_of_a_dataset_stands_for_no_known_time(folder):
    """Nothing came before it, so its interval is missing."""
    samples = record(folder, [csv_row(ZERO_S), csv_row(ZERO_S + 1)]).samples
    assert math.isnan(samples["dt_s"].iloc[0])
    assert samples["dt_s"].iloc[1] == 1.0


def test_labels_are_text_and_empty_cells_are_missing(folder):
    """Names that look like numbers or missing values stay text, and commas in them survive."""
    samples = record(
        folder,
        [
            csv_row(ZERO_S, experiment="007", active_events='"a,b"', partition="NA", cpu_percent=5),
            csv_row(ZERO_S + 1),
        ],
    ).samples
    assert samples[["experiment", "active_events", "partition"]].iloc[0].tolist() == [
        "007",
        "a,b",
        "NA",
    ]
    assert samples[["experiment", "active_events", "partition"]].iloc[1].tolist() == ["", "", ""]
    assert samples["cpu_percent"].iloc[0] == 5.0
    assert math.isnan(samples["cpu_percent"].iloc[1])


def test_numbers_are_float64(folder):
    """Every column but the labels is float64, whatever stands in it, an empty window included."""
    for lines in (
        steady(cpu_percent=5, missed_samples=0, load1="1.5"),
        [csv_row(1.0, cpu_percent=5)],
    ):
        samples = record(folder, lines).samples
        numbers = samples.drop(columns=["time", "host", "partition", "experiment", "active_events"])
        assert set(numbers.dtypes) == {np.dtype("float64")}


@pytest.mark.parametrize(
    ("broken", "cells"),
    [
        ("garbage\n", 1),
        ("\n", None),
        ("\0\0\0\n", 1),
        ("2026-01-02T00:00:00,10", len(NAMES) + 1),
        ("a,b,c\n", 3),
    ],
    ids=["one cell", "empty", "NUL", "glued to the next", "three cells"],
)
def test_rows_that_do_not_parse_are_left_out(folder, broken, cells):
    """A damaged row is not among the samples and is named by its line.

    Those around it keep their values.
    """
    lines = [csv_row(ZERO_S + k, cpu_percent=10 * k) for k in range(6)]
    folder.warns = True
    recording = record(folder, [*lines[:3], broken, *lines[3:]])
    with (
        pytest.warns(
            match=f"line 5 has {cells} cells, the heading {len(NAMES)}; left out, see twin validate"
        )
        if cells
        else contextlib.nullcontext()
    ):
        samples = recording.samples
    assert not samples["monotonic_s"].isna().any()
    assert set(samples["cpu_percent"]) >= {0.0, 10.0, 20.0, 40.0, 50.0}


def test_a_row_with_too_many_cells_is_left_out(folder):
    """Two rows in one line are nobody's."""
    lines = [csv_row(ZERO_S + k, cpu_percent=10 * k) for k in range(4)]
    record(folder, [*lines[:2], lines[2].replace("\n", ",") + lines[2], lines[3]])
    with pytest.warns(match=f"line 4 has {2 * len(NAMES)} cells, the heading {len(NAMES)}"):
        samples = load(folder.path).samples
    with warnings.catch_warnings():
        warnings.simplefilter(
            "error"
        )  # a session says it in its notes instead, and goes on under -W error
        assert Run(folder).samples.equals(samples)
    assert list(samples["cpu_percent"]) == [0.0, 10.0, 30.0]


def test_what_is_not_whole_yet_is_left_out(folder):
    """While a logger writes, a recording holds what the board called whole when it was made."""
    lines = steady(cpu_percent=5)
    write_dataset(folder, lines)
    whole_bytes = folder.dataset.stat().st_size - len(lines[-1]) - 10
    recording = Recording.whole(folder, planned(EXPERIMENT), (), whole_bytes)
    assert recording.samples["monotonic_s"].max() <= ZERO_S + 7.5


def test_a_frame_of_an_empty_dataset_has_every_column(folder):
    """A run that was killed before its first row has columns and no rows."""
    write_dataset(folder, [])
    with folder.open_dataset() as dataset:
        frame = read_frame(dataset)
    assert list(frame.columns) == [*NAMES, "dt_s"]
    assert len(frame) == 0


# -- figures ---------------------------------------------------------------------------------------


def test_a_mean_is_weighed_by_time(folder):
    """A row that stands for three seconds counts three times as much as one for one."""
    recording = record(
        folder,
        [
            csv_row(ZERO_S - 0.5, cpu_percent=0),
            csv_row(ZERO_S + 0.5, cpu_percent=10),
            csv_row(ZERO_S + 3.5, cpu_percent=50),
        ],
    )
    window = recording.during("cpu-0")
    assert list(window.samples["cpu_percent"]) == [50.0]
    assert recording.mean("cpu_percent") == pytest.approx((10 * 1 + 50 * 3) / 4)


def test_a_mean_leaves_out_rows_without_a_value(folder):
    """An empty cell takes no part, and neither does the time it stands for."""
    recording = record(
        folder,
        [
            csv_row(ZERO_S + at_s, cpu_percent=value)
            for at_s, value in ((-1, 7), (0, 10), (1, math.nan), (2, 40))
        ],
    )
    assert recording.mean("cpu_percent") == pytest.approx((10 * 1 + 40 * 1) / 2)


def test_a_mean_leaves_out_the_row_that_straddles_the_start(folder):
    """A row that also stands for time before the window would bring that time in.

    Where it is the only one it is taken.
    """
    recording = record(
        folder,
        [
            csv_row(ZERO_S + at_s, cpu_percent=value)
            for at_s, value in ((-1, 0), (1.5, 90), (2.5, 40), (3.5, 40))
        ],
    )
    assert recording.during("cpu-0").mean("cpu_percent") == 40.0
    alone = record(
        folder, [csv_row(ZERO_S + at_s, cpu_percent=value) for at_s, value in ((-1, 0), (4.5, 70))]
    )
    assert alone.during("cpu-0").mean("cpu_percent") == 70.0


def test_a_single_first_row_has_its_own_mean(folder):
    """Without any known interval the rows count alike."""
    assert record(folder, [csv_row(ZERO_S, cpu_percent=7)]).mean("cpu_percent") == 7.0


def test_extremes_and_quantiles_are_over_rows(folder):
    """Largest, smallest and quantile of a column."""
    recording = record(folder, [csv_row(ZERO_S + k / 10, probe_wakeup_ms=k) for k in range(11)])
    assert (recording.max("probe_wakeup_ms"), recording.min("probe_wakeup_ms")) == (10.0, 0.0)
    assert recording.quantile("probe_wakeup_ms", 0.95) == pytest.approx(9.5)
    assert (recording.quantile("probe_wakeup_ms", 0), recording.quantile("probe_wakeup_ms", 1)) == (
        0.0,
        10.0,
    )


@pytest.mark.parametrize("q", [-0.01, 1.01, 95, math.nan])
def test_a_quantile_beyond_its_range_is_refused(folder, q):
    """A quantile is a fraction, not a percent."""
    with pytest.raises(InvalidInput) as caught:
        record(folder, steady(cpu_percent=5)).quantile("cpu_percent", q)
    assert str(caught.value) == f"quantile(): expected q from 0 to 1 but got q={q!r}"


@pytest.mark.parametrize(
    "ask",
    [
        lambda r, c: r.mean(c),
        lambda r, c: r.max(c),
        lambda r, c: r.min(c),
        lambda r, c: r.quantile(c, 0.5),
    ],
)
def test_an_empty_column_is_undecided(folder, ask):
    """What the machine does not measure cannot be judged, and the message says so."""
    recording = record(folder, steady(cpu_percent=5))
    with pytest.raises(Undecided) as caught:
        ask(recording, "temperature_celsius")
    assert (
        str(caught.value)
        == "column 'temperature_celsius' of 'steady' cannot be judged: it is empty: this machine or"
        " session does not measure it"
    )


@pytest.mark.parametrize(
    "ask",
    [
        lambda r, c: r.mean(c),
        lambda r, c: r.max(c),
        lambda r, c: r.min(c),
        lambda r, c: r.quantile(c, 0.5),
    ],
)
def test_an_empty_window_is_undecided(folder, ask):
    """A window between two rows holds nothing to judge."""
    recording = record(
        folder, [csv_row(ZERO_S - 100, cpu_percent=5), csv_row(ZERO_S + 100, cpu_percent=5)]
    )
    with pytest.raises(Undecided) as caught:
        ask(recording, "cpu_percent")
    assert (
        str(caught.value)
        == "column 'cpu_percent' of 'steady' cannot be judged: the window holds no samples"
    )


@pytest.mark.parametrize(
    ("column", "near"),
    [
        ("cpu_percnt", "cpu_percent"),
        ("memory_available", "memory_available_bytes"),
        ("disk_write_bytes", "disk_write_bytes_per_s"),
        ("load_1", "load1"),
        ("qqqq", "cpu_percent"),
        ("", "cpu_percent"),
    ],
)
def test_a_misspelled_column_is_refused_with_near_names(folder, column, near):
    """The message names the column and what it may have meant."""
    with pytest.raises(InvalidInput) as caught:
        record(folder, steady(cpu_percent=5)).mean(column)
    assert str(caught.value).startswith(f"column {column!r} is not in the dataset; expected e.g. ")
    assert near in str(caught.value)


def test_a_label_has_no_mean(folder):
    """Text columns are refused like unknown ones."""
    with pytest.raises(InvalidInput, match="column 'experiment' is not in the dataset"):
        record(folder, steady(cpu_percent=5)).mean("experiment")


# -- windows ---------------------------------------------------------------------------------------


def test_during_is_the_event_as_it_really_ran(folder):
    """The window is that of the annotation, not that of the plan."""
    row = annotate(
        EXPERIMENT, "cpu-0", start_monotonic_s=ZERO_S + 1.25, end_monotonic_s=ZERO_S + 3.0
    )
    window = record(folder, steady(), rows=(row,)).during("cpu-0")
    assert (window.begin_s, window.end_s) == (1.25, 3.0)
    assert list(window.samples.index) == [1.5, 2.0, 2.5, 3.0]


def test_during_skips_from_the_start(folder):
    """``skip_s`` leaves out the beginning."""
    window = record(folder, steady()).during("cpu-0", skip_s=2.0)
    assert (window.begin_s, window.end_s) == (3.0, 5.0)
    assert list(window.samples.index) == [3.0, 3.5, 4.0, 4.5, 5.0]


@pytest.mark.parametrize("skip_s", [4.0, 4.5, 1e9])
def test_skipping_the_whole_event_is_refused(folder, skip_s):
    """The message tells how long the event was."""
    with pytest.raises(InvalidInput) as caught:
        record(folder, steady()).during("cpu-0", skip_s=skip_s)
    assert (
        str(caught.value)
        == f"during('cpu-0'): expected skip_s below the event's 4.000 s but got skip_s={skip_s!r}"
    )


def test_skipping_no_number_is_refused(folder):
    """NaN is no number of seconds."""
    with pytest.raises(InvalidInput, match="skip_s=nan"):
        record(folder, steady()).during("cpu-0", skip_s=math.nan)


def test_a_window_of_a_window_is_within_it(folder):
    """A window of a slice never reaches beyond the slice."""
    experiment = plan(
        cpu(50, start_s=0, duration_s=4), disk(1e6, start_s=2, duration_s=4), name="two"
    )
    recording = record(folder, steady(), experiment)
    window = recording.during("cpu-0").during("disk-0")
    assert (window.begin_s, window.end_s) == (2.0, 4.0)
    assert recording.during("cpu-0", 0.5).during("cpu-0").begin_s == 0.5


def test_an_event_that_never_ran_is_undecided(folder):
    """The reason is that of its annotation."""
    rows = (
        AnnotationRow(
            "run", "steady", "cpu-0", "cpu", status="skipped", message="the guard stopped the load"
        ),
    )
    with pytest.raises(Undecided) as caught:
        record(folder, steady(), rows=rows).during("cpu-0")
    assert (
        str(caught.value)
        == "event 'cpu-0' of 'steady' never ran (skipped: the guard stopped the load)"
    )


def test_an_unknown_event_is_refused(folder):
    """The message lists the events and marks that there are."""
    recording = record(folder, steady())
    with pytest.raises(InvalidInput) as caught:
        recording.during("cpu-1")
    assert str(caught.value) == "event 'cpu-1' is not in recording 'steady'; expected one of cpu-0"
    with pytest.raises(InvalidInput, match=r"expected one of none$"):
        record(folder, steady(), rows=()).annotation("cpu-0")


def test_settled_is_the_plateau(folder):
    """From ``settled_s`` and a margin to the end of the event."""
    recording = record(folder, steady())
    assert recording.settled("cpu-0").begin_s == 2.0
    assert recording.settled("cpu-0", margin_s=0.5).begin_s == 2.5


def test_an_event_that_never_settled_is_undecided(folder):
    """There is no plateau to judge."""
    with pytest.raises(Undecided) as caught:
        record(folder, steady(), rows=(annotate(EXPERIMENT, "cpu-0", settled_s=None),)).settled(
            "cpu-0"
        )
    assert str(caught.value) == "event 'cpu-0' of 'steady' never settled within its tolerance"


def test_a_phase_is_a_window_too(folder):
    """Phases marked by a test are found by name like events."""
    phase = AnnotationRow(
        "run",
        "steady",
        "warm-up",
        "mark",
        actual_start_s=0.0,
        actual_end_s=2.0,
        start_monotonic_s=ZERO_S,
        end_monotonic_s=ZERO_S + 2,
    )
    assert list(record(folder, steady(), rows=(phase,)).during("warm-up").samples.index) == [
        0.0,
        0.5,
        1.0,
        1.5,
        2.0,
    ]


def test_annotations_are_a_table_of_the_format(folder):
    """One row an event, with every column of annotations.csv."""
    table = record(folder, steady()).annotations
    assert list(table.columns) == list(ANNOTATION_COLUMNS)
    assert table["event"].tolist() == ["cpu-0"]
    assert list(record(folder, steady(), rows=()).annotations.columns) == list(ANNOTATION_COLUMNS)


# -- fidelity --------------------------------------------------------------------------------------


def test_fidelity_compares_plan_and_account(folder):
    """Two points less than 50 are an error of -4 percent over the whole rows within the event."""
    found = record(folder, steady(cpu_requested_percent=50, cpu_delivered_percent=48)).fidelity(
        "cpu-0"
    )
    assert (found.bias, found.error_percent, found.requested_mean, found.rows) == pytest.approx(
        (-2.0, -4.0, 50.0, 8)
    )


def test_fidelity_of_overlapping_events_is_each_event_s_own(folder):
    """Of two events on one resource, each is compared with its plan and lacks its part."""
    experiment = plan(
        cpu(20, start_s=0, duration_s=4), cpu(30, start_s=0, duration_s=4), name="two"
    )
    recording = record(
        folder, steady(cpu_requested_percent=50, cpu_delivered_percent=44), experiment
    )
    first, second = recording.fidelity("cpu-0"), recording.fidelity("cpu-1")
    assert (first.requested_mean, first.delivered_mean, first.error_percent) == pytest.approx(
        (20.0, 17.6, -12.0)
    )
    assert (second.requested_mean, second.delivered_mean, second.error_percent) == pytest.approx(
        (30.0, 26.4, -12.0)
    )


def test_fidelity_is_in_the_unit_of_the_columns(folder):
    """Levels become the units of samples, as one of two CPUs is half the machine.

    Percent of memory becomes bytes of the limit, operations become bytes.
    """
    experiment = plan(
        memory(10, duration_s=4),
        disk(100, duration_s=4, unit="operations_per_s", block_bytes=4096),
        cpu(50, duration_s=4, cpus=[1]),
        name="units",
    )
    values = {
        "memory_requested_bytes": 100,
        "memory_delivered_bytes": 100,
        "disk_requested_bytes_per_s": 409600,
        "disk_delivered_bytes_per_s": 409600,
    }
    recording = record(
        folder, steady(**values, cpu_requested_percent=25, cpu_delivered_percent=25), experiment
    )
    assert [
        recording.fidelity(event).requested_mean for event in ("mem-0", "disk-0", "cpu-0")
    ] == pytest.approx([100.0, 409600.0, 25.0])
    assert [recording.fidelity(event).bias for event in ("disk-0", "cpu-0")] == pytest.approx(
        [0.0, 0.0]
    )


def test_an_event_between_two_samples_is_undecided(folder):
    """An event without a whole row cannot be compared."""
    experiment = plan(cpu(50, start_s=0.1, duration_s=0.2), name="short")
    with pytest.raises(Undecided) as caught:
        record(
            folder, steady(cpu_requested_percent=50, cpu_delivered_percent=50), experiment
        ).fidelity("cpu-0")
    assert (
        str(caught.value)
        == "event 'cpu-0' of 'short' holds no whole sample; expected it to last at least two"
        " intervals"
    )


def test_fidelity_of_the_first_row_alone_is_undecided(folder):
    """A dataset that begins within the event has a first row of unknown length."""
    with pytest.raises(Undecided, match="holds no whole sample"):
        record(
            folder, [csv_row(ZERO_S + 2, cpu_requested_percent=50, cpu_delivered_percent=50)]
        ).fidelity("cpu-0")


# -- room ------------------------------------------------------------------------------------------


def short(folder, starved_s=0.0, experiment=EXPERIMENT, **values):
    """A recording of an event of 50 % whose processes stood so long in run queues."""
    lines = steady(
        **{
            "cpu_requested_percent": 50,
            "cpu_background_percent": 40,
            "cpu_steal_percent": 0,
            "cpu_delivered_percent": 40,
            **values,
        }
    )
    recording = record(folder, lines, experiment)
    rows = tuple(
        replace(row, parameters=json.dumps({"starved_s": starved_s})) for row in recording.rows
    )
    folder.write_machine({"cpu_capacity": 2.0})
    return replace(recording, rows=rows)


def test_a_load_that_stood_in_run_queues_is_excused(folder):
    """What the kernel made the load wait stands beside what is missing, with its samples."""
    recording = short(folder, starved_s=0.5)
    reason = recording.lack_of_room("cpu-0")
    assert reason.startswith("the machine had no room: 10.0 points short, that is 0.")
    assert reason.endswith(
        "while the load stood 0.50 s in run queues; others took 40.0 %, the harness 0.0 % and the"
        " hypervisor 0.0 % (n = 9 samples)"
    )
    with pytest.raises(
        Undecided, match=r"^event 'cpu-0' of 'steady': the machine had no room: 10\.0 points short"
    ):
        recording.require_room("cpu-0")


def test_within_a_quota_others_are_those_in_the_group(folder):
    """Steal is of the CPUs there, so that a little of it is much of a small quota.

    What is not measured is not called 0.
    """
    recording = short(folder, cpu_steal_percent=1.0, cpu_background_percent=math.nan)
    folder.write_machine({"cpu_capacity": 0.1, "cpus": [0, 1]})
    assert recording.lack_of_room("cpu-0").endswith(
        "others in its control group took an unknown part, the harness 0.0 % and the hypervisor 1.0"
        " % (n = 9 samples)"
    )


def test_time_that_the_hypervisor_took_is_excused(folder):
    """Steal counts like waiting: nobody on this machine could have used it."""
    assert "the hypervisor 12.0 %" in short(folder, cpu_steal_percent=12).lack_of_room("cpu-0")


@pytest.mark.parametrize(
    ("starved_s", "values"),
    [
        (0.0, {}),
        (0.1, {}),
        (0.0, {"cpu0_percent": 100, "cpu1_percent": 100}),
        (9.0, {"cpu_delivered_percent": 49.1}),
        (9.0, {"cpu_delivered_percent": 60}),
    ],
    ids=[
        "never waited",
        "waited for too little of it",
        "full by others, never waited",
        "within a point",
        "more than asked",
    ],
)
def test_a_stressor_that_does_too_little_is_not_excused(folder, starved_s, values):
    """A load that stood in no queue did not ask, however busy the machine was.

    And where nothing is missing there is nothing to excuse.
    """
    recording = short(folder, starved_s, **values)
    assert recording.lack_of_room("cpu-0") == ""
    recording.require_room("cpu-0")


def test_only_cpu_events_need_room(folder):
    """A disk event is never excused by waiting for a CPU."""
    experiment = plan(disk(1e6, duration_s=4), name="disk")
    assert short(folder, 9.0, experiment, cpu_delivered_percent=0).lack_of_room("disk-0") == ""


def test_a_window_without_samples_tells_nothing_about_room(folder):
    """Without a sample there is no reason to tell."""
    recording = record(
        folder, [csv_row(ZERO_S - 100, cpu0_percent=5), csv_row(ZERO_S + 100, cpu0_percent=5)]
    )
    assert recording.lack_of_room("cpu-0") == ""


# -- runs ------------------------------------------------------------------------------------------


def fill(folder):
    """A run of two experiments: one complete, one begun."""
    write_dataset(folder, steady(cpu_percent=5))
    other = plan(disk(1e6, duration_s=2), name="later")
    folder.append_plan(planned(EXPERIMENT))
    folder.append_plan(planned(other, ZERO_S + 50))
    folder.append_annotation(annotate(EXPERIMENT, "cpu-0"))


@pytest.mark.parametrize("merged", [False, True])
def test_a_run_is_read_at_any_stage(folder, merged):
    """With shards or merged, a run has the same recordings, annotations and samples."""
    fill(folder)
    if merged:
        folder.merge(0)
    run = load(folder.path)
    assert [recording.name for recording in run.recordings] == ["steady", "later"]
    assert [row.event for row in run.recording("steady").rows] == ["cpu-0"]
    assert run.recording("later").rows == ()
    assert run.annotations["event"].tolist() == ["cpu-0"]
    assert (run.status, run.machine["cpus"], run.path) == ("COMPLETE", [0, 1], folder.path)
    assert run.samples.index[0] == 0.0
    assert run.samples.index.name == "run_s"
    assert run.recording("steady").mean("cpu_percent") == 5.0


def test_a_run_is_read_by_latest(folder):
    """``load("data/latest")`` reads the newest run."""
    fill(folder)
    assert load(str(folder.path.parent / "latest")).path == folder.path


def test_an_unknown_recording_is_refused(folder):
    """The message lists those there are."""
    fill(folder)
    with pytest.raises(InvalidInput) as caught:
        load(folder.path).recording("other")
    assert (
        str(caught.value)
        == f"experiment 'other' is not in {folder.path}; expected one of steady, later"
    )


def test_a_run_of_nothing_but_a_dataset_is_read(tmp_path):
    """A run killed in its first moments has an unknown status, samples, and no recordings."""
    folder = RunFolder(tmp_path)
    write_dataset(folder, steady(cpu_percent=5))
    run = load(tmp_path)
    assert (run.status, run.recordings, len(run.samples), run.machine) == ("UNKNOWN", (), 21, {})
    assert list(run.annotations.columns) == list(ANNOTATION_COLUMNS)


def test_a_run_of_nothing_but_a_state_has_no_samples(folder):
    """A run whose logger never wrote says so when its samples are asked for."""
    run = load(folder.path)
    assert run.recordings == ()
    with pytest.raises(UnreadableRun, match="no samples were recorded"):
        _ = run.samples


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    """``load`` names the path."""
    with pytest.raises(
        UnreadableRun, match=r"holds neither run\.json nor system_metrics_dataset\.csv"
    ):
        load(tmp_path)


def test_a_running_run_is_read_as_far_as_its_board_says(folder):
    """While the session lives, rows beyond the published length are left out."""
    lines = steady(cpu_percent=5)
    write_dataset(folder, lines)
    board = Board.create()
    try:
        folder.write_state({"status": "RUNNING", "board": str(board.path)})
        assert len(load(folder.path).samples) == 21
        board.publish_row(
            folder.dataset.stat().st_size - len(lines[-1]) - 5, 0.0, 19, (0.0, 0.0, 0.0)
        )
        assert len(load(folder.path).samples) == 19
    finally:
        board.close(unlink=True)
    assert len(load(folder.path).samples) == 21


@pytest.mark.parametrize("content", [b"", b"\0" * SIZE, b"x"], ids=["empty", "no mark", "short"])
def test_a_board_that_is_none_does_not_hinder_reading(folder, tmp_path, content):
    """A killed run's board may have been overwritten by anything.

    The dataset is read to its last line break.
    """
    write_dataset(folder, steady(cpu_percent=5))
    (tmp_path / "stale.board").write_bytes(content)
    folder.write_state({"status": "RUNNING", "board": str(tmp_path / "stale.board")})
    assert len(load(folder.path).samples) == 21


def test_a_recording_of_given_rows_reads_no_folder():
    """Samples and machine are those given, also in a window; statistics are as of a run."""
    experiment = plan(cpu(50, duration_s=4), lead_s=1, tail_s=1, name="given")
    at_s = pd.Index([0.0, 1.0, 2.0, 3.0], name="t_s")
    samples = pd.DataFrame({"cpu_percent": [0.0, 10.0, 20.0, 30.0], "dt_s": 1.0}, index=at_s)
    rows = (annotate(experiment, "cpu-0"),)
    made = Recording.of_rows(planned(experiment), rows, samples, machine={"cpu_capacity": 2.0})
    assert (made.folder, made.run_id, made.machine_file) == (None, "", {})
    window = made.between(0.5, 2.0)
    assert window.machine == {"cpu_capacity": 2.0}
    assert window.samples.index.tolist() == [1.0, 2.0]
    assert made.mean("cpu_percent") == pytest.approx(15.0)

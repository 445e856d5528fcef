"""A run's files: claimed once, appended whole, merged once, read at any stage."""

import csv
import json
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.rows import rows
from twin_harness.errors import InvalidInput, UnreadableRun
from twin_harness.runs import documents
from twin_harness.runs import folder as run_folder
from twin_harness.runs.folder import RunFolder
from twin_harness.runs.records import ANNOTATION_COLUMNS, AnnotationRow, PlannedExperiment
from twin_harness.schedule.builders import cpu, disk, plan
from twin_harness.schedule.model import Schedule
from twin_harness.shapes.shape import trace
from twin_harness.system.run_id import RUN_ID, draw_run_id


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(
        tmp_path / "data", draw_run_id(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    )


def annotation(experiment="a", event="cpu-0", start_s=10.0, **more):
    return AnnotationRow(
        "run",
        experiment,
        event,
        "cpu",
        "constant",
        "percent",
        0.0,
        5.0,
        0.001,
        5.002,
        start_monotonic_s=start_s,
        end_monotonic_s=start_s + 5,
        **more,
    )


def planned(name="a", begin_s=9.0, worker="main", **more):
    return PlannedExperiment(
        plan(cpu(50, duration_s=5), disk(1e6, duration_s=2), name=name),
        begin_s,
        begin_s + 1,
        begin_s + 7,
        worker,
        **more,
    )


def contents(folder):
    return {
        path.name: path.read_bytes()
        for path in folder.path.iterdir()
        if path.is_file() and path.name != "run.json"
    }


# -- the folder ------------------------------------------------------------------------------------


def test_a_run_folder_is_private_and_named_by_time(folder):
    """Mode 0700, a run id of time and six hex digits, and latest points at it."""
    assert re.fullmatch(r"20260102T030405Z-[0-9a-f]{6}", folder.run_id)
    assert RUN_ID.fullmatch(folder.run_id)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert (folder.path.parent / "latest").resolve() == folder.path
    assert os.readlink(folder.path.parent / "latest") == folder.run_id


def test_a_new_data_folder_ignores_itself_in_git(folder):
    """A data folder that was made for the run is ignored, one that was there is left alone."""
    assert (
        folder.path.parent / ".gitignore"
    ).read_text() == "# written by twin-harness: outputs of runs\n*\n"
    (folder.path.parent / ".gitignore").unlink()
    RunFolder.create(folder.path.parent)
    assert not (folder.path.parent / ".gitignore").exists()


def test_latest_points_at_the_newest(folder):
    """Each new run takes the link over, and no draft of it stays."""
    newer = RunFolder.create(folder.path.parent)
    assert (folder.path.parent / "latest").resolve() == newer.path
    assert not list(folder.path.parent.glob(".latest.*"))


def test_runs_of_one_second_have_their_own_folders(tmp_path):
    """Twenty runs begun at the same second do not meet."""
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert len({RunFolder.create(tmp_path, draw_run_id(now)).run_id for _ in range(20)}) == 20


def test_a_run_may_be_given_its_id(tmp_path):
    """The controller draws the id, and whoever makes the folder uses it.

    A second of that id is refused.
    """
    run_id = draw_run_id()
    assert RUN_ID.fullmatch(run_id)
    assert RunFolder.create(tmp_path, run_id).path == tmp_path / run_id
    with pytest.raises(InvalidInput, match=r"cannot be written \(File exists\)"):
        RunFolder.create(tmp_path, run_id)


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path):
    """The message names the folder, the reason and the option."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput) as caught:
        RunFolder.create(tmp_path / "file" / "data")
    assert (
        str(caught.value)
        == f"data folder '{tmp_path}/file/data' cannot be written (Not a directory); name another"
        " one with --twin-data-dir"
    )


def test_a_refused_data_folder_is_left_as_it_was(tmp_path):
    """When latest cannot be set the run is refused and nothing is left."""
    (tmp_path / "latest").mkdir()
    with pytest.raises(InvalidInput, match="cannot be written"):
        RunFolder.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


def test_two_sessions_may_make_the_data_folder_at_once(tmp_path, monkeypatch):
    """A data folder that appears between looking and making is fine."""
    monkeypatch.setattr(Path, "exists", lambda _: False)
    (tmp_path / "data").mkdir()
    assert RunFolder.create(tmp_path / "data").path.is_dir()


def test_a_run_is_opened_by_latest(folder):
    """The link opens the run itself, under its own id."""
    folder.write_state({"status": "RUNNING"})
    assert RunFolder.open(folder.path.parent / "latest").run_id == folder.run_id


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no", "is not a folder; expected the folder of a run, such as data/latest"),
        (
            "empty",
            (
                "holds neither run.json nor system_metrics_dataset.csv or .parquet; expected the"
                " folder of a run, such as data/latest"
            ),
        ),
    ],
)
def test_what_is_no_run_is_refused(tmp_path, name, message):
    """The message names the path and what was expected."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableRun) as caught:
        RunFolder.open(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: {message}"


def test_a_link_to_itself_is_refused_like_any_other(tmp_path):
    """A broken latest is no run."""
    (tmp_path / "latest").symlink_to("latest")
    with pytest.raises(UnreadableRun, match="is not a folder"):
        RunFolder.open(tmp_path / "latest")


@pytest.mark.parametrize("name", ["run.json", "system_metrics_dataset.csv"])
def test_either_file_makes_a_run(tmp_path, name):
    """A run that got as far as one of the two can be opened."""
    (tmp_path / name).write_text("")
    assert RunFolder.open(tmp_path).read_state() == {}
    assert RunFolder.open(tmp_path).read_annotations() == []
    assert RunFolder.open(tmp_path).read_plans() == []
    assert RunFolder.open(tmp_path).read_machine() == {}


# -- names -----------------------------------------------------------------------------------------


def test_names_are_claimed_once(folder):
    """The second of a name gets #2, the third #3, whoever claims."""
    other = RunFolder(folder.path)
    assert [(folder, other)[count % 2].claim_name("load") for count in range(4)] == [
        "load",
        "load#2",
        "load#3",
        "load#4",
    ]


def test_a_name_that_was_claimed_with_a_number_is_taken(folder):
    """A name that already ends in #2 is not given twice."""
    assert [folder.claim_name(name) for name in ("load#2", "load", "load", "load#2")] == [
        "load#2",
        "load",
        "load#3",
        "load#2#2",
    ]


@given(
    st.lists(
        st.sampled_from(["a", "a#2", "A", "b" * 120, "b" * 119 + "c", "x/y", "x.y"]), max_size=25
    )
)
@settings(max_examples=25)
def test_claims_are_unique_and_stay_names(names):
    """In any order of claims no two are equal, and none is longer than 120 characters."""
    import tempfile

    with tempfile.TemporaryDirectory() as path:
        claimed = [RunFolder(Path(path)).claim_name(name) for name in names]
    assert len(set(claimed)) == len(claimed)
    assert all(plan(name=name).name == name for name in claimed)


# -- annotations -----------------------------------------------------------------------------------


@given(rows())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_row_survives_its_file(tmp_path, row):
    """Written to a shard and read again, a row is equal whatever its texts hold.

    Error messages come from anywhere.
    """
    folder = RunFolder(tmp_path)
    for shard in tmp_path.glob("annotations.*.csv"):
        shard.unlink()
    folder.append_annotation(row)
    assert folder.read_annotations() == [row]


def test_a_message_that_is_no_unicode_keeps_its_row(folder):
    """An undecodable file name within a message does not lose the row."""
    folder.append_annotation(annotation(message=os.fsdecode(b"cannot open \xff")))
    (row,) = folder.read_annotations()
    assert row.message.startswith("cannot open ")


def test_a_row_with_large_parameters_is_read(folder):
    """The parameters of a trace of 20,000 points are read as they were written."""
    parameters = json.dumps({"points": [[k / 10, 50.0] for k in range(20_000)]})
    folder.append_annotation(annotation(parameters=parameters))
    (row,) = folder.read_annotations()
    assert row.parameters == parameters


def test_shards_have_a_heading_each_and_one_line_an_event(folder):
    """A worker's file begins with the columns, and every event adds a line of as many cells."""
    for event in ("cpu-0", "cpu-1"):
        folder.append_annotation(annotation(event=event, worker="gw0"))
    with (folder.path / "annotations.gw0.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == list(ANNOTATION_COLUMNS)
    assert [len(line) for line in lines] == [29, 29, 29]
    assert stat.S_IMODE((folder.path / "annotations.gw0.csv").stat().st_mode) == 0o600


def test_a_torn_row_is_left_out_at_every_byte(folder):
    """Wherever a crash cuts a shard, the whole rows are read and nothing else."""
    folder.append_annotation(annotation(event="first"))
    path = folder.path / "annotations.main.csv"
    first = len(path.read_bytes())
    folder.append_annotation(annotation(event="second", message="plain"))
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        expected = ["first"] * (cut >= first) + ["second"] * (cut == len(whole))
        assert [row.event for row in folder.read_annotations()] == expected


def test_a_torn_row_of_several_lines_is_left_out(folder):
    """A message with line breaks is read whole or its row not at all."""
    folder.append_annotation(annotation(message="one\ntwo\nthree"))
    path = folder.path / "annotations.main.csv"
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        assert folder.read_annotations() == []


def test_a_row_after_a_short_write_is_whole(folder, monkeypatch):
    """A row that did not fit is an OSError, and the row after it is read."""
    folder.append_annotation(annotation(event="first"))
    real_write = os.write
    monkeypatch.setattr(
        os, "write", lambda descriptor, data: real_write(descriptor, data[: len(data) // 2])
    )
    with pytest.raises(OSError, match="No space left on device"):
        folder.append_annotation(annotation(event="second"))
    with pytest.raises(OSError, match="No space left on device"):
        folder.append_plan(planned("torn"))
    monkeypatch.undo()
    folder.append_annotation(annotation(event="third"))
    folder.append_plan(planned("whole"))
    assert [row.event for row in folder.read_annotations()] == ["first", "third"]
    assert [found.experiment.name for found in folder.read_plans()] == ["whole"]


@pytest.mark.parametrize("part", [0, 0.5], ids=["nothing written", "half written"])
def test_a_row_after_a_first_row_that_did_not_fit_is_read(folder, monkeypatch, part):
    """A shard whose very first write failed still gets its heading with the first row that fits."""
    real_write = os.write

    def write_less(descriptor, data):
        if not part:
            raise OSError(28, "No space left on device")
        return real_write(descriptor, data[: int(len(data) * part)])

    monkeypatch.setattr(os, "write", write_less)
    with pytest.raises(OSError, match="No space left on device"):
        folder.append_annotation(annotation(event="lost"))
    monkeypatch.undo()
    folder.append_annotation(annotation(event="first"))
    folder.append_annotation(annotation(event="second"))
    assert [row.event for row in folder.read_annotations()] == ["first", "second"]


def test_rows_are_read_in_order_of_time(folder):
    """Rows of several workers are sorted by when they began, then by plan."""
    folder.append_annotation(annotation(event="late", start_s=30.0, worker="gw0"))
    folder.append_annotation(annotation(event="early", start_s=10.0, worker="gw1"))
    folder.append_annotation(annotation(event="middle", start_s=20.0, worker="gw0"))
    assert [row.event for row in folder.read_annotations()] == ["early", "middle", "late"]


# -- plans -----------------------------------------------------------------------------------------


def test_the_last_state_of_a_plan_counts(folder):
    """A plan that is appended again replaces its earlier state, and the order is that of time."""
    folder.append_plan(planned("b", 20.0))
    folder.append_plan(planned("a", 10.0, "gw1"))
    folder.append_plan(planned("b", 20.0, status="COMPLETE"))
    assert [(found.experiment.name, found.status) for found in folder.read_plans()] == [
        ("a", "RUNNING"),
        ("b", "COMPLETE"),
    ]


def test_a_torn_plan_is_left_out_at_every_byte(folder):
    """Wherever a crash cuts a shard of plans, the whole lines are read and nothing else."""
    folder.append_plan(planned("a"))
    path = folder.path / "plan.main.jsonl"
    first = len(path.read_bytes())
    folder.append_plan(planned("b"))
    whole = path.read_bytes()
    for cut in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:cut])
        assert len(folder.read_plans()) == (cut >= first) + (cut == len(whole))
    path.write_bytes(whole[:-1])
    assert len(folder.read_plans()) == 1


def test_a_trace_survives_its_shard(folder):
    """The points of a trace stand in the plan, so a run can be repeated without the trace file."""
    experiment = plan(cpu(trace([(0, 5), (1, 30)]), duration_s=2), name="traced")
    folder.append_plan(PlannedExperiment(experiment, 1.0, 2.0, 5.0))
    assert folder.read_plans()[0].experiment == experiment


# -- merging ---------------------------------------------------------------------------------------


def fill(folder):
    """Two workers' shards, a mark, a skipped event, and a state."""
    folder.write_state({"status": "RUNNING", "notes": ["n"]})
    folder.append_plan(planned("a", 9.0, "gw0"))
    folder.append_plan(planned("b", 29.0, "gw1", generator={"name": "random"}))
    folder.append_plan(planned("a", 9.0, "gw0", status="COMPLETE"))
    folder.append_annotation(annotation("a", worker="gw0"))
    folder.append_annotation(annotation("b", start_s=30.0, worker="gw1"))
    folder.append_annotation(
        AnnotationRow(
            "run", "b", "disk-0", "disk", status="skipped", worker="gw1", message="no room"
        )
    )
    folder.append_annotation(
        AnnotationRow(
            "run", "b", "deploy", "mark", start_monotonic_s=31.0, end_monotonic_s=31.0, worker="gw1"
        )
    )


def test_merging_moves_every_row_once(folder):
    """After the merge the shards are gone, and what can be read is what could be read before."""
    fill(folder)
    before = folder.read_annotations(), folder.read_plans()
    folder.merge(7)
    assert (folder.read_annotations(), folder.read_plans()) == before
    assert not [*folder.path.glob("annotations.*.csv"), *folder.path.glob("plan.*.jsonl")]
    assert len(folder.annotations.read_text().splitlines()) == 1 + 4


def test_merging_twice_changes_nothing(folder):
    """A second merge leaves every byte as it was."""
    fill(folder)
    folder.merge(7)
    before = contents(folder), folder.read_state()
    folder.merge(7)
    assert (contents(folder), folder.read_state()) == before


@pytest.mark.parametrize("crash_at", range(8))
def test_a_merge_that_was_cut_short_is_finished_by_the_next(folder, monkeypatch, crash_at):
    """Wherever a merge dies, reading and merging again give every row once.

    It may die between writing files and deleting shards.
    """
    fill(folder)
    expected = folder.read_annotations(), folder.read_plans()
    steps = iter(range(100))

    def dying(real):
        def step(*arguments, **more):
            if next(steps) == crash_at:
                raise KeyboardInterrupt
            return real(*arguments, **more)

        return step

    for module in (run_folder, documents):
        monkeypatch.setattr(module, "write_whole", dying(module.write_whole))
    monkeypatch.setattr(Path, "unlink", dying(Path.unlink))
    try:
        folder.merge(7)
    except KeyboardInterrupt:
        pass
    else:
        assert crash_at == 7
    monkeypatch.undo()
    assert (folder.read_annotations(), folder.read_plans()) == expected
    folder.merge(7)
    assert (folder.read_annotations(), folder.read_plans()) == expected
    assert len(folder.annotations.read_text().splitlines()) == 1 + 4


def test_shards_after_a_merge_are_merged_too(folder):
    """A run that goes on after a merge keeps the merged rows and adds the new ones."""
    fill(folder)
    folder.merge(7)
    folder.append_plan(planned("c", 50.0))
    folder.append_annotation(annotation("c", start_s=51.0))
    folder.merge(7)
    assert [found.experiment.name for found in folder.read_plans()] == ["a", "b", "c"]
    assert len(folder.read_annotations()) == 5


def test_the_merged_schedule_repeats_the_run(folder):
    """schedule.json holds the session's schedule in order of time, with each generator."""
    fill(folder)
    folder.merge(7)
    schedule = Schedule.read(folder.schedule)
    assert [experiment.name for experiment in schedule.experiments] == ["a", "b"]
    assert (schedule.seed, schedule.generator) == (
        7,
        {"name": "session", "run": folder.run_id, "experiments": {"b": {"name": "random"}}},
    )


def test_merging_keeps_the_state(folder):
    """run.json keeps what it said, and tells where each experiment stood on the clock."""
    fill(folder)
    folder.merge(7)
    state = folder.read_state()
    assert (state["status"], state["notes"]) == ("RUNNING", ["n"])
    assert [
        (found["experiment"], found["begin_s"], found["status"]) for found in state["experiments"]
    ] == [("a", 9.0, "COMPLETE"), ("b", 29.0, "RUNNING")]


def test_merging_nothing_leaves_empty_annotations(folder):
    """A session without experiments still has its deliverables' headings, and no empty schedule."""
    folder.merge(None)
    assert folder.annotations.read_text().splitlines() == [",".join(ANNOTATION_COLUMNS)]
    assert not folder.schedule.exists()


def test_notes_of_all_workers_are_read_once(folder):
    """A sentence of several workers stands once, kinds are kept apart, merging keeps notes."""
    folder.append_note("gw0", "note", "the logger was replaced")
    folder.append_note("gw1", "note", "the logger was replaced")
    folder.append_note("gw1", "partial", "worker gw0 was lost\nwith its samples")
    fill(folder)
    folder.merge(7)
    assert folder.read_notes("note") == ["the logger was replaced"]
    assert folder.read_notes("partial") == ["worker gw0 was lost\nwith its samples"]
    assert folder.read_notes("other") == []


@pytest.mark.parametrize("line", ["", "{", "[]", "5", "null"])
def test_a_damaged_line_of_notes_or_plans_is_left_out(folder, line):
    """A line that is no JSON object is passed over, and those after it are read."""
    for name in ("notes.gw0.jsonl", "plan.gw0.jsonl"):
        (folder.path / name).write_text(f"{line}\n")
    folder.append_note("gw0", "note", "after")
    folder.append_plan(planned("after", worker="gw0"))
    assert folder.read_notes("note") == ["after"]
    assert [found.experiment.name for found in folder.read_plans()] == ["after"]


# -- state -----------------------------------------------------------------------------------------


def test_state_and_machine_carry_their_formats(folder):
    """Both files say which version wrote them, and run.json which versions the tables have."""
    folder.write_state({"status": "RUNNING"})
    folder.write_machine({"host": "h"})
    assert folder.read_state() == {
        "format": "twin-run/1",
        "run": folder.run_id,
        "files": {
            "system_metrics_dataset.csv": "twin-dataset/1",
            "annotations.csv": "twin-annotations/1",
        },
        "status": "RUNNING",
    }
    assert folder.read_machine() == {"format": "twin-machine/1", "host": "h"}


@pytest.mark.parametrize("name", ["run.json", "machine.json"])
def test_a_newer_format_is_refused_by_name(folder, name):
    """A later version's file names path, its format and the newest that is read."""
    kind = name.removesuffix(".json")
    (folder.path / name).write_text(json.dumps({"format": f"twin-{kind}/2"}))
    with pytest.raises(UnreadableRun) as caught:
        folder.read_state() if kind == "run" else folder.read_machine()
    assert (
        str(caught.value)
        == f"{folder.path / name}: format 'twin-{kind}/2' is newer than this version reads"
        f" (twin-{kind}/1); upgrade twin-harness"
    )


@pytest.mark.parametrize("name", ["system_metrics_dataset.csv", "annotations.csv"])
def test_a_newer_table_is_refused_by_name(folder, name):
    """A table whose version in run.json is newer is refused by name."""
    fill(folder)
    folder.merge(7)
    folder.dataset.write_text("time,monotonic_s\n")
    state = folder.read_state()
    folder.write_state(
        {**state, "files": {**state["files"], name: state["files"][name].replace("/1", "/2")}}
    )
    with pytest.raises(UnreadableRun, match=name.replace(".", r"\.")):
        folder.open_dataset().close() if name.startswith("system") else folder.read_annotations()


@pytest.mark.parametrize("text", ["", "{", "\xff", "nothing"])
def test_a_state_that_is_no_json_is_empty(folder, text):
    """A run that died before its first state, or whose file was damaged, can still be read."""
    (folder.path / "run.json").write_text(text, encoding="latin-1")
    assert folder.read_state() == {}


@pytest.mark.parametrize("text", ["[]", "null", "5", '"run"'])
def test_a_state_that_is_no_object_is_empty(folder, text):
    """JSON that is not an object counts as damaged."""
    (folder.path / "run.json").write_text(text)
    assert folder.read_state() == {}


def test_a_state_is_replaced_whole(folder, monkeypatch):
    """When the new state cannot be put in place the old one is still there."""
    folder.write_state({"status": "RUNNING"})
    monkeypatch.setattr(Path, "replace", lambda *_: pytest.fail("crash"))
    with pytest.raises(pytest.fail.Exception):
        folder.write_state({"status": "COMPLETE"})
    assert folder.read_state()["status"] == "RUNNING"


def test_workings_are_removed(folder):
    """Claims, lock and an empty scratch folder go; a scratch folder with something in it stays."""
    folder.claim_name("a")
    folder.logger_lock.write_text("")
    folder.scratch()
    folder.remove_workings()
    assert list(folder.path.iterdir()) == []
    (folder.scratch() / "left").write_text("")
    folder.remove_workings()
    assert [path.name for path in folder.path.iterdir()] == ["scratch"]


def test_scratch_is_private(folder):
    """The folder that disk load writes to is this user's alone."""
    assert stat.S_IMODE(folder.scratch().stat().st_mode) == 0o700
    assert folder.scratch() == folder.scratch()


# -- rows that have not the heading's cells --------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda line: line + ",more", "annotations.main.csv: line 3 has 30 cells, the heading 29"),
        (
            lambda line: line.rsplit(",", 3)[0],
            "annotations.main.csv: line 3 has 26 cells, the heading 29",
        ),
        (
            lambda line: line.replace("20.0", "soon").replace("20,", "soon,"),
            (
                "annotations.main.csv: line 3 cannot be read (could not convert string to float:"
                " 'soon')"
            ),
        ),
    ],
    ids=["more", "fewer", "no number"],
)
def test_an_annotation_that_is_no_row_is_named(folder, damage, said):
    """Left out with a warning that names file and line.

    Merging keeps the word of it in the notes that make a run PARTIAL.
    """
    for number, event in enumerate(("first", "second", "third")):
        folder.append_annotation(annotation(event=event, start_s=10.0 * (number + 1), message=""))
    path = folder.path / "annotations.main.csv"
    lines = path.read_text().splitlines()
    lines[2] = damage(lines[2])
    path.write_text("\n".join(lines) + "\n")
    folder.warns = True
    with pytest.warns(match=re.escape(f"{said}; left out")):
        assert [row.event for row in folder.read_annotations()] == ["first", "third"]
    faults = []
    folder.read_annotations(faults)
    assert faults == [said]
    folder.merge(0)
    assert folder.read_notes("partial") == [f"{said}; left out of annotations.csv"]

"""A run that keeps its samples as Parquet alone: every reader gives what it gives for the CSV."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.runs import NAMES, ZERO_S, annotate, csv_row, make_folder, planned, write_dataset
from twin_harness import load
from twin_harness.cli import main
from twin_harness.control.replay import replay
from twin_harness.dataset.cleaning import clean
from twin_harness.dataset.merge import merge
from twin_harness.dataset.package import describe
from twin_harness.dataset.tables import write_parquet
from twin_harness.dataset.validation import validate
from twin_harness.errors import UnreadableRun
from twin_harness.runs.frames import read_samples
from twin_harness.runs.run import Run
from twin_harness.schedule.builders import cpu, plan
from twin_harness.schedule.model import Schedule

REPOSITORY = Path(__file__).parents[2]
SAMPLE = next((REPOSITORY / "data" / "sample").glob("2026*"))
CAMPAIGN = next((REPOSITORY / "data" / "sample" / "campaign").glob("2026*"))


def packed(whole, folder):
    """A copy of a run without its CSV."""
    shutil.copytree(whole, folder / whole.name, ignore=shutil.ignore_patterns("*.csv"))
    shutil.copy(whole / "annotations.csv", folder / whole.name)
    return folder / whole.name


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The sample as it is, and packed."""
    return load(SAMPLE), load(packed(SAMPLE, tmp_path_factory.mktemp("packed")))


def test_samples_are_the_same(both):
    """Equal columns, types, index and values; bytes to the whole byte, as the Parquet has them."""
    whole, alone = both
    pd.testing.assert_frame_equal(alone.samples, whole.samples, check_exact=False, rtol=0, atol=0.5)
    of_bytes = [name for name in whole.samples.columns if "bytes" in name or name.endswith("_hz")]
    pd.testing.assert_frame_equal(
        alone.samples.drop(columns=of_bytes), whole.samples.drop(columns=of_bytes), check_exact=True
    )


@pytest.mark.parametrize("at", [0, 1], ids=["CSV", "Parquet"])
def test_a_few_columns_are_those_of_all(both, at):
    """What is read of one column alone is what it is among all of them, rows and intervals too."""
    recording = both[at].recordings[1]
    bounds = [recording.planned.zero_s + edge_s for edge_s in (recording.begin_s, recording.end_s)]
    few = read_samples(both[at].folder, None, *bounds, only=("cpu_background_percent",))
    assert set(few.columns) == {"monotonic_s", "partition", "cpu_background_percent", "dt_s"}
    pd.testing.assert_frame_equal(
        few, read_samples(both[at].folder, None, *bounds)[few.columns], check_exact=True
    )


def test_recordings_and_their_figures_are_the_same(both):
    """Windows, means, quantiles and fidelity of every event."""
    whole, alone = both
    assert [recording.name for recording in alone.recordings] == [
        recording.name for recording in whole.recordings
    ]
    for one, other in zip(whole.recordings, alone.recordings, strict=True):
        assert len(other.samples) == len(one.samples) > 0
        for column in ("cpu_percent", "memory_percent", "disk_write_bytes_per_s", "lateness_ms"):
            assert other.mean(column) == pytest.approx(
                one.mean(column), abs=1e-9 if "bytes" not in column else 0.5
            )
            assert other.quantile(column, 0.95) == pytest.approx(
                one.quantile(column, 0.95), abs=1e-9 if "bytes" not in column else 0.5
            )
        for event in one.experiment.events:
            assert len(other.during(event.id).samples) == len(one.during(event.id).samples)
            assert (
                other.during(event.id).samples["dt_s"].equals(one.during(event.id).samples["dt_s"])
            )
            assert other.fidelity(event.id).bias == pytest.approx(
                one.fidelity(event.id).bias, abs=0.5
            )


@pytest.fixture(scope="module")
def faults_alone(both):
    """What validation finds in the packed one."""
    return validate(both[1])


def test_clean_rows_and_faults_are_the_same(both, faults_alone):
    """Cleaning, validation and the merged dataset."""
    whole, alone = both
    (frame, faults), (other, other_faults) = clean(whole), clean(alone)
    pd.testing.assert_frame_equal(other, frame, check_exact=False, rtol=0, atol=0.5)
    assert list(faults) == list(other_faults) == []
    assert faults_alone.empty
    assert validate(whole).empty


def test_merged_runs_are_the_same(both, tmp_path):
    """A dataset of many runs, from either file."""
    tables = []
    for number, run in enumerate(both):
        assert merge([run.path], tmp_path / str(number), lambda _: None) == {
            SAMPLE.name: len(run.samples)
        }
        tables.append(
            pd.concat(
                pd.read_parquet(path)
                for path in sorted((tmp_path / str(number)).rglob("*.parquet"))
            )
        )
    pd.testing.assert_frame_equal(*tables)


def test_replays_are_the_same(both):
    """The whole run, and one experiment of it."""
    name = both[0].recordings[0].name
    for experiment in (None, name):
        one, other = (replay(run.path, experiment=experiment).experiments[0] for run in both)
        assert [event.duration_s for event in other.events] == [
            event.duration_s for event in one.events
        ]
        assert [event.mean() for event in other.events] == pytest.approx(
            [event.mean() for event in one.events], rel=1e-6
        )


@pytest.mark.parametrize("run", [CAMPAIGN], ids=["campaign"])
def test_the_committed_campaign_is_read(run, tmp_path, capsys):
    """Samples, replay and validation by the command line: none says that there are no samples."""
    assert len(load(run).samples) > 10_000
    assert main(["schedule", "replay", str(run), "-o", str(tmp_path / "plan.json")]) == 0
    assert Schedule.read(tmp_path / "plan.json").experiments[0].events
    capsys.readouterr()
    assert main(["validate", str(run), "--json"]) in (0, 1)
    written = capsys.readouterr()
    assert {fault["kind"] for fault in json.loads(written.out)} <= {"gap", "unreadable file"}
    assert "no samples" not in written.err


# -- made-up runs ----------------------------------------------------------------------------------

EXPERIMENT = plan(cpu(50, start_s=1, duration_s=4), name="steady, with a comma", lead_s=1, tail_s=1)


@pytest.fixture
def killed(tmp_path):
    """A run that was killed: plan and annotation in shards, a Parquet, no CSV."""
    folder = make_folder(tmp_path)
    folder.write_state({"status": "RUNNING", "controller_pid": 1, "controller_start_ticks": -1})
    values = {
        "experiment": f'"{EXPERIMENT.name}"',
        "cpu_percent": 50,
        "cpu_steal_percent": 0,
        "cpu_requested_percent": 50,
        "cpu_delivered_percent": 50,
    }
    write_dataset(folder, [csv_row(ZERO_S + step / 10, **values) for step in range(-10, 61)])
    folder.append_plan(planned(EXPERIMENT))
    folder.append_annotation(annotate(EXPERIMENT, "cpu-0"))
    write_parquet(Run(folder), folder.parquet)
    folder.dataset.unlink()
    return folder


def test_a_killed_run_is_read_too(killed):
    """Shards and Parquet are enough."""
    run = load(killed.path)
    (recording,) = run.recordings
    assert (
        run.status,
        len(run.samples),
        recording.mean("cpu_percent"),
        recording.fidelity("cpu-0").bias,
    ) == ("PARTIAL", 71, 50.0, 0.0)
    assert set(recording.samples["experiment"]) == {"steady, with a comma"}
    assert recording.samples.columns.tolist() == [*NAMES, "dt_s"]


def test_a_run_of_nothing_but_a_parquet_is_read(killed):
    """Neither run.json nor anything else is needed."""
    for path in killed.path.iterdir():
        if path != killed.parquet:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    run = load(killed.path)
    assert (run.status, run.recordings, len(run.samples)) == ("UNKNOWN", (), 71)
    assert [resource["name"] for resource in describe(run)["resources"]] == ["samples-clean"]


def test_a_run_with_neither_says_so_in_a_sentence(killed):
    """Every reader of samples: there is neither of the two."""
    killed.parquet.unlink()
    run = load(killed.path)
    expected = (
        f"{killed.path}: no samples were recorded: there is neither system_metrics_dataset.csv nor"
        " .parquet; expected the folder of a run that began"
    )
    for read in (
        lambda: run.samples,
        lambda: run.recordings[0].samples,
        lambda: validate(run),
        lambda: clean(run),
        lambda: replay(killed.path),
    ):
        with pytest.raises(UnreadableRun) as caught:
            read()
        assert str(caught.value) == expected


@pytest.mark.parametrize("damage", ["text", "cut", "middle"])
def test_a_damaged_parquet_is_refused_in_a_sentence(killed, damage):
    """Whatever is wrong with its bytes."""
    whole = killed.parquet.read_bytes()
    half = len(whole) // 2
    damaged = {
        "text": b"time,cpu\n",
        "cut": whole[:half],
        "middle": whole[:4] + bytes(half) + whole[4 + half :],
    }
    killed.parquet.write_bytes(damaged[damage])
    for read in (lambda: load(killed.path).samples, lambda: validate(load(killed.path))):
        with pytest.raises(UnreadableRun) as caught:
            read()
        assert str(caught.value).startswith(f"{killed.parquet}: cannot be read (")
        assert str(caught.value).endswith("); expected the Parquet that a run leaves, copy it anew")
        assert "\n" not in str(caught.value)


def test_a_parquet_of_a_newer_version_is_refused(killed):
    """By the name of the version."""
    table = pq.read_table(killed.parquet)
    pq.write_table(table.replace_schema_metadata({"format": "twin-dataset/9"}), killed.parquet)
    with pytest.raises(
        UnreadableRun, match="format 'twin-dataset/9' is newer than this version reads"
    ):
        _ = load(killed.path).samples


def test_a_lost_csv_is_no_fault_beside_its_parquet(both, faults_alone):
    """What the description says of the CSV is not missed where its clean rows were read."""
    assert any(
        resource["path"].endswith(".csv")
        for resource in json.loads((both[1].path / "datapackage.json").read_text())["resources"]
    )
    assert "missing file" not in set(faults_alone["kind"])


def test_a_parquet_with_text_for_numbers_is_refused_in_a_sentence(killed):
    """Somebody's own writer may have made it: the file is whole, its cells are no figures."""
    table = pq.read_table(killed.parquet)
    at = table.column_names.index("cpu_percent")
    text = pa.array(["much"] * len(table), type=pa.string())
    pq.write_table(table.set_column(at, "cpu_percent", text), killed.parquet)
    with pytest.raises(UnreadableRun, match=r"cannot be read \(.*much"):
        _ = load(killed.path).samples

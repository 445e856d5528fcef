"""What is prepared from clean rows.

Means from counters, labels, splits that do not leak, Parquet, the Data Package, merged runs.
"""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.runs import NAMES, ZERO_S, csv_row, make_folder, planned, write_dataset
from twin_harness import load
from twin_harness.dataset.cleaning import clean
from twin_harness.dataset.merge import merge
from twin_harness.dataset.package import PROFILE, write_package
from twin_harness.dataset.preparation import load_state, split, window_means
from twin_harness.dataset.steps import FLAGS
from twin_harness.dataset.tables import write_parquet
from twin_harness.errors import InvalidInput
from twin_harness.metrics import by_name
from twin_harness.runs.folder import RunFolder
from twin_harness.runs.recording import Recording
from twin_harness.schedule.builders import cpu, plan


def rows(ends_s, **columns):
    """Rows that were taken at these instants; the first covers the time from 0."""
    return pd.DataFrame({"monotonic_s": ends_s, "dt_s": np.diff([0.0, *ends_s]), **columns}).astype(
        "float64"
    )


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 1000)), min_size=20, max_size=60),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_windows_keep_the_integral(drawn, window_s):
    """What was counted is counted once.

    The sum over whole windows is that of the rows, however rows straddle their borders.
    """
    lengths_s, values = (
        np.array([length for length, _ in drawn]) / 20,
        [float(value) for _, value in drawn],
    )
    samples = rows(list(np.cumsum(lengths_s)), disk_write_bytes_per_s=values)
    means = window_means(samples, window_s)
    whole = means["coverage"] > 1 - 1e-9
    total = float((samples["disk_write_bytes_per_s"] * samples["dt_s"]).sum())
    counted = float(
        (means["disk_write_bytes_per_s"].fillna(0.0) * means["coverage"]).sum() * window_s
    )
    assert (
        counted == pytest.approx(total, rel=1e-9, abs=1e-6)
        or not means["disk_write_bytes_per_s"].notna().all()
    )
    assert whole[:-1].all()


def test_rows_that_straddle_a_border_count_by_their_shares():
    """A row of 1 s that lies half in each of two windows gives each half of what it counted."""
    means = window_means(rows([0.5, 1.5, 2.0], disk_write_bytes_per_s=[0.0, 10.0, 0.0]))
    assert means["disk_write_bytes_per_s"].tolist() == [5.0, 5.0]


def test_probes_are_the_worst_of_a_window():
    """A mean of worst values says nothing."""
    means = window_means(rows([0.5, 1.0, 1.5, 2.0], probe_wakeup_ms=[1.0, 9.0, 2.0, 3.0]))
    assert means["probe_wakeup_ms"].tolist() == [9.0, 3.0]


def test_windows_that_nobody_saw_are_empty():
    """Less than half a window known: no figure; a column that is empty there has none either."""
    means = window_means(rows([1.0, 2.0, 3.0], load1=[1.0, np.nan, 3.0]))
    assert means["load1"].tolist()[::2] == [1.0, 3.0]
    assert np.isnan(means["load1"].iloc[1])


def test_regimes_are_told_by_load_and_saturation():
    """Idle without load, saturated at 95 percent or with memory waited for, loaded else."""
    frame = pd.DataFrame(
        {
            "cpu_percent": [2.0, 50.0, 99.0, 10.0, 3.0],
            "cpu_requested_percent": [0.0, 50.0, 90.0, 0.0, 0.0],
            "memory_requested_bytes": 0.0,
            "disk_requested_bytes_per_s": 0.0,
            "disk_busy_percent": [0.0, 0.0, 0.0, 97.0, 0.0],
            "pressure_memory_percent": [0.0, 0.0, 0.0, 0.0, 20.0],
            "active_events": ["", "cpu-0", "cpu-0", "", ""],
        }
    )
    assert load_state(frame).tolist() == ["idle", "loaded", "saturated", "saturated", "saturated"]


# -- splits ----------------------------------------------------------------------------------------


def recording_of(level, name):
    """A recording of one plan under a name of its own: replicates have the same hash."""
    return Recording(None, planned(plan(cpu(level, duration_s=5), name=name)), (), 0.0, 1.0)


@given(
    st.lists(st.integers(1, 12), min_size=3, max_size=40).filter(
        lambda levels: len(set(levels)) >= 3
    ),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_no_plan_stands_on_two_sides(levels, seed, chance):
    """All replicates of a plan are on one side, every recording on one, no side empty.

    The order of recordings does not matter.
    """
    recordings = [recording_of(level, f"e{index}") for index, level in enumerate(levels)]
    sides = split(recordings, {"train": 0.6, "calibrate": 0.2, "test": 0.2}, seed)
    hashes = {
        side: {recording.experiment.hash() for recording in own} for side, own in sides.items()
    }
    assert all(hashes.values())
    assert (
        sum(map(len, hashes.values()))
        == len(set.union(*hashes.values()))
        == len({r.experiment.hash() for r in recordings})
    )
    assert sorted(r.name for own in sides.values() for r in own) == sorted(
        r.name for r in recordings
    )
    chance.shuffle(recordings)
    again = split(recordings, {"train": 0.6, "calibrate": 0.2, "test": 0.2}, seed)
    assert {
        side: {recording.experiment.hash() for recording in own} for side, own in again.items()
    } == hashes


def test_split_refuses_what_would_leave_a_side_empty():
    """Two plans for three sides, and shares that do not add up, are refused in a sentence."""
    recordings = [recording_of(level, f"e{level}") for level in (10, 20)]
    with pytest.raises(InvalidInput, match="at least 3 different plans"):
        split(recordings, {"train": 0.6, "calibrate": 0.2, "test": 0.2})
    with pytest.raises(InvalidInput, match="add up to 1"):
        split(recordings, {"train": 0.6, "test": 0.6})


def faults_of_package(package):
    """What the format's own library finds wrong, by the profile that it ships.

    It would fetch the same from the network.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its models warn of themselves when they are imported
        from dplib import settings
        from dplib.models import Package
        from jsonschema.validators import validator_for
    profile = json.loads(Path(settings.PROFILE_BASEDIR, "2.0", "datapackage.json").read_text())
    Package.from_dict(package)
    return [error.message for error in validator_for(profile)(profile).iter_errors(package)]


# -- files -----------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    """A run of fifty rows, one of them impossible."""
    return make_run(tmp_path)


def make_run(tmp_path, host="h"):
    folder = make_folder(tmp_path)
    folder.write_state(
        {
            "status": "COMPLETE",
            "start": "2026-01-02T00:00:00.000000Z",
            "settings": {"interval_s": 0.1},
        }
    )
    values = {
        name: 1.0 for name in NAMES if by_name(name).unit and name not in ("time", "monotonic_s")
    }
    values |= {
        "host": host,
        "cpu_percent": 5.0,
        "cpu_background_percent": 1.0,
        "experiment": "a,b",
        "memory_used_bytes": 12345678901,
    }
    lines = [
        csv_row(ZERO_S + step / 10, **(values | ({"load1": -5.0} if step == 7 else {})))
        for step in range(50)
    ]
    write_dataset(folder, [line.replace(",a,b,", ',"a,b",') for line in lines])
    folder.annotations.write_text("run,experiment\n")
    return load(folder.path)


def test_parquet_is_typed_and_says_what_its_columns_mean(run):
    """Instants, whole bytes, dictionaries, flags.

    Unit and definition of each column stand in the file; pandas alone reads it.
    """
    faults = write_parquet(run, run.folder.parquet)
    assert [fault.kind for fault in faults] == ["impossible value"]
    schema = pq.read_schema(run.folder.parquet)
    kinds = {
        name: str(schema.field(name).type)
        for name in ("time", "memory_used_bytes", "cpu_percent", "is_stolen")
    }
    assert kinds == {
        "time": "timestamp[us, tz=UTC]",
        "memory_used_bytes": "int64",
        "cpu_percent": "double",
        "is_stolen": "bool",
    }
    assert schema.field("cpu_percent").metadata[b"unit"] == b"percent"
    assert schema.metadata[b"format"] == b"twin-dataset/1"
    frame = pd.read_parquet(run.folder.parquet)
    assert frame["memory_used_bytes"].iloc[0] == 12345678901
    assert frame["experiment"].iloc[0] == "a,b"
    assert frame["load1"].isna().sum() == 1
    clean_frame, _ = clean(run)
    assert np.allclose(frame["load1"], clean_frame["load1"], equal_nan=True)


def test_a_failed_writing_leaves_no_parquet(run, monkeypatch):
    """A file that was not closed cannot be read, so there is a whole one or none."""
    monkeypatch.setattr(
        pq.ParquetWriter, "write_table", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        write_parquet(run, run.folder.parquet)
    assert not [path for path in run.path.iterdir() if "parquet" in path.name]


def test_data_package_is_valid_and_its_checksums_are_true(run):
    """The format's own library finds nothing wrong.

    Every file is there with its size and SHA-256.
    """
    write_parquet(run, run.folder.parquet)
    path = write_package(run)
    package = json.loads(path.read_text())
    assert package["$schema"] == PROFILE
    assert faults_of_package(package) == []
    assert {resource["path"] for resource in package["resources"]} >= {
        "system_metrics_dataset.csv",
        "system_metrics_dataset.parquet",
        "machine.json",
    }
    for resource in package["resources"]:
        data = (run.path / resource["path"]).read_bytes()
        assert resource["bytes"] == len(data)
        assert resource["hash"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    fields = {field["name"]: field for field in package["resources"][0]["schema"]["fields"]}
    assert list(fields) == NAMES
    assert fields["cpu_percent"]["constraints"] == {"minimum": 0, "maximum": 100}
    parquet = next(
        resource for resource in package["resources"] if resource["path"].endswith("parquet")
    )
    assert (
        [field["name"] for field in parquet["schema"]["fields"]]
        == pq.read_schema(run.folder.parquet).names
        == [*NAMES, "dt_s", *FLAGS]
    )


def test_runs_are_merged_into_one_partitioned_dataset(tmp_path):
    """Each run and host is a folder.

    The whole is read as one table, and a run by its name alone.
    """
    runs = [make_run(tmp_path / name, host) for name, host in (("a", "h1"), ("b", "h2"))]
    out = tmp_path / "merged"
    counts = merge([run.path for run in runs], out, lambda _: None)
    assert set(counts.values()) == {50}
    table = ds.dataset(out, partitioning="hive")
    assert table.count_rows() == 100
    assert {path.parent.name for path in out.rglob("*.parquet")} == {"host=h1", "host=h2"}
    frame = pd.read_parquet(out, filters=[("run", "==", runs[0].folder.run_id)])
    assert len(frame) == 50
    assert set(frame["host"].astype(str)) == {"h1"}


def test_merge_writes_over_nothing(tmp_path, run):
    """An existing folder, or a run named twice, is refused."""
    (tmp_path / "there").mkdir()
    with pytest.raises(InvalidInput, match="expected a folder that does not exist"):
        merge([run.path], tmp_path / "there", lambda _: None)
    with pytest.raises(InvalidInput, match="is named twice"):
        merge([run.path, run.path], tmp_path / "new", lambda _: None)
    assert isinstance(run.folder, RunFolder)

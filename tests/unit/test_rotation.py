"""``twin log --rotate``: files that begin at whole periods, Parquet once they are over."""

import subprocess

import pandas as pd
import pytest

from twin_harness.cli import main
from twin_harness.dataset.pack import pack
from twin_harness.errors import InvalidInput, UnreadableRun
from twin_harness.session import rotation
from twin_harness.session.config import TwinConfig

HEADING = "time,monotonic_s,host,cpu_percent\n"
ROW = "2026-11-30T00:00:0{0}Z,{0}.0,a,12.5\n"


@pytest.mark.parametrize(
    ("text", "seconds"), [("1d", 86_400), ("6h", 21_600), ("30min", 1800), ("2w", 1_209_600)]
)
def test_a_period_is_written_as_people_write_it(text, seconds):
    assert rotation.period_s(text) == seconds


@pytest.mark.parametrize("text", ["1", "day", "0d", "1.5h", "-1d", ""])
def test_what_is_no_period_is_refused(text):
    with pytest.raises(InvalidInput, match="expected a period such as 1h, 1d or 1w"):
        rotation.period_s(text)


def test_a_log_is_packed_in_its_place(tmp_path):
    """Every whole row; the torn last line of a kill is left out."""
    path = tmp_path / "log.csv"
    path.write_text(HEADING + ROW.format(1) + ROW.format(2) + "2026-11-3")
    assert pack(path) == tmp_path / "log.parquet"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["log.parquet"]
    assert list(pd.read_parquet(tmp_path / "log.parquet")["cpu_percent"]) == [12.5, 12.5]


def test_a_damaged_log_stays_as_it_is(tmp_path):
    """Nothing is lost by being packed."""
    path = tmp_path / "log.csv"
    path.write_text(HEADING + ROW.format(1) + "three,cells,only\n" + ROW.format(2))
    with pytest.raises(UnreadableRun, match="it is not packed"):
        pack(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["log.csv"]


def test_a_log_without_rows_leaves_nothing_and_no_log_stays(tmp_path):
    """What is not ours is not removed."""
    empty, other = tmp_path / "empty.csv", tmp_path / "other.csv"
    empty.write_text(HEADING)
    assert pack(empty) is None
    other.write_text("a,b\n1,2\n")
    with pytest.raises(UnreadableRun):
        pack(other)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["other.csv"]


@pytest.fixture
def clock(monkeypatch, request):
    """Time that passes as files are recorded; how long each was meant to last.

    Its parameter says whether files are packed by a process of their own, as they are in earnest.
    """
    state = {"utc": 1_000_000.0, "lengths": [], "early": None, "overhead": 0.0, "missing": 600.0}

    def record(path, _config, duration_s, progress, _outlet, *, has_probe, interrupted):
        assert not has_probe
        path.write_text(HEADING + ROW.format(1))
        progress("2 s  2 samples  cpu 1 %")
        progress(f"{path}: 1 samples every 1 s")
        state["lengths"].append(duration_s)
        state["utc"] += duration_s + state["overhead"]
        if state["early"] == len(state["lengths"]):
            state["utc"] -= state["missing"]
            interrupted()
        return 0

    def packed_at_once(path):
        assert pack(path)
        return subprocess.Popen(["true"])

    if not getattr(request, "param", None):
        monkeypatch.setattr(rotation, "_start_packing", packed_at_once)
    monkeypatch.setattr(rotation, "record", record)
    monkeypatch.setattr(rotation, "utc_s", lambda: state["utc"])
    monkeypatch.setattr(rotation, "monotonic_s", lambda: state["utc"])
    return state


@pytest.mark.parametrize("clock", [True], indirect=True, ids=["by a process"])
def test_files_begin_at_whole_periods(clock, tmp_path):
    """The first is shorter, the last ends with the time that was asked for."""
    said = []
    begun = clock["utc"] % 3600
    code = rotation.record_in_files(
        tmp_path / "logs", 3600.0, TwinConfig(interval_s=1.0), 9000.0, said.append, None
    )
    assert code == 0
    first = 3600 - begun
    assert clock["lengths"] == pytest.approx([first, 3600, 3600, 9000 - first - 7200])
    assert [path.suffix for path in (tmp_path / "logs").iterdir()] == [".parquet"] * 4
    assert sum("cpu 1 %" in line for line in said) == 1
    assert sum("samples every" in line for line in said) == 4


def test_a_rest_that_has_no_room_for_rows_is_left(clock, tmp_path):
    """Loggers take time to begin and to end, which is the log's, too."""
    clock["overhead"] = 0.4
    begun = clock["utc"] % 60
    code = rotation.record_in_files(
        tmp_path / "logs", 60.0, TwinConfig(interval_s=1.0), 121.0, lambda _: None, None
    )
    assert code == 0
    assert all(length > 1.0 for length in clock["lengths"])
    assert sum(clock["lengths"]) == pytest.approx(121.0, abs=2.5)
    assert clock["lengths"][0] == pytest.approx(60 - begun)


@pytest.mark.parametrize("missing", [600.0, 0.5, 0.0])
def test_who_ends_it_early_ends_it(clock, tmp_path, missing):
    """Ctrl-C ends the file and the log, however close to its end; what there was is packed."""
    clock.update(early=2, missing=missing)
    rotation.record_in_files(
        tmp_path / "logs", 3600.0, TwinConfig(interval_s=1.0), None, lambda _: None, None
    )
    assert len(clock["lengths"]) == 2
    assert len(list((tmp_path / "logs").glob("*.parquet"))) == 2


def test_rotation_needs_a_folder(tmp_path, capsys):
    assert main(["log", "--rotate", "1d"]) == 2
    assert "expected --out FOLDER" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["log", "--rotate", "1d", "--out", str(tmp_path / "file")]) == 2
    assert "with --rotate it is a folder" in capsys.readouterr().err

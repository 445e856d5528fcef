"""What others use: learnt from recordings, kept in the model's file, drawn for a time of a day."""

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from twin_harness.errors import InvalidInput
from twin_harness.predict.background import BLOCK_S, Background, Block
from twin_harness.predict.background_learning import (
    MOST_BLOCKS,
    learn_beside_load,
    learn_from_recordings,
    read_trace,
)
from twin_harness.predict.background_part import BackgroundPart
from twin_harness.predict.model_file import read_model
from twin_harness.predict.model_parts import from_model_file
from twin_harness.predict.starting_time import StartingTime
from twin_harness.predict.twin import Twin
from twin_harness.predict.when import best_of, compare_starts, interval
from twin_harness.schedule.builders import cpu, plan

MACHINE = "0123456789abcdef"
MONDAY = datetime(2026, 11, 2, tzinfo=UTC)  # a Monday


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    """Hours are local: here those of UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def hourly(days=3, level=lambda _day, hour: 50.0 if hour == 14 else 5.0):
    """A background with one block in each hour."""
    blocks = []
    for day in range(days):
        for hour in range(24):
            begin = MONDAY + timedelta(days=day, hours=hour)
            percent = np.full(BLOCK_S, level(day, hour))
            blocks.append(
                Block(int(begin.timestamp()), percent, np.full(BLOCK_S // 10, 1e6), 10.0 + day)
            )
    return Background(tuple(blocks), "recorded without load")


def recorded(path, seconds, **columns):
    """Write a recording, a row a second."""
    times = pd.date_range(MONDAY + timedelta(seconds=1), periods=seconds, freq="1s")
    table = {"time": times, "cpu_percent": 8.0, "memory_percent": 12.0} | columns
    frame = pd.DataFrame(table)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.assign(time=frame["time"].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")).to_csv(
            path, index=False
        )
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_recording_becomes_blocks_of_what_others_used(tmp_path, ending):
    """The harness's own time is nobody else's, and a long gap parts two stretches."""
    cpu_percent = np.full(400, 8.0)
    cpu_percent[200:210] = np.nan  # ten seconds: a gap
    cpu_percent[300:302] = np.nan  # two seconds: held
    path = recorded(
        tmp_path / f"log.{ending}", 400, cpu_percent=cpu_percent, harness_cpu_percent=1.0
    )
    told = []
    found = learn_from_recordings([path], MACHINE, told.append)
    assert [block.seconds for block in found.blocks] == [120, 80, 120, 70]
    assert found.mean_percent == pytest.approx(7.0)
    assert found.blocks[2].begin_s == int(MONDAY.timestamp()) + 210
    assert "does not name its machine" in told[0]


def test_what_was_measured_by_itself_counts_before_what_is_left(tmp_path):
    """``cpu_background_percent`` where it is there; seconds of an experiment do not count."""
    events = [""] * 150
    events[100:] = ["cpu-0"] * 50
    path = recorded(tmp_path / "log.csv", 150, cpu_background_percent=3.0, active_events=events)
    found = learn_from_recordings([path], MACHINE)
    assert found.seconds == 100
    assert found.mean_percent == pytest.approx(3.0)


def test_a_folder_of_recordings_is_read_whole_and_thinned(tmp_path):
    """As many blocks as a model keeps, evenly in time, and said."""
    hours = (MOST_BLOCKS + 600) * BLOCK_S // 3600
    recorded(tmp_path / "a.parquet", hours * 3600)
    told = []
    found = learn_from_recordings([tmp_path], MACHINE, told.append)
    assert len(found.blocks) == MOST_BLOCKS
    assert f"{MOST_BLOCKS} of {hours * 30} blocks" in told[-1]


def test_what_cannot_be_learnt_from_is_one_sentence(tmp_path):
    """No recording, too short a one, columns that are not there, a folder without any."""
    short = recorded(tmp_path / "short.csv", 10)
    with pytest.raises(InvalidInput, match="expected 20 s on end without load"):
        learn_from_recordings([short], MACHINE)
    other = tmp_path / "other.csv"
    other.write_text("time,usr\n1,2\n")
    with pytest.raises(InvalidInput, match="no column cpu_percent"):
        learn_from_recordings([other], MACHINE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no run and no CSV or Parquet file"):
        learn_from_recordings([tmp_path / "empty"], MACHINE)
    with pytest.raises(InvalidInput, match="it is not there; expected a recording"):
        learn_from_recordings([tmp_path / "absent.csv"], MACHINE)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="it is not a regular file"):
        learn_from_recordings([tmp_path / "pipe"], MACHINE)
    recorded(tmp_path / "epoch.parquet", 60, time=np.arange(60.0) + 1.79e9)
    with pytest.raises(InvalidInput, match="column time holds numbers, e"):
        learn_from_recordings([tmp_path / "epoch.parquet"], MACHINE)
    other.write_text("event,usr\n1,2\n")
    with pytest.raises(InvalidInput, match="no column time"):
        learn_from_recordings([other], MACHINE)


def test_a_time_that_was_recorded_twice_counts_once(tmp_path):
    """Two loggers, one file given twice, or a CSV that was packed already: the fit goes on."""
    folder = tmp_path / "logs"
    folder.mkdir()
    csv = recorded(folder / "log.csv", 240)
    recorded(folder / "log.parquet", 240)
    told = []
    found = learn_from_recordings([folder, csv], MACHINE, told.append)
    assert found.seconds == 240
    assert "2 of 4 blocks are of a time that was given already" in told[-1]
    BackgroundPart.of(found).check()
    recorded(folder / "other.csv", 240)
    with pytest.raises(InvalidInput, match="expected one recording for the plan but there are 2"):
        read_trace(folder, MACHINE, 60)


def test_what_no_machine_shows_is_unknown(tmp_path):
    """Memory of 150 percent, negative bytes; times that cannot be read: counted and said."""
    memory, write = np.full(200, 12.0), np.full(200, 1e6)
    memory[5], write[6], write[7] = 150.0, -1.0, 1e16
    path = recorded(tmp_path / "log.csv", 200, memory_percent=memory, disk_write_bytes_per_s=write)
    lines = path.read_text().splitlines()
    lines[-1] = "soon" + lines[-1][lines[-1].index(",") :]
    path.write_text("\n".join(lines) + "\n")
    told = []
    found = learn_from_recordings([path], MACHINE, told.append)
    assert any(
        "1 of 200 values of memory_percent are outside of 0 to 100, e.g. 150" in one for one in told
    )
    assert any("2 of 200 values of disk_write_bytes_per_s" in one for one in told)
    assert any("1 of 200 rows have no readable time" in one for one in told)
    BackgroundPart.of(found).check()
    naive = recorded(
        tmp_path / "naive.parquet", 200, time=pd.date_range("2026-11-02", periods=200, freq="1s")
    )
    assert learn_from_recordings([naive], MACHINE).seconds == 200


def test_a_gap_holds_the_row_after_it(tmp_path):
    """A row is the mean of the time before it."""
    cpu_percent = np.full(60, 2.0)
    cpu_percent[3:6] = np.nan
    cpu_percent[6:] = 9.0
    cpu, _, _ = read_trace(recorded(tmp_path / "log.csv", 60, cpu_percent=cpu_percent), MACHINE, 20)
    assert list(cpu[:8]) == [2.0, 2.0, 2.0, 9.0, 9.0, 9.0, 9.0, 9.0]


def test_beside_load_the_runs_own_figures_are_learnt(campaign_runs):
    """In blocks that begin when the runs did; nothing where nobody measured."""
    runs = [replace(one, others_cpu_percent=None) for one in campaign_runs[:3]]
    assert learn_beside_load(runs) is None
    seconds = runs[0].demand.seconds
    known = replace(runs[0], began="2026-11-02T00:00:00Z", others_cpu_percent=np.full(seconds, 6.0))
    found = learn_beside_load([known, *runs[1:]])
    assert found.mean_percent == pytest.approx(6.0)
    assert found.blocks[0].begin_s == int(MONDAY.timestamp())
    assert np.isnan(found.blocks[0].writes()).all()


def test_draws_are_of_the_hour_that_was_asked_for():
    """And any hour's where none was; the first member is the mean of the others."""
    background = hourly()
    busy = background.draw(60, StartingTime.parse("14:10"), count=50)
    assert busy.cpu_percent.shape == (1, 51, 60)
    assert np.all(busy.cpu_percent == 50.0)
    assert np.all(busy.write_bytes_per_s == 1e6)
    assert set(busy.memory_percent[0, 1:]) <= {10.0, 11.0, 12.0}
    some = background.draw(60, count=400).cpu_percent[0]
    assert some[0] == pytest.approx(some[1:].mean(axis=0))
    assert some[1:].mean() == pytest.approx(5.0 + 45.0 / 24.0, abs=1.5)


def test_a_long_plan_goes_on_into_the_next_hour():
    """What others use changes with the hour while it runs."""
    drawn = hourly().draw(2 * 3600, StartingTime.parse("13:00"), count=5).cpu_percent[0]
    assert np.all(drawn[:, :3500] == 5.0)
    assert np.all(drawn[:, 3800:] == 50.0)


def test_days_alike_are_drawn_from():
    """A weekday's own from eight on; else working days or weekends; a lone day is refused."""
    weeks = hourly(63)
    mondays, said = weeks.days(StartingTime.parse("Mon 03:00"))
    assert len(mondays) == 9
    assert said == "hour 03:00 of 9 Mondays, any minute of it"
    few = hourly(14)
    assert (
        few.days(StartingTime.parse("Mon 03:00"))[1]
        == "hour 03:00 of 10 working days, any minute of it"
    )
    assert (
        few.days(StartingTime.parse("sunday 03:00"))[1]
        == "hour 03:00 of 4 days of weekends, any minute of it"
    )
    assert few.days(StartingTime.parse("03:00"))[1] == "hour 03:00 of 14 days, any minute of it"
    with pytest.raises(InvalidInput, match="--at 03:00: the recorded background holds 1 day "):
        hourly(1).days(StartingTime.parse("03:00"))


@pytest.mark.parametrize(
    ("text", "minute", "weekday"),
    [
        ("02:00", 120, None),
        ("Mon 14:05", 845, 0),
        ("2026-12-01T02:30", 150, 1),
        ("2026-12-01T02:30+01:00", 90, 1),
    ],
)
def test_times_are_read_as_people_write_them(text, minute, weekday):
    """Of a day, of a weekday, of a date."""
    found = StartingTime.parse(text)
    assert (found.minute, found.weekday) == (minute, weekday)


@pytest.mark.parametrize(
    "text",
    [
        *("25:00", "noon", "2026-12-01", "Foo 02:00", "", "every:1h", "Monster 02:00"),
        *("0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"),
    ],
)
def test_what_is_no_time_is_refused(text):
    """With the spellings that are."""
    with pytest.raises(InvalidInput, match=r"expected a time such as '02:00', 'Mon 14:00'"):
        StartingTime.parse(text)


def test_a_grid_is_every_time_of_a_day():
    """In steps that divide it."""
    assert len(StartingTime.parse_all("every:1h")) == 24
    half = StartingTime.parse_all("Tue every:30m")
    assert (len(half), str(half[1])) == (48, "Tue 00:30")
    with pytest.raises(InvalidInput, match="a step that divides a day"):
        StartingTime.parse_all("every:7h")


def test_a_trace_is_taken_as_it_went_or_refused(tmp_path):
    """Too short, or with a gap in what is needed: one sentence."""
    values = np.arange(60.0)
    path = recorded(tmp_path / "trace.csv", 60, cpu_percent=values)
    assert read_trace(path, MACHINE, 50)[0] == pytest.approx(values[:50])
    with pytest.raises(InvalidInput, match=r"60 s are shorter than the plan's 90 s"):
        read_trace(path, MACHINE, 90)
    values[20:30] = np.nan
    path = recorded(tmp_path / "holes.csv", 60, cpu_percent=values)
    with pytest.raises(InvalidInput, match="nothing is known of second 20 of it"):
        read_trace(path, MACHINE, 50)


@pytest.fixture(scope="module")
def busy_twin(campaign_twin, tmp_path_factory):
    """The campaign's twin with a background that is busy at 14:00; in a file, too."""
    twin = Twin.from_file(campaign_twin.file_)
    model = replace(twin.model_, background=hourly(14))
    twin.file_ = campaign_twin.file_.model_copy(
        update={"background": BackgroundPart.of(model.background)}
    )
    twin.model_ = model
    path = tmp_path_factory.mktemp("model") / "twin.json"
    twin.save(path)
    return twin, path


def test_a_model_keeps_its_background(busy_twin):
    """As it was, to a tenth of a percent; a file that was edited is refused by field."""
    twin, path = busy_twin
    kept = from_model_file(read_model(path)).background
    assert [block.begin_s for block in kept.blocks] == [
        block.begin_s for block in twin.model_.background.blocks
    ]
    assert np.all(kept.blocks[14].cpu_percent == 50.0)
    data = json.loads(path.read_text())
    for key, value, says in (
        ("cpu", " ".join(["1"] * 121), "121 s; expected at most 120"),
        ("cpu", "1 nan", "cpu"),
        ("begin_s", 5, "begins before the last one ends"),
        ("write", "1 2", "expected 12 numbers"),
    ):
        damaged = json.loads(json.dumps(data))
        damaged["background"]["blocks"][1][key] = value
        path.with_name("damaged.json").write_text(json.dumps(damaged))
        with pytest.raises(InvalidInput, match=says):
            read_model(path.with_name("damaged.json"))


def test_a_prediction_stands_on_what_runs_there(busy_twin, tmp_path):
    """Quiet, recorded and as it went: each adds what others use, and says which it was."""
    twin, _ = busy_twin
    job = plan(cpu(40, duration_s=30))
    quiet = twin.predict(job, background="quiet")
    recorded_ = twin.predict(job, at="14:00")
    assert "background quiet" in quiet.background
    assert "hour 14:00 of 14 days" in recorded_.background
    rest = twin.file_.parameters["background_cpu"]
    gained = recorded_.column("cpu_percent") - quiet.column("cpu_percent")
    assert gained[10:25] == pytest.approx(np.full(15, 50.0 - rest), abs=0.2)
    assert twin.predict(job).background.startswith("background recorded without load: others as")
    trace = recorded(tmp_path / "trace.csv", 60, cpu_percent=20.0)
    traced = twin.predict(job, background=trace)
    assert (traced.column("cpu_percent") - quiet.column("cpu_percent"))[15] == pytest.approx(
        20.0 - rest, abs=0.2
    )
    with pytest.raises(InvalidInput, match="a quiet machine is the same at any time"):
        twin.predict(job, background="quiet", at="14:00")
    with pytest.raises(InvalidInput, match="a recording goes as it went"):
        twin.predict(job, background=trace, at="14:00")


def test_a_model_without_background_says_so(campaign_twin):
    """It takes the machine for quiet, and refuses what it cannot know."""
    twin = Twin.from_file(campaign_twin.file_.model_copy(update={"background": None}))
    job = plan(cpu(40, duration_s=10))
    assert "quiet" in twin.predict(job).background
    for asked in ({"background": "recorded"}, {"at": "14:00"}):
        with pytest.raises(InvalidInput, match="this model has recorded no background"):
            twin.predict(job, **asked)


def test_many_plans_are_each_predicted_as_alone(busy_twin):
    """Of different lengths in one batch: others at their end do not matter to the shorter."""
    twin, _ = busy_twin
    plans = [plan(cpu(30, duration_s=seconds)) for seconds in (10, 40)]
    both = twin.predict_many(plans, at="14:00")
    alone = twin.predict(plans[0], at="14:00")
    assert both[0].column("cpu_percent") == pytest.approx(alone.column("cpu_percent"))
    assert len(both[1].ends_s) == 42


def test_the_bands_as_a_table(busy_twin):
    """A column for each end of each band, seconds as the index."""
    twin, _ = busy_twin
    predicted = twin.predict(plan(cpu(30, duration_s=10)))
    frame = predicted.to_frame()
    assert frame.index.name == "end_s"
    assert frame[("cpu_percent", "mid")].to_numpy() == pytest.approx(
        predicted.column("cpu_percent")
    )
    assert list(frame["cpu_percent"].columns) == ["low", "mid", "high"]


def test_when_to_run_is_when_others_rest(busy_twin):
    """The busy hour is found, the others are told apart from it and not from each other."""
    twin, _ = busy_twin
    times = StartingTime.parse_all("every:1h")[12:16]
    found = compare_starts(
        twin.model_, plan(cpu(45, duration_s=20)), times, ["cpu_percent > 85 for 3 s"]
    )
    chances = [start.probability for start in found]
    assert chances[2] > 0.9
    assert max(chances[:2] + chances[3:]) < 0.1
    best, alike = best_of(found)
    assert best is not found[2]
    assert found[2] not in alike
    for (
        start
    ) in found:  # what others use is the same each day here: about 45, and 5 or 50 of others
        assert start.cpu_low < start.cpu_percent < start.cpu_high
        assert start.cpu_high - start.cpu_low < 15.0
    assert found[2].cpu_low > found[1].cpu_high + 20.0
    assert interval(0.5, 200) == pytest.approx((0.4314, 0.5686), abs=1e-3)

"""Recorded telemetry as load: means kept exactly, time and level scaled, and one sentence for a file that is none."""

import numpy as np
import pytest

from twin_harness.control.replay import Series, replay
from twin_harness.errors import InvalidInput
from twin_harness.schedule import Schedule

HEAD = "time,usage,mem,note\n"


def csv_file(folder, text, name="prod.csv"):
    path = folder / name
    path.write_text(text)
    return path


def test_steps_keep_the_mean():
    """However steps and intervals lie to each other, the mean over all steps is that of the recording."""
    chance = np.random.default_rng(7)
    for _ in range(50):
        lengths = chance.uniform(0.05, 2.0, size=40)
        edges, values = np.concatenate([[3.0], 3.0 + np.cumsum(lengths)]), chance.uniform(0, 100, size=40)
        starts, means = Series(edges, values).means(chance.uniform(0.1, 5.0))
        ends = np.append(starts[1:], edges[-1] - edges[0])
        assert np.sum(means * (ends - starts)) == pytest.approx(np.sum(values * lengths))
        assert means.min() >= values.min() - 1e-9
        assert means.max() <= values.max() + 1e-9


def test_production_day_becomes_minutes_of_load(tmp_path):
    """Five-minute values of a day, sixty times as fast and at half the level: 24 minutes with the same course."""
    rows = "".join(f"2026-03-01T{minute // 60:02d}:{minute % 60:02d}:00Z,{20 + minute % 60},{30},x\n" for minute in range(0, 1440, 5))
    path = csv_file(tmp_path, HEAD + rows)
    schedule = replay(path, columns={"cpu": "usage", "memory": "mem"}, step_s=300, time_scale=1 / 60, level_scale=0.5)
    cpu, memory = schedule.experiments[0].events
    assert cpu.duration_s == pytest.approx(24 * 60)
    assert cpu.mean() == pytest.approx(0.5 * np.mean([20 + minute % 60 for minute in range(0, 1440, 5)]))
    assert cpu.level(12.0) == pytest.approx(0.5 * (20 + 10))
    assert (memory.unit, memory.level(700.0)) == ("percent", 15.0)
    assert Schedule.from_json(schedule.to_json()) == schedule
    assert schedule.generator["arguments"]["time_scale"] == 1 / 60


def test_holes_are_bridged_by_what_was_before(tmp_path):
    """An empty cell is no value: the one before it holds on."""
    path = csv_file(tmp_path, HEAD + "0,10,1,\n10,,1,\n20,30,1,\n30,30,1,\n")
    event = replay(path, columns={"cpu": "usage"}, step_s=10).experiments[0].events[0]
    assert [event.level(at_s) for at_s in (5.0, 15.0, 25.0)] == [10.0, 10.0, 30.0]


def test_series_keep_their_place_to_each_other(tmp_path):
    """What begins later in the recording begins later in the load."""
    rows = "".join(f"{at_s},{10},{'' if at_s < 10 else 30},\n" for at_s in range(20))
    cpu, memory = replay(csv_file(tmp_path, HEAD + rows), columns={"cpu": "usage", "memory": "mem"}, time_scale=0.5).experiments[0].events
    assert (cpu.start_s, cpu.end_s) == (0.0, 10.0)
    assert (memory.start_s, memory.end_s) == (5.0, 10.0)


WRONG = {
    "no columns": ({}, "0,1,2,x\n1,1,2,x\n", "columns: expected a column for some of cpu, memory, disk but got none"),
    "unknown resource": ({"columns": {"gpu": "usage"}}, "0,1,2,x\n1,1,2,x\n", "expected a column for some of cpu, memory, disk"),
    "unknown column": ({"columns": {"cpu": "load"}}, "0,1,2,x\n1,1,2,x\n", "column 'load' is not in prod.csv; expected one of time, usage, mem, note"),
    "no number": ({"columns": {"cpu": "note"}}, "0,1,2,x\n1,1,2,x\n", "row 2 of 'note' is 'x'; expected a number"),
    "no time": ({"columns": {"cpu": "usage"}}, "yesterday,1,2,x\n1,1,2,x\n", "row 2 of 'time' is 'yesterday'; expected seconds or an ISO 8601 time"),
    "one row": ({"columns": {"cpu": "usage"}}, "0,1,2,x\n", "expected two or more rows"),
    "time goes back": ({"columns": {"cpu": "usage"}}, "0,1,2,x\n5,1,2,x\n3,1,2,x\n", "expected two or more rows of 'usage' whose 'time' rises"),
    "too high": ({"columns": {"cpu": "usage"}}, "0,120,2,x\n1,120,2,x\n", "120 is above 100 percent"),
    "below zero": ({"columns": {"cpu": "usage"}}, "0,-5,2,x\n1,5,2,x\n", "-5 is below 0 percent"),
    "too fine": ({"columns": {"cpu": "usage"}, "step_s": 0.001}, "0,5,2,x\n1000,5,2,x\n", "are 2000000 points; expected at most 20000"),
    "scale": ({"columns": {"cpu": "usage"}, "time_scale": 0}, "0,5,2,x\n1,5,2,x\n", "expected time_scale above 0 but got time_scale=0"),
    "infinite": ({"columns": {"cpu": "usage"}}, "0,inf,2,x\n1,5,2,x\n", "row 2 of 'usage' is 'inf'; expected a number"),
}


@pytest.mark.parametrize(("arguments", "rows", "message"), WRONG.values(), ids=list(WRONG))
def test_what_cannot_be_replayed_is_refused_in_a_sentence(tmp_path, arguments, rows, message):
    with pytest.raises(InvalidInput) as caught:
        replay(csv_file(tmp_path, HEAD + rows), **arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(InvalidInput, match="there is no such file or folder"):
        replay(tmp_path / "none.csv", columns={"cpu": "usage"})

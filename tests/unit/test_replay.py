"""Recorded telemetry as load.

Means kept exactly, time and level scaled, and one sentence for a file that is none.
"""

import bz2
import gzip
import lzma

import numpy as np
import pytest

from twin_harness.control.replay import replay
from twin_harness.control.series import Series
from twin_harness.errors import InvalidInput
from twin_harness.schedule.model import Schedule

HEAD = "time,usage,mem,note\n"


def csv_file(folder, text, name="prod.csv"):
    path = folder / name
    path.write_text(text)
    return path


def test_steps_keep_the_mean():
    """However steps and intervals lie, the mean over all steps is that of the recording."""
    chance = np.random.default_rng(7)
    for _ in range(50):
        lengths = chance.uniform(0.05, 2.0, size=40)
        edges, values = (
            np.concatenate([[3.0], 3.0 + np.cumsum(lengths)]),
            chance.uniform(0, 100, size=40),
        )
        starts, means = Series(edges, values).means(chance.uniform(0.1, 5.0))
        ends = np.append(starts[1:], edges[-1] - edges[0])
        assert np.sum(means * (ends - starts)) == pytest.approx(np.sum(values * lengths))
        assert means.min() >= values.min() - 1e-9
        assert means.max() <= values.max() + 1e-9


def test_production_day_becomes_minutes_of_load(tmp_path):
    """Five-minute values of a day, sixty times as fast and at half the level.

    24 minutes with the same course.
    """
    rows = "".join(
        f"2026-03-01T{minute // 60:02d}:{minute % 60:02d}:00Z,{20 + minute % 60},{30},x\n"
        for minute in range(0, 1440, 5)
    )
    path = csv_file(tmp_path, HEAD + rows)
    schedule = replay(
        path,
        columns={"cpu": "usage", "memory": "mem"},
        step_s=300,
        time_scale=1 / 60,
        level_scale=0.5,
    )
    cpu, memory = schedule.experiments[0].events
    assert cpu.duration_s == pytest.approx(24 * 60)
    assert cpu.mean() == pytest.approx(
        0.5 * np.mean([20 + minute % 60 for minute in range(0, 1440, 5)])
    )
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
    cpu, memory = (
        replay(
            csv_file(tmp_path, HEAD + rows),
            columns={"cpu": "usage", "memory": "mem"},
            time_scale=0.5,
        )
        .experiments[0]
        .events
    )
    assert (cpu.start_s, cpu.end_s) == (0.0, 10.0)
    assert (memory.start_s, memory.end_s) == (5.0, 10.0)


WRONG = {
    "no columns": (
        {},
        "0,1,2,x\n1,1,2,x\n",
        "columns: expected a column for some of cpu, memory, disk but got none",
    ),
    "unknown resource": (
        {"columns": {"gpu": "usage"}},
        "0,1,2,x\n1,1,2,x\n",
        "expected a column for some of cpu, memory, disk",
    ),
    "unknown column": (
        {"columns": {"cpu": "load"}},
        "0,1,2,x\n1,1,2,x\n",
        "column 'load' is not in prod.csv; expected one of time, usage, mem, note",
    ),
    "no number": (
        {"columns": {"cpu": "note"}},
        "0,1,2,x\n1,1,2,x\n",
        "row 2 of 'note' is 'x'; expected a number",
    ),
    "no time": (
        {"columns": {"cpu": "usage"}},
        "yesterday,1,2,x\n1,1,2,x\n",
        "row 2 of 'time' is 'yesterday'; expected seconds or an ISO 8601 time",
    ),
    "one row": ({"columns": {"cpu": "usage"}}, "0,1,2,x\n", "expected two or more rows"),
    "time goes back": (
        {"columns": {"cpu": "usage"}},
        "0,1,2,x\n5,1,2,x\n3,1,2,x\n",
        "expected two or more rows of 'usage' whose 'time' rises",
    ),
    "too high": (
        {"columns": {"cpu": "usage"}},
        "0,120,2,x\n1,120,2,x\n",
        "120 is above 100 percent",
    ),
    "below zero": ({"columns": {"cpu": "usage"}}, "0,-5,2,x\n1,5,2,x\n", "-5 is below 0 percent"),
    "too fine": (
        {"columns": {"cpu": "usage"}, "step_s": 0.001},
        "0,5,2,x\n1000,5,2,x\n",
        "are 2000000 points; expected at most 20000",
    ),
    "scale": (
        {"columns": {"cpu": "usage"}, "time_scale": 0},
        "0,5,2,x\n1,5,2,x\n",
        "expected time_scale above 0 but got time_scale=0",
    ),
    "infinite": (
        {"columns": {"cpu": "usage"}},
        "0,inf,2,x\n1,5,2,x\n",
        "row 2 of 'usage' is 'inf'; expected a number",
    ),
}


@pytest.mark.parametrize(("arguments", "rows", "message"), WRONG.values(), ids=list(WRONG))
def test_what_cannot_be_replayed_is_refused_in_a_sentence(tmp_path, arguments, rows, message):
    with pytest.raises(InvalidInput) as caught:
        replay(csv_file(tmp_path, HEAD + rows), **arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# -- cells, times and bytes ------------------------------------------------------------------------


def levels_of(path, **more):
    """Duration, and the level of each row where all are equally long."""
    schedule = replay(path, columns={"cpu": "cpu"}, **more)
    event = schedule.experiments[0].events[0]
    return event.duration_s, event, schedule.generator.get("notes", [])


ROWS_THAT_DO_NOT_FIT = {
    "decimal comma": (
        "time,cpu\n0,7,9\n5,12,4\n10,55,25\n",
        "row 2 has 3 cells, the heading 2, and all 3 rows have as many",
    ),
    "note with a comma": (
        "time,cpu,note\n0,10,ok\n5,90,a, b\n10,95,ok\n",
        "row 3 has 4 cells, the heading 3",
    ),
    "two of them": (
        "time,cpu,note\n0,10,ok\n\n5,90,a, b\n10,95,c, d\n15,1,x\n",
        "row 4 has 4 cells, the heading 3, and 1 more do not fit it",
    ),
    "too short": ("time,cpu,note\n0,10,ok\n5,90\n10,95,ok\n", "row 3 has 2 cells, the heading 3"),
    "one cell": ("time,cpu,note\n0,10,ok\n5\n10,95,ok\n", "row 3 has 1 cell, the heading 3"),
    "short at the end": ("time,cpu\n0,10\n5,90\n10\n", "row 4 has 1 cell, the heading 2"),
    "some end in a comma": ("time,cpu\n0,10,\n5,90\n", "row 2 has 3 cells, the heading 2"),
    "heading ends in a comma": (
        "time,cpu,\n0,10\n5,90\n",
        "row 2 has 2 cells, the heading 3, and all 2 rows have as many",
    ),
}


@pytest.mark.parametrize(
    ("text", "message"), ROWS_THAT_DO_NOT_FIT.values(), ids=list(ROWS_THAT_DO_NOT_FIT)
)
def test_a_row_that_has_not_the_heading_s_cells_is_refused_by_its_line(tmp_path, text, message):
    """Nothing is shifted, filled up or skipped: the first row that does not fit is named."""
    with pytest.raises(InvalidInput) as caught:
        levels_of(csv_file(tmp_path, text))
    assert (
        str(caught.value)
        == f"replay: prod.csv: {message}; expected as many in each, quote cells that hold a comma,"
        " write decimals with a point, or repair the rows"
    )


def test_commas_at_the_end_of_all_rows_shift_nothing(tmp_path):
    """Rows that all end in a comma have their columns where the heading has them.

    It is said.
    """
    duration_s, event, notes = levels_of(
        csv_file(
            tmp_path,
            "time,cpu,mem\n" + "".join(f"{5 * row},{30 + row},{60 + row},\n" for row in range(10)),
        )
    )
    assert (duration_s, event.level(0.0), event.level(49.0)) == (50.0, 30.0, 39.0)
    assert notes == [
        "prod.csv: all rows end in a comma, which the heading does not; read as if they did not"
    ]


def test_quoted_commas_and_empty_lines_are_fine(tmp_path):
    """A comma in quotes is text, and an empty line is no row."""
    duration_s, event, notes = levels_of(
        csv_file(tmp_path, 'time,cpu,note\n0,10,"a, b"\n\n5,90,"c\nd"\n  \n10,20,\n\n')
    )
    assert (duration_s, event.level(7.0), notes) == (15.0, 90.0, [])


def test_a_row_that_was_cut_short_is_left_out_and_said(tmp_path):
    """The last row of a logger that was killed has no line break: left out, with its line."""
    duration_s, _, notes = levels_of(csv_file(tmp_path, "time,cpu,mem\n0,10,1\n5,20,1\n10"))
    assert (duration_s, notes) == (
        10.0,
        ["prod.csv: its last row, 4, was cut short and is left out"],
    )


def test_rows_are_named_by_the_lines_of_the_file(tmp_path):
    """An empty line counts, and where times are numbers it is the one that is none to blame."""
    with pytest.raises(InvalidInput, match="row 4 of 'cpu' is 'x'; expected a number"):
        levels_of(csv_file(tmp_path, "time,cpu\n0,10\n\n5,x\n"))
    with pytest.raises(
        InvalidInput, match="row 3 of 'time' is ''; expected seconds or an ISO 8601 time"
    ):
        levels_of(csv_file(tmp_path, "time,cpu\n0,10\n,20\n5,30\n"))


def test_a_column_that_appears_twice_is_refused(tmp_path):
    """Nobody knows which of the two is meant."""
    with pytest.raises(InvalidInput, match=r"column 'cpu' appears twice in prod\.csv"):
        levels_of(csv_file(tmp_path, "time,cpu,cpu\n0,10,1\n5,20,2\n"))


@pytest.mark.parametrize(
    ("unit", "per_second"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]
)
def test_times_since_1970_are_taken_for_what_they_are(tmp_path, unit, per_second):
    """Four minutes are four minutes in every unit, and what was guessed is said."""
    path = csv_file(
        tmp_path,
        "time,cpu\n"
        + "".join(f"{(1_590_048_000 + 60 * row) * per_second},{10 * row}\n" for row in range(4)),
    )
    duration_s, event, notes = levels_of(path)
    assert (duration_s, event.level(130.0)) == (240.0, 20.0)
    said = (
        f"prod.csv: 'time' begins at {1_590_048_000 * per_second}, which was read as {unit} since "
        "1970 (2020-05-21T08:00:00 UTC); "
        "say otherwise with --time-unit"
    )
    assert notes == ([] if unit == "s" else [said])
    assert levels_of(path, time_unit=unit)[::2] == (240.0, [])


def test_times_from_the_start_have_the_unit_that_is_given(tmp_path):
    """0, 1000, 2000 are seconds unless said otherwise; a unit that is none is refused."""
    path = csv_file(tmp_path, "time,cpu\n0,10\n1000,20\n2000,30\n")
    assert [levels_of(path, time_unit=unit)[0] for unit in (None, "s", "ms")] == [
        3000.0,
        3000.0,
        3.0,
    ]
    with pytest.raises(
        InvalidInput, match="expected time_unit to be one of s, ms, us, ns but got time_unit='h'"
    ):
        levels_of(path, time_unit="h")


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_text_is_read_by_its_byte_order_mark(tmp_path, encoding):
    """What Windows tools write as UTF-16 is read like any other file."""
    text = "time,cpu\n0,10\n5,90\n"
    (tmp_path / "prod.csv").write_bytes(
        (("\ufeff" if encoding[-2:] in ("le", "be") else "") + text).encode(encoding)
    )
    assert levels_of(tmp_path / "prod.csv")[1].level(6.0) == 90.0


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_packed_files_are_unpacked(tmp_path, suffix, pack):
    """By their name; one that is damaged is refused in a sentence."""
    path = tmp_path / f"prod.csv{suffix}"
    path.write_bytes(pack(b"time,cpu\n0,10\n5,90\n"))
    assert levels_of(path)[1].level(6.0) == 90.0
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InvalidInput, match="cannot be read"):
        levels_of(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not valid CSV (it is empty)"),
        (b'"', "is not valid CSV (it is empty)"),
        (b"PAR1\0\1\2", "is not text (it contains NUL bytes)"),
    ],
)
def test_what_is_no_csv_is_refused(tmp_path, content, message):
    (tmp_path / "prod.csv").write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        levels_of(tmp_path / "prod.csv")
    assert message in str(caught.value)


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(InvalidInput, match="there is no such file or folder"):
        replay(tmp_path / "none.csv", columns={"cpu": "usage"})


def test_a_quote_that_is_never_closed_is_refused_by_its_line(tmp_path):
    """It would make one cell of all rows that follow, and the count of cells would fit."""
    path = tmp_path / "prod.csv"
    path.write_text('time,cpu,note\n0,10,ok\n10,20,"oops\n20,90,ok\n30,90,ok\n')
    with pytest.raises(InvalidInput, match=r"line 3 opens a quote that is never closed"):
        levels_of(path)
    path.write_text('time,cpu,note\n0,10,"two\nlines, and ""quotes"""\n10,20,ok\n')
    assert levels_of(path)

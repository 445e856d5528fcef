"""Files that nobody has checked yet.

JSON with unique keys and finite numbers, and traces from within the schedule's folder.
"""

import os
from pathlib import Path

import pytest

from tests.support.plans import one_event, read, refusal
from twin_harness.errors import InvalidInput
from twin_harness.schedule import file as schedule_file
from twin_harness.schedule.model import Schedule

# -- JSON ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            (
                "is not valid JSON (Expecting value: line 1 column 1 (char 0)); expected a"
                " schedule.json"
            ),
        ),
        (
            "{",
            (
                "is not valid JSON (Expecting property name enclosed in double quotes: line 1"
                " column 2 (char 1)); expected a schedule.json"
            ),
        ),
        ('{"seed": 1, "seed": 2}', "key 'seed' is given twice in one object; give it once"),
        (
            '{"generator": {"a": [{"b": 1, "b": 1}]}}',
            "key 'b' is given twice in one object; give it once",
        ),
        ('{"seed": NaN}', "NaN is not a finite number; JSON numbers are finite"),
        ('{"seed": -Infinity}', "-Infinity is not a finite number; JSON numbers are finite"),
        ("[" * 200_000, "is nested too deeply; expected a schedule.json"),
        (
            "\ufeff{}",
            (
                "is not valid JSON (Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1"
                " (char 0)); expected a schedule.json"
            ),
        ),
    ],
)
def test_what_is_no_json_is_refused(tmp_path, text, message):
    """Text that is no strict JSON is refused with the reason."""
    assert refusal(tmp_path, text) == message


def test_bytes_that_are_no_text_are_refused(tmp_path):
    """A file that is not UTF-8 is no JSON."""
    (tmp_path / "schedule.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(
        InvalidInput,
        match=r"schedule\.json: is not valid JSON \('utf-8' codec can't decode byte 0xff",
    ):
        Schedule.read(tmp_path / "schedule.json")


def test_a_missing_file_is_refused(tmp_path):
    """The message names the path and what was expected there."""
    with pytest.raises(InvalidInput) as caught:
        Schedule.read(tmp_path / "no.json")
    assert (
        str(caught.value)
        == f"{tmp_path}/no.json: cannot be read (No such file or directory); expected a"
        " schedule.json"
    )


def test_a_folder_is_refused(tmp_path):
    """A folder is no file."""
    with pytest.raises(
        InvalidInput, match=r"cannot be read \(Is a directory\); expected a schedule\.json$"
    ):
        Schedule.read(tmp_path)


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    """The size is looked at before the content."""
    monkeypatch.setattr(schedule_file, "LARGEST_SCHEDULE_BYTES", 10)
    assert (
        refusal(tmp_path, " " * 11)
        == "11 bytes is above the limit of 10; expected a schedule.json, split in several"
    )


# -- trace files -----------------------------------------------------------------------------------


def by_trace(name):
    return one_event(shape={"kind": "trace", "file": name})


@pytest.mark.parametrize(
    "text",
    [
        "0,5\n2,30\n",
        "seconds,level\n0,5\n2,30",
        " 0 , 5 \r\n\r\n2,30\r\n",
        't,level,remark\n0,5,\n2,30,"a, b"\n',
        "0,5,\n2,30,\n",
        '"0","5"\n2,30\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_trace_file_is_read(tmp_path, text, encoding):
    """A heading is allowed, further columns that it names are left out, and so are empty lines.

    The last line break is optional.
    """
    (tmp_path / "load.csv").write_bytes(text.encode(encoding))
    assert read(tmp_path, by_trace("load.csv")).experiments[0].events[0].shape.points == (
        (0.0, 5.0),
        (2.0, 30.0),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "0,5\n2,30,5\n",
            "line 2 of 'load.csv' has 3 cells; expected 2, seconds,level, and a point in decimals",
        ),
        (
            "0,30,5\n5,31,2\n",
            "line 1 of 'load.csv' has 3 cells; expected 2, seconds,level, and a point in decimals",
        ),
        (
            "t,level\n0,30,5\n5,31,2\n",
            (
                "line 2 of 'load.csv' has 3 cells; expected 2 as in its heading, and a point in"
                " decimals"
            ),
        ),
        (
            "t,level,remark\n0,30,x\n\n5,31\n",
            (
                "line 4 of 'load.csv' has 2 cells; expected 3 as in its heading, and a point in"
                " decimals"
            ),
        ),
        (
            "1795994571.953,10\n1795994572.953,90\n",
            (
                "the times of 'load.csv' begin at 1795994571.95, after the end of the event, so "
                "its first level would hold throughout; "
                "expected seconds from the start of the event, of 20 s; subtract the first time "
                "from all"
            ),
        ),
    ],
)
def test_a_trace_file_is_never_read_as_something_else(tmp_path, text, message):
    """Decimal commas, rows of another width and times since 1970 are refused by line and value."""
    (tmp_path / "load.csv").write_text(text)
    assert (
        refusal(tmp_path, by_trace("load.csv")) == f"experiments[0].events[0].shape.file: {message}"
    )


def test_a_trace_file_with_a_byte_order_mark_keeps_its_first_point(tmp_path):
    """What spreadsheets export as UTF-8 is read whole."""
    (tmp_path / "load.csv").write_bytes(b"\xef\xbb\xbf0,5\n2,30\n")
    assert read(tmp_path, by_trace("load.csv")).experiments[0].events[0].shape.points == (
        (0.0, 5.0),
        (2.0, 30.0),
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "no.csv",
            "shape.file: 'no.csv' is not a regular file; expected CSV lines of seconds,level",
        ),
        ("", "shape.file: 'FOLDER' is not a regular file; expected CSV lines of seconds,level"),
        ("pipe", "shape.file: 'pipe' is not a regular file; expected CSV lines of seconds,level"),
        (
            "../outside.csv",
            "shape.file: '../outside.csv' lies outside the schedule's own folder; copy it there",
        ),
        (
            "/etc/hostname",
            "shape.file: '/etc/hostname' lies outside the schedule's own folder; copy it there",
        ),
        (
            "link.csv",
            "shape.file: 'link.csv' lies outside the schedule's own folder; copy it there",
        ),
        ("bad.csv", "shape.file: line 2 of 'bad.csv' is 'x'; expected seconds,level"),
        ("empty.csv", "shape.points: expected at least one (time, level) point, or a file"),
        ("nan.csv", "shape.points[0][0]: nan is not valid: input should be a finite number"),
    ],
)
def test_a_bad_trace_file_is_refused(tmp_path, name, message):
    """Missing, special, outside (also by a link) and malformed files are refused by path."""
    folder = tmp_path / "FOLDER"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (tmp_path / "outside.csv").write_text("0,5\n")
    (folder / "link.csv").symlink_to(tmp_path / "outside.csv")
    (folder / "bad.csv").write_text("0,5\nx\n")
    (folder / "empty.csv").write_text("")
    (folder / "nan.csv").write_text("nan,5\n")
    assert refusal(folder, by_trace(name)) == f"experiments[0].events[0].{message}"


@pytest.mark.parametrize(
    "name",
    ["a\0b", "\ud800", "x" * 300, "loop", "secret.csv"],
    ids=["NUL", "surrogate", "too long", "link to itself", "unreadable"],
)
def test_a_trace_file_name_that_no_system_takes_is_refused(tmp_path, monkeypatch, name):
    """Whatever the file system says about a trace's name, the schedule is refused in one line."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "secret.csv").write_text("0,5\n")
    real_read = Path.read_bytes

    def deny(path):
        if path.name == "secret.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return real_read(path)

    monkeypatch.setattr(Path, "read_bytes", deny)
    assert "shape.file" in refusal(tmp_path, by_trace(name))


def test_a_trace_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    """The size is looked at before the content."""
    monkeypatch.setattr(schedule_file, "LARGEST_TRACE_BYTES", 10)
    (tmp_path / "load.csv").write_text("0,5\n2,30\n4,5\n")
    assert (
        refusal(tmp_path, by_trace("load.csv"))
        == "experiments[0].events[0].shape.file: 'load.csv' has 13 bytes; expected at most 10"
    )

"""The dataset as a file.

Whole rows only, and a moment found by bisection where a linear search finds it.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin_harness import metrics
from twin_harness.errors import UnreadableRun
from twin_harness.runs.dataset_file import DatasetFile

HEADING = "time,monotonic_s,host,cpu_percent,filler\n"


def row(instant_s, filler=""):
    return f"2026-01-01T00:00:00.000000Z,{instant_s!r},h,5,{filler}\n"


def write(path, instants_s, fillers=None, tail=""):
    path.write_text(
        HEADING
        + "".join(
            row(instant_s, "x" * filler)
            for instant_s, filler in zip(instants_s, fillers or [0] * len(instants_s), strict=True)
        )
        + tail
    )
    return path


def linear_find(content, instant_s):
    """Offset of the first whole row taken at the instant or later, the slow way."""
    offset = len(HEADING)
    for line in content[offset:].splitlines(keepends=True):
        if float(line.split(b",")[1]) >= instant_s:
            return offset
        offset += len(line)
    return offset


def linear_read(content, begin_s, end_s):
    lines = content.splitlines(keepends=True)
    return lines[0] + b"".join(
        line for line in lines[1:] if begin_s <= float(line.split(b",")[1]) <= end_s
    )


INSTANTS = st.lists(st.integers(0, 400), min_size=0, max_size=40).map(
    lambda ticks: [tick / 8 for tick in sorted(ticks)]
)


@given(INSTANTS, st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_bisection_finds_what_a_linear_search_finds(tmp_path, instants_s, data):
    """Every moment on, between and beyond rows is found at the offset that a full search gives.

    Rows may have any length, and times may repeat.
    """
    fillers = data.draw(
        st.lists(
            st.one_of(st.integers(0, 30), st.integers(0, 5000)),
            min_size=len(instants_s),
            max_size=len(instants_s),
        )
    )
    path = write(tmp_path / "d.csv", instants_s, fillers)
    content = path.read_bytes()
    with DatasetFile(path) as dataset:
        for instant_s in {
            0.0,
            -1.0,
            51.0,
            *instants_s,
            *(instant_s + 1 / 16 for instant_s in instants_s),
        }:
            assert dataset.find(instant_s) == linear_find(content, instant_s)


@given(INSTANTS, st.integers(-8, 408), st.integers(-8, 408), st.sampled_from([0, 200]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_slice_holds_exactly_its_rows(tmp_path, instants_s, begin, end, filler):
    """Heading and the rows from begin to end, both included.

    An empty window holds the heading alone.
    """
    path = write(tmp_path / "d.csv", instants_s, [filler] * len(instants_s))
    with DatasetFile(path) as dataset:
        assert dataset.read(begin / 8, end / 8) == linear_read(
            path.read_bytes(), begin / 8, end / 8
        )
        assert dataset.read() == path.read_bytes()
        assert dataset.read(end_s=end / 8) == linear_read(path.read_bytes(), -1, end / 8)
        assert dataset.read(begin_s=begin / 8) == linear_read(path.read_bytes(), begin / 8, 1e9)


def test_a_torn_tail_is_left_out_at_every_byte(tmp_path):
    """Wherever a crash cuts the file, exactly the whole rows are there.

    Without a whole heading there is no dataset.
    """
    whole = (HEADING + row(1.0) + row(2.0, "abc") + row(3.0)).encode()
    path = tmp_path / "d.csv"
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        if cut < len(HEADING):
            with pytest.raises(UnreadableRun):
                DatasetFile(path)
            continue
        with DatasetFile(path) as dataset:
            rows = whole[:cut].rpartition(b"\n")[0] + b"\n"
            assert (dataset.read(), dataset.valid_bytes, dataset.torn_bytes) == (
                rows,
                len(rows),
                cut - len(rows),
            )
            assert dataset.read(2.0, 2.0).count(b"\n") == 1 + (b",2.0," in rows)
            assert dataset.find(9.0) == len(rows)


def test_the_valid_length_cuts_at_every_byte(tmp_path):
    """While a logger writes, only what the board calls whole is read, however much the file holds.

    A length within a row drops that row.
    """
    path = write(tmp_path / "d.csv", [1.0, 2.0, 3.0])
    content = path.read_bytes()
    for valid_bytes in range(len(HEADING), len(content) + 1):
        with DatasetFile(path, valid_bytes) as dataset:
            rows = content[:valid_bytes].rpartition(b"\n")[0] + b"\n"
            assert dataset.read() == rows
            assert dataset.read(0.0, 9.0) == rows
            assert [dataset.find(instant_s) for instant_s in (1.0, 1.5, 2.0, 3.0, 4.0)] == [
                linear_find(rows, instant_s) for instant_s in (1.0, 1.5, 2.0, 3.0, 4.0)
            ]


def test_a_valid_length_beyond_the_file_is_the_file(tmp_path):
    """A file that was cut after the board spoke is read as far as it goes."""
    path = write(tmp_path / "d.csv", [1.0])
    with DatasetFile(path, 10**9) as dataset:
        assert dataset.valid_bytes == path.stat().st_size


@pytest.mark.parametrize("rows", [60_000, 10_000], ids=["11 MB", "2 MB"])
def test_a_slice_reads_less_than_the_file(tmp_path, monkeypatch, rows):
    """A second out of a run costs fewer bytes than the whole run, wherever it lies."""
    path = write(tmp_path / "d.csv", [k / 10 for k in range(rows)], [150] * rows)
    read_bytes = []
    real_pread = os.pread

    def counted(descriptor, length, offset):
        data = real_pread(descriptor, length, offset)
        read_bytes.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counted)
    with DatasetFile(path) as dataset:
        for begin_s in (0.0, rows / 20, rows / 10 - 2.0):
            read_bytes.clear()
            assert dataset.read(begin_s, begin_s + 1.0).count(b"\n") == 12
            assert sum(read_bytes) < path.stat().st_size


def test_a_row_may_be_long(tmp_path):
    """Rows just below 64 KiB, as machines of thousands of CPUs have them, are found."""
    path = write(tmp_path / "d.csv", [1.0, 2.0, 3.0], [65_000, 10, 65_000])
    with DatasetFile(path) as dataset:
        assert [dataset.find(instant_s) for instant_s in (0.0, 1.5, 2.5, 3.5)] == [
            linear_find(path.read_bytes(), instant_s) for instant_s in (0.0, 1.5, 2.5, 3.5)
        ]


def test_a_heading_of_any_machine_is_read(tmp_path):
    """8,192 possible CPUs (the kernel's largest) have a heading of 131 KiB."""
    names = [metric.name for metric in metrics.columns(tuple(range(8192)))]
    path = tmp_path / "d.csv"
    path.write_text(
        ",".join(names) + "\n" + ",".join(["t", "1.5", *["100"] * (len(names) - 2)]) + "\n"
    )
    with DatasetFile(path) as dataset:
        assert dataset.columns == tuple(names)
        assert dataset.read(1.0, 2.0).count(b"\n") == 2


@pytest.mark.parametrize("broken", ["\n", "garbage\n", "\0\0\0\0\n", "t,,h,5,\n", "t,1e\n"])
def test_a_broken_row_does_not_mislead_the_search(tmp_path, broken):
    """Whole rows before and after a row that does not parse are all found."""
    path = tmp_path / "d.csv"
    path.write_text(HEADING + row(1.0) + row(2.0) + broken + row(3.0) + row(4.0) + row(5.0))
    with DatasetFile(path) as dataset:
        for instant_s in (1.0, 2.0, 3.0, 4.0, 5.0):
            assert row(instant_s).encode() in dataset.read(instant_s, instant_s)
            assert dataset.read(instant_s, 5.0).count(b",h,5,\n") == 6 - instant_s + (
                broken == "t,,h,5,\n" and instant_s <= 2
            )


@pytest.mark.parametrize("uptime_s", [1e5, 2e7, 1e9])
def test_both_ends_of_a_slice_are_included_at_any_uptime(tmp_path, uptime_s):
    """The row taken exactly at the end belongs to the slice, also after years without a restart."""
    path = write(tmp_path / "d.csv", [uptime_s, uptime_s + 1.0, uptime_s + 2.0])
    with DatasetFile(path) as dataset:
        assert dataset.read(uptime_s, uptime_s + 1.0).count(b"\n") == 3


def test_a_missing_file_says_that_nothing_was_recorded(tmp_path):
    """The message names the path and what was expected."""
    with pytest.raises(UnreadableRun) as caught:
        DatasetFile(tmp_path / "d.csv")
    assert (
        str(caught.value)
        == f"{tmp_path}/d.csv: no samples were recorded (No such file or directory); expected a"
        " folder of a run that began"
    )


@pytest.mark.parametrize("content", ["", "time,mono", "\x00"])
def test_a_file_without_a_heading_says_so(tmp_path, content):
    """A logger that died before its first whole line leaves no dataset, and nothing stays open."""
    path = tmp_path / "d.csv"
    path.write_text(content)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UnreadableRun) as caught:
        DatasetFile(path)
    assert str(caught.value) == f"{path}: holds no heading; the logger ended before its first row"
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_heading_alone_is_an_empty_dataset(tmp_path):
    """No row is no error: every search ends at the end."""
    with DatasetFile(write(tmp_path / "d.csv", [])) as dataset:
        assert dataset.columns == ("time", "monotonic_s", "host", "cpu_percent", "filler")
        assert dataset.find(0.0) == dataset.valid_bytes == len(HEADING)
        assert dataset.read(0.0, 1.0) == HEADING.encode()


def test_leaving_the_block_closes_the_file(tmp_path):
    """The descriptor is gone after the with block."""
    with DatasetFile(write(tmp_path / "d.csv", [1.0])) as dataset:
        pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        dataset.find(1.0)


def test_the_time_column_is_found_by_name(tmp_path):
    """A later version may put columns before monotonic_s."""
    path = tmp_path / "d.csv"
    path.write_text("a,b,monotonic_s,c\n1,1,5.0,9\n1,1,6.0,9\n")
    with DatasetFile(path) as dataset:
        assert dataset.read(6.0, 7.0) == b"a,b,monotonic_s,c\n1,1,6.0,9\n"

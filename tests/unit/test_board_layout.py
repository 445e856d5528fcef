"""The table that gives every number of the board its place."""

import mmap

import pytest

from twin_harness.system.board_layout import Record

RECORD = Record(("a", "I"), ("", "4x"), ("b", "Q"), ("c", "d"))


@pytest.fixture
def page():
    with mmap.mmap(-1, 4096) as made:
        yield made


def test_offsets_follow_from_the_formats():
    """Little endian, one after another, gaps counted and not named."""
    assert RECORD.names == ("a", "b", "c")
    assert [(RECORD[name].offset, RECORD[name].size) for name in RECORD.names] == [
        (0, 4),
        (8, 8),
        (16, 8),
    ]
    assert RECORD.size == 24


def test_what_is_written_is_read_at_its_record(page):
    """A field is written and read relative to where its record begins, and nothing else changes."""
    RECORD["b"].write(page, 7, start=100)
    assert (RECORD["b"].read(page, 100), RECORD["b"].read(page)) == (7, 0)
    assert page[108:116] == (7).to_bytes(8, "little")
    assert bytes(page).count(0) == 4096 - 1


def test_a_span_is_several_fields_at_once(page):
    """From one field to another, both included; gaps hold no value."""
    RECORD.span("a", "c").write(page, 1, 2, 3.5)
    assert RECORD.span("a", "c").read_all(page) == (1, 2, 3.5)
    assert RECORD.span("b", "c").read_all(page) == (2, 3.5)

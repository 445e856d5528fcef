"""Tables of the command line: columns keep their width, text left, numbers right."""

from twin_harness.cli.table import Column, table_lines

COLUMNS = (
    Column("event", 8, is_text=True, is_cut=True),
    Column("asked", 7),
    Column("status", is_text=True),
)


def test_a_table_has_a_heading_and_a_line_for_each_row():
    """Text begins below its heading, numbers end below theirs, and no line ends in blanks."""
    assert table_lines(COLUMNS, [["cpu-0", "50 %", "completed"], ["mem-0", "–", ""]]) == [
        "event      asked  status",
        "cpu-0       50 %  completed",
        "mem-0          –",
    ]


def test_text_that_is_too_long_loses_its_beginning():
    """The end of a name tells events apart; other columns push what follows."""
    _, line = table_lines(COLUMNS, [["spike over steady/cpu-0", "123456789 %", "done"]])
    assert line == "…y/cpu-0 123456789 %  done"


def test_a_row_may_end_early_and_a_table_may_be_indented():
    """Cells that are missing leave nothing behind."""
    assert table_lines(COLUMNS, [["rest"]], "  ")[1] == "  rest"


def test_a_first_column_of_numbers_stands_at_the_margin():
    """Without the blank that separates it from nothing."""
    assert table_lines((Column("n", 3), Column("name", is_text=True)), [["7", "x"]]) == [
        "  n  name",
        "  7  x",
    ]

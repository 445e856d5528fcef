"""What `twin log` shows.

Whole rows as they come, a dash for what the machine has not, and the cost of the harness with its
interval.
"""

import io
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from twin_harness.session.csv_tail import CsvTail
from twin_harness.session.log_table import make_table, row_cells, shown_within
from twin_harness.session.overhead import Interval, Overhead


def test_tail_gives_whole_rows_only(tmp_path):
    """Half a line is kept back until the rest is there; the heading is no row."""
    path = tmp_path / "x.csv"
    path.write_text("time,cpu_percent\n2026-01-01T00:00:01.0Z,5\n2026-01-")
    tail = CsvTail(path)
    assert tail.rows() == [{"time": "2026-01-01T00:00:01.0Z", "cpu_percent": "5"}]
    with path.open("a") as file:
        file.write('01T00:00:02.0Z,"6"\n')
    assert tail.rows() == [{"time": "2026-01-01T00:00:02.0Z", "cpu_percent": "6"}]
    assert tail.rows() == []
    with path.open("a") as file:
        file.write("2026-01-01T00:00:03.0Z\n2026-01-01T00:00:04.0Z,7,8\n2026-01-01T00:00:05.0Z,8\n")
    assert tail.rows() == [
        {"time": "2026-01-01T00:00:05.0Z", "cpu_percent": "8"}
    ]  # neither fewer nor more cells
    tail.close()


def test_row_is_shown_in_units_people_read():
    """Sums, MiB, and dashes; a column of the sum that is empty makes the whole a dash."""
    row = {
        "time": "2026-01-01T12:34:56.789Z",
        "cpu_percent": "12.34",
        "disk_read_bytes_per_s": "1048576",
        "disk_write_bytes_per_s": "2097152",
    }
    cells = row_cells({**row, "network_sent_bytes_per_s": "5"})
    assert cells[:2] == ["12:34:56.7", "12.3"]
    assert "3.00" in cells
    assert cells.count("–") == len(cells) - 3


def test_table_is_never_wider_than_the_terminal():
    """A narrow terminal shows fewer columns, whole, with CPU first; a wide one all of them."""
    for width in (20, 40, 60, 80, 100, 120, 200):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(
            make_table(
                [{"time": "2026-01-01T12:34:56.789Z", "cpu_percent": "12.34"}], "here", width
            )
        )
        text = console.export_text()
        assert "…" not in text
        assert "CPU %" in text
        assert max(map(len, text.splitlines())) <= width
    assert shown_within(200) > shown_within(80) >= 6


def test_table_has_a_row_a_sample():
    assert make_table([{"time": "2026-01-01T00:00:00Z"}] * 3, "here").row_count == 3


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_interval_holds_the_median(shift):
    """The interval holds the median, is the same every time, and moves with the values."""
    values = [shift + value for value in (-0.2, 0.1, 0.0, 0.3, -0.1, 0.05, 0.2, -0.3)]
    found = Interval.of(values)
    assert found == Interval.of(values)
    assert found.low <= found.median <= found.high
    assert found.n == 8
    assert (found.low, found.high) == pytest.approx(
        (shift - 0.3, shift + 0.3)
    )  # the 2nd and 7th of 8 hold it with 93 % only


def test_two_rounds_have_no_interval():
    """Two values that agree by chance prove nothing: their interval is everything."""
    found = Interval.of([1.0, 1.01])
    assert (found.low, found.high) == (float("-inf"), float("inf"))


@pytest.mark.parametrize("n", [6, 9, 12, 25])
def test_interval_holds_the_median_95_times_of_100(n):
    """Of samples around 0, at least 95 in a hundred intervals hold 0."""
    chance = random.Random(n)
    held = 0
    for _ in range(2000):
        found = Interval.of([chance.gauss(0, 1) for _ in range(n)])
        held += found.low <= 0 <= found.high
    assert held / 2000 > 0.94


def test_cost_is_claimed_only_above_noise():
    """An interval that holds 0 is no cost: what can be said is how much it is at most."""
    around_zero, above = Interval(0.1, -0.2, 0.4, 9), Interval(1.0, 0.8, 1.2, 9)
    quiet = Overhead(around_zero, around_zero, around_zero, around_zero)
    assert (
        quiet.lines()[-1]
        == "no cost can be distinguished from the noise of this machine; it may be anything up to"
        " 0.40 % of its work"
    )
    loud = Overhead(above, around_zero, around_zero, around_zero)
    assert loud.lines()[-1] == "the harness costs the machine 1.00 % of its work"


def test_log_in_the_background_ends_when_asked(tmp_path):
    """A job in the background ignores SIGINT.

    SIGTERM ends it all the same, with its logger, and what was sampled is there.
    """
    out = tmp_path / "metrics.csv"
    words = [
        sys.executable,
        "-m",
        "twin_harness.cli",
        "log",
        "--interval",
        "0.05",
        "--out",
        str(out),
    ]
    ignoring = (
        "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        f" os.execv({sys.executable!r}, {words!r})"
    )
    with subprocess.Popen([sys.executable, "-c", ignoring], stderr=subprocess.PIPE) as process:
        deadline_s = time.monotonic() + 30.0
        while (
            not (out.exists() and out.read_text().count("\n") > 2) and time.monotonic() < deadline_s
        ):
            time.sleep(0.02)
        loggers = [
            int(child)
            for child in (
                Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            )
        ]
        process.terminate()
        assert process.wait(10.0) in (0, 130)
    assert out.read_text().count("\n") > 2
    assert loggers
    # A child that was killed is gone once init, or who else adopts it, has taken note.
    while any(Path(f"/proc/{pid}").exists() for pid in loggers) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert not any(Path(f"/proc/{pid}").exists() for pid in loggers)

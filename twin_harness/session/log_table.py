"""The table that ``twin log`` shows: the most important columns of the newest rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

# Heading, columns whose sum is shown, divisor, decimals, the most important first.
_SHOWN = (
    ("CPU %", ("cpu_percent",), 1.0, 1),
    ("memory %", ("memory_percent",), 1.0, 1),
    ("disk MiB/s", ("disk_read_bytes_per_s", "disk_write_bytes_per_s"), 2**20, 2),
    ("net MiB/s", ("network_sent_bytes_per_s", "network_received_bytes_per_s"), 2**20, 2),
    ("steal %", ("cpu_steal_percent",), 1.0, 1),
    ("wake-up ms", ("probe_wakeup_ms",), 1.0, 2),
    ("PSI cpu %", ("pressure_cpu_percent",), 1.0, 1),
    ("busy %", ("disk_busy_percent",), 1.0, 0),
    ("run queue", ("processes_running",), 1.0, 0),
    ("dirty MiB", ("memory_dirty_bytes",), 2**20, 1),
    ("late ms", ("lateness_ms",), 1.0, 2),
)
_TIME_WIDTH, _GAP_WIDTH = 10, 2


def shown_within(width: int) -> int:
    """Return how many columns, the most important first, fit beside the time in a terminal."""
    used = _TIME_WIDTH
    for number, (heading, *_) in enumerate(_SHOWN):
        used += _GAP_WIDTH + len(heading)
        if used > width:
            return max(number, 1)
    return len(_SHOWN)


def row_cells(row: dict[str, str], columns: int = len(_SHOWN)) -> list[str]:
    """Return what a row of the dataset shows in the table; a dash for what the machine has not."""
    cells = [row.get("time", "")[11:21]]
    for _, names, divisor, decimals in _SHOWN[:columns]:
        values = [row.get(name) or "" for name in names]
        if all(values):
            cells.append(f"{sum(map(float, values)) / divisor:.{decimals}f}")
        else:
            cells.append("–")
    return cells


def make_table(rows: list[dict[str, str]], title: str, width: int = 1000) -> Table:
    """Return the table of the newest rows, with as many columns as fit.

    Args:
        rows: cells by column, the oldest row first.
        title: stands above the table.
        width: of the terminal, in characters.
    """
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, _GAP_WIDTH, 0, 0),
        header_style="bold",
    )
    table.add_column("UTC", no_wrap=True)
    columns = shown_within(width)
    for heading, *_ in _SHOWN[:columns]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row_cells(row, columns))
    return table

"""The table of a chaos run: one line a fault, over all its rounds."""

from collections import Counter

ROW = "chaos_row"  # the name under which a test hands its row on
HEADING = (
    "fault",
    "rounds",
    "load left after 0.5 s",
    "processes left after 1 s",
    "files left",
    "dataset",
    "run status",
    "next run",
    "right",
)


def _counted(values):
    """Return values with how often each was seen, when there are several."""
    counts = Counter(values)
    return (
        next(iter(counts))
        if len(counts) == 1
        else ", ".join(f"{value} ×{count}" for value, count in counts.most_common())
    )


def _line(fault, rows):
    worst_s = max(row["load_gone_s"] for row in rows)
    files = sorted({name for row in rows for name in row["files_left"]})
    return (
        fault,
        str(len(rows)),
        f"{sum(row['load_left'] for row in rows)} (last gone after {worst_s:.2f} s)",
        str(sum(row["processes_left"] for row in rows)),
        str(len(files)),
        _counted(row["dataset"] for row in rows),
        _counted(row["status"] for row in rows),
        _counted(row["next"] for row in rows),
        (
            "yes"
            if not any(row["faults"] for row in rows)
            else f"{sum(bool(row['faults']) for row in rows)} wrong"
        ),
    )


def table_lines(rows):
    """Return the table as lines, columns aligned.

    Faults in the order in which they were first seen.
    """
    by_fault = {}
    for row in rows:
        by_fault.setdefault(row["fault"], []).append(row)
    cells = [HEADING, *(_line(fault, of_fault) for fault, of_fault in by_fault.items())]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADING))]
    return [
        " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]

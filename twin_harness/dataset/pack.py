"""``python -m twin_harness.dataset.pack FILE``: a CSV of ``twin log`` as Parquet, in its place.

A process of its own: who samples for weeks is not to carry pyarrow and pandas.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twin_harness.dataset.faults import FaultLog
from twin_harness.dataset.rows import typed_parts
from twin_harness.dataset.tables import write_parts
from twin_harness.errors import UnreadableRun
from twin_harness.runs.dataset_file import DatasetFile


def pack(path: Path) -> Path | None:
    """Write the rows of a CSV as Parquet beside it, remove the CSV, and return the new file.

    The Parquet is there whole or not at all; a CSV without rows is removed. What a kill leaves of a
    last line is left out; a CSV with any other damage stays as it is.

    Args:
        path: of the CSV.

    Raises:
        UnreadableRun: it is no dataset, or damaged.
    """
    packed, faults = path.with_suffix(".parquet"), FaultLog()

    def check() -> None:
        if damage := [fault for fault in faults if fault.kind != "torn line"]:
            msg = f"{path}: {damage[0].sentence}; it is not packed, so that nothing is lost"
            raise UnreadableRun(msg)

    with DatasetFile(path) as dataset:
        has_rows = write_parts(typed_parts(dataset, faults), packed, check)
    path.unlink()
    return packed if has_rows else None


def main() -> str | None:
    """Pack the file that is named, and return why it cannot be."""
    try:
        pack(Path(sys.argv[1]))
    except (UnreadableRun, OSError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main())

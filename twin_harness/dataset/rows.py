"""The dataset's lines as typed rows, part by part: a day of samples fits into bounded memory.

A part whose every line is a row of readable cells is parsed at once (pyarrow); any other is gone
through line by line, and every line and cell that cannot be read is named.
"""

from __future__ import annotations

import csv
import io
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from twin_harness.errors import UnreadableRun
from twin_harness.runs.frames import LABELS, damaged_parquet, open_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    import pyarrow.parquet as pq

    from twin_harness.dataset.faults import FaultLog
    from twin_harness.runs.dataset_file import DatasetFile
    from twin_harness.runs.run import Run

PART_BYTES = 8 * 1024**2
PART_ROWS = 16_384
_TEXTS = tuple(name for name in LABELS if name != "time")


@contextmanager
def open_parts(
    run: Run, faults: FaultLog
) -> Iterator[tuple[tuple[str, ...], Iterator[pd.DataFrame]]]:
    """Open the samples of a run.

    Give its columns and its rows part by part, as ``typed_parts`` does: of its CSV, or of its
    Parquet alone.

    The rows of a Parquet are clean already: what cleaning adds to them is left out, to be found
    again.

    Raises:
        UnreadableRun: there is neither, or it is damaged, or a newer version wrote it.
    """
    if run.folder.is_packed:
        with open_parquet(run.folder) as file:
            added = {
                "dt_s",
                *(field.name for field in file.schema_arrow if str(field.type) == "bool"),
            }
            names = tuple(name for name in file.schema_arrow.names if name not in added)
            yield names, _parquet_parts(run, file, names)
        return
    with run.folder.open_dataset(run.valid_bytes()) as dataset:
        yield dataset.columns, typed_parts(dataset, faults)


def _parquet_parts(
    run: Run, file: pq.ParquetFile, names: tuple[str, ...]
) -> Iterator[pd.DataFrame]:
    line, batches = 2, file.iter_batches(PART_ROWS, columns=list(names))
    while True:
        try:
            batch = next(batches, None)
        except OSError as error:  # of damaged pages, too
            raise damaged_parquet(run.folder, error) from None
        if batch is None:
            return
        frame: pd.DataFrame = batch.to_pandas()
        for name in names:
            if name in _TEXTS:
                frame[name] = frame[name].astype("object").fillna("").astype("str")
            elif name != "time" and frame[name].dtype != "float64":
                frame[name] = frame[name].astype("float64")
        frame.index = frame.index + line
        line += len(frame)
        yield frame


def typed_parts(
    dataset: DatasetFile, faults: FaultLog, part_bytes: int = PART_BYTES
) -> Iterator[pd.DataFrame]:
    """Return the rows part by part.

    The index is the number of each row's line in the file; the heading is line 1.

    ``time`` is a UTC timestamp, labels are strings, everything else float64 with NaN for empty.
    Lines that are no rows and cells that hold no number are left out and noted.

    Args:
        dataset: the file, open.
        faults: where they are noted.
        part_bytes: read at a time.
    """
    if "monotonic_s" not in dataset.columns or "time" not in dataset.columns:
        msg = (
            f"{dataset.path}: its heading names no time and monotonic_s; the file is damaged, or no"
            " dataset"
        )
        raise UnreadableRun(msg)
    if dataset.torn_bytes:
        faults.add(
            "torn line",
            "",
            "the end of the file",
            f"{dataset.torn_bytes} bytes after the last line break",
            "left out",
        )
    line = 2
    for block in dataset.blocks(part_bytes):
        count = block.count(b"\n")
        if b"\0" in block:
            frame = None
        else:
            frame = _parse(dataset.heading() + block)
        if frame is None or len(frame) != count:
            frame = _parse_lines(dataset.columns, block, line, faults)
        else:
            frame.index = frame.index + line
        line += count
        if len(frame):
            yield frame


def _parse(text: bytes) -> pd.DataFrame | None:
    """Return the rows of a block that holds nothing else, or None."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = text[: text.index(b"\n")].decode("utf-8", "replace").split(",")
    if len(set(names)) != len(names) or "time" not in names:
        return None
    types = (
        dict.fromkeys(names, pa.float64())
        | {name: pa.string() for name in names if name in _TEXTS}
        | {"time": pa.timestamp("us", "UTC")}
    )
    convert = arrow_csv.ConvertOptions(
        column_types=types, null_values=[""], strings_can_be_null=False
    )
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(text),
            convert_options=convert,
            parse_options=arrow_csv.ParseOptions(ignore_empty_lines=False),
        )
    except pa.ArrowInvalid:
        return None
    frame: pd.DataFrame = table.to_pandas()
    if frame["monotonic_s"].isna().any() or frame["time"].isna().any():
        return None
    return frame


def _parse_lines(
    columns: tuple[str, ...], block: bytes, first_line: int, faults: FaultLog
) -> pd.DataFrame:
    """Return the rows of a block that holds other things too."""
    import pandas as pd

    rows, numbers = [], []
    for number, line in enumerate(block.split(b"\n")[:-1], first_line):
        cells = _cells(line)
        if cells is None or len(cells) != len(columns):
            content = "bytes that are not text"
            if cells is not None:
                content = f"{len(cells)} cells for {len(columns)} columns"
            faults.add("damaged line", "", f"line {number}", content, "left out")
            continue
        row = dict(zip(columns, cells, strict=True))
        if math.isnan(_number(row["monotonic_s"])):
            faults.add(
                "damaged line",
                "",
                f"line {number}",
                f"monotonic_s {row['monotonic_s']!r}: nobody knows when",
                "left out",
            )
            continue
        rows.append(row)
        numbers.append(number)
    frame = pd.DataFrame(rows, columns=list(columns), index=numbers, dtype=str)
    for name in columns:
        if name == "time":
            frame[name] = pd.to_datetime(
                frame[name], errors="coerce", utc=True, format="ISO8601"
            ).astype("datetime64[us, UTC]")
        elif name not in _TEXTS:
            frame[name] = _to_numbers(frame[name], faults)
    return frame


def _to_numbers(column: pd.Series[str], faults: FaultLog) -> pd.Series[float]:
    import pandas as pd

    values = pd.to_numeric(column.replace("", "nan"), errors="coerce").astype("float64")
    wrong = column[values.isna() & (column != "")]
    if len(wrong):
        faults.add(
            "unreadable value",
            str(column.name),
            f"line {wrong.index[0]}",
            repr(wrong.iloc[0]),
            "emptied",
            len(wrong),
        )
    return values


def _cells(line: bytes) -> list[str] | None:
    """Return the cells of a line; None where it is not text."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "\0" in text or "\r" in text:
        return None
    try:
        return next(csv.reader([text]), [])
    except csv.Error:
        return None


def _number(text: str) -> float:
    """Return a number; NaN where the text is not one."""
    try:
        return float(text)
    except ValueError:
        return math.nan

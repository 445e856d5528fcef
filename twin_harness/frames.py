"""The tables of a run as DataFrames."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from twin_harness.errors import UnreadableRun
from twin_harness.metrics import IDENTITY
from twin_harness.records import ANNOTATION_COLUMNS, AnnotationRow

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from twin_harness.dataset_file import DatasetFile

LABELS = tuple(metric.name for metric in IDENTITY if metric.name != "monotonic_s")


def read_frame(dataset: DatasetFile, begin_s: float | None = None, end_s: float | None = None, partition: str = "") -> pd.DataFrame:
    """Return rows of a dataset as a DataFrame with ``dt_s``, the measured seconds since the row before, as its last column.

    Of a machine in parts there is a row a part and moment; ``partition`` takes those of one, and ``dt_s`` is since the part's row before.
    Numbers are float64 (missing is NaN), labels are strings. Rows that do not parse are left out.
    """
    import pandas as pd  # noqa: PLC0415 - a second of import, paid where a table is wanted

    # The row before the first tells the first one's interval.
    first = dataset.first_row if begin_s is None else dataset.find(begin_s)
    previous_s = _instant_before(dataset, first)
    if "monotonic_s" not in dataset.columns:
        msg = f"{dataset.path}: its heading names no monotonic_s; the file is damaged, or no dataset"
        raise UnreadableRun(msg)
    data = dataset.read(begin_s, end_s)
    labels = [name for name in LABELS if name in dataset.columns]
    try:
        frame = _parse(data, {**dict.fromkeys(dataset.columns, "float64"), **dict.fromkeys(labels, "str")})
    except ValueError:  # a damaged cell: slower, cell by cell
        frame = _parse(data, dict.fromkeys(dataset.columns, "str"))
        numbers = [name for name in frame.columns if name not in labels]
        frame[numbers] = frame[numbers].apply(pd.to_numeric, errors="coerce").astype("float64")
    frame[labels] = frame[labels].fillna("")
    frame = frame[frame["monotonic_s"].notna()].copy()
    if partition:
        frame = frame[frame["partition"] == partition].copy()
    is_in_parts = "partition" in frame.columns and len(frame["partition"].unique()) > 1
    frame["dt_s"] = (frame.groupby("partition") if is_in_parts else frame)["monotonic_s"].diff()
    if len(frame) and previous_s is not None:
        is_first = frame["monotonic_s"] == frame["monotonic_s"].iloc[0]
        frame.loc[is_first, "dt_s"] = frame["monotonic_s"].iloc[0] - previous_s
    return frame


def read_parquet_frame(path: Path, begin_s: float | None = None, end_s: float | None = None, partition: str = "") -> pd.DataFrame:
    """Return the rows that ``system_metrics_dataset.parquet`` holds of a time, as ``read_frame`` has those of the CSV; they are cleaned already."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy, needed where a run has no CSV

    bounds = [("monotonic_s", sign, limit_s) for sign, limit_s in ((">=", begin_s), ("<=", end_s)) if limit_s is not None]
    frame: pd.DataFrame = pq.read_table(path, filters=bounds or None).to_pandas()
    for name in frame.columns:
        if name in LABELS:
            frame[name] = frame[name].astype(str)
        elif frame[name].dtype != "bool":
            frame[name] = frame[name].astype("float64")
    return frame[frame["partition"] == partition].copy() if partition else frame


_OF_PARTS = ("memory_requested_bytes", "memory_delivered_bytes", "disk_requested_bytes_per_s", "disk_delivered_bytes_per_s")


def whole_machine(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a moment of a dataset of parts: CPU percents as the mean of the (equal) parts, load in bytes as their sum.

    CPUs that are left over belong to no part and are not in it.

    ``experiment`` and ``active_events`` hold those of all parts; every other column is the machine's in each row already.
    """
    if "partition" not in frame.columns or len(frame["partition"].unique()) < 2:  # noqa: PLR2004 - a whole machine, or one part
        return frame
    import pandas as pd  # noqa: PLC0415 - as in read_frame

    moments = frame.groupby("monotonic_s", sort=False)
    whole = moments.first()
    means = [name for name in frame.columns if name.startswith("cpu_") and name.endswith("_percent")] + ["harness_cpu_percent"]
    whole[means] = moments[means].mean()
    whole[list(_OF_PARTS)] = moments[list(_OF_PARTS)].sum(min_count=1)
    # As where several experiments run at once: event ids are told apart by their experiments.
    events = [f"{name}/{ids.replace('+', f'+{name}/')}" if ids else "" for name, ids in zip(frame["experiment"], frame["active_events"], strict=True)]
    for name, cells in (("experiment", frame["experiment"]), ("active_events", pd.Series(events, index=frame.index))):
        whole[name] = cells.groupby(frame["monotonic_s"], sort=False).agg(lambda parts: "+".join(filter(None, parts)))
    whole["partition"] = ""
    return whole.reset_index().reindex(columns=frame.columns)


def _parse(data: bytes, types: dict[str, str]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - as in read_frame

    return pd.read_csv(io.BytesIO(data), dtype=types, keep_default_na=False, na_values=[""], on_bad_lines="skip", encoding_errors="replace", index_col=False)


def _instant_before(dataset: DatasetFile, offset: int) -> float | None:
    """Return when the row before ``offset`` was taken."""
    if offset <= dataset.first_row:
        return None
    import os  # noqa: PLC0415 - one small read

    with dataset.path.open("rb") as file:
        start = max(dataset.first_row, offset - 64 * 1024)
        lines = os.pread(file.fileno(), offset - start, start).splitlines()
    try:
        return float(lines[-1].split(b",")[dataset.columns.index("monotonic_s")])
    except (ValueError, IndexError):
        return None


def annotation_frame(rows: list[AnnotationRow]) -> pd.DataFrame:
    """Return annotation rows as a DataFrame with every column of ``annotations.csv``."""
    import pandas as pd  # noqa: PLC0415 - as in read_frame

    return pd.DataFrame([[getattr(row, name) for name in ANNOTATION_COLUMNS] for row in rows], columns=list(ANNOTATION_COLUMNS))

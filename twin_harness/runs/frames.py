"""The tables of a run as DataFrames."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from twin_harness.errors import UnreadableRun
from twin_harness.metrics import DATASET_VERSION, IDENTITY
from twin_harness.runs.records import ANNOTATION_COLUMNS, AnnotationRow
from twin_harness.schedule.csv_rows import count_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import pyarrow.parquet as pq

    from twin_harness.runs.dataset_file import DatasetFile
    from twin_harness.runs.folder import RunFolder

_MOST_NAMED = 3
LABELS = tuple(metric.name for metric in IDENTITY if metric.name != "monotonic_s")


def read_samples(
    folder: RunFolder,
    valid_bytes: int | None = None,
    begin_s: float | None = None,
    end_s: float | None = None,
    partition: str = "",
    only: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Return the samples of a run, of its CSV, or of its Parquet where it keeps that alone.

    The same columns, types and rows either way.

    Args:
        folder: the run.
        valid_bytes: how much of a CSV that is being written is whole.
        begin_s: the first instant on CLOCK_MONOTONIC, itself included; None is open.
        end_s: the last one.
        partition: takes the rows of one partition of the machine; empty takes all.
        only: columns, beside those of time and partition; empty takes all.

    Raises:
        UnreadableRun: there is neither, or it is damaged, or a newer version wrote it.
    """
    if folder.is_packed:
        return _read_parquet_frame(folder, begin_s, end_s, partition, only)
    faults: list[str] = []
    with folder.open_dataset(valid_bytes) as dataset:
        frame = read_frame(dataset, begin_s, end_s, partition, faults, only)
    if folder.warns:
        for fault in faults:
            warnings.warn(f"{fault}; left out, see twin validate {folder.path}", stacklevel=3)
    return frame


def read_frame(
    dataset: DatasetFile,
    begin_s: float | None = None,
    end_s: float | None = None,
    partition: str = "",
    faults: list[str] | None = None,
    only: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Return rows of a dataset as a DataFrame.

    Numbers are float64 (missing is NaN), labels are strings. The last column is ``dt_s``, the
    measured seconds since the row before.

    For a partitioned machine there is one row per partition and sampling time, and ``dt_s`` is the
    time since the partition's row before.

    Args:
        dataset: the file, open.
        begin_s: the first instant on CLOCK_MONOTONIC, itself included; None is open.
        end_s: the last one.
        partition: takes the rows of one partition; empty takes all.
        faults: takes a sentence that names the lines of rows that have not the heading's cells and
            are left out: half a row stands where a logger was killed and another one went on.
        only: columns, as in ``read_samples``.
    """
    import pandas as pd

    # The row before the first tells the first one's interval.
    if begin_s is None:
        first = dataset.first_row
    else:
        first = dataset.find(begin_s)
    previous_s = dataset.instant_before(first)
    if "monotonic_s" not in dataset.columns:
        msg = (
            f"{dataset.path}: its heading names no monotonic_s; the file is damaged, or no dataset"
        )
        raise UnreadableRun(msg)
    data = _fitting_rows(dataset, first, dataset.read(begin_s, end_s), faults)
    chosen = _chosen(dataset.columns, only)
    labels = [name for name in LABELS if name in chosen]
    try:
        types = {**dict.fromkeys(chosen, "float64"), **dict.fromkeys(labels, "str")}
        frame = _parse(data, types, only)
    except ValueError:  # a damaged cell: slower, cell by cell
        frame = _parse(data, dict.fromkeys(chosen, "str"), only)
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


def _chosen(names: Sequence[str], only: tuple[str, ...]) -> list[str]:
    """Return the columns to read, with those that tell a row's time and partition."""
    wanted = {*only, "monotonic_s", "partition", "dt_s"}
    return [name for name in names if not only or name in wanted]


def _fitting_rows(
    dataset: DatasetFile, offset: int, data: bytes, faults: list[str] | None
) -> bytes:
    """Return the heading and those rows that have its cells; the lines of others are named."""
    lines, width = data.split(b"\n"), len(dataset.columns)
    wrong = [number for number, line in enumerate(lines) if line and count_cells(line) != width]
    if not wrong:
        return data
    if faults is not None:
        before = dataset.count_lines(offset)
        named = ", ".join(
            f"line {before + number} has {count_cells(lines[number])} cells"
            for number in wrong[:_MOST_NAMED]
        )
        if len(wrong) > _MOST_NAMED:
            more = f" and {len(wrong) - _MOST_NAMED} more"
        else:
            more = ""
        faults.append(f"{dataset.path}: {named}{more}, the heading {width}")
    left_out = set(wrong)
    return b"\n".join(line for number, line in enumerate(lines) if number not in left_out)


def open_parquet(folder: RunFolder) -> pq.ParquetFile:
    """Open the Parquet of a run.

    Raises:
        UnreadableRun: it is not readable, or a newer version wrote it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(folder.parquet)
    except (OSError, pa.ArrowException) as error:
        raise damaged_parquet(folder, error) from None
    version = (
        (file.schema_arrow.metadata or {})
        .get(b"format", DATASET_VERSION.encode())
        .decode("utf-8", "replace")
    )
    folder.refuse_newer(folder.parquet.name, version, DATASET_VERSION)
    if "monotonic_s" not in file.schema_arrow.names:
        msg = f"{folder.parquet}: has no column monotonic_s; the file is damaged, or no dataset"
        raise UnreadableRun(msg)
    return file


def damaged_parquet(folder: RunFolder, error: Exception) -> UnreadableRun:
    """Return the error that says that the Parquet of a run cannot be read."""
    return UnreadableRun(
        f"{folder.parquet}: cannot be read ({' '.join(str(error).split())}); expected the Parquet"
        " that a run leaves, copy it anew"
    )


def _read_parquet_frame(
    folder: RunFolder,
    begin_s: float | None,
    end_s: float | None,
    partition: str,
    only: tuple[str, ...],
) -> pd.DataFrame:
    """Return the rows that the Parquet holds of a time, as ``read_frame`` has those of the CSV.

    They are cleaned already.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with open_parquet(folder) as file:
        chosen = _chosen(file.schema_arrow.names, only)
    bounds: list[tuple[str, str, Any]] = [
        ("monotonic_s", sign, limit_s)
        for sign, limit_s in ((">=", begin_s), ("<=", end_s))
        if limit_s is not None
    ]
    if partition:
        bounds.append(("partition", "==", partition))
    try:
        table = pq.read_table(folder.parquet, columns=chosen, filters=bounds or None)
        table = table.drop_columns(
            [field.name for field in table.schema if pa.types.is_boolean(field.type)]
        )  # cleaning's flags
        fields = [
            field if field.name in LABELS else field.with_type(pa.float64())
            for field in table.schema
        ]
        table = table.cast(pa.schema(fields), safe=False)  # in Arrow it is a pass over the memory
    except (OSError, pa.ArrowException) as error:
        raise damaged_parquet(folder, error) from None
    if "time" in table.column_names:  # as the logger writes it
        texts = pc.strftime(table["time"].cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%SZ")
        table = table.set_column(table.column_names.index("time"), "time", texts)
    frame: pd.DataFrame = table.to_pandas()
    for name in frame.columns.intersection(list(LABELS)):
        frame[name] = frame[name].astype("object").fillna("").astype("str")
    return frame


_SUMMED = (
    "memory_requested_bytes",
    "memory_delivered_bytes",
    "disk_requested_bytes_per_s",
    "disk_delivered_bytes_per_s",
)


def whole_machine(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per sampling time of a partitioned machine's dataset.

    CPU percents are the mean of the (equal) partitions, load in bytes their sum; CPUs that are left
    over belong to no partition and are not in it. ``experiment`` and ``active_events`` hold those
    of all partitions; every other column is the machine's in each row already.
    """
    if "partition" not in frame.columns or len(frame["partition"].unique()) < 2:
        return frame
    import pandas as pd

    moments = frame.groupby("monotonic_s", sort=False)
    whole = moments.first()
    means = [
        name for name in frame.columns if name.startswith("cpu_") and name.endswith("_percent")
    ] + ["harness_cpu_percent"]
    whole[means] = moments[means].mean()
    whole[list(_SUMMED)] = moments[list(_SUMMED)].sum(min_count=1)
    # As where several experiments run at once: event ids are told apart by their experiments.
    events = [
        f"{name}/{ids.replace('+', f'+{name}/')}" if ids else ""
        for name, ids in zip(frame["experiment"], frame["active_events"], strict=True)
    ]
    for name, cells in (
        ("experiment", frame["experiment"]),
        ("active_events", pd.Series(events, index=frame.index)),
    ):
        whole[name] = cells.groupby(frame["monotonic_s"], sort=False).agg(
            lambda parts: "+".join(filter(None, parts))
        )
    whole["partition"] = ""
    return whole.reset_index().reindex(columns=frame.columns)


def _parse(data: bytes, types: dict[str, str], only: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(
        io.BytesIO(data),
        dtype=types,
        usecols=list(types) if only else None,
        keep_default_na=False,
        na_values=[""],
        encoding_errors="replace",
        index_col=False,
    )


def annotation_frame(rows: list[AnnotationRow]) -> pd.DataFrame:
    """Return annotation rows as a DataFrame with every column of ``annotations.csv``."""
    import pandas as pd

    return pd.DataFrame(
        [[getattr(row, name) for name in ANNOTATION_COLUMNS] for row in rows],
        columns=list(ANNOTATION_COLUMNS),
    )

"""The typed tables of a run, and their Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin_harness.dataset.cleaning import start_cleaning
from twin_harness.dataset.steps import FLAGS
from twin_harness.metrics import DATASET_VERSION, by_name
from twin_harness.runs.frames import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from twin_harness.dataset.faults import FaultLog
    from twin_harness.runs.run import Run

_WHOLE = ("bytes", "bytes/s", "Hz")


def write_parquet(run: Run, path: Path) -> FaultLog:
    """Write the clean rows of a run as typed Parquet, part by part, and return what cleaning found.

    A file is there whole or not at all.

    Raises:
        UnreadableRun: there is no dataset, or it holds rows of several hosts.
    """
    cleaning = start_cleaning(run)
    write_parts(cleaning.parts(run), path)
    return cleaning.faults


def write_parts(
    parts: Iterable[pd.DataFrame], path: Path, check: Callable[[], None] = lambda: None
) -> bool:
    """Write rows as typed Parquet, part by part, and return whether there were any.

    A file is there whole or not at all.

    Args:
        parts: rows of the dataset, each part with the same columns.
        path: of the file.
        check: called when all parts are written; what it raises leaves no file.
    """
    import pyarrow.parquet as pq

    draft = path.with_name(f".{path.name}.draft")
    writer = None
    try:
        for part in parts:
            table = to_arrow(part)
            if writer is None:
                writer = pq.ParquetWriter(draft, table.schema, compression="zstd")
            writer.write_table(table.cast(writer.schema))
        check()
        if writer is not None:
            writer.close()
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return writer is not None


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """Return rows as an Arrow table.

    Instants in UTC, labels as dictionaries, bytes and Hz as whole numbers, everything else float64.
    """
    import pyarrow as pa

    arrays: list[Any] = []
    fields: list[pa.Field] = []
    for name in frame.columns:
        metric = by_name(name)
        kind = _arrow_type(pa, name, metric.unit if metric else "")
        values = frame[name]
        if pa.types.is_int64(kind):
            values = values.round()
        array = pa.Array.from_pandas(values, type=pa.float64() if pa.types.is_int64(kind) else None)
        arrays.append(array.cast(kind, safe=False) if array.type != kind else array)
        if metric:
            about = {"unit": metric.unit, "description": metric.definition}
        else:
            about = {}
        fields.append(pa.field(name, kind, metadata=about))
    return pa.Table.from_arrays(
        arrays,
        schema=pa.schema(
            fields, metadata={"format": DATASET_VERSION, "content": "cleaned samples of one run"}
        ),
    )


def _arrow_type(pa: Any, name: str, unit: str) -> Any:
    if name in FLAGS:
        return pa.bool_()
    if name == "time":
        return pa.timestamp("us", "UTC")
    if name in LABELS:
        return pa.dictionary(pa.int32(), pa.string())
    if unit in _WHOLE:
        return pa.int64()
    return pa.float64()

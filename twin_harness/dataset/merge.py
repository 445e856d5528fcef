"""Many runs as one partitioned Parquet dataset (``run=…/host=…``), written part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin_harness.dataset.cleaning import start_cleaning
from twin_harness.dataset.steps import FLAGS
from twin_harness.dataset.tables import to_arrow
from twin_harness.errors import InvalidInput
from twin_harness.metrics import columns
from twin_harness.runs.frames import LABELS
from twin_harness.runs.run import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa


def merge(
    folders: Sequence[str | Path], out: Path, progress: Callable[[str], None]
) -> dict[str, int]:
    """Write the clean rows of runs into one dataset.

    Tools such as pyarrow.dataset, pandas, polars and duckdb read it as one table.

    Args:
        folders: run folders.
        out: the folder of the dataset, which must not exist.
        progress: takes lines of progress.

    Returns:
        Run id to its number of rows.

    Raises:
        InvalidInput: ``out`` exists, or a run is named twice.
        UnreadableRun: a folder holds no dataset.
    """
    import pyarrow.dataset as ds

    if out.exists():
        msg = (
            f"merge: --out: expected a folder that does not exist but got {str(out)!r}; name"
            " another, or remove it"
        )
        raise InvalidInput(msg)
    runs = [load(folder) for folder in folders]
    ids = [str(run.state.get("run") or run.folder.run_id) for run in runs]
    if len(set(ids)) != len(ids):
        msg = (
            f"merge: run {next(name for name in ids if ids.count(name) > 1)} is named twice; name"
            " each once"
        )
        raise InvalidInput(msg)
    widest = max((tuple(run.machine.get("possible_cpus", ())) for run in runs), key=len)
    counts: dict[str, int] = {}
    for number, (run, run_id) in enumerate(zip(runs, ids, strict=True), 1):
        progress(f"{number} of {len(runs)}  {run_id}")
        cleaning = start_cleaning(run)

        def tables(
            run: Any = run, run_id: str = run_id, cleaning: Any = cleaning
        ) -> Iterator[pa.RecordBatch]:
            for part in cleaning.parts(run):
                yield from _in_one_schema(part, run_id, widest).to_batches()

        ds.write_dataset(
            tables(),
            out,
            schema=_in_one_schema(_no_rows(widest), "", widest).schema,
            format="parquet",
            partitioning=["run", "host"],
            partitioning_flavor="hive",
            basename_template=f"{run_id}-{{i}}.parquet",
            existing_data_behavior="overwrite_or_ignore",
        )
        counts[run_id] = cleaning.rows_kept
        if faults := list(cleaning.faults):
            progress(
                f"{run_id}: {len(faults)} kinds of fault were cleaned, see twin validate {run.path}"
            )
    return counts


def _names(cpus: tuple[int, ...]) -> list[str]:
    return [*(metric.name for metric in columns(cpus)), "dt_s", *FLAGS]


def _no_rows(cpus: tuple[int, ...]) -> Any:
    import pandas as pd

    kinds = (
        dict.fromkeys(_names(cpus), "float64")
        | dict.fromkeys(LABELS, "str")
        | dict.fromkeys(FLAGS, "bool")
        | {"time": "datetime64[us, UTC]"}
    )
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def _in_one_schema(frame: Any, run_id: str, cpus: tuple[int, ...]) -> pa.Table:
    """Return rows with the columns that all runs of the dataset have, in one order.

    Labels are text: the dataset is partitioned by one of them.
    """
    import pyarrow as pa

    table = to_arrow(frame.reindex(columns=_names(cpus)))
    for name in LABELS:
        if name != "time":
            table = table.set_column(
                table.column_names.index(name), name, table[name].cast(pa.string())
            )
    return table.append_column(
        "run", pa.array([run_id] * len(table), pa.string())
    ).replace_schema_metadata()

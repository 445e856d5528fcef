"""What is done with runs that are there: ``twin runs``, ``validate``, ``merge`` and ``report``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.cli.output import FAILED, OK, echo, echo_error, write_json
from twin_harness.cli.table import Column, table_lines
from twin_harness.errors import UnreadableRun
from twin_harness.quantity import DASH
from twin_harness.system import newest
from twin_harness.system.provenance import is_predicted

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands
    from twin_harness.runs.run import Run

_COLUMNS = (
    Column("run", 23, is_text=True),
    Column("status", 9, is_text=True),
    Column("experiments", 11),
    Column("events", 6),
    Column("seconds", 8),
    Column("samples", 8),
    Column("MiB", 6),
    Column("machine", is_text=True),
)


def add_runs(commands: Commands) -> None:
    """Add the commands."""
    text = "list runs: when, how they went, what they hold"
    command = commands.add("runs", runs, text, example="example: twin runs")
    command.add_argument(
        "--data-dir", default="data", metavar="DIR", help="where run folders are (default: data)"
    )
    text = "every fault of a run's dataset, in one table"
    example = "example: twin validate data/latest"
    command = commands.add("validate", validate, text, example=example, has_work=True)
    command.add_argument("run", help="a run folder")
    text = "many runs as one partitioned Parquet dataset"
    example = "example: twin merge data/2026* --out merged"
    command = commands.add("merge", merge, text, example=example)
    command.add_argument("run", nargs="+", help="run folders")
    command.add_argument(
        "--out", required=True, metavar="DIR", help="the dataset's folder, which must not exist"
    )
    text = "render the EDA report of a run"
    example = "example: twin report data/latest"
    command = commands.add("report", report, text, example=example, has_json=False, has_work=True)
    command.add_argument("run", help="a run folder")
    command.add_argument("--out", metavar="DIR", help="where it goes (default: reports/<run-id>)")


def runs(arguments: argparse.Namespace) -> int:
    """List the runs of a data folder, the newest last."""
    from twin_harness.runs.folder import RunFolder
    from twin_harness.runs.run import Run
    from twin_harness.system.run_id import RUN_ID

    data_dir = Path(arguments.data_dir)
    folders = sorted(data_dir.iterdir()) if data_dir.is_dir() else []
    paths = [path for path in folders if RUN_ID.fullmatch(path.name) and not path.is_symlink()]
    rows = []
    for path in paths:
        try:
            rows.append(_run_data(Run(RunFolder(path))))
        except UnreadableRun as error:
            echo_error(str(error))
    if arguments.json:
        write_json(rows)
    elif not rows:
        echo(
            f"no runs in {data_dir}/; name another folder with --data-dir, or make one with pytest"
            " or twin run"
        )
    else:
        echo(*table_lines(_COLUMNS, [_cells(row) for row in rows]))
    return OK


def _run_data(run: Run) -> dict[str, Any]:
    size = sum(path.stat().st_size for path in run.path.iterdir() if path.is_file())
    experiments = run.recordings
    logger = run.state.get("logger") or {}
    seconds = sum(recording.end_s - recording.begin_s for recording in experiments)
    return {
        "run": run.folder.run_id,
        "status": run.status,
        "start": run.state.get("start"),
        "experiments": len(experiments),
        "events": sum(len(recording.experiment.events) for recording in experiments),
        "seconds": round(seconds, 1),
        "samples": logger.get("rows"),
        "bytes": size,
        "host": run.machine.get("host"),
        "fingerprint": run.machine.get("fingerprint"),
        "predicted": is_predicted(run.machine),
        "path": str(run.path),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    machine = f"{row['host'] or '?'} {row['fingerprint'] or '?'}"
    if row["predicted"]:
        machine += ", predicted by its twin"
    return [
        row["run"],
        row["status"],
        str(row["experiments"]),
        str(row["events"]),
        f"{row['seconds']:.0f}",
        DASH if row["samples"] is None else f"{row['samples']:,}",
        f"{row['bytes'] / 2**20:.1f}",
        machine,
    ]


def validate(arguments: argparse.Namespace) -> int:
    """Show every fault of a run's dataset; exit code 1 when there is one."""
    from twin_harness.runs.run import load

    load(arguments.run)  # no folder of a run is said before pandas and pandera are loaded
    from twin_harness.dataset.validation import validate as find_faults

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what they would say is what the table says
        table = find_faults(load(arguments.run))
    if arguments.json:
        write_json(table.to_dict("records"))
    elif table.empty:
        echo(f"{arguments.run}: no fault found")
    else:
        for row in table.to_dict("records"):
            place = f" in {row['column']}" if row["column"] else ""
            echo(
                f"{row['kind']}{place}  ×{row['count']}, first at {row['where']}: {row['found']};"
                f" {row['action']}"
            )
    return FAILED if len(table) else OK


def merge(arguments: argparse.Namespace) -> int:
    """Write the clean rows of runs as one partitioned Parquet dataset."""
    from twin_harness.dataset.merge import merge as merge_runs

    counts = merge_runs(arguments.run, Path(arguments.out), echo_error)
    if arguments.json:
        write_json({"out": arguments.out, "rows": counts})
    else:
        echo(
            f"{arguments.out}: {sum(counts.values()):,} rows of {len(counts)} runs; read it with"
            " pandas.read_parquet, or as one table with pyarrow.dataset"
        )
    return OK


def report(arguments: argparse.Namespace) -> int:
    """Render the EDA report of a run, at any stage of it."""
    from twin_harness.runs.run import load

    run = load(arguments.run)  # no folder of a run is said before matplotlib is loaded
    from twin_harness.report.html import write_report

    out = Path(arguments.out or Path("reports", run.folder.run_id))
    path = write_report(run, out)
    if not arguments.out and newest.latest_name(run.path.parent) == run.folder.run_id:
        newest.set_latest(path.parent)  # both name the same run again
    echo(str(path))
    return OK

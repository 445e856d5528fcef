"""Every fault of a run, in one table.

Of the file, of its rows, and of what the rows say about experiments.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from twin_harness.dataset.cleaning import start_cleaning
from twin_harness.dataset.faults import FaultLog
from twin_harness.dataset.package import digest_of
from twin_harness.dataset.rows import open_parts
from twin_harness.dataset.schema import make_schema, note_failures
from twin_harness.dataset.steps import CleaningSteps
from twin_harness.errors import Undecided, UnreadableRun
from twin_harness.runs.frames import read_samples

if TYPE_CHECKING:
    from twin_harness.runs.recording import Recording
    from twin_harness.runs.run import Run

LEAST_BACKGROUND_PERCENT = -1.0
_BACKGROUND = "cpu_background_percent"
# Both sources measure these wherever the kernel shows them: without a single figure, nothing was
# measured there.
_MEASURED_EVERYWHERE = (
    "cpu_percent",
    "load1",
    "memory_percent",
    "disk_read_bytes_per_s",
    "disk_write_bytes_per_s",
    "disk_reads_per_s",
    "disk_writes_per_s",
    "network_sent_bytes_per_s",
    "network_received_bytes_per_s",
)


def validate(run: Run) -> pd.DataFrame:
    """Return the faults of a run, one row per kind and column.

    ``kind, column, where, found, action, count``; no rows when there are none.

    Raises:
        UnreadableRun: there is no dataset.
    """
    faults = FaultLog()
    unmeasured = _note_rows(run, faults)
    unreadable: list[str] = []
    run.folder.read_annotations(unreadable)
    for fault in unreadable:
        faults.add("damaged annotation", "", fault.partition(":")[0], fault, "left out")
    for name in sorted(unmeasured):
        faults.add(
            "not measured", name, "every row", "no figure", "empty: the notes of run.json say why"
        )
    _note_lost_events(run, faults)
    _note_backgrounds(run, faults)
    _note_files(run, faults)
    return faults.table()


def _note_rows(run: Run, faults: FaultLog) -> set[str]:
    """Note what is wrong with the rows, and return the columns that nothing was measured of.

    Of those that every source measures; none where there are no rows.
    """
    interval_s = start_cleaning(run).interval_s
    with open_parts(run, faults) as (columns, parts):
        steps = CleaningSteps(interval_s, faults)
        steps.note_columns(columns)
        schema, last = None, None
        unmeasured = {name for name in _MEASURED_EVERYWHERE if name in columns}
        for part in parts:
            if math.isnan(interval_s):
                interval_s = float(part["monotonic_s"].diff().median())
            schema = schema or make_schema(columns, interval_s, run.machine)
            if last is None:
                note_failures(schema, part, faults)
            else:
                note_failures(schema, pd.concat([last, part]), faults, int(last.index[0]))
            last = part.iloc[-1:]
            unmeasured -= {name for name in unmeasured if part[name].notna().any()}
            try:
                steps.refuse_other_hosts(part)
            except UnreadableRun as error:
                faults.add("rows of two hosts", "host", f"line {part.index[0]}", error, "refused")
    if last is None or last.empty:
        return set()
    return unmeasured


def _note_lost_events(run: Run, faults: FaultLog) -> None:
    """Note events of the plan that have no row, in experiments that are over."""
    for recording in run.recordings:
        if recording.planned.status == "RUNNING":
            continue
        known = {row.event for row in recording.rows}
        for event in recording.experiment.events:
            if event.id not in known:
                where = f"experiment {recording.name!r}, event {event.id!r}"
                faults.add(
                    "missing annotation", "", where, "no row", "what became of it is unknown"
                )


def _note_files(run: Run, faults: FaultLog) -> None:
    """Note files that are gone, damaged, or not what the Data Package says of them.

    A run that never ended has no description.
    """
    for name in ("run.json", "machine.json"):
        if not run.folder.is_readable(name):
            faults.add(
                "unreadable file",
                "",
                name,
                "missing, or no JSON object",
                "what it would tell is unknown",
            )
    described = run.folder.read_package().get("resources", [])
    if not described and run.state.get("end"):
        faults.add(
            "unreadable file",
            "",
            "datapackage.json",
            "missing, or it describes nothing",
            "checksums are unknown",
        )
    for resource in described:
        path = run.path / Path(str(resource.get("path"))).name
        if path == run.folder.dataset and run.folder.is_packed:
            continue  # its clean rows are in the Parquet, which was read
        if not path.exists():
            faults.add(
                "missing file",
                "",
                path.name,
                "described, and not there",
                "what it would tell is unknown",
            )
        elif digest_of(path) != resource.get("hash"):
            faults.add(
                "changed file",
                "",
                path.name,
                f"{path.stat().st_size} bytes, another checksum than described",
                "kept: somebody changed it afterwards",
            )


def _note_backgrounds(run: Run, faults: FaultLog) -> None:
    """Note experiments whose mean background is below −1 point.

    Load would have been counted that there was not.
    """
    for recording in run.recordings:
        try:
            mean = _mean_background(recording)
        except (Undecided, UnreadableRun, KeyError):
            continue
        if mean < LEAST_BACKGROUND_PERCENT:
            where, action = f"experiment {recording.name!r}", "kept: do not trust its delivered CPU"
            faults.add(
                "background",
                _BACKGROUND,
                where,
                f"{mean:.2f} points on the mean",
                action,
            )


def _mean_background(recording: Recording) -> float:
    """Return the mean background of an experiment; of its rows no other column is read.

    Raises as ``Recording.mean``.
    """
    if recording.folder is None:
        return recording.mean(_BACKGROUND)
    zero_s = recording.planned.zero_s
    rows = read_samples(
        recording.folder,
        recording.valid_bytes,
        zero_s + recording.begin_s,
        zero_s + recording.end_s,
        recording.planned.partition,
        (_BACKGROUND,),
    )
    if _BACKGROUND not in rows.columns:
        return recording.mean(_BACKGROUND)  # its sentence names columns that are there
    rows.index = (rows["monotonic_s"] - zero_s).rename("t_s")
    narrow = replace(recording)
    narrow.keep(rows)
    return narrow.mean(_BACKGROUND)

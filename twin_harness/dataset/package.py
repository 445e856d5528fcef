"""``datapackage.json``: the tables of a run described as a Data Package v2 for other tools.

The format is that of datapackage.org.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from twin_harness.dataset.steps import FLAGS
from twin_harness.metrics import by_name, maximum_of
from twin_harness.runs.frames import open_parquet
from twin_harness.runs.records import ANNOTATION_COLUMNS, AnnotationRow
from twin_harness.system.whole_file import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from twin_harness.runs.run import Run

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
_TYPES = {"float | None": "number", "str": "string", "bool": "boolean"}
_FLAGS = {
    "is_first": "First row of the run; the interval its rates cover is unknown.",
    "is_after_gap": "More than three intervals after the row before.",
    "is_stolen": "The hypervisor took at least 1 percent of the CPU time.",
}
_ABOUT = {
    "annotations.csv": "One row an event or mark: what was planned, what came of it, and when.",
    "schedule.json": "Every experiment as planned; repeats the run.",
    "machine.json": "The machine, its capacities, and versions.",
    "run.json": "How the run went, the logger's own cost, and notes on whatever to doubt.",
}


def describe(run: Run) -> dict[str, Any]:
    """Return the description of the files that a run has."""
    resources = []
    folder = run.path
    if run.folder.dataset.exists():
        with run.folder.open_dataset() as dataset:
            names = dataset.columns
        fields = [sample_field(name, run.machine) for name in names]
        resources.append(
            _table(
                run.folder.dataset,
                "csv",
                "samples",
                "One row a sample, as the logger wrote it.",
                fields,
            )
        )
    if run.folder.parquet.exists():
        with open_parquet(run.folder) as file:
            fields = [sample_field(name, run.machine) for name in file.schema_arrow.names]
        resources.append(
            _table(
                run.folder.parquet,
                "parquet",
                "samples-clean",
                "The samples, cleaned and typed.",
                fields,
            )
        )
    if run.folder.annotations.exists():
        fields = [_annotation_field(name) for name in ANNOTATION_COLUMNS]
        resources.append(
            _table(run.folder.annotations, "csv", "annotations", _ABOUT["annotations.csv"], fields)
        )
    others = [
        folder / name
        for name in ("schedule.json", "machine.json", "run.json")
        if (folder / name).exists()
    ]
    resources += [
        {
            **_file(path, path.stem, _ABOUT[path.name]),
            "format": "json",
            "mediatype": "application/json",
        }
        for path in others
    ]
    return {
        "$schema": PROFILE,
        "name": f"twin-run-{run.folder.run_id.lower()}",
        "title": f"Twin Harness run {run.folder.run_id}",
        "description": (
            "System metrics of one machine under planned load, with the events of the plan."
        ),
        "created": run.state.get("start"),
        "version": str(run.state.get("format", "")),
        "resources": resources,
    }


def write_package(run: Run) -> Path:
    """Write ``datapackage.json`` into the run folder, and return its path."""
    path = run.path / "datapackage.json"
    write_whole(path, json.dumps(describe(run), indent=1) + "\n")
    return path


def digest_of(path: Path) -> str:
    """Return a file's checksum as a Data Package has it."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _file(path: Path, name: str, about: str) -> dict[str, Any]:
    return {
        "name": name,
        "path": path.name,
        "description": about,
        "bytes": path.stat().st_size,
        "hash": digest_of(path),
    }


def _table(
    path: Path, kind: str, name: str, about: str, fields: list[dict[str, Any]]
) -> dict[str, Any]:
    if kind == "csv":
        media = "text/csv"
    else:
        media = "application/vnd.apache.parquet"
    entry = {**_file(path, name, about), "type": "table", "format": kind, "mediatype": media}
    if kind == "csv":
        entry["encoding"] = "utf-8"
    return {**entry, "schema": {"fields": fields, "missingValues": [""]}}


def sample_field(name: str, machine: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a column of the samples.

    Args:
        name: of the column.
        machine: the content of ``machine.json``, which says what 100 percent refers to.
    """
    if name in FLAGS:
        return {"name": name, "type": "boolean", "description": _FLAGS[name]}
    if name == "dt_s":
        return {
            "name": name,
            "type": "number",
            "description": "Measured seconds since the row before.",
            "unit": "s",
        }
    metric = by_name(name)
    if metric is None:
        return {
            "name": name,
            "type": "any",
            "description": "A column that this version does not know.",
        }
    if name == "time":
        return {"name": name, "type": "datetime", "description": metric.definition}
    if not metric.unit:
        return {"name": name, "type": "string", "description": metric.definition}
    bounds = (("minimum", metric.minimum), ("maximum", maximum_of(metric, machine)))
    limits = {key: limit for key, limit in bounds if limit is not None}
    return {
        "name": name,
        "type": "number",
        "description": metric.definition,
        "unit": metric.unit,
        **({"constraints": limits} if limits else {}),
    }


def _annotation_field(name: str) -> dict[str, Any]:
    kind = _TYPES.get(str(AnnotationRow.__dataclass_fields__[name].type), "string")
    return {"name": name, "type": "object" if name == "parameters" else kind}

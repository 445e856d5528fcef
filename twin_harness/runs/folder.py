"""The one owner of a run's files: every path, claim, append, merge and reading of them.

Nobody else builds a path inside a run folder. Writers append whole lines and fsync what must
survive a crash; readers accept a folder at any stage, with shards, torn tails and missing files.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

from twin_harness.errors import UnreadableRun
from twin_harness.metrics import ANNOTATIONS_VERSION, DATASET_VERSION
from twin_harness.runs.annotation_file import csv_text, read_rows
from twin_harness.runs.dataset_file import DatasetFile
from twin_harness.runs.documents import GATE_FORMAT, RunDocuments
from twin_harness.runs.records import ANNOTATION_COLUMNS, AnnotationRow, PlannedExperiment, cell
from twin_harness.runs.shards import RunShards, json_lines
from twin_harness.schedule.model import Schedule
from twin_harness.system.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator


class RunFolder(RunShards, RunDocuments):
    """A run folder: shards while it is written, merged files at its end, read at any stage."""

    # -- the end -----------------------------------------------------------------------------------

    def merge(self, seed: int | None) -> None:
        """Merge the shards to ``annotations.csv`` and ``schedule.json``, and remove them."""
        faults: list[str] = []
        rows, planned = self.read_annotations(faults), self.read_plans()
        for fault in faults:
            self.append_note("main", "partial", f"{fault}; left out of {self.annotations.name}")
        write_whole(
            self.annotations,
            csv_text([list(ANNOTATION_COLUMNS), *(row.to_cells() for row in rows)]),
        )
        if planned:
            generators = {
                plan.experiment.name: plan.generator for plan in planned if plan.generator
            }
            generator: dict[str, Any] = {"name": "session", "run": self.run_id}
            if generators:
                generator["experiments"] = generators
            if parts := len({plan.partition for plan in planned} - {""}):
                generator["parts"] = max(parts, len(self.read_machine().get("parts_of") or ()))
            schedule = Schedule(
                seed=seed,
                generator=generator,
                experiments=tuple(plan.experiment for plan in planned),
            )
            write_whole(self.schedule, json.dumps(schedule.to_json(), indent=1) + "\n")
        state = self.read_state()
        self.write_state(
            {
                **state,
                "experiments": [
                    {**plan.to_json(), "experiment": plan.experiment.name} for plan in planned
                ],
            }
        )
        for shard in (*self.path.glob("annotations.*.csv"), *self.path.glob("plan.*.jsonl")):
            shard.unlink()

    def remove_workings(self, *, keep_notes: bool = False) -> None:
        """Remove what only a running session needs.

        Name claims, notes, the logger's lock, an empty scratch folder.
        """
        if not keep_notes:
            for notes in self.path.glob("notes.*.jsonl"):
                notes.unlink()
        self._claims.remove()
        for lock in (self.logger_lock, *self.path.glob("part.*.lock")):
            lock.unlink(missing_ok=True)
        self.logger_account.unlink(missing_ok=True)
        scratch = self.path / "scratch"
        if scratch.is_dir() and not scratch.is_symlink() and not any(scratch.iterdir()):
            scratch.rmdir()

    # -- reading -----------------------------------------------------------------------------------

    def read_gate(self) -> dict[str, Any]:
        """Return ``gate.json``, with what stands in shards alone added to its ``trials``.

        No trials when nothing was gated.

        Raises:
            UnreadableRun: it was written by a newer version.
        """
        data = self._read_versioned("gate.json", GATE_FORMAT)
        entries = list(json_lines(self.path, "gate.*.jsonl"))
        known: list[Any] = data.get("declared") or next(
            (entry["declared"] for entry in entries if "declared" in entry), []
        )
        # Of a test that was run again the last try counts: it names by their begin the trials that
        # it replaces.
        lists = [entry["replaced"] for entry in entries if isinstance(entry.get("replaced"), list)]
        replaced = {begin_s for begins in lists for begin_s in begins if isinstance(begin_s, float)}
        trials = [
            entry for entry in entries if "test" in entry and entry.get("begin_s") not in replaced
        ]
        return {**data, "declared": known, "trials": [*(data.get("trials") or ()), *trials]}

    def open_dataset(self, valid_bytes: int | None = None) -> DatasetFile:
        """Open the CSV of samples.

        See ``DatasetFile``. Readers of a run's samples ask ``frames`` or ``dataset.rows``, which
        read Parquet too.

        Raises:
            UnreadableRun: there is none, or a newer version wrote it.
        """
        self.refuse_newer_table(self.dataset.name, DATASET_VERSION)
        if not self.dataset.exists() and not self.parquet.exists():
            msg = (
                f"{self.path}: no samples were recorded: there is neither {self.dataset.name} nor"
                " .parquet; expected the folder of a run that began"
            )
            raise UnreadableRun(msg)
        return DatasetFile(self.dataset, valid_bytes)

    def read_annotations(self, faults: list[str] | None = None) -> list[AnnotationRow]:
        """Return the rows of the merged file and of the shards, in order of time, each once.

        A torn last line is left out.

        Args:
            faults: takes a sentence for each row that is left out since it has not the heading's
                cells, or not readable ones.
        """
        self.refuse_newer_table(self.annotations.name, ANNOTATIONS_VERSION)
        rows: dict[tuple[str, str, str], AnnotationRow] = {}
        sentences: list[str] = []
        for path in (self.annotations, *sorted(self.path.glob("annotations.*.csv"))):
            for row in read_rows(path, sentences):
                rows[row.experiment, row.event, cell(row.start_monotonic_s)] = row
        if faults is not None:
            faults += sentences
        elif self.warns:
            for sentence in sentences:
                warnings.warn(f"{self.path}: {sentence}; left out", stacklevel=3)
        return sorted(
            rows.values(),
            key=lambda row: (
                row.start_monotonic_s or row.end_monotonic_s or 0.0,
                row.planned_start_s or 0.0,
            ),
        )

    def read_plans(self) -> list[PlannedExperiment]:
        """Return the experiments begun so far, in order of time, each in its last known state."""
        plans: dict[str, PlannedExperiment] = {}
        for data in self._plan_records():
            try:
                planned = PlannedExperiment.from_json(data)
            except (TypeError, KeyError, ValueError):
                continue  # a damaged line; the others stand
            plans[planned.experiment.name] = planned
        return sorted(plans.values(), key=lambda planned: planned.begin_s)

    def _plan_records(self) -> Iterator[dict[str, Any]]:
        merged = {}
        if self.schedule.exists():
            merged = {
                experiment.name: experiment.to_json()
                for experiment in Schedule.read(self.schedule).experiments
            }
        for data in self.read_state().get("experiments", []):
            if data["experiment"] in merged:
                yield {**data, "experiment": merged[data["experiment"]]}
        yield from json_lines(self.path, "plan.*.jsonl")

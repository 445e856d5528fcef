"""What processes append to a run while it goes on: each worker to files of its own.

Whole lines, fsynced where they must survive a crash; a torn last line is left out on reading.
"""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

from twin_harness.runs.annotation_file import csv_text
from twin_harness.runs.claims import Claims
from twin_harness.runs.paths import RunPaths
from twin_harness.runs.records import ANNOTATION_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twin_harness.runs.records import AnnotationRow, PlannedExperiment


class RunShards(RunPaths):
    """A run folder that workers append to."""

    @property
    def _claims(self) -> Claims:
        return Claims(self.path / ".names")

    def claim_name(self, name: str) -> str:
        """Return ``name``, or ``name#2`` and so on: the first that no experiment of this run has.

        Raises:
            HarnessFailure: it is taken a million times.
        """
        return self._claims.claim_name(name)

    def claim_turn(self, number: int) -> bool:
        """Take a turn that several processes may take; return False when another has it."""
        return self._claims.claim_turn(number)

    def append_plan(self, planned: PlannedExperiment) -> None:
        """Append an experiment, or its new state, to the worker's shard.

        It survives a crash from here on.
        """
        append_lines(
            self.path / f"plan.{planned.worker}.jsonl",
            json.dumps(planned.to_json()).encode() + b"\n",
        )

    def append_annotation(self, row: AnnotationRow) -> None:
        """Append an event to the worker's shard; it survives a crash from here on."""
        path = self.path / f"annotations.{row.worker}.csv"
        has_heading = path.exists() and path.stat().st_size > 0
        if has_heading:
            rows = [row.to_cells()]
        else:
            rows = [list(ANNOTATION_COLUMNS), row.to_cells()]
        append_lines(path, csv_text(rows).encode("utf-8", "backslashreplace"))

    def append_rows(self, text: str) -> None:
        """Append whole lines to the dataset: of a session on the twin, which has no logger."""
        append_lines(self.dataset, text.encode("utf-8", "backslashreplace"))

    def append_note(self, worker: str, kind: str, sentence: str) -> None:
        """Append what the user should know: kind ``note``, or ``partial`` when data was lost.

        Args:
            worker: name of the worker that writes; it names the shard.
            kind: ``note`` or ``partial``.
            sentence: what there is to know.
        """
        line = json.dumps({"kind": kind, "text": sentence, "worker": worker})
        append_lines(self.path / f"notes.{worker}.jsonl", line.encode() + b"\n")

    def read_notes(self, kind: str) -> list[str]:
        """Return the notes of a kind from every worker, each sentence once."""
        sentences: dict[str, None] = {}
        for entry in json_lines(self.path, "notes.*.jsonl"):
            if entry.get("kind") == kind:
                sentences[str(entry.get("text"))] = None
        return list(sentences)

    def append_trial(self, worker: str, data: dict[str, Any]) -> None:
        """Append what a run of a gated test gave to the worker's shard.

        It survives a crash from here on.
        """
        append_lines(self.path / f"gate.{worker}.jsonl", json.dumps(data).encode() + b"\n")

    def has_gate(self, worker: str) -> bool:
        """Return whether a worker has appended a trial."""
        return (self.path / f"gate.{worker}.jsonl").exists()


def json_lines(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    """Return the objects of JSON-lines shards.

    A line without its break is torn, a damaged one left out.
    """
    for path in sorted(folder.glob(pattern)):
        for line in path.read_bytes().split(b"\n")[:-1]:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry


def append_lines(path: Path, data: bytes) -> None:
    """Append whole lines in one write and make them durable."""
    descriptor = os.open(
        path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        before_bytes = os.fstat(descriptor).st_size
        if os.write(descriptor, data) != len(data):
            os.ftruncate(descriptor, before_bytes)  # no later row shall follow half of this one
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

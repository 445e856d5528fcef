"""The one owner of a run's files: every path, claim, append, merge and reading of them.

Nobody else builds a path inside a run folder. Writers append whole lines and fsync what must
survive a crash; readers accept a folder at any stage, with shards, torn tails and missing files.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.errors import HarnessFailure, InvalidInput, UnreadableRun
from twin_harness.metrics import ANNOTATIONS_VERSION, DATASET_VERSION
from twin_harness.runs.dataset_file import DatasetFile
from twin_harness.runs.records import ANNOTATION_COLUMNS, AnnotationRow, PlannedExperiment, cell
from twin_harness.schedule.csv_rows import rows_of
from twin_harness.schedule.model import Schedule
from twin_harness.system import newest
from twin_harness.system.run_id import draw_run_id
from twin_harness.system.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN_FORMAT = "twin-run/1"
MACHINE_FORMAT = "twin-machine/1"
GATE_FORMAT = "twin-gate/1"
_CLAIM = re.compile(r"[0-9a-f]{32}")
STATUSES = ("completed", "stopped", "aborted", "failed", "skipped")
_IGNORE = "# written by twin-harness: outputs of runs\n*\n"


class RunFolder:
    """A run folder; make one with ``create`` or ``open``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_id = path.name
        # readers of a folder by hand are warned of damaged rows; a session says them in its notes
        self.warns = False

    @classmethod
    def create(cls, data_dir: Path, run_id: str = "") -> RunFolder:
        """Make ``<data_dir>/<run-id>`` (mode 0700) and point ``latest`` at it.

        Raises:
            InvalidInput: the data folder cannot be made or written.
        """
        try:
            make_output_folder(data_dir)
            path = data_dir / (run_id or draw_run_id())
            path.mkdir(mode=0o700)
        except OSError as error:
            msg = (
                f"data folder {str(data_dir)!r} cannot be written ({error.strerror}); name another"
                " one with --twin-data-dir"
            )
            raise InvalidInput(msg) from None
        try:
            newest.set_latest(path)
        except OSError as error:
            path.rmdir()
            msg = (
                f"data folder {str(data_dir)!r}: its link to the newest run, latest, cannot be"
                f" written ({error.strerror}); move what bears that name, or name another folder"
                " with --twin-data-dir"
            )
            raise InvalidInput(msg) from None
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open an existing run folder, ``latest`` included.

        Raises:
            UnreadableRun: there is no such folder, or it is none of a run.
        """
        try:
            folder = newest.follow(path).resolve()
        except (OSError, RuntimeError):  # a link to itself
            folder = Path(path, "nowhere")
        if not folder.is_dir():
            msg = f"{path}: is no folder; expected the folder of a run, such as data/latest"
            raise UnreadableRun(msg)
        if not any(
            (folder / name).exists()
            for name in ("run.json", "system_metrics_dataset.csv", "system_metrics_dataset.parquet")
        ):
            msg = (
                f"{path}: holds neither run.json nor system_metrics_dataset.csv or .parquet;"
                " expected the folder of a run, such as data/latest"
            )
            raise UnreadableRun(msg)
        return cls(folder)

    # -- paths -------------------------------------------------------------------------------------

    @property
    def dataset(self) -> Path:
        """The live CSV of the logger."""
        return self.path / "system_metrics_dataset.csv"

    @property
    def parquet(self) -> Path:
        """The samples cleaned and typed, at the end."""
        return self.path / "system_metrics_dataset.parquet"

    @property
    def is_packed(self) -> bool:
        """Whether the run keeps its samples as Parquet alone: packed away, or its CSV is lost."""
        return self.parquet.exists() and not self.dataset.exists()

    @property
    def annotations(self) -> Path:
        """The merged annotations."""
        return self.path / "annotations.csv"

    @property
    def schedule(self) -> Path:
        """Every experiment as planned."""
        return self.path / "schedule.json"

    @property
    def logger_lock(self) -> Path:
        """Held by the living logger."""
        return self.path / "logger.lock"

    def part_lock(self, partition: str) -> Path:
        """Held by the worker that a part of the machine belongs to, and by its load."""
        return self.path / f"part.{partition}.lock"

    @property
    def logger_account(self) -> Path:
        """What the logger says of itself, until it stands in ``run.json``."""
        return self.path / "logger.json"

    def read_logger_account(self) -> dict[str, Any]:
        """Return what the logger last said of itself: cost, lateness, notes.

        Empty before it did.
        """
        try:
            data: dict[str, Any] = json.loads(self.logger_account.read_bytes())
        except (OSError, ValueError):
            return {}
        return data

    def scratch(self) -> Path:
        """Make and return the scratch folder of this run."""
        path = self.path / "scratch"
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    # -- writing -----------------------------------------------------------------------------------

    def claim_name(self, name: str) -> str:
        """Return ``name``, or ``name#2`` and so on.

        The first that no experiment of this run bears yet.
        """
        claims = self.path / ".names"
        claims.mkdir(mode=0o700, exist_ok=True)
        for count in range(1, 1_000_000):
            if count == 1:
                candidate = name
            else:
                candidate = f"{name[: 119 - len(str(count))]}#{count}"
            claim = claims / hashlib.sha256(candidate.encode()).hexdigest()[:32]
            try:
                os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            except FileExistsError:
                continue
            return candidate
        msg = f"name {name!r} is taken a million times in {self.path}; name experiments apart"
        raise HarnessFailure(msg)

    def claim_turn(self, number: int) -> bool:
        """Take a turn that several processes may take; return False when another has it."""
        claims = self.path / ".names"
        claims.mkdir(mode=0o700, exist_ok=True)
        claim = (
            claims / hashlib.sha256(f"turn/{number}".encode()).hexdigest()[:32]
        )  # no experiment's name holds a slash and only that
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return False
        return True

    def append_plan(self, planned: PlannedExperiment) -> None:
        """Append an experiment, or its new state, to the worker's shard.

        It survives a crash from here on.
        """
        _append(
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
        _append(path, _csv_text(rows).encode("utf-8", "backslashreplace"))

    def append_rows(self, text: str) -> None:
        """Append whole lines to the dataset: of a session on the twin, which has no logger."""
        _append(self.dataset, text.encode("utf-8", "backslashreplace"))

    def append_note(self, worker: str, kind: str, sentence: str) -> None:
        """Append what the user should know: kind ``note``, or ``partial`` when data was lost."""
        line = json.dumps({"kind": kind, "text": sentence, "worker": worker})
        _append(self.path / f"notes.{worker}.jsonl", line.encode() + b"\n")

    def read_notes(self, kind: str) -> list[str]:
        """Return the notes of a kind from every worker, each sentence once."""
        found: dict[str, None] = {}
        for entry in _json_lines(self.path, "notes.*.jsonl"):
            if entry.get("kind") == kind:
                found[str(entry.get("text"))] = None
        return list(found)

    def append_trial(self, worker: str, data: dict[str, Any]) -> None:
        """Append what a run of a gated test gave to the worker's shard.

        It survives a crash from here on.
        """
        _append(self.path / f"gate.{worker}.jsonl", json.dumps(data).encode() + b"\n")

    def has_gate(self, worker: str) -> bool:
        """Tell whether a worker has appended a trial."""
        return (self.path / f"gate.{worker}.jsonl").exists()

    def write_gate(self, data: dict[str, Any]) -> None:
        """Write ``gate.json``: what gated tests gave and what was judged of it.

        The shards are in it, and are removed.
        """
        write_json(self.path / "gate.json", {"format": GATE_FORMAT, **data})
        for shard in self.path.glob("gate.*.jsonl"):
            shard.unlink()

    def gate_output(self, name: str, text: str) -> Path:
        """Write a file for those that read the gate's figures, and return its path."""
        folder = self.path / "gate"
        folder.mkdir(mode=0o700, exist_ok=True)
        write_whole(folder / name, text)
        return folder / name

    def write_machine(self, data: dict[str, Any]) -> None:
        """Write ``machine.json``."""
        write_json(self.path / "machine.json", {"format": MACHINE_FORMAT, **data})

    def write_state(self, data: dict[str, Any]) -> None:
        """Write ``run.json``: always whole, the old or the new one."""
        versions = {
            "system_metrics_dataset.csv": DATASET_VERSION,
            "annotations.csv": ANNOTATIONS_VERSION,
        }
        write_json(
            self.path / "run.json",
            {"format": RUN_FORMAT, "run": self.run_id, "files": versions, **data},
        )

    def merge(self, seed: int | None) -> None:
        """Merge the shards to ``annotations.csv`` and ``schedule.json``, and remove them."""
        faults: list[str] = []
        rows, planned = self.read_annotations(faults), self.read_plans()
        for fault in faults:
            self.append_note("main", "partial", f"{fault}; left out of {self.annotations.name}")
        write_whole(
            self.annotations,
            _csv_text([list(ANNOTATION_COLUMNS), *(row.to_cells() for row in rows)]),
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
        for notes in () if keep_notes else self.path.glob("notes.*.jsonl"):
            notes.unlink()
        _empty_claims(self.path / ".names")
        for lock in (self.logger_lock, *self.path.glob("part.*.lock")):
            lock.unlink(missing_ok=True)
        self.logger_account.unlink(missing_ok=True)
        scratch = self.path / "scratch"
        if scratch.is_dir() and not scratch.is_symlink() and not any(scratch.iterdir()):
            scratch.rmdir()

    # -- reading -----------------------------------------------------------------------------------

    def read_state(self) -> dict[str, Any]:
        """Return ``run.json``; empty when the run never got that far.

        Raises:
            UnreadableRun: it was written by a newer version.
        """
        return self._read_versioned("run.json", RUN_FORMAT)

    def read_machine(self) -> dict[str, Any]:
        """Return ``machine.json``; empty when the run never got that far."""
        return self._read_versioned("machine.json", MACHINE_FORMAT)

    def read_gate(self) -> dict[str, Any]:
        """Return ``gate.json``, with what stands in shards alone added to its ``trials``.

        No trials when nothing was gated.

        Raises:
            UnreadableRun: it was written by a newer version.
        """
        data = self._read_versioned("gate.json", GATE_FORMAT)
        entries = list(_json_lines(self.path, "gate.*.jsonl"))
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

    def read_package(self) -> dict[str, Any]:
        """Return ``datapackage.json``; empty when there is none that can be read."""
        return _read_object(self.path / "datapackage.json")

    def is_readable(self, name: str) -> bool:
        """Tell whether a file of the folder holds a JSON object."""
        return bool(_read_object(self.path / name))

    def _read_versioned(self, name: str, newest: str) -> dict[str, Any]:
        try:
            data: dict[str, Any] = json.loads((self.path / name).read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(data, dict):
            return {}
        self.refuse_newer(name, str(data.get("format", newest)), newest)
        return data

    def refuse_newer(self, name: str, version: str, newest: str) -> None:
        """Go on only with a file of the newest version or an older one.

        Raises:
            UnreadableRun: a newer version wrote it.
        """
        base, _, number = version.rpartition("/")
        if (
            base != newest.rpartition("/")[0]
            or not number.isdecimal()
            or int(number) > int(newest.rpartition("/")[2])
        ):
            msg = (
                f"{self.path / name}: format {version!r} is newer than this version reads"
                f" ({newest}); upgrade twin-harness"
            )
            raise UnreadableRun(msg)

    def _check_table(self, name: str, newest: str) -> None:
        """Refuse a table that a newer version has written, as ``run.json`` says."""
        files = self.read_state().get("files")
        self.refuse_newer(
            name, str(files.get(name, newest)) if isinstance(files, dict) else newest, newest
        )

    def open_dataset(self, valid_bytes: int | None = None) -> DatasetFile:
        """Open the CSV of samples.

        See ``DatasetFile``. Readers of a run's samples ask ``frames`` or ``dataset.rows``, which
        read Parquet too.

        Raises:
            UnreadableRun: there is none, or a newer version wrote it.
        """
        self._check_table(self.dataset.name, DATASET_VERSION)
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
        self._check_table(self.annotations.name, ANNOTATIONS_VERSION)
        found: dict[tuple[str, str, str], AnnotationRow] = {}
        wrong: list[str] = []
        for path in (self.annotations, *sorted(self.path.glob("annotations.*.csv"))):
            for row in _read_csv(path, wrong):
                found[row.experiment, row.event, cell(row.start_monotonic_s)] = row
        if faults is not None:
            faults += wrong
        for fault in wrong if faults is None and self.warns else ():
            warnings.warn(f"{self.path}: {fault}; left out", stacklevel=3)
        return sorted(
            found.values(),
            key=lambda row: (
                row.start_monotonic_s or row.end_monotonic_s or 0.0,
                row.planned_start_s or 0.0,
            ),
        )

    def read_plans(self) -> list[PlannedExperiment]:
        """Return the experiments begun so far, in order of time, each in its last known state."""
        found: dict[str, PlannedExperiment] = {}
        for data in self._plan_records():
            try:
                planned = PlannedExperiment.from_json(data)
            except (TypeError, KeyError, ValueError):
                continue  # a damaged line; the others stand
            found[planned.experiment.name] = planned
        return sorted(found.values(), key=lambda planned: planned.begin_s)

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
        yield from _json_lines(self.path, "plan.*.jsonl")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if isinstance(data, dict):
        return data
    return {}


def _empty_claims(folder: Path) -> None:
    """Remove the folder of name claims.

    By descriptor, links not followed, files of our pattern alone.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for name in os.listdir(descriptor):  # noqa: PTH208 - relative to an open folder
            if _CLAIM.fullmatch(name):
                os.unlink(name, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _csv_text(rows: list[list[str]]) -> str:
    """Return CSV lines that end in a line feed; cells with line breaks of any kind are quoted."""
    parts = []
    for row in rows:
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\r\n").writerow(
            row
        )  # the writer quotes what its line break is made of
        parts.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(parts)


def _read_csv(path: Path, faults: list[str]) -> list[AnnotationRow]:
    """Return the whole rows of a file: a torn last one is left out.

    Damaged ones, each with a sentence in ``faults``.
    """
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            text = file.read()
    except OSError:
        return []
    found: list[AnnotationRow] = []
    try:
        rows = list(rows_of(_whole_rows(text)))
    except csv.Error as error:
        faults.append(f"{path.name} is no CSV ({error})")
        return []
    for row in rows[1:]:
        names = rows[0].cells
        if len(row.cells) != len(names):
            faults.append(
                f"{path.name}: line {row.line} has {len(row.cells)} cells, the heading {len(names)}"
            )
            continue
        try:
            found.append(AnnotationRow.from_cells(dict(zip(names, row.cells, strict=True))))
        except (ValueError, TypeError) as error:
            faults.append(f"{path.name}: line {row.line} cannot be read ({error})")
    return found


def _whole_rows(text: str) -> str:
    """Return the text up to the last line break that ends a row.

    One with all quotes before it closed.
    """
    end = text.rfind("\n") + 1
    while end and text.count('"', 0, end) % 2:
        end = text.rfind("\n", 0, end - 1) + 1
    return text[:end]


def _json_lines(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
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


def _append(path: Path, data: bytes) -> None:
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


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a JSON file whole."""
    write_whole(path, json.dumps(data, indent=1) + "\n")


def make_output_folder(path: Path) -> None:
    """Make a folder for outputs; one that is new ignores itself in git."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    (path / ".gitignore").write_text(_IGNORE, encoding="utf-8")

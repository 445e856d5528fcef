"""The JSON files of a run, each with its format version: written whole, read at any stage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twin_harness.errors import UnreadableRun
from twin_harness.metrics import ANNOTATIONS_VERSION, DATASET_VERSION
from twin_harness.runs.paths import RunPaths
from twin_harness.system.whole_file import write_whole

if TYPE_CHECKING:
    from pathlib import Path

RUN_FORMAT = "twin-run/1"
MACHINE_FORMAT = "twin-machine/1"
GATE_FORMAT = "twin-gate/1"


class RunDocuments(RunPaths):
    """A run folder that holds JSON documents."""

    # -- writing -----------------------------------------------------------------------------------

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

    def read_logger_account(self) -> dict[str, Any]:
        """Return what the logger last said of itself: cost, lateness, notes.

        Empty before it did.
        """
        try:
            data: dict[str, Any] = json.loads(self.logger_account.read_bytes())
        except (OSError, ValueError):
            return {}
        return data

    def read_package(self) -> dict[str, Any]:
        """Return ``datapackage.json``; empty when there is none that can be read."""
        return _read_object(self.path / "datapackage.json")

    def is_readable(self, name: str) -> bool:
        """Return whether a file of the folder holds a JSON object."""
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

        Args:
            name: of the file, in the run folder.
            version: its format as written, name and number: ``twin-run/1``.
            newest: the newest format that this version reads, written likewise.

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

    def refuse_newer_table(self, name: str, newest: str) -> None:
        """Refuse a table that a newer version has written, as ``run.json`` says."""
        files = self.read_state().get("files")
        self.refuse_newer(
            name, str(files.get(name, newest)) if isinstance(files, dict) else newest, newest
        )


def _read_object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if isinstance(data, dict):
        return data
    return {}


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a JSON file whole."""
    write_whole(path, json.dumps(data, indent=1) + "\n")

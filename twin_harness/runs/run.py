"""A run folder as data, at any stage of its life: its samples, annotations and recordings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twin_harness.errors import HarnessFailure, InvalidInput
from twin_harness.runs.folder import RunFolder
from twin_harness.runs.frames import annotation_frame, read_samples
from twin_harness.runs.recording import Recording
from twin_harness.system.board import Board
from twin_harness.system.procfs import start_ticks

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


@dataclass(frozen=True)
class Run:
    """A run folder as data, at any stage of its life.

    Attributes:
        folder: its files.
    """

    folder: RunFolder

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @cached_property
    def state(self) -> dict[str, Any]:
        """The content of ``run.json``; empty when the run never wrote one."""
        return self.folder.read_state()

    @cached_property
    def machine(self) -> dict[str, Any]:
        """The content of ``machine.json``; empty when the run never wrote one."""
        return self.folder.read_machine()

    @property
    def status(self) -> str:
        """RUNNING, COMPLETE, PARTIAL or ABORTED; UNKNOWN without ``run.json``.

        One whose session was killed is PARTIAL.
        """
        if self.is_killed:
            return "PARTIAL"
        return str(self.state.get("status", "UNKNOWN"))

    @cached_property
    def is_killed(self) -> bool:
        """Whether ``run.json`` says RUNNING while the session's controller is gone."""
        pid, born = self.state.get("controller_pid"), self.state.get("controller_start_ticks")
        return (
            self.state.get("status") == "RUNNING"
            and isinstance(pid, int)
            and born is not None
            and start_ticks(pid) != born
        )

    @property
    def losses(self) -> list[str]:
        """Why the run is PARTIAL, a sentence each."""
        partial = self.state.get("partial")
        if isinstance(partial, list):
            known = [str(reason) for reason in partial]
        else:
            known = []
        notes = self.folder.read_notes("partial")
        return [
            *known,
            *(note for note in notes if note not in known),
            *(["its session was killed before it could finish"] if self.is_killed else []),
        ]

    def valid_bytes(self) -> int | None:
        """Ask the board of a session that still runs how much of the dataset is whole.

        None when nobody writes any more.
        """
        path = self.state.get("board")
        if self.status != "RUNNING" or not path:
            return None
        try:
            board = Board.open(path)
        except HarnessFailure:
            return None
        try:
            return board.dataset_state()[0] or None
        finally:
            board.close()

    @cached_property
    def samples(self) -> pd.DataFrame:
        """Every row of the dataset.

        Index ``monotonic_s`` less that of the first row, in seconds.
        """
        frame = read_samples(self.folder, self.valid_bytes())
        if len(frame):
            first_s = frame["monotonic_s"].iloc[0]
        else:
            first_s = 0.0
        frame.index = (frame["monotonic_s"] - first_s).rename("run_s")
        return frame

    @cached_property
    def annotations(self) -> pd.DataFrame:
        """Every annotation row so far."""
        return annotation_frame(self.folder.read_annotations())

    @cached_property
    def recordings(self) -> tuple[Recording, ...]:
        """The experiments begun so far, in order of time."""
        rows = self.folder.read_annotations()
        valid_bytes = self.valid_bytes()
        return tuple(
            Recording.whole(
                self.folder,
                planned,
                tuple(row for row in rows if row.experiment == planned.experiment.name),
                valid_bytes,
            )
            for planned in self.folder.read_plans()
        )

    def recording(self, name: str) -> Recording:
        """Return the recording of that name.

        Raises:
            InvalidInput: there is none; the message lists those there are.
        """
        for recording in self.recordings:
            if recording.name == name:
                return recording
        msg = (
            f"experiment {name!r} is not in {self.path}; expected one of"
            f" {', '.join(r.name for r in self.recordings) or 'none'}"
        )
        raise InvalidInput(msg)


def load(folder: str | Path) -> Run:
    """Return the Run in a folder such as ``data/latest``.

    It may be complete, partial, killed or still running.

    Raises:
        UnreadableRun: there is no run in it.
    """
    opened = RunFolder.open(folder)
    opened.warns = True
    return Run(opened)

"""What all parts of an open session share: settings, run folder, board, machine, and its notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.runs.folder import RunFolder
    from twin_harness.session.config import TwinConfig
    from twin_harness.session.seat import Seat
    from twin_harness.system.board import Board
    from twin_harness.system.machine import Machine


@dataclass(frozen=True)
class Context:
    """An open session as one of its processes has it.

    Attributes:
        config: its settings.
        seat: who this process is in it.
        folder: its run folder.
        board: its load board.
        whole: the machine.
        machine: what of the machine is this process's: a part of it where it is partitioned, else
            the whole.
        warn: shows the user a sentence.
    """

    config: TwinConfig
    seat: Seat
    folder: RunFolder
    board: Board
    whole: Machine
    machine: Machine
    warn: Callable[[str], None]

    @property
    def is_virtual(self) -> bool:
        """Whether experiments run on the twin alone: nothing is loaded and nothing sampled."""
        return self.config.on == "twin"

    def note(self, sentence: str) -> None:
        """Tell the user something, now and in ``run.json``."""
        if sentence not in self.folder.read_notes("note"):
            self.folder.append_note(self.seat.worker, "note", sentence)
            self.warn(sentence)

    def lose(self, sentence: str) -> None:
        """Say that data was lost: the run is PARTIAL."""
        self.folder.append_note(self.seat.worker, "partial", sentence)

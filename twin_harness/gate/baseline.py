"""Baselines: what sessions on one machine gave, and where they expect a new one.

A baseline is one JSON file. Sessions are appended while it is collected; its level moves only when
somebody accepts a session, never by itself. It knows which machine and which experiments it is
about, and carries a checksum: an edited one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite, log
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput
from twin_harness.gate.baseline_file import read_baseline, write_baseline
from twin_harness.gate.measures import Measure
from twin_harness.gate.session_figures import SessionFigures
from twin_harness.gate.statistics import predict_session
from twin_harness.gate.trials import family_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from twin_harness.gate.statistics import Predicted

FEWEST_SESSIONS = 8


@dataclass(frozen=True)
class Baseline:
    """Sessions on one machine, and the measures they were about.

    Attributes:
        fingerprint: of the machine.
        measures: those of all sessions.
        sessions: in the order in which they were added.
        notes: what was said when a level was accepted.
    """

    fingerprint: str
    measures: tuple[Measure, ...] = ()
    sessions: tuple[SessionFigures, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a baseline.

        Raises:
            InvalidInput: it is missing, damaged, edited, or of a newer version; one sentence.
        """
        return cls._from_json(read_baseline(path), str(path))

    @classmethod
    def _from_json(cls, data: dict[str, Any], where: str) -> Baseline:
        try:
            measures = tuple(Measure(**measure) for measure in data["measures"])
            return cls(
                data["fingerprint"],
                measures,
                tuple(SessionFigures(**session) for session in data["sessions"]),
                tuple(data.get("notes", ())),
            )
        except (TypeError, KeyError) as error:
            msg = (
                f"{where}: is not a whole baseline ({error}); collect it anew with pytest"
                " --twin-gate-save"
            )
            raise InvalidInput(msg) from None

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        data: dict[str, Any] = {
            "fingerprint": self.fingerprint,
            "measures": [measure.to_json() for measure in self.measures],
            "sessions": [session.to_json() for session in self.sessions],
            "notes": list(self.notes),
        }
        write_baseline(path, data)

    @property
    def level(self) -> int:
        """Number of the present accepted level."""
        return max((session.level for session in self.sessions), default=0)

    def with_session(
        self,
        session: SessionFigures,
        measures: Sequence[Measure],
        *,
        note: str = "",
        is_new_level: bool = False,
    ) -> Baseline:
        """Return it with one session more, at the present level or at a new one.

        Args:
            session: what is added.
            measures: those that its tests declared.
            note: what is said as a level is accepted; empty adds nothing.
            is_new_level: whether the session is the first of a new level.

        Raises:
            InvalidInput: the session is of another machine, is in it already, or gave no figures.
        """
        if self.sessions and not session.is_of(self.fingerprint):
            msg = (
                f"run {session.run} is of machine {session.fingerprint}, the baseline of"
                f" {self.fingerprint}; keep one baseline for each machine"
            )
            raise InvalidInput(msg)
        if any(known.run == session.run for known in self.sessions):
            msg = (
                f"run {session.run} is in the baseline already, and one session counts once; to"
                " accept a change, run the tests without saving and accept that"
            )
            raise InvalidInput(msg)
        if not session.values:
            msg = (
                f"run {session.run} gave no figures that could be kept:"
                f" {next(iter(session.faults.values()), 'it has no gated test')}"
            )
            raise InvalidInput(msg)
        level = self.level
        if is_new_level and self.sessions:
            level += 1
        family = tuple(family_of([*self.measures, *measures]))
        sessions = (*self.sessions, replace(session, level=level))
        notes = self.notes
        if note:
            notes = (*notes, note)
        return Baseline(session.fingerprint, family, sessions, notes)

    def without(self, text: str) -> Baseline:
        """Return it without the measures whose name contains a text: of tests that are gone.

        Raises:
            InvalidInput: no measure's name contains it.
        """
        kept = tuple(measure for measure in self.measures if text not in measure.name)
        if len(kept) == len(self.measures):
            msg = (
                f"--forget: no measure of the baseline has {text!r} in its name; `twin gate show`"
                " lists them"
            )
            raise InvalidInput(msg)
        return replace(
            self, measures=kept, notes=(*self.notes, f"forgot measures with {text!r} in their name")
        )

    def series(self, measure: Measure, schedule: str | None = None) -> list[list[float]]:
        """Return the session values of a measure by level: logarithms on a ratio scale.

        Args:
            measure: whose values.
            schedule: the hash of an experiment; only sessions with that one count, if given.
        """
        levels: dict[int, list[float]] = {}
        for session in self.sessions:
            value = session.values.get(measure.name)
            if schedule is not None and session.schedules.get(measure.test) != schedule:
                continue
            if value is None or not isfinite(value):
                continue
            if measure.scale != "ratio":
                levels.setdefault(session.level, []).append(value)
            elif value > 0:
                levels.setdefault(session.level, []).append(log(value))
        return [levels.get(level, []) for level in range(self.level + 1)]

    def expected(self, measure: Measure, schedule: str | None = None) -> Predicted | None:
        """Return where a new session is expected; None when there are too few sessions."""
        # Its own present level: not every session has every measure.
        series = [level for level in self.series(measure, schedule) if level]
        if sum(map(len, series)) >= FEWEST_SESSIONS:
            return predict_session(series)
        return None

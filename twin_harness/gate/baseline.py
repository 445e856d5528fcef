"""Baselines: what sessions on one machine gave, and how one new session is judged against them.

A baseline is one JSON file. Sessions are appended while it is collected; its level moves only when
somebody accepts a session, never by itself. It knows which machine and which experiments it is
about, and carries a checksum: an edited one is refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from math import exp, isfinite, log
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput
from twin_harness.gate.measures import Measure
from twin_harness.gate.statistics import predict_session
from twin_harness.gate.trials import family_of
from twin_harness.gate.verdict import ALPHA, REGRESSED, UNDECIDED, Judgement, Verdict, judge_session
from twin_harness.runs.documents import write_json
from twin_harness.system.machine import known_fingerprints

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from twin_harness.gate.statistics import Predicted
    from twin_harness.gate.trials import Trial
    from twin_harness.runs.folder import RunFolder

FORMAT = "twin-baseline/1"
FEWEST_SESSIONS = 8
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class SessionFigures:
    """What one session gave: of each measure the mean over its runs.

    Attributes:
        run: id of the run. start: UTC. fingerprint: of the machine. versions: of the libraries.
            level: number of the accepted level.
        values: mean by measure name (geometric on a ratio scale). counts: runs by measure name.
            schedules: experiment hash by test.
        faults: why a measure has no value, by name.
        known_as: other fingerprints of the same machine; kept in no file.
    """

    run: str
    start: str
    fingerprint: str
    versions: dict[str, str] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    schedules: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    level: int = 0
    known_as: tuple[str, ...] = ()

    def is_of(self, fingerprint: str) -> bool:
        """Tell whether the session ran on the machine of that fingerprint."""
        return fingerprint in (self.fingerprint, *self.known_as)

    def to_json(self) -> dict[str, Any]:
        """Return what a baseline keeps of it."""
        return {name: value for name, value in vars(self).items() if name != "known_as"}


def figures_of(folder: RunFolder, trials: Sequence[Trial]) -> SessionFigures:
    """Return the figures of a session from its trials, and what its run folder says of the machine."""
    state, machine = folder.read_state(), folder.read_machine()
    values: dict[str, float] = {}
    counts: dict[str, int] = {}
    faults: dict[str, str] = {}
    for measure in family_of(measure for trial in trials for measure in trial.measures):
        own = [trial for trial in trials if trial.test == measure.test]
        reasons = [reason for trial in own if (reason := trial.fault(measure))]
        found = [trial.values[measure.short_name] for trial in own if not trial.fault(measure)]
        if measure.scale == "ratio" and any(value <= 0 for value in found):
            faults[measure.name] = (
                f"{measure.short_name} is {min(found):g}; expected a figure above 0 (a ratio is"
                " formed)"
            )
        elif reasons or not found:
            if reasons:
                faults[measure.name] = reasons[0]
            else:
                faults[measure.name] = f"{measure.short_name} was not recorded"
        else:
            if measure.scale == "ratio":
                mean = sum(map(log, found)) / len(found)
            else:
                mean = sum(found) / len(found)
            values[measure.name], counts[measure.name] = (
                (exp(mean) if measure.scale == "ratio" else mean),
                len(found),
            )
    schedules: dict[str, set[str]] = {}
    for trial in trials:
        schedules.setdefault(trial.test, set()).add(trial.schedule)
    hashes = {
        test: next(iter(found)) if len(found) == 1 else "several"
        for test, found in schedules.items()
    }
    versions = {
        str(name): str(version) for name, version in (machine.get("versions") or {}).items()
    }
    fingerprint, *others = known_fingerprints(machine)
    start = str(state.get("start", ""))
    return SessionFigures(
        folder.run_id,
        start,
        fingerprint,
        versions,
        values,
        counts,
        hashes,
        faults,
        known_as=tuple(others),
    )


@dataclass(frozen=True)
class Baseline:
    """Sessions on one machine, and the measures they were about."""

    fingerprint: str
    measures: tuple[Measure, ...] = ()
    sessions: tuple[SessionFigures, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a baseline.

        Raises:
            InvalidInput: there is none, it is damaged, edited, or of a newer version; one sentence.
        """
        try:
            if path.stat().st_size > _MOST_BYTES:
                msg = (
                    f"{path}: is larger than {_MOST_BYTES // 2**20} MiB and no baseline; name the"
                    " file that pytest --twin-gate-save wrote"
                )
                raise InvalidInput(msg)
            data = json.loads(path.read_bytes())
        except OSError as error:
            if path.is_dir():
                hint = "name the file that pytest --twin-gate-save wrote"
            else:
                hint = f"make a baseline with pytest --twin-gate-save {path}"
            msg = f"{path}: cannot be read ({error.strerror}); {hint}"
            raise InvalidInput(msg) from None
        except (ValueError, RecursionError):
            msg = f"{path}: is no JSON; name the file that pytest --twin-gate-save wrote"
            raise InvalidInput(msg) from None
        return cls._from_json(data, str(path))

    @classmethod
    def _from_json(cls, data: Any, where: str) -> Baseline:
        if isinstance(data, dict):
            version = data.get("format")
        else:
            version = None
        if version != FORMAT:
            msg = (
                f"{where}: format is {version!r}; expected {FORMAT!r}, written by pytest"
                " --twin-gate-save of this version"
            )
            raise InvalidInput(msg)
        if data.get("checksum") != _checksum(data):
            msg = (
                f"{where}: was edited or damaged after it was written (its checksum is wrong);"
                " restore it, or collect it anew with pytest --twin-gate-save"
            )
            raise InvalidInput(msg)
        try:
            measures = tuple(Measure(**measure) for measure in data["measures"])
            return cls(
                data["fingerprint"],
                measures,
                tuple(SessionFigures(**one) for one in data["sessions"]),
                tuple(data.get("notes", ())),
            )
        except (TypeError, KeyError) as error:
            msg = (
                f"{where}: is no whole baseline ({error}); collect it anew with pytest"
                " --twin-gate-save"
            )
            raise InvalidInput(msg) from None

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "measures": [measure.to_json() for measure in self.measures],
            "sessions": [session.to_json() for session in self.sessions],
            "notes": list(self.notes),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {**data, "checksum": _checksum(data)})

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

        Raises:
            InvalidInput: the session is of another machine, is in it already, or gave no figures.
        """
        if self.sessions and not session.is_of(self.fingerprint):
            msg = (
                f"run {session.run} is of machine {session.fingerprint}, the baseline of"
                f" {self.fingerprint}; keep a baseline a machine"
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
        level = self.level + (1 if is_new_level and self.sessions else 0)
        family = family_of([*self.measures, *measures])
        notes = (*self.notes, *([note] if note else []))
        return Baseline(
            session.fingerprint,
            tuple(family),
            (*self.sessions, replace(session, level=level)),
            notes,
        )

    def without(self, text: str) -> Baseline:
        """Return it without the measures whose name holds a text.

        Of tests that were renamed or are gone.

        Raises:
            InvalidInput: no measure's name does.
        """
        kept = tuple(measure for measure in self.measures if text not in measure.name)
        if len(kept) == len(self.measures):
            msg = (
                f"--forget: no measure of the baseline holds {text!r} in its name; `twin gate show`"
                " lists them"
            )
            raise InvalidInput(msg)
        return replace(
            self, measures=kept, notes=(*self.notes, f"forgot measures with {text!r} in their name")
        )

    def series(self, measure: Measure, schedule: str | None = None) -> list[list[float]]:
        """Return the session values of a measure, as effects' addends (logs on a ratio scale), by level; of one experiment alone if given."""
        levels: dict[int, list[float]] = {}
        for session in self.sessions:
            value = session.values.get(measure.name)
            is_same = schedule is None or session.schedules.get(measure.test) == schedule
            if (
                value is not None
                and is_same
                and isfinite(value)
                and (measure.scale != "ratio" or value > 0)
            ):
                levels.setdefault(session.level, []).append(
                    log(value) if measure.scale == "ratio" else value
                )
        return [levels.get(level, []) for level in range(self.level + 1)]

    def expected(self, measure: Measure, schedule: str | None = None) -> Predicted | None:
        """Return where a new session is expected; None when there are too few."""
        series = [
            level for level in self.series(measure, schedule) if level
        ]  # its own present level: not every session has every measure
        if sum(map(len, series)) >= FEWEST_SESSIONS:
            return predict_session(series)
        return None

    def judge(self, session: SessionFigures, measures: Sequence[Measure]) -> Judgement:
        """Judge one new session.

        Whatever is not of the same machine, experiment and measure is UNDECIDED, never compared.
        """
        family = family_of([*self.measures, *measures])
        known = {measure.name: measure for measure in self.measures}
        undecided, judged = {}, []
        for measure in family:
            reason = self._reason_against(measure, known, session)
            if reason:
                undecided[measure.name] = reason
            else:
                judged.append(measure)
        predictions = {
            measure.name: self.expected(measure, session.schedules.get(measure.test))
            for measure in judged
        }
        for measure in [measure for measure in judged if predictions[measure.name] is None]:
            count = sum(map(len, self.series(measure, session.schedules.get(measure.test))))
            undecided[measure.name] = (
                f"the baseline has {count} sessions of it; expected {FEWEST_SESSIONS} or more"
            )
            judged.remove(measure)
        predicted = [
            expected for measure in judged if (expected := predictions[measure.name]) is not None
        ]
        values = [session.values[measure.name] for measure in judged]
        effects = [
            _effect(measure, value, expected.centre)
            for measure, value, expected in zip(judged, values, predicted, strict=True)
        ]
        # The family is what was declared: what could not be judged counts, too.
        verdicts = {
            verdict.measure.name: verdict
            for verdict in judge_session(judged, effects, predicted, values, family=len(family))
        }
        whole = tuple(
            verdicts.get(measure.name) or Verdict(measure, UNDECIDED, undecided[measure.name])
            for measure in family
        )
        return Judgement(
            whole,
            "baseline",
            self._doubts(session),
            ("baseline", session.run),
            self._facts(predicted, len(family)),
        )

    def _reason_against(
        self, measure: Measure, known: dict[str, Measure], session: SessionFigures
    ) -> str:
        if not session.is_of(self.fingerprint):
            return (
                f"the run is of machine {session.fingerprint}, the baseline of {self.fingerprint}"
            )
        if measure.name not in known:
            return (
                "the baseline does not know this measure; add sessions with pytest --twin-gate-save"
            )
        if measure.name not in session.values:
            return session.faults.get(measure.name, "the run did not measure it")
        before = known[measure.name]
        if (before.scale, before.better, before.trips) != (
            measure.scale,
            measure.better,
            measure.trips,
        ) or before.unit != measure.unit:
            return "the baseline has it on another scale, in another direction or unit"
        schedules = {
            one.schedules.get(measure.test) for one in self.sessions if measure.name in one.values
        }
        if session.schedules.get(measure.test) not in schedules:
            return "its experiment is not the baseline's (another schedule hash)"
        return ""

    def _doubts(self, session: SessionFigures) -> tuple[str, ...]:
        if not self.sessions:
            return ()
        before = self.sessions[-1].versions
        changed = sorted(
            name
            for name in {*before, *session.versions}
            if before.get(name) != session.versions.get(name)
        )
        return tuple(
            f"{name} is {session.versions.get(name, 'absent')}, was {before.get(name, 'absent')} in"
            " the baseline's last session"
            for name in changed
        )

    def _facts(self, predicted: Sequence[Predicted], family: int) -> dict[str, Any]:
        from scipy.stats import t

        facts: dict[str, Any] = {"sessions": len(self.sessions), "level": self.level}
        if predicted:
            one = min(predicted, key=lambda expected: expected.degrees)
            spreads = float(t.isf(ALPHA / family, one.degrees)) * (1.0 + 1.0 / one.sessions) ** 0.5
            facts["sees_from_spreads"] = round(spreads, 1)
        return facts


def added(
    before: Baseline, session: SessionFigures, measures: Sequence[Measure], name: str
) -> tuple[Baseline, list[str]]:
    """Return a baseline with one session more at its present level, and what to say of it.

    Raises:
        InvalidInput: it is of another machine, or is surely worse or better than the baseline,
            whose level moves only by ``accept``.
    """
    after = before.with_session(session, measures)
    if len(before.sessions) >= FEWEST_SESSIONS:
        judgement = before.judge(session, measures)
        moved = [
            verdict
            for verdict in judgement.verdicts
            if verdict.status == REGRESSED or verdict.is_improved
        ]
        if moved:
            msg = (
                f"{name}: not added: {moved[0].sentence}; if the change is meant, move the baseline"
                f" by `twin gate accept {name} {session.run}`"
            )
            raise InvalidInput(msg)
    count = len(after.sessions)
    faults = [f"not kept: {measure}: {reason}" for measure, reason in session.faults.items()]
    if count < FEWEST_SESSIONS:
        more = f", {FEWEST_SESSIONS - count} more until it can judge"
    else:
        more = ""
    return after, [
        f"added to {name}: session {count}, {len(session.values)} measures{more}",
        *faults,
    ]


def _effect(measure: Measure, value: float, centre: float) -> float:
    worse = (log(value) if measure.scale == "ratio" else value) - centre
    if measure.better == "lower":
        return worse
    return -worse


def _checksum(data: dict[str, Any]) -> str:
    content = {key: value for key, value in data.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

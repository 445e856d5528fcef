"""One new session judged against a baseline, and whether it may be added to it."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput
from twin_harness.gate.baseline import FEWEST_SESSIONS
from twin_harness.gate.judging import judge_session
from twin_harness.gate.trials import family_of
from twin_harness.gate.verdict import ALPHA, REGRESSED, UNDECIDED, Judgement, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.baseline import Baseline
    from twin_harness.gate.measures import Measure
    from twin_harness.gate.session_figures import SessionFigures
    from twin_harness.gate.statistics import Predicted


def judge_run(
    baseline: Baseline, session: SessionFigures, measures: Sequence[Measure]
) -> Judgement:
    """Judge one new session.

    Whatever is not of the same machine, experiment and measure is UNDECIDED, never compared.

    Args:
        baseline: what it is judged against.
        session: its figures.
        measures: those that its tests declared.
    """
    family = family_of([*baseline.measures, *measures])
    undecided: dict[str, str] = {}
    judged: list[Measure] = []
    predicted: list[Predicted] = []
    for measure in family:
        schedule = session.schedules.get(measure.test)
        reason = _reason_against(baseline, measure, session)
        expected = None
        if not reason:
            expected = baseline.expected(measure, schedule)
        if expected is not None:
            judged.append(measure)
            predicted.append(expected)
            continue
        if not reason:
            count = sum(map(len, baseline.series(measure, schedule)))
            reason = f"the baseline has {count} sessions of it; expected {FEWEST_SESSIONS} or more"
        undecided[measure.name] = reason
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
        _changed_versions(baseline, session),
        ("baseline", session.run),
        _facts(baseline, predicted, len(family)),
    )


def _reason_against(baseline: Baseline, measure: Measure, session: SessionFigures) -> str:
    """Return why a measure of a session cannot be compared; empty where it can."""
    if not session.is_of(baseline.fingerprint):
        return (
            f"the run is of machine {session.fingerprint}, the baseline of {baseline.fingerprint}"
        )
    before = next((known for known in baseline.measures if known.name == measure.name), None)
    if before is None:
        return "the baseline does not know this measure; add sessions with pytest --twin-gate-save"
    if measure.name not in session.values:
        return session.faults.get(measure.name, "the run did not measure it")
    if _kind_of(before) != _kind_of(measure):
        return "the baseline has it on another scale, in another direction or unit"
    schedules = {
        earlier.schedules.get(measure.test)
        for earlier in baseline.sessions
        if measure.name in earlier.values
    }
    if session.schedules.get(measure.test) not in schedules:
        return "its experiment is not the baseline's (another schedule hash)"
    return ""


def _kind_of(measure: Measure) -> tuple[str, str, float | None, str]:
    """Return what has to be equal for figures of a measure to be comparable."""
    return measure.scale, measure.better, measure.trips, measure.unit


def _changed_versions(baseline: Baseline, session: SessionFigures) -> tuple[str, ...]:
    """Return a sentence for each library that has another version than in the last session."""
    if not baseline.sessions:
        return ()
    before = baseline.sessions[-1].versions
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


def _facts(baseline: Baseline, predicted: Sequence[Predicted], family: int) -> dict[str, Any]:
    """Return sessions and level, and from how many spreads on a new session sees a change."""
    from scipy.stats import t

    facts: dict[str, Any] = {"sessions": len(baseline.sessions), "level": baseline.level}
    if predicted:
        least_sure = min(predicted, key=lambda expected: expected.degrees)
        quantile = float(t.isf(ALPHA / family, least_sure.degrees))
        spreads = quantile * (1.0 + 1.0 / least_sure.sessions) ** 0.5
        facts["sees_from_spreads"] = round(spreads, 1)
    return facts


def add_session(
    before: Baseline, session: SessionFigures, measures: Sequence[Measure], name: str
) -> tuple[Baseline, list[str]]:
    """Return a baseline with one session more at its present level, and lines for the terminal.

    Args:
        before: the baseline as it is.
        session: what is added.
        measures: those that its tests declared.
        name: of the baseline's file, for messages.

    Raises:
        InvalidInput: it is of another machine, or is surely worse or better than the baseline,
            whose level moves only by ``accept``.
    """
    after = before.with_session(session, measures)
    if len(before.sessions) >= FEWEST_SESSIONS:
        judgement = judge_run(before, session, measures)
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
    more = ""
    if count < FEWEST_SESSIONS:
        more = f", {FEWEST_SESSIONS - count} more until it can judge"
    return after, [
        f"added to {name}: session {count}, {len(session.values)} measures{more}",
        *faults,
    ]


def _effect(measure: Measure, value: float, centre: float) -> float:
    """Return how much worse a session's figure is than the centre, on the measure's scale."""
    if measure.scale == "ratio":
        value = log(value)
    worse = value - centre
    if measure.better == "lower":
        return worse
    return -worse

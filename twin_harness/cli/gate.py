"""The gate's commands: compare a run with a baseline, show a baseline, accept a new level."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.cli.output import FAILED, OK, echo, write_json
from twin_harness.cli.table import Column, table_lines
from twin_harness.errors import InvalidInput
from twin_harness.quantity import DASH

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands
    from twin_harness.gate.baseline import Baseline
    from twin_harness.gate.measures import Measure
    from twin_harness.gate.session_figures import SessionFigures
    from twin_harness.gate.statistics import Predicted


def add_gate(commands: Commands) -> None:
    """Add the command and its actions."""
    text = "judge runs against a baseline of this machine"
    command = commands.add("gate", None, text, has_json=False)
    actions = command.add_commands(title="commands", metavar="COMMAND")
    _add_compare(actions)
    _add_show(actions)
    _add_accept(actions)


def _add_baseline(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "baseline", metavar="BASELINE.json", help="what pytest --twin-gate-save FILE has collected"
    )


def _add_compare(actions: Commands) -> None:
    text = "judge a run against a baseline: exit 1 when it has regressed"
    example = "example: twin gate compare baseline.json data/latest"
    action = actions.add("compare", compare, text, example=example, has_work=True)
    _add_baseline(action)
    action.add_argument("run", help="a run folder with gated tests")
    action.add_argument(
        "--undecided",
        choices=("ignore", "fail"),
        default="ignore",
        help="what UNDECIDED does to the exit code (default: ignore)",
    )


def _add_show(actions: Commands) -> None:
    text = "sessions, spread, what one new session could see, and where the level changed"
    action = actions.add("show", show, text, example="example: twin gate show baseline.json")
    _add_baseline(action)
    action.add_argument(
        "--history", metavar="DIR", help="write history.csv and otava.yaml there, for apache-otava"
    )


def _add_accept(actions: Commands) -> None:
    text = "move the baseline: a run is the first session of a new level"
    example = "example: twin gate accept baseline.json data/latest --why 'new codec'"
    action = actions.add("accept", accept, text, example=example, has_work=True)
    _add_baseline(action)
    action.add_argument("run", help="a run folder with gated tests")
    action.add_argument(
        "--forget",
        action="append",
        default=[],
        metavar="TEXT",
        help="drop measures whose name holds TEXT: of tests that are gone",
    )
    action.add_argument(
        "--why", default="", metavar="TEXT", help="why the level moves; kept in the baseline"
    )


def _figures(run: str) -> tuple[SessionFigures, list[Measure]]:
    """Return what a run's gated tests gave.

    Raises:
        InvalidInput: the run has no gated test, or is one of pairs.
    """
    from twin_harness.gate.session_figures import figures_of
    from twin_harness.gate.trials import Trial, family_of
    from twin_harness.runs.folder import RunFolder

    folder = RunFolder.open(run)
    data = folder.read_gate()
    trials = [Trial.from_json(entry) for entry in data["trials"]]
    if not trials:
        msg = (
            f"{run}: holds no figures of gated tests; expected a run whose tests have"
            " @pytest.mark.gate(...) or request gate"
        )
        raise InvalidInput(msg)
    if any(trial.pair >= 0 for trial in trials):
        msg = (
            f"{run}: is a run of pairs, which is judged by itself (see its gate.json); expected one"
            " without pytest --twin-variant"
        )
        raise InvalidInput(msg)
    return figures_of(folder, trials), family_of(
        [measure for trial in trials for measure in trial.measures]
    )


def compare(arguments: argparse.Namespace) -> int:
    """Judge a run against a baseline."""
    from twin_harness.gate.baseline import Baseline
    from twin_harness.gate.baseline_verdict import judge_run
    from twin_harness.gate.terminal import terminal_lines
    from twin_harness.gate.verdict import REGRESSED, UNDECIDED

    baseline = Baseline.read(Path(arguments.baseline))
    figures, measures = _figures(arguments.run)
    judgement = judge_run(baseline, figures, measures)
    if arguments.json:
        write_json(judgement.to_json())
    else:
        facts = {**judgement.facts, "run": arguments.run, "baseline": arguments.baseline}
        echo(*terminal_lines(replace(judgement, facts=facts), _width()))
    failing = {REGRESSED, UNDECIDED} if arguments.undecided == "fail" else {REGRESSED}
    return FAILED if judgement.status in failing else OK


def _width() -> int:
    import shutil

    return min(120, shutil.get_terminal_size((80, 24)).columns)


def show(arguments: argparse.Namespace) -> int:
    """Show what a baseline holds, what it could see, and where its level changed."""
    from twin_harness.gate.baseline import FEWEST_SESSIONS, Baseline
    from twin_harness.gate.trend import change_points, history_csv, otava_yaml

    baseline = Baseline.read(Path(arguments.baseline))
    rows, points = _rows(baseline), change_points(baseline)
    if arguments.history:
        folder = Path(arguments.history)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "history.csv").write_text(history_csv(baseline), encoding="utf-8")
        (folder / "otava.yaml").write_text(
            otava_yaml(baseline, str(folder / "history.csv")), encoding="utf-8"
        )
    if arguments.json:
        write_json(
            {
                "fingerprint": baseline.fingerprint,
                "sessions": len(baseline.sessions),
                "measures": rows,
                "change_points": [vars(point) for point in points],
            }
        )
        return OK
    count = len(baseline.sessions)
    lack = ""
    if count < FEWEST_SESSIONS:
        lack = f"; {FEWEST_SESSIONS - count} more until it can judge"
    echo(f"{count} sessions of machine {baseline.fingerprint}, level {baseline.level}{lack}")
    widest = max(len(name) for name in ("measure", *(row["measure"] for row in rows)))
    columns = (
        Column("measure", widest, is_text=True),
        Column("centre", 10),
        Column("spread", 9),
        Column("n", 7),
        Column("one new session sees from", is_text=True),
    )
    echo(*table_lines(columns, [list(row.values()) for row in rows]))
    echo(
        *(
            f"changed: {point.name}: {point.before:.4g} → {point.after:.4g} from run {point.run} on"
            f" (p = {point.p:.2g})"
            for point in points
        )
    )
    echo(*(f"accepted: {note}" for note in baseline.notes))
    return OK


def _rows(baseline: Baseline) -> list[dict[str, str]]:
    """Return a row for each measure: what its next session is expected to be."""
    rows = []
    for measure in baseline.measures:
        expected = baseline.expected(measure)
        sessions = sum(map(len, baseline.series(measure)))
        if expected is None:
            cells = {"centre": DASH, "spread": DASH, "n": str(sessions), "visible": "nothing yet"}
        else:
            cells = _expected_cells(measure, expected, sessions, len(baseline.measures))
        rows.append({"measure": measure.name, **cells})
    return rows


def _expected_cells(
    measure: Measure, expected: Predicted, sessions: int, measures: int
) -> dict[str, str]:
    """Return centre, spread, count and the smallest change that one new session would show."""
    from math import exp, isfinite

    from twin_harness.gate.verdict import ALPHA

    centre, spread, unit = expected.centre, expected.spread, measure.unit
    if measure.scale == "ratio":
        centre, spread, unit = exp(centre), 100.0 * spread, "%"
    count = str(sessions)
    if expected.sessions != sessions:
        count = f"{expected.sessions} of {sessions}"
    change = expected.smallest_visible(ALPHA / max(1, measures), measure.least_effect)
    visible = "nothing: it never varies"
    if isfinite(change):
        visible = f"{measure.shown(change):+.3g} {measure.shown_unit}"
    return {
        "centre": f"{centre:.4g}",
        "spread": f"{spread:.2g} {unit}".strip(),
        "n": count,
        "visible": visible,
    }


def accept(arguments: argparse.Namespace) -> int:
    """Make a run the first session of a new level."""
    from twin_harness.gate.baseline import Baseline

    path = Path(arguments.baseline)
    baseline = Baseline.read(path)
    figures, measures = _figures(arguments.run)
    why = f": {arguments.why}" if arguments.why else ""
    note = f"level {baseline.level + 1} from run {figures.run} on{why}"
    moved = baseline.with_session(figures, measures, note=note, is_new_level=True)
    for text in arguments.forget:
        moved = moved.without(text)
    moved.write(path)
    if arguments.json:
        write_json({"level": moved.level, "sessions": len(moved.sessions), "run": figures.run})
    else:
        echo(
            f"{path}: {note}; the spread is that of all {len(moved.sessions)} sessions, each about"
            " its own level"
        )
    return OK

"""The gate's commands: compare a run with a baseline, show a baseline, accept a new level."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.cli.output import FAILED, OK, give, say
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from twin_harness.gate.baseline import Baseline, SessionFigures
    from twin_harness.gate.measures import Measure


def add_gate(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands."""
    gate = add("gate", show, "judge runs against a baseline of this machine", has_json=False)
    commands = gate.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int], text: str, example: str
    ) -> argparse.ArgumentParser:
        import argparse as _argparse

        one = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"example: {example}",
            formatter_class=_argparse.RawDescriptionHelpFormatter,
        )
        one.set_defaults(run_command=run, has_work=run is not show)
        one.add_argument(
            "baseline",
            metavar="BASELINE.json",
            help="what pytest --twin-gate-save FILE has collected",
        )
        one.add_argument("--json", action="store_true", help="machine output on stdout")
        return one

    one = command(
        "compare",
        compare,
        "judge a run against a baseline: exit 1 when it has regressed",
        "twin gate compare baseline.json data/latest",
    )
    one.add_argument("run", help="a run folder with gated tests")
    one.add_argument(
        "--undecided",
        choices=("ignore", "fail"),
        default="ignore",
        help="what UNDECIDED does to the exit code (default: ignore)",
    )
    one = command(
        "show",
        show,
        "sessions, spread, what one new session could see, and where the level changed",
        "twin gate show baseline.json",
    )
    one.add_argument(
        "--history", metavar="DIR", help="write history.csv and otava.yaml there, for apache-otava"
    )
    text, example = (
        "move the baseline: a run is the first session of a new level",
        "twin gate accept baseline.json data/latest --why 'new codec'",
    )
    one = command("accept", accept, text, example)
    one.add_argument("run", help="a run folder with gated tests")
    one.add_argument(
        "--forget",
        action="append",
        default=[],
        metavar="TEXT",
        help="drop measures whose name holds TEXT: of tests that are gone",
    )
    one.add_argument(
        "--why", default="", metavar="TEXT", help="why the level moves; kept in the baseline"
    )


def _figures(run: str) -> tuple[SessionFigures, list[Measure]]:
    """Return what a run's gated tests gave.

    Raises:
        InvalidInput: the run has no gated test, or is one of pairs.
    """
    from twin_harness.gate.baseline import figures_of
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
    from twin_harness.gate.outputs import terminal_lines
    from twin_harness.gate.verdict import REGRESSED, UNDECIDED

    baseline = Baseline.read(Path(arguments.baseline))
    figures, measures = _figures(arguments.run)
    judgement = baseline.judge(figures, measures)
    if arguments.json:
        give(judgement.to_json())
    else:
        told = {"run": arguments.run, "baseline": arguments.baseline}
        say(*terminal_lines(replace(judgement, facts={**judgement.facts, **told}), _width()))
    if judgement.status == REGRESSED or (
        judgement.status == UNDECIDED and arguments.undecided == "fail"
    ):
        return FAILED
    return OK


def _width() -> int:
    import shutil

    return min(120, shutil.get_terminal_size((80, 24)).columns)


def show(arguments: argparse.Namespace) -> int:
    """Say what a baseline holds, what it could see, and where its level changed."""
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
        give(
            {
                "fingerprint": baseline.fingerprint,
                "sessions": len(baseline.sessions),
                "measures": rows,
                "change_points": [vars(point) for point in points],
            }
        )
        return OK
    count = len(baseline.sessions)
    if count < FEWEST_SESSIONS:
        lack = f"; {FEWEST_SESSIONS - count} more until it can judge"
    else:
        lack = ""
    say(f"{count} sessions of machine {baseline.fingerprint}, level {baseline.level}{lack}")
    widest = max([len("measure"), *(len(row["measure"]) for row in rows)])
    say(f"{'measure':<{widest}} {'centre':>10} {'spread':>9} {'n':>7}  one new session sees from")
    say(
        *(
            f"{row['measure']:<{widest}} {row['centre']:>10} {row['spread']:>9} {row['n']:>7} "
            f" {row['visible']}"
            for row in rows
        )
    )
    say(
        *(
            f"changed: {point.name}: {point.before:.4g} → {point.after:.4g} from run {point.run} on"
            f" (p = {point.p:.2g})"
            for point in points
        )
    )
    say(*(f"accepted: {note}" for note in baseline.notes))
    return OK


def _rows(baseline: Baseline) -> list[dict[str, Any]]:
    from math import exp, isfinite

    from twin_harness.gate.verdict import ALPHA

    rows = []
    for measure in baseline.measures:
        count, expected = sum(map(len, baseline.series(measure))), baseline.expected(measure)
        row = {
            "measure": measure.name,
            "centre": "–",
            "spread": "–",
            "n": str(count),
            "visible": "nothing yet",
        }
        if expected is not None:
            is_ratio = measure.scale == "ratio"
            if is_ratio:
                centre = exp(expected.centre)
            else:
                centre = expected.centre
            if is_ratio:
                spread = 100.0 * expected.spread
            else:
                spread = expected.spread
            visible = expected.smallest_visible(
                ALPHA / max(1, len(baseline.measures)), measure.least_effect
            )
            if isfinite(visible):
                shown = f"{measure.shown(visible):+.3g} {measure.shown_unit}"
            else:
                shown = "nothing: it never varies"
            if expected.sessions == count:
                row["n"] = str(expected.sessions)
            else:
                row["n"] = f"{expected.sessions} of {count}"
            row |= {
                "centre": f"{centre:.4g}",
                "spread": f"{spread:.2g} {'%' if is_ratio else measure.unit}".strip(),
                "visible": shown,
            }
        rows.append(row)
    return rows


def accept(arguments: argparse.Namespace) -> int:
    """Make a run the first session of a new level."""
    from twin_harness.gate.baseline import Baseline

    path = Path(arguments.baseline)
    baseline = Baseline.read(path)
    figures, measures = _figures(arguments.run)
    note = (
        f"level {baseline.level + 1} from run {figures.run}"
        f" on{f': {arguments.why}' if arguments.why else ''}"
    )
    moved = baseline.with_session(figures, measures, note=note, is_new_level=True)
    for text in arguments.forget:
        moved = moved.without(text)
    moved.write(path)
    if arguments.json:
        give({"level": moved.level, "sessions": len(moved.sessions), "run": figures.run})
    else:
        say(
            f"{path}: {note}; the spread is that of all {len(moved.sessions)} sessions, each about"
            " its own level"
        )
    return OK

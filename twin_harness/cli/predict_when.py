"""``twin predict --at every:1h``: when to run it, as a table, JSON or a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.cli.figures import figure_places
from twin_harness.cli.output import OK, echo, echo_error, write_json
from twin_harness.cli.table import Column, table_lines
from twin_harness.system.clock import monotonic_s

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from twin_harness.predict.fitted_model import FittedModel
    from twin_harness.predict.starting_time import StartingTime
    from twin_harness.predict.twin import Twin
    from twin_harness.predict.when import Start
    from twin_harness.schedule.model import Experiment

_MOST_NAMED = 24
_PROGRESS_EVERY_S = 2.0
_PERCENT_WIDTH = 22


def predict_when(
    arguments: argparse.Namespace,
    twin: Twin,
    experiments: Sequence[Experiment],
    times: Sequence[StartingTime],
) -> int:
    """Compare the starting times of every experiment of a schedule.

    Args:
        arguments: of ``twin predict``.
        twin: that predicts them.
        experiments: of the schedule.
        times: when each may begin.
    """
    from twin_harness.predict.when import compare_starts

    said_s = monotonic_s()

    def progress(line: str) -> None:
        nonlocal said_s
        if monotonic_s() - said_s >= _PROGRESS_EVERY_S:
            said_s = monotonic_s()
            echo_error(line)

    conditions, undecided = _decided(twin.model_, arguments.overload)
    for condition, reason in undecided.items():
        echo_error(f"{condition}: UNDECIDED, {reason}")
    found = [
        (experiment, compare_starts(twin.model_, experiment, times, conditions, progress))
        for experiment in experiments
    ]
    if arguments.figure:
        _draw(found, Path(arguments.figure))
    if arguments.json:
        write_json(
            [
                {**_data(experiment.name, starts), "undecided": undecided}
                for experiment, starts in found
            ]
        )
        return OK
    for experiment, starts in found:
        echo(*_lines(experiment, starts))
    return OK


def _decided(model: FittedModel, texts: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the conditions that the model can tell of, and why it cannot of the others."""
    from twin_harness.predict.overload import Overload

    doubts = {text: model.doubt(Overload.parse(text).column) for text in texts}
    decided = [text for text, doubt in doubts.items() if not doubt]
    return decided, {text: doubt for text, doubt in doubts.items() if doubt}


def _draw(found: list[tuple[Experiment, list[Start]]], path: Path) -> None:
    from twin_harness.report.drawing.starting_times import starting_times_png

    for place, (experiment, starts) in zip(figure_places(path, len(found)), found, strict=True):
        place.write_bytes(starting_times_png(experiment.name, starts))
        echo_error(f"figure {place}")


def _lines(experiment: Experiment, starts: list[Start]) -> list[str]:
    from twin_harness.predict.when import best_of, interval

    conditions = [call.condition for call in starts[0].calls]
    letters = [chr(ord("A") + number) for number in range(len(conditions))]
    columns = [Column("begins", 9, is_text=True), Column("mean CPU [90 %]", 21)]
    columns += [Column(f"{letter}, % [95 %]", _PERCENT_WIDTH) for letter in letters]
    rows = []
    for start in starts:
        cells = [
            str(start.at),
            f"{start.cpu_percent:.1f} [{start.cpu_low:.1f}, {start.cpu_high:.1f}] %",
        ]
        for call in start.calls:
            low, high = interval(call.probability, call.members)
            cells.append(f"{100 * call.probability:.0f} [{100 * low:.0f}, {100 * high:.0f}]")
        rows.append(cells)
    best, alike = best_of(starts)
    kinds = sorted({start.background.partition(" of ")[2] for start in starts})
    head = (
        f"{experiment.name}: {experiment.duration_s:.0f} s, {len(starts)} starting times, beside"
        f" what others used at that hour of {' or '.join(kinds)}"
    )
    lines = [
        head,
        *(
            f"  {letter}: {condition}"
            for letter, condition in zip(letters, conditions, strict=True)
        ),
        *table_lines(columns, rows, "  "),
    ]
    if not conditions:
        line = f"  least CPU use at {best.at}; ask for --overload to hear how likely one is"
        return [*lines, line]
    low, high = interval(best.probability, best.calls[0].members)
    line = (
        f"  best at {best.at}: probability {100 * best.probability:.0f} %"
        f" [{100 * low:.0f}, {100 * high:.0f}]"
    )
    if alike:
        names = ", ".join(str(start.at) for start in alike[:_MOST_NAMED])
        more = f" and {len(alike) - _MOST_NAMED} more" if len(alike) > _MOST_NAMED else ""
        line += f"; the draws do not tell it from {names}{more}"
    return [*lines, line]


def _data(name: str, starts: list[Start]) -> dict[str, Any]:
    from twin_harness.predict.when import best_of, interval

    best, alike = best_of(starts)
    return {
        "experiment": name,
        "best": str(best.at),
        "alike": [str(start.at) for start in alike],
        "starts": [
            {
                "at": str(start.at),
                "cpu_percent": float(f"{start.cpu_percent:.6g}"),
                "cpu_percent_low": float(f"{start.cpu_low:.6g}"),
                "cpu_percent_high": float(f"{start.cpu_high:.6g}"),
                "background": start.background,
                "overload": [
                    vars(call)
                    | dict(
                        zip(
                            ("probability_low", "probability_high"),
                            interval(call.probability, call.members),
                            strict=True,
                        )
                    )
                    for call in start.calls
                ],
            }
            for start in starts
        ],
    }

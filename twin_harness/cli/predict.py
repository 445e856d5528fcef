"""``twin predict``: what would happen under a schedule."""

from __future__ import annotations

import os
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.cli.figures import figure_places
from twin_harness.cli.output import OK, echo, echo_error, write_json
from twin_harness.cli.table import Column, table_lines
from twin_harness.errors import InvalidInput, Undecided

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands
    from twin_harness.predict.conditions import Others, Start
    from twin_harness.predict.overload import OverloadCall
    from twin_harness.predict.prediction import Prediction
    from twin_harness.predict.twin import Twin

_LOOK_S = 2.0  # at what others use now
# Trajectories in which a condition comes true, below which the interval of when is not shown.
_FEWEST_TIMES = 20
_SHOWN = (
    "cpu_percent",
    "memory_percent",
    "load1",
    "disk_write_bytes_per_s",
    "pressure_cpu_percent",
    "pressure_io_percent",
    "probe_wakeup_ms",
)
_COLUMNS = (
    Column("column", 24, is_text=True),
    Column("mean", 10),
    Column("peak", 10),
    Column("at", 7),
    Column("90 % band at the peak", is_text=True),
)
# A column's unit in the registry, to how it is shown here: a factor and a unit.
_SHOWN_UNITS = {"bytes/s": (1e-6, "MB/s"), "percent": (1.0, "%"), "1": (1.0, "")}


def add_predict(commands: Commands) -> None:
    """Add the command."""
    command = commands.add(
        "predict",
        predict,
        "what would happen under a schedule: trajectories with bands, and overload",
        example=(
            "example: twin predict schedule.json --model twin.json --overload 'memory_percent > 80"
            " for 5 s'"
        ),
    )
    command.add_argument("schedule", help="a schedule.json")
    command.add_argument("--model", required=True, metavar="FILE", help="what twin fit has made")
    command.add_argument(
        "--now",
        action="store_true",
        help="begin with this machine as it is, not at rest, and take what others use now for what"
        " they go on to use",
    )
    command.add_argument(
        "--background",
        metavar="quiet|recorded|FILE",
        help="what others use: nothing beyond rest, draws from what the model has recorded, or a"
        " recording of this machine as it went (default: recorded where the model holds one)",
    )
    command.add_argument(
        "--at",
        metavar="TIME",
        help="when the plan begins, e.g. 02:00 or 'Mon 14:00', in local time; every:1h compares the"
        " hours of a day and says when to run it (needs a recorded background)",
    )
    text = (
        "show its probability, time and binding resource: <column> [mean|p50|p95|p99] (>|<)"
        " <number> [for <number> s]; may be given again"
    )
    command.add_argument("--overload", action="append", default=[], metavar="CONDITION", help=text)
    command.add_argument(
        "--figure",
        metavar="PNG",
        help="draw it: a file for each experiment, its number before the ending",
    )


def predict(arguments: argparse.Namespace) -> int:
    """Predict every experiment of a schedule."""
    from twin_harness.predict.starting_time import StartingTime
    from twin_harness.predict.twin import Twin
    from twin_harness.schedule.model import Schedule

    _check_times(arguments)
    twin, schedule = Twin.load(arguments.model), Schedule.read(arguments.schedule)
    at = None
    if arguments.at is not None:
        from twin_harness.cli.predict_when import predict_when

        times = StartingTime.parse_all(arguments.at)
        if len(times) > 1:
            return predict_when(arguments, twin, schedule.experiments, times)
        at = str(times[0])
    start, background = None, arguments.background
    if arguments.now:
        start, others = _now(twin, len(schedule.experiments))
        if background is None:
            background = others
    predictions = twin.predict_many(schedule.experiments, start, background=background, at=at)
    overloads = [
        [_called(prediction, condition) for condition in arguments.overload]
        for prediction in predictions
    ]
    if arguments.figure:
        _draw(predictions, Path(arguments.figure))
    pairs = list(zip(predictions, overloads, strict=True))
    if arguments.json:
        write_json([_data(*pair, arguments.overload) for pair in pairs])
        return OK
    file = twin.file_
    echo(
        f"twin of machine {file.fingerprint} ({file.capacity.cpus:g} CPUs,"
        f" {file.capacity.memory_bytes / 2**30:.1f} GiB), fitted {file.created[:10]}"
    )
    for prediction, calls in pairs:
        told = map(_overload_line, calls, arguments.overload)
        echo(*_lines(prediction), *told)
    return OK


def _check_times(arguments: argparse.Namespace) -> None:
    """Refuse what excludes each other.

    Raises:
        InvalidInput: ``--now`` and ``--at`` are both given, or ``--at`` and another background.
    """
    if arguments.at is None:
        return
    if arguments.now:
        msg = f"--now: it begins now, not at {arguments.at!r}; leave out --now or --at"
        raise InvalidInput(msg)
    if arguments.background not in (None, "recorded"):
        msg = (
            f"--at {arguments.at!r}: expected --background recorded, the only one that knows of"
            f" hours, but got {arguments.background!r}; leave one of them out"
        )
        raise InvalidInput(msg)


def _now(twin: Twin, plans: int) -> tuple[Start, Others]:
    """Return this machine as it is, and what others use of it, measured for two seconds.

    Args:
        twin: of this machine.
        plans: how many plans it is for.

    Raises:
        InvalidInput: it is not the machine that was fitted.
    """
    import numpy as np
    import psutil

    from twin_harness.control.headroom import available_memory_bytes
    from twin_harness.predict.conditions import Others, Start
    from twin_harness.system.machine import inspect_machine

    machine = inspect_machine(Path())
    if twin.file_.fingerprint not in machine.fingerprints:
        here, fitted = machine.fingerprint, twin.file_.fingerprint
        msg = (
            f"--now: this machine is {here}, the twin is of {fitted}; leave --now out, or run it on"
            " the machine that was fitted"
        )
        raise InvalidInput(msg)
    memory_percent = 100.0 * (1.0 - available_memory_bytes(machine) / machine.memory_limit_bytes)
    cpu_percent = psutil.cpu_percent(_LOOK_S) * (os.cpu_count() or 1) / machine.cpu_capacity
    echo_error(f"--now: others use {cpu_percent:.1f} % of the CPUs, {_LOOK_S:.0f} s measured")
    others = Others.of_cpu(np.full((plans, 1), min(cpu_percent, 100.0)))
    return Start.of(psutil.getloadavg()[0], memory_percent), others


def _draw(predictions: list[Prediction], path: Path) -> None:
    from twin_harness.report.drawing.prediction import prediction_png

    for place, prediction in zip(figure_places(path, len(predictions)), predictions, strict=True):
        place.write_bytes(prediction_png(prediction))
        echo_error(f"figure {place}")


def _lines(prediction: Prediction) -> list[str]:
    """Return what is predicted, as a table."""
    return [
        f"{prediction.experiment.name}: {len(prediction.ends_s)} s, {prediction.background}",
        *(f"  extrapolating: {reason}" for reason in prediction.extrapolating),
        *table_lines(_COLUMNS, [_cells(prediction, name) for name in _SHOWN], "  "),
    ]


def _cells(prediction: Prediction, name: str) -> list[str]:
    """Return a column's mean, its peak, when that is, and the band there."""
    import numpy as np

    from twin_harness.metrics import by_name
    from twin_harness.predict.observation import COLUMNS

    index = COLUMNS.index(name)
    values = prediction.centre[index]
    if np.isnan(values).any():
        return [name, "", "", "", "this machine does not measure it"]
    at = int(np.argmax(values))
    metric = by_name(name)
    registered = metric.unit if metric else ""
    scale, unit = _SHOWN_UNITS.get(registered, (1.0, registered))
    low, high = scale * prediction.low[index, at], scale * prediction.high[index, at]
    band = "unknown (not calibrated)"
    if np.isfinite(low):
        band = f"{low:.3g} to {high:.3g} {unit}".rstrip()
    mean, peak = scale * values.mean(), scale * values[at]
    return [name, f"{mean:.3g}", f"{peak:.3g}", f"{prediction.ends_s[at]:.0f} s", band]


def _called(prediction: Prediction, condition: str) -> OverloadCall | Undecided:
    """Return how likely a condition is, or why that is not known."""
    try:
        return prediction.overload(condition)
    except Undecided as error:
        return error


def _overload_line(call: OverloadCall | Undecided, condition: str) -> str:
    """Return the probability of a condition, and when it comes true in which resource."""
    if isinstance(call, Undecided):
        return f"  {condition}: UNDECIDED, {str(call).partition(': ')[2]}"
    from twin_harness.predict.when import interval

    low, high = interval(call.probability, call.members)
    line = (
        f"  {call.condition}: probability {100 * call.probability:.0f} %"
        f" [{100 * low:.0f}, {100 * high:.0f}] ({call.members} simulated trajectories)"
    )
    if call.time_s is None or call.probability * call.members < _FEWEST_TIMES:
        return line
    return (
        f"{line}, after {call.time_s:.0f} s [{call.low_s:.0f} … {call.high_s:.0f}],"
        f" {call.binding} binds"
    )


def _data(prediction: Prediction, calls: list[Any], conditions: list[str]) -> dict[str, Any]:
    from twin_harness.predict.observation import COLUMNS

    def series(values: Any) -> dict[str, list[float | None]]:
        return {
            name: [None if isnan(value) else float(f"{value:.6g}") for value in row]
            for name, row in zip(COLUMNS, values, strict=True)
        }

    return {
        "experiment": prediction.experiment.name,
        "extrapolating": list(prediction.extrapolating),
        "background": prediction.background,
        "end_s": [float(end_s) for end_s in prediction.ends_s],
        "predicted": series(prediction.centre),
        "low": series(prediction.low),
        "high": series(prediction.high),
        "overload": [
            {"condition": condition, "probability": None, "undecided": str(call)}
            if isinstance(call, Undecided)
            else vars(call)
            for call, condition in zip(calls, conditions, strict=True)
        ],
    }
